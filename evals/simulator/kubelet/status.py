"""The status of a pod as its kubelet reports it, made from the states of its containers."""

from __future__ import annotations

from datetime import datetime

from evals.simulator.kubelet.container import Container
from evals.simulator.objects import clone, integer, objects, set_condition
from tools.jsontypes import JsonObject, JsonValue, dig_object, dig_str


def phase(spec: JsonObject, inits: list[Container], mains: list[Container]) -> str:
    """Pending, Running, Succeeded or Failed."""
    policy = dig_str(spec, "restartPolicy") or "Always"
    if any(i.phase == "terminated" and i.exit_code != 0 and policy == "Never" for i in inits):
        return "Failed"
    if not all(i.done for i in inits):
        return "Pending"
    if all(m.phase == "terminated" and m.done for m in mains):
        return "Failed" if any(m.exit_code for m in mains) else "Succeeded"
    if all(m.phase == "waiting" and m.restarts == 0 and not m.last for m in mains):
        return "Pending"
    return "Running"


def _unready(mains: list[Container]) -> str:
    return f"containers with unready status: [{' '.join(m.name for m in mains if not m.ready)}]"


def build(
    pod: JsonObject, inits: list[Container], mains: list[Container], *, ip: str, host_ip: str, begun: str, now: datetime
) -> JsonObject:
    """A new status.  Conditions that others own (PodScheduled, DisruptionTarget) stay as they are."""
    old, spec = dig_object(pod, "status"), dig_object(pod, "spec")
    status: JsonObject = {k: v for k, v in old.items() if k in {"qosClass", "nominatedNodeName"}}
    conditions: list[JsonValue] = [clone(c) for c in objects(old, "conditions")]
    status["conditions"] = conditions
    state = phase(spec, inits, mains)
    ended = state in {"Succeeded", "Failed"}
    status |= {"phase": state, "hostIP": host_ip, "hostIPs": [{"ip": host_ip}], "startTime": begun}
    status["observedGeneration"] = integer(pod, "metadata", "generation", default=1)
    if ip:
        status["podIP"], status["podIPs"] = ip, [{"ip": ip}]
    status["containerStatuses"] = [m.status() for m in mains]
    if inits:
        status["initContainerStatuses"] = [i.status() for i in inits]
    pending = [i.name for i in inits if not i.done]
    sandbox = bool(ip) and not ended
    set_condition(status, "PodReadyToStartContainers", "True" if sandbox else "False", now=now)
    if state == "Succeeded":
        set_condition(status, "Initialized", "True", "PodCompleted", now=now)
    elif pending:
        said = f"containers with incomplete status: [{' '.join(pending)}]"
        set_condition(status, "Initialized", "False", "ContainersNotInitialized", said, now=now)
    else:
        set_condition(status, "Initialized", "True", now=now)
    ready = all(m.ready for m in mains) and not ended and not pending
    for name in ("Ready", "ContainersReady"):
        if ready:
            set_condition(status, name, "True", now=now)
        elif ended:
            set_condition(status, name, "False", "PodCompleted" if state == "Succeeded" else "PodFailed", now=now)
        else:
            set_condition(status, name, "False", "ContainersNotReady", _unready(mains), now=now)
    return status
