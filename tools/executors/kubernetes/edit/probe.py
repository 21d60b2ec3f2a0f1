"""`set_probe`: where a probe asks, and how patient it is.

The rule: a probe stays a probe.  None is added or removed, an exec probe keeps its command, and no patience is so long
that the probe would never speak.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tools.executors.base import Action, Situation
from tools.executors.kubernetes.edit.template import ContainerEditExecutor, container_of, in_containers, out_of_range
from tools.executors.kubernetes.edit.wanted import Path, Put, Take, Wanted
from tools.executors.models.edit import SetProbe
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_object, dig_str

MAX_PATIENCE_SECONDS: Final = 900
"""Delay and all tries together: a probe that waits longer tells nobody anything."""
_HANDLERS: Final = ("httpGet", "tcpSocket", "grpc", "exec")


class SetProbeExecutor(ContainerEditExecutor[SetProbe]):
    """`set_probe`."""

    action_type: ClassVar[type[Action]] = SetProbe
    description: ClassVar[str] = (
        "Change path, port or scheme of a container's probe, or its delay, period, timeout or number of tries. For a "
        "probe that was wrong from the start: it asks where nothing answers, or gives up before the program is up. It "
        "neither adds nor removes a probe nor changes the command of an exec probe."
    )
    declared_fields: ClassVar[tuple[str, ...]] = in_containers("livenessProbe", "readinessProbe", "startupProbe")

    def of_container(self, action: SetProbe, container: JsonObject, path: Path) -> tuple[Wanted, ...] | Refused:
        """The values that are given.  A delay of zero and none are the same to the server, which keeps none."""
        field = f"{action.probe}Probe"
        probe = dig_object(container, field)
        handler = next((h for h in _HANDLERS if h in probe), "")
        if not handler:
            return out_of_range(action, f"container {action.container} has no {action.probe} probe; none is added.")
        if refused := _unfit(action, handler):
            return refused
        asked: dict[str, JsonValue] = {"path": action.path, "port": action.port, "scheme": action.scheme}
        timing: dict[str, JsonValue] = {
            "initialDelaySeconds": action.initial_delay_seconds,
            "periodSeconds": action.period_seconds,
            "timeoutSeconds": action.timeout_seconds,
            "failureThreshold": action.failure_threshold,
        }
        return (
            *(Put((*path, field, handler, key), value) for key, value in asked.items() if value is not None),
            *(Put((*path, field, key), value) for key, value in timing.items() if value),
            *((Take((*path, field, "initialDelaySeconds")),) if action.initial_delay_seconds == 0 else ()),
        )

    def objection(self, action: SetProbe, situation: Situation) -> Refused | None:
        """The named port exists, and the probe still speaks in time."""
        container = container_of(situation.live, action.container)
        names = [dig_str(port, "name") for port in dig_list(container, "ports")]
        if isinstance(action.port, str) and action.port not in names:
            known = ", ".join(name for name in names if name) or "none"
            what = f"container {action.container} has no port named {action.port}; its named ports: {known}."
            return out_of_range(action, what)
        patience = _patience(action, dig_object(container, f"{action.probe}Probe"))
        if patience > MAX_PATIENCE_SECONDS:
            what = f"the {action.probe} probe would speak after {patience} s; {MAX_PATIENCE_SECONDS} s is the most."
            return out_of_range(action, what)
        return None


def _unfit(action: SetProbe, handler: str) -> Refused | None:
    """Values that this kind of probe does not have."""
    if handler != "httpGet" and (action.path is not None or action.scheme is not None):
        return out_of_range(action, f"the {action.probe} probe is {handler} and has neither path nor scheme.")
    if handler == "exec" and action.port is not None:
        return out_of_range(action, f"the {action.probe} probe runs a command and has no port.")
    if handler == "grpc" and isinstance(action.port, str):
        return out_of_range(action, f"the {action.probe} probe is grpc and takes a port by number alone.")
    return None


def _patience(action: SetProbe, probe: JsonObject) -> int:
    """Seconds until the probe gives up, after the change; Kubernetes' own defaults where nothing is said."""

    def value(given: int | None, field: str, default: int) -> int:
        return given if given is not None else (dig_int(probe, field) or default)

    delay = value(action.initial_delay_seconds, "initialDelaySeconds", 0)
    period = value(action.period_seconds, "periodSeconds", 10)
    return delay + period * value(action.failure_threshold, "failureThreshold", 3)
