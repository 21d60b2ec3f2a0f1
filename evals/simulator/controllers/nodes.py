"""Node lifecycle: silent kubelets, taints by condition, and evicting what does not tolerate them."""

from __future__ import annotations

from evals.simulator.api.store import Change
from evals.simulator.controllers import pods
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.controllers.scheduler import tolerates
from evals.simulator.objects import (
    age_seconds,
    child,
    clone,
    condition,
    is_deleting,
    name_of,
    namespace_of,
    objects,
    parse_time,
    set_condition,
    uid_of,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

NAME = "node-controller"
_PRESSURE = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_CORDONED = "node.kubernetes.io/unschedulable"
_OURS = {*_PRESSURE.values(), _NOT_READY, _UNREACHABLE, _CORDONED}


class Nodes(Controller):
    """The node lifecycle and the taint eviction controller."""

    name, key = NAME, "nodes"

    def related(self, change: Change) -> list[Key]:
        """The node of a pod that was bound, and of a lease that was renewed."""
        if change.key == "pods" and change.type == "MODIFIED" and not dig(change.before, "spec", "nodeName"):
            node = dig_str(change.object, "spec", "nodeName")
            return [("", node)] if node else []
        return []

    def sync(self, namespace: str, name: str) -> None:  # noqa: ARG002 - cluster-scoped
        """Judge the heartbeat, set the taints, evict."""
        node = self.api.store.get("nodes", "", name)
        if node is None:
            for pod in self.manager.pods_of(name):
                self.api.delete(self.api.kinds.named("Pod"), namespace_of(pod), name_of(pod), {"gracePeriodSeconds": 0})
            return
        grace = self.manager.timings.node_grace
        silent = self._silence(node)
        if silent >= grace:
            node = self._unknown(node)
        self.later("", name, max(1.0, grace - silent + 0.1) if silent < grace else grace)
        node = self._taint(node)
        self._evict(node)

    def _silence(self, node: JsonObject) -> float:
        """Seconds since the node's last lease renewal or, without one, its last status."""
        now = self.api.clock.now()
        lease = self.api.store.get("leases.coordination.k8s.io", "kube-node-lease", name_of(node))
        renewed = parse_time(dig_str(lease or {}, "spec", "renewTime"))
        beats = [parse_time(dig_str(c, "lastHeartbeatTime")) for c in objects(node, "status", "conditions")]
        known = [b for b in (renewed, *beats) if b is not None]
        return (now - max(known)).total_seconds() if known else age_seconds(node, now)

    def _unknown(self, node: JsonObject) -> JsonObject:
        status: JsonObject = {**dig_object(node, "status")}
        status["conditions"] = [dict(c) for c in objects(node, "status", "conditions")]
        never = not objects(node, "status", "conditions")
        reason = "NodeStatusNeverUpdated" if never else "NodeStatusUnknown"
        text = "Kubelet never posted node status." if never else "Kubelet stopped posting node status."
        was_ready = dig(condition(node, "Ready") or {}, "status") == "True"
        for type_ in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
            set_condition(status, type_, "Unknown", reason, text, now=self.api.clock.now())
        node = self.api.set_status(self.api.kinds.named("Node"), node, status)
        if was_ready:
            text = f"Node {name_of(node)} status is now: NodeNotReady"
            self.api.event(node, "Normal", "NodeNotReady", text, NAME)
            for pod in self.manager.pods_of(name_of(node)):
                self._not_ready(pod)
        return node

    def _not_ready(self, pod: JsonObject) -> None:
        status: JsonObject = {**dig_object(pod, "status")}
        status["conditions"] = [dict(c) for c in objects(pod, "status", "conditions")]
        if set_condition(status, "Ready", "False", now=self.api.clock.now()):
            self.api.set_status(self.api.kinds.named("Pod"), pod, status)
            self.api.event(pod, "Warning", "NodeNotReady", "Node is not ready", NAME)

    def _wanted(self, node: JsonObject) -> list[tuple[str, str]]:
        taints: list[tuple[str, str]] = []
        ready = dig_str(condition(node, "Ready") or {}, "status")
        key = {"True": "", "Unknown": _UNREACHABLE}.get(ready, _NOT_READY)
        if key:
            taints += [(key, "NoSchedule"), (key, "NoExecute")]
        for type_, taint in _PRESSURE.items():
            if dig(condition(node, type_) or {}, "status") == "True":
                taints.append((taint, "NoSchedule"))
        if dig(node, "spec", "unschedulable") is True:
            taints.append((_CORDONED, "NoSchedule"))
        return taints

    def _taint(self, node: JsonObject) -> JsonObject:
        have = objects(node, "spec", "taints")
        wanted = self._wanted(node)
        if {(dig_str(t, "key"), dig_str(t, "effect")) for t in have if dig_str(t, "key") in _OURS} == set(wanted):
            return node
        kept: list[JsonValue] = [t for t in have if dig_str(t, "key") not in _OURS]
        old = {(dig_str(t, "key"), dig_str(t, "effect")): t for t in have}
        for key, effect in wanted:
            kept.append(old.get((key, effect)) or {"key": key, "effect": effect, "timeAdded": self.api.stamp()})
        changed = clone(node)
        spec = child(changed, "spec")
        spec.pop("taints", None)
        if kept:
            spec["taints"] = kept
        return self.api.store.put("nodes", changed)

    def _evict(self, node: JsonObject) -> None:
        """NoExecute taints: at once, or when the toleration's seconds are over."""
        taints = [t for t in objects(node, "spec", "taints") if t.get("effect") == "NoExecute"]
        waiting = self.manager.evictions
        for pod in self.manager.pods_of(name_of(node)):
            uid = uid_of(pod)
            if not taints or is_deleting(pod):
                if waiting.pop(uid, None) is not None:
                    text = f"Cancelling deletion of Pod {namespace_of(pod)}/{name_of(pod)}"
                    self.api.event(pod, "Normal", "TaintManagerEviction", text, "taint-eviction-controller")
                continue
            seconds = self._patience(pod, taints)
            if seconds is None:
                waiting.pop(uid, None)
                continue
            now = self.api.clock.monotonic()
            due = waiting.setdefault(uid, now + seconds)
            if now < due:
                self.later("", name_of(node), due - now + 0.05)
                continue
            waiting.pop(uid, None)
            text = f"Marking for deletion Pod {namespace_of(pod)}/{name_of(pod)}"
            self.api.event(pod, "Normal", "TaintManagerEviction", text, "taint-eviction-controller")
            self.api.delete(
                self.api.kinds.named("Pod"), namespace_of(pod), name_of(pod), {}, pods.by("taint-eviction-controller")
            )

    def _patience(self, pod: JsonObject, taints: list[JsonObject]) -> float | None:
        """Seconds it may stay; None for ever."""
        shortest: float | None = None
        for taint in taints:
            if not tolerates(pod, taint):
                return 0.0
            for toleration in objects(pod, "spec", "tolerations"):
                seconds = toleration.get("tolerationSeconds")
                if isinstance(seconds, int) and tolerates({"spec": {"tolerations": [toleration]}}, taint):
                    shortest = float(seconds) if shortest is None else min(shortest, float(seconds))
        return shortest
