"""`revert_fields`: the fields of a live object go back to what a version of it says.

The executor finds the differences itself, at the moment of acting, with the comparison that found the drift; it writes
those places and no others, each tested for what it holds.  The rules: only kinds and fields of `putback.FIELDS`; one
field that is not on the list refuses the whole; a count that an autoscaler chooses is left to it; a template that
nobody declared goes back by its revision (`rollback_workload`), not by this.

Neighbours: `tools.journal` keeps and compares versions, `difference_patch` makes the places, `restore` makes objects
that are gone.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tools.cluster.resources import SCALED_OBJECT, WriteRequest
from tools.executors.base import Action, Applied, Executor, InverseKind, Mark, Permission, Reader, Situation
from tools.executors.compare import contains, same
from tools.executors.kubernetes.common import WORKLOADS, read_back, refuse, template_of
from tools.executors.kubernetes.difference_patch import CannotApply, Place, applied, places
from tools.executors.kubernetes.podsecurity import lowered
from tools.executors.kubernetes.putback import FIELDS, REPLICAS, RESOURCES, TEMPLATE, Tier, is_note, tiers
from tools.executors.kubernetes.replicas import is_autoscaled
from tools.executors.kubernetes.versions import LAST_KNOWN_GOOD, unknown, version_of
from tools.executors.models.objects import RevertFields
from tools.executors.patch import fence, find, json_patch, sign
from tools.executors.whole import is_deleting
from tools.guard.verdict import ReasonCode, Refused
from tools.journal.compare import Difference, differences
from tools.journal.diffs import loosened
from tools.journal.versions import Versions
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str
from tools.refs import ObjectRef

_NAMED: Final = 6
"""How many fields a sentence names."""


class RevertFieldsExecutor(Executor[RevertFields]):
    """`revert_fields`.  `versions` remembers versions of objects; None refuses every order."""

    action_type: ClassVar[type[Action]] = RevertFields
    description: ClassVar[str] = (
        "Put the fields of an object back to a version of it: the one that is declared, or the one under which its "
        "workload was last healthy. Helps when the trouble began with a change of that object: a value of a ConfigMap, "
        "the selector or ports of a Service, the target of an autoscaler, a quota, a role. Only the fields that differ "
        "are written, and only those on a list; some wait for a person. Pods that read settings at their start must be "
        "restarted in a step after this one."
    )
    declared_fields: ClassVar[tuple[str, ...]] = tuple(sorted({path for listed in FIELDS.values() for path in listed}))
    permissions: ClassVar[tuple[Permission, ...]] = tuple(Permission("patch", RESOURCES[kind]) for kind in FIELDS)
    reads: ClassVar[tuple[Permission, ...]] = (
        *(Permission("get", RESOURCES[kind]) for kind in FIELDS),
        Permission("list", SCALED_OBJECT),
    )
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = True
    moves_replicas: ClassVar[bool] = True

    def __init__(self, versions: Versions | None = None) -> None:
        """Keep where versions are asked for."""
        self._versions = versions

    async def read(self, action: RevertFields, cluster: Reader) -> Situation:
        """Read the object and the version, and find out what putting it back would write."""
        resource = RESOURCES[action.kind]
        live = await cluster.get(resource, action.name, action.namespace)
        support = await version_of(self._versions, action.target, action.version)
        if unknown(action.target, action.version, support, resource) is not None:
            return Situation(live, support)
        typed: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind, **live}
        manifest = dig_object(support, "manifest")
        found = _found(typed, manifest, support)
        if any(one.path == REPLICAS for one in found) and await is_autoscaled(action.target, cluster):
            found = tuple(one for one in found if one.path != REPLICAS)
        return Situation(live, {**_without(support, "manifest"), **_plan(typed, found, action, support)})

    def precondition(self, action: RevertFields, situation: Situation) -> Refused | None:
        """The version is known and of this object, it differs, and every difference is on the list."""
        support, target = situation.support, action.target
        if "places" not in support:
            return unknown(target, action.version, support, RESOURCES[action.kind]) or _inexact(target)
        if is_deleting(situation.live):
            return _no(ReasonCode.TARGET_DELETING, f"{target} is being deleted.", retry_after=5)
        unlisted = _texts(support, "unlisted")
        if unlisted:
            what = f"{target} differs in {_listed(unlisted)} as well, which selfheal does not write; a person must."
            return _no(ReasonCode.NOT_ON_THE_LIST, what)
        if _is_of_past(support) and any(_is_template(place.path) for place in _places(support)):
            what = f"Nobody declared the template of {target}: roll it back to its revision instead."
            return _no(ReasonCode.NOT_ON_THE_LIST, what)
        if support.get("exact") is not True:
            return _inexact(target)
        if not _places(support):
            return _no(ReasonCode.NO_CHANGE, f"{target} is as version {action.version[:12]} says already.")
        return None

    def fields(self, action: RevertFields, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """The places that differ, and nothing beside them."""
        return tuple(place.path for place in _places(situation.support))

    def is_stopped_by_rollout(self, action: RevertFields) -> bool:
        """Only a workload's own fields wait for its rollout; settings beside it may be what the rollout lacks."""
        return action.kind in WORKLOADS

    def writes_replicas(self, action: RevertFields, situation: Situation) -> bool:  # noqa: ARG002
        """Whether the count is among the places."""
        return any(place.path == REPLICAS for place in _places(situation.support))

    def needs_failure(self, action: RevertFields, situation: Situation) -> bool:  # noqa: ARG002
        """A version that nobody declared is a remedy for a failure and nothing to hold an object to."""
        return _is_of_past(situation.support)

    def approval_reasons(self, action: RevertFields, situation: Situation) -> tuple[str, ...]:
        """Fields that wait for a person, a template that may do more than the present one, and zero replicas."""
        target, reasons = action.target, list[str]()
        asked = _texts(situation.support, "asks")
        if asked:
            reasons.append(f"A person must agree to a change of {_listed(asked)} of {target}.")
        gained = _texts(situation.support, "gained")
        if gained:
            reasons.append(f"Version {action.version[:12]} of {target} lowers its security: {'; '.join(gained)}.")
        if any(place.path == REPLICAS and place.then == 0 for place in _places(situation.support)):
            reasons.append(f"{target} would go from {dig(situation.live, 'spec', 'replicas')} replicas to none.")
        return tuple(reasons)

    def request(self, action: RevertFields, situation: Situation, mark: Mark) -> WriteRequest:
        """One patch: the fence, each place with its test, our marks."""
        change = [one for place in _places(situation.support) for one in place.operations()]
        operations = [*fence(situation.live), *change, *sign(situation.live, mark)]
        return json_patch(RESOURCES[action.kind], situation.live, operations, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RevertFields, before: Situation, after: Situation) -> Refused | None:
        """Every place holds what the version says."""
        wrong = [place.path for place in _places(before.support) if not _holds(after.live, place)]
        if not wrong:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target}: {_listed(wrong)} is not as the version says.")

    def was_applied(self, action: RevertFields, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """The mark on the object tells."""
        return read_back(before, now, mark)


def _found(live: JsonObject, manifest: JsonObject, support: JsonObject) -> tuple[Difference, ...]:
    """The differences that count: notes of controllers and people in annotations do not."""
    found = differences(live, manifest, partial=not _is_of_past(support))
    return tuple(one for one in found if not is_note(one))


def _plan(live: JsonObject, found: tuple[Difference, ...], action: RevertFields, support: JsonObject) -> JsonObject:
    """What `precondition`, `request` and the sentences need, as JSON; pure."""
    leaves = {path: tier for one in found for path, tier in tiers(action.kind, one).items()}
    unlisted: list[JsonValue] = [*sorted(path for path, tier in leaves.items() if tier is None)]
    asks: list[JsonValue] = [*sorted(path for path, tier in leaves.items() if tier is Tier.APPROVAL)]
    planned: JsonObject = {"places": [], "unlisted": unlisted, "asks": asks, "gained": [], "exact": False}
    try:
        wanted = applied(live, found)
    except CannotApply:
        return planned
    left = {one.path for one in _found(wanted, dig_object(support, "manifest"), support)}
    is_left = left <= {REPLICAS}  # an autoscaler's count stays as it is
    gained: list[JsonValue] = []
    if action.kind in WORKLOADS:
        now, then = template_of(live), template_of(wanted)
        gained = [*sorted({*lowered(now, then), *loosened(now, then)})]
    shown: list[JsonValue] = [_shown(place) for place in places(live, wanted, found)]
    return {**planned, "places": shown, "gained": gained, "exact": is_left}


def _shown(place: Place) -> JsonObject:
    return {
        "path": place.path,
        "has_was": place.has_was,
        "was": place.was,
        "has_then": place.has_then,
        "then": place.then,
    }


def _places(support: JsonObject) -> tuple[Place, ...]:
    return tuple(
        Place(
            path=dig_str(item, "path"),
            has_was=dig(item, "has_was") is True,
            was=dig(item, "was"),
            has_then=dig(item, "has_then") is True,
            then=dig(item, "then"),
        )
        for item in dig_list(support, "places")
    )


def _holds(live: JsonObject, place: Place) -> bool:
    """Whether the place holds what it should; where something was taken away a server may fill in its default."""
    there, value = find(live, place.path)
    if place.has_then:
        return there and contains(value, place.then)
    return not (there and same(value, place.was))


def _is_of_past(support: JsonObject) -> bool:
    return dig_str(support, "source") == LAST_KNOWN_GOOD


def _is_template(path: str) -> bool:
    return path == TEMPLATE or path.startswith(TEMPLATE + "/")


def _texts(support: JsonObject, name: str) -> list[str]:
    return [text for text in dig_list(support, name) if isinstance(text, str)]


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _without(support: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in support.items() if key != name}


def _inexact(target: ObjectRef) -> Refused:
    return _no(ReasonCode.INPUT_UNREADABLE, f"It cannot be told exactly how {target} would go back to that version.")


def _no(code: ReasonCode, reason: str, *, retry_after: float | None = None) -> Refused:
    return refuse(code, reason).model_copy(update={"retry_after_seconds": retry_after})
