"""`set_service`: which pods a Service selects, and which of their ports its own lead to.

The rule: type, addresses and node ports are never touched, a Service that has no selector keeps none (somebody else
fills its endpoints), and the new selector must select pods that are there.  A port that is given by name must be a name
that these pods have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from tools.cluster.resources import POD, SERVICE, Resource
from tools.executors.base import Action, Applied, Mark, Permission, Reader, Situation
from tools.executors.kubernetes.common import controller_of
from tools.executors.kubernetes.edit.template import EditExecutor, out_of_range
from tools.executors.kubernetes.edit.wanted import Put, Take, Wanted, applied
from tools.executors.models.edit import ServicePort, SetService
from tools.executors.patch import pointer
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str, digest

_SELECTOR: Final = ("spec", "selector")
_PORTS: Final = ("spec", "ports")
_HASH: Final = "pod-template-hash"
_HELD: Final = "held"
"""What selector and ports were: a Service counts no generations, so only that tells that nobody wrote there."""


class SetServiceExecutor(EditExecutor[SetService]):
    """`set_service`."""

    action_type: ClassVar[type[Action]] = SetService
    description: ClassVar[str] = (
        "Change the selector of a Service, or the target ports of its ports. For a Service that never led anywhere, or "
        "to the wrong place: a label misspelt, a port name or number that no container has. No pod is touched. The new "
        "selector must select pods that exist."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_SELECTOR), pointer(*_PORTS, "*", "targetPort"))
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", SERVICE),)
    disrupts: ClassVar[bool] = False

    def resource(self, action: SetService) -> Resource:  # noqa: ARG002 - as its likes
        """Services."""
        return SERVICE

    async def read(self, action: SetService, cluster: Reader) -> Situation:
        """Read the Service and the pods it would select.  Raises `ToolError`."""
        live = (await super().read(action, cluster)).live
        support: JsonObject = {_HELD: _held(live)}
        wanted = self.wanted(action, live)
        selector = {} if isinstance(wanted, Refused) else dig_object(applied(live, wanted), *_SELECTOR)
        if not selector:
            return Situation(live, support)
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = await cluster.list(POD, action.namespace, label_selector=labels)
        owners: list[JsonValue] = [*sorted({_owner(pod) for pod in pods})]
        names: list[JsonValue] = [*sorted({name for pod in pods for name in _port_names(pod)})]
        return Situation(live, {**support, "pods": len(pods), "owners": owners, "port_names": names})

    def wanted(self, action: SetService, live: JsonObject) -> tuple[Wanted, ...] | Refused:
        """Entries of the selector and target ports, one by one."""
        wanted: list[Wanted] = [
            Take((*_SELECTOR, entry.key)) if entry.value is None else Put((*_SELECTOR, entry.key), entry.value)
            for entry in action.selector
        ]
        for port in action.ports:
            places = _places(live, port)
            if len(places) != 1:
                what = "more than once; give its name" if places else "nowhere"
                return out_of_range(action, f"port {port.port} stands {what} in the Service's ports.")
            wanted.append(Put((*_PORTS, places[0], "targetPort"), port.target_port))
        paths = [w.path for w in wanted]
        if len(set(paths)) < len(paths):
            return out_of_range(action, "an entry or a port is named twice.")
        return tuple(wanted)

    def objection(self, action: SetService, situation: Situation) -> Refused | None:
        """It is a Service with a selector, still has one, and leads to pods and ports that are there."""
        live, support = situation.live, situation.support
        if dig_str(live, "spec", "type") == "ExternalName" or not dig_object(live, *_SELECTOR):
            return out_of_range(action, "it has no selector: somebody else says where it leads.")
        if not support.get("pods"):
            return out_of_range(action, "the new selector would select no pod.")
        known = dig_list(support, "port_names")
        for port in action.ports:
            if isinstance(port.target_port, str) and port.target_port not in known:
                names = ", ".join(str(name) for name in known) or "none"
                return out_of_range(action, f"no pod it selects has a port named {port.target_port}; named: {names}.")
        return None

    def was_applied(self, action: SetService, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:
        """The mark tells; without one, selector and ports that are as they were do."""
        found = super().was_applied(action, before, now, mark)
        if found is not Applied.UNKNOWN or now is None:
            return found
        is_same = dig_str(now, "metadata", "uid") == dig_str(before.live, "metadata", "uid")
        return Applied.NO if is_same and _held(now) == before.support.get(_HELD) else Applied.UNKNOWN

    def approval_reasons(self, action: SetService, situation: Situation) -> tuple[str, ...]:
        """Pods of several owners behind one Service are seldom meant."""
        owners = [str(owner) for owner in dig_list(situation.support, "owners")]
        if not action.selector or len(owners) < 2:
            return ()
        return (f"{action.target} would lead to pods of several owners: {', '.join(owners[:4])}.",)


def _held(live: JsonObject) -> str:
    """One string for where the Service leads."""
    return digest([dig(live, *_SELECTOR), dig(live, *_PORTS)])


def _places(live: JsonObject, port: ServicePort) -> list[int]:
    """Where that port stands: by number, or by its own name."""
    field = "port" if isinstance(port.port, int) else "name"
    return [i for i, found in enumerate(dig_list(live, *_PORTS)) if dig_object(found).get(field) == port.port]


def _owner(pod: JsonObject) -> str:
    """The workload the pod belongs to, as far as its own metadata says: all ReplicaSets of a Deployment are one."""
    controller = controller_of(pod)
    name, suffix = dig_str(controller, "name"), dig_str(pod, "metadata", "labels", _HASH)
    if suffix and name.endswith(f"-{suffix}"):
        return name.removesuffix(f"-{suffix}")
    return f"{dig_str(controller, 'kind') or 'Pod'} {name or dig_str(pod, 'metadata', 'name')}"


def _port_names(pod: JsonObject) -> Iterable[str]:
    for kind in ("containers", "initContainers"):
        for container in dig_list(pod, "spec", kind):
            for port in dig_list(container, "ports"):
                if name := dig_str(port, "name"):
                    yield name
