"""`set_placement`: pods may go to more of the nodes that there are.

The rule: only loosening, and only towards nodes that exist.  Whatever node the pods could go to before they still can,
and at least one node takes them.  Tolerations are not touched: a taint is somebody's no.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from tools.cluster.resources import NODE, Resource
from tools.executors.base import Action, Permission, Reader, Situation
from tools.executors.kubernetes.common import TEMPLATE, WORKLOADS, may_patch
from tools.executors.kubernetes.edit.template import EditExecutor, out_of_range
from tools.executors.kubernetes.edit.wanted import Path, Put, Take, Wanted, applied
from tools.executors.models.edit import SetPlacement
from tools.executors.patch import pointer
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

DEFAULT_SCHEDULER: Final = "default-scheduler"
_SPEC: Final = (*TEMPLATE, "spec")
_SELECTOR: Final = (*_SPEC, "nodeSelector")
_AFFINITY: Final = (*_SPEC, "affinity")
_SPREAD: Final = (*_SPEC, "topologySpreadConstraints")
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_AFFINITIES: Final = {"node_affinity": "nodeAffinity", "pod_affinity": "podAffinity",
                      "pod_anti_affinity": "podAntiAffinity"}  # fmt: skip
_MAX_OFFERS: Final = 8


class SetPlacementExecutor(EditExecutor[SetPlacement]):
    """`set_placement`."""

    action_type: ClassVar[type[Action]] = SetPlacement
    description: ClassVar[str] = (
        "Let the pods of a workload go to more of the nodes that there are: another value or none for an entry of the "
        "node selector, no required affinity, spread as a preference, the default scheduler. For pods that no node "
        "ever took. It only loosens, and never adds a toleration."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (
        pointer(*_SELECTOR), pointer(*_AFFINITY), pointer(*_SPREAD, "*"), pointer(*_SPEC, "schedulerName"),
    )  # fmt: skip
    permissions: ClassVar[tuple[Permission, ...]] = may_patch("Deployment", "StatefulSet", "DaemonSet")
    disrupts: ClassVar[bool] = True

    def resource(self, action: SetPlacement) -> Resource:
        """The workload."""
        return WORKLOADS[action.kind]

    async def read(self, action: SetPlacement, cluster: Reader) -> Situation:
        """Read the workload; when its node selector is to change, also which open nodes match before and after."""
        situation = await super().read(action, cluster)
        wanted = self.wanted(action, situation.live)
        if not action.node_selector or isinstance(wanted, Refused):
            return situation
        nodes = [n for n in await cluster.list(NODE) if dig(n, "spec", "unschedulable") is not True]
        before = _matching(nodes, dig_object(situation.live, *_SELECTOR))
        after = _matching(nodes, dig_object(applied(situation.live, wanted), *_SELECTOR))
        offers: list[JsonValue] = [*_offers(nodes, [entry.key for entry in action.node_selector])]
        lost: list[JsonValue] = [*sorted(before - after)[:_MAX_OFFERS]]
        return Situation(situation.live, {"nodes": len(after), "lost": lost, "offers": offers})

    def wanted(self, action: SetPlacement, live: JsonObject) -> tuple[Wanted, ...] | Refused:
        """Selector, affinity, spread and scheduler, each as far as it is given."""
        scheduler = (Put((*_SPEC, "schedulerName"), DEFAULT_SCHEDULER),) if action.default_scheduler else ()
        return (
            *_selector(action, dig_object(live, *_SELECTOR)),
            *_affinity(action, dig_object(live, *_AFFINITY)),
            *_spread(action, dig_list(live, *_SPREAD)),
            *scheduler,
        )

    def objection(self, action: SetPlacement, situation: Situation) -> Refused | None:
        """Entries are there, a node takes the pods, and none is lost."""
        present = dig_object(situation.live, *_SELECTOR)
        keys = [entry.key for entry in action.node_selector]
        unknown = [key for key in keys if key not in present]
        if unknown:
            known = ", ".join(sorted(present)) or "none"
            return out_of_range(action, f"the node selector has no entry {', '.join(unknown)}; it has {known}.")
        if len(set(keys)) < len(keys):
            return out_of_range(action, "an entry of the node selector is named twice.")
        if not keys:
            return None
        if not situation.support.get("nodes"):
            offers = ", ".join(str(o) for o in dig_list(situation.support, "offers")) or "nothing"
            return out_of_range(action, f"no open node would take the pods; of these labels nodes bear {offers}.")
        lost = ", ".join(str(n) for n in dig_list(situation.support, "lost"))
        if lost:
            return out_of_range(action, f"pods could no longer go to {lost}; this edit only loosens.")
        return None


def _selector(action: SetPlacement, present: JsonObject) -> tuple[Wanted, ...]:
    """Entries one by one; a selector that would be left empty goes as a whole."""
    gone = {entry.key for entry in action.node_selector if entry.value is None}
    if present and gone >= set(present):
        return (Take(_SELECTOR),)
    return tuple(
        Take((*_SELECTOR, entry.key)) if entry.value is None else Put((*_SELECTOR, entry.key), entry.value)
        for entry in action.node_selector
    )


def _affinity(action: SetPlacement, present: JsonObject) -> tuple[Wanted, ...]:
    """The affinity as a whole, without the requirements that go and without what they leave empty."""
    names = {_AFFINITIES[name] for name in action.drop_required}
    if not any(_REQUIRED in dig_object(present, name) for name in names):
        return ()
    left: JsonObject = {}
    for name, rules in present.items():
        kept: JsonValue = rules
        if name in names and isinstance(rules, dict):
            kept = {key: value for key, value in rules.items() if key != _REQUIRED}
        if kept:
            left[name] = kept
    return (Put(_AFFINITY, left) if left else Take(_AFFINITY),)


def _spread(action: SetPlacement, present: Iterable[JsonValue]) -> tuple[Wanted, ...]:
    """Every constraint as a preference; `minDomains` goes, which only a requirement may have."""
    if not action.soften_spread:
        return ()
    softened: list[JsonObject] = []
    for constraint in present:
        rest = dig_object(constraint).items()
        softened.append({**{k: v for k, v in rest if k != "minDomains"}, "whenUnsatisfiable": "ScheduleAnyway"})
    return tuple(
        Put(_path(index), new)
        for index, (new, old) in enumerate(zip(softened, present, strict=True))
        if dig_str(old, "whenUnsatisfiable") != "ScheduleAnyway"
    )


def _path(index: int) -> Path:
    return (*_SPREAD, index)


def _matching(nodes: Iterable[JsonObject], selector: JsonObject) -> set[str]:
    """Names of the nodes that bear every label of the selector."""
    return {
        dig_str(node, "metadata", "name")
        for node in nodes
        if selector.items() <= dig_object(node, "metadata", "labels").items()
    }


def _offers(nodes: Iterable[JsonObject], keys: Iterable[str]) -> list[str]:
    """What nodes bear of these labels, as `key=value`, a few of them."""
    labels = [dig_object(node, "metadata", "labels") for node in nodes]
    found = {f"{key}={dig_str(each, key)}" for key in keys for each in labels if key in each}
    return sorted(found)[:_MAX_OFFERS]
