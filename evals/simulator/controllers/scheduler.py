"""The scheduler: which node a pod fits, and why not."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from evals.simulator import quantity
from evals.simulator.api.core import Write
from evals.simulator.api.identity import SCHEDULER
from evals.simulator.api.quota import is_over, pod_usage
from evals.simulator.api.selectors import affinity_term, node_terms_match, selects, selects_map
from evals.simulator.api.store import Change
from evals.simulator.api.subresources import assign
from evals.simulator.controllers import preemption
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.objects import (
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    objects,
    set_condition,
    strings,
    uid_of,
)
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

_RETRY = 5.0
SCHEDULED = Write(SCHEDULER, "kube-scheduler")
_NO_MATCH = "node(s) didn't match Pod's node affinity/selector"


def tolerates(pod: JsonObject, taint: JsonObject) -> bool:
    """Whether some toleration of the pod covers the taint."""
    for toleration in objects(pod, "spec", "tolerations"):
        if dig_str(toleration, "effect") not in {"", dig_str(taint, "effect")}:
            continue
        key = dig_str(toleration, "key")
        if dig_str(toleration, "operator") == "Exists":
            if key in {"", dig_str(taint, "key")}:
                return True
        elif key == dig_str(taint, "key") and dig_str(toleration, "value") == dig_str(taint, "value"):
            return True
    return False


def host_ports(pod: JsonObject) -> set[tuple[int, str]]:
    """Ports the pod takes of its node."""
    found: set[tuple[int, str]] = set()
    for container in objects(pod, "spec", "containers"):
        for port in objects(container, "ports"):
            number = port.get("hostPort")
            if isinstance(number, int) and number:
                found.add((number, dig_str(port, "protocol") or "TCP"))
    return found


class Scheduler(Controller):
    """Binds pending pods."""

    name, key = "default-scheduler", "pods"

    def related(self, change: Change) -> list[Key]:
        """Whatever may make room: nodes, claims, and pods that end or go."""
        freed = change.key == "pods" and (change.type == "DELETED" or is_over(change.object))
        if freed or change.key in {"nodes", "persistentvolumeclaims"}:
            return [
                (namespace_of(p), name_of(p))
                for p in self.manager.pending_pods.values()
                if not dig(p, "spec", "nodeName")
            ]
        return []

    def sync(self, namespace: str, name: str) -> None:
        """Bind one pod, or say why not."""
        pod = self.api.store.get("pods", namespace, name)
        if pod is None or dig(pod, "spec", "nodeName") or is_deleting(pod) or is_over(pod):
            self.manager.pending_pods.pop((namespace, name), None)
            return
        if dig_str(pod, "spec", "schedulerName") != "default-scheduler":
            return
        self.manager.pending_pods[namespace, name] = pod
        claims = self._claims(pod)
        if claims is not None:
            self._refuse(pod, claims)
            return
        nodes = self.api.store.select("nodes")
        reasons: Counter[str] = Counter()
        fitting: list[JsonObject] = []
        for node in nodes:
            why = self._why_not(pod, node)
            if why:
                reasons.update(why)
            else:
                fitting.append(node)
        if not fitting:
            self._unschedulable(pod, len(nodes), reasons)
            self._preempt(pod, nodes)
            return
        best = min(
            fitting, key=lambda n: (self.manager.pods_on(name_of(n), namespace_of(pod), labels_of(pod)), name_of(n))
        )
        assign(self.api, pod, name_of(best))
        self.manager.pending_pods.pop((namespace, name), None)
        text = f"Successfully assigned {namespace}/{name} to {name_of(best)}"
        self._say(pod, "Normal", "Scheduled", text, "Binding")

    def _say(self, pod: JsonObject, type_: str, reason: str, text: str, action: str) -> None:
        self.api.recorder.emit(
            pod, type_, reason, text, component=self.name, now=self.api.clock.now(), action=action, series=True
        )

    def _unschedulable(self, pod: JsonObject, total: int, reasons: Counter[str]) -> None:
        head = f"0/{total} nodes are available"
        listed = ", ".join(sorted(f"{n} {r}" for r, n in reasons.items()))
        room = sum(n for r, n in reasons.items() if r.startswith("Insufficient"))
        other = sum(reasons.values()) - room
        helped: list[str] = []
        if room:
            helped.append(f"{room} No preemption victims found for incoming pod")
        if other:
            helped.append(f"{other} Preemption is not helpful for scheduling")
        if any(r.startswith("Insufficient") for r in reasons) and self._too_big(pod):
            helped = [f"{total} Preemption is not helpful for scheduling"]
        tail = (
            f" preemption: {head}: {', '.join(sorted(helped))}." if reasons else " preemption: 0/0 nodes are available."
        )
        text = (
            f"{head}: {listed}. no new claims to deallocate,{tail}"
            if reasons
            else "no nodes available to schedule pods"
        )
        self._refuse(pod, text)

    def _preempt(self, pod: JsonObject, nodes: list[JsonObject]) -> None:
        """Drive off pods of lower priority where nothing but resources is missing; the pod comes when they are gone."""
        if not preemption.may_preempt(pod):
            return
        choices: list[tuple[int, str, list[JsonObject]]] = []
        for node in nodes:
            name, why = name_of(node), self._why_not(pod, node)
            room, used = dig_object(node, "status", "allocatable"), self.manager.usage_on(name)
            found = preemption.victims(pod, self.manager.pods_of(name), used, room)
            if found is not None and all(w.startswith("Insufficient") for w in why):
                choices.append((len(found), name, found))
        if not choices:
            return
        _, node_name, gone = min(choices, key=lambda c: c[:2])
        current = self.api.store.get("pods", namespace_of(pod), name_of(pod)) or pod
        status: JsonObject = {**dig_object(current, "status"), "nominatedNodeName": node_name}
        kind = self.api.kinds.named("Pod")
        self.manager.pending_pods[namespace_of(pod), name_of(pod)] = self.api.set_status(kind, current, status)
        for victim in gone:
            text = f"Preempted by pod {uid_of(pod)} on node {node_name}"
            self._say(victim, "Normal", "Preempted", text, "Preempting")
            self.api.delete(kind, namespace_of(victim), name_of(victim), {}, SCHEDULED)

    def _too_big(self, pod: JsonObject) -> bool:
        """Whether it would not fit even an empty node."""
        for node in self.api.store.scan("nodes"):
            room = dig_object(node, "status", "allocatable")
            if all(pod_usage(pod, r) <= quantity.parse(room.get(r)) for r in ("cpu", "memory")):
                return False
        return True

    def _refuse(self, pod: JsonObject, text: str) -> None:
        status: JsonObject = {**dig_object(pod, "status")}
        status["conditions"] = [dict(c) for c in objects(status, "conditions")]
        set_condition(status, "PodScheduled", "False", "Unschedulable", text, now=self.api.clock.now())
        if self.api.set_status(self.api.kinds.named("Pod"), pod, status) is not pod:
            self._say(pod, "Warning", "FailedScheduling", text, "Scheduling")

    # ---- filters

    def _claims(self, pod: JsonObject) -> str | None:
        for volume in objects(pod, "spec", "volumes"):
            name = dig_str(volume, "persistentVolumeClaim", "claimName")
            if not name:
                continue
            claim = self.api.store.get("persistentvolumeclaims", namespace_of(pod), name)
            total = self.api.store.count("nodes")
            tail = f" preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
            if claim is None:
                text = f'persistentvolumeclaim "{name}" not found'
                return f"0/{total} nodes are available: {text}. no new claims to deallocate,{tail}"
            if dig_str(claim, "status", "phase") != "Bound" and not self._waits_for_consumer(claim):
                text = "pod has unbound immediate PersistentVolumeClaims"
                return f"0/{total} nodes are available: {text}. no new claims to deallocate,{tail}"
        return None

    def _waits_for_consumer(self, claim: JsonObject) -> bool:
        found = self.api.store.get("storageclasses.storage.k8s.io", "", dig_str(claim, "spec", "storageClassName"))
        return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"

    def _why_not(self, pod: JsonObject, node: JsonObject) -> list[str]:
        """Reasons of the first filter that refuses, in the scheduler's order; empty when the pod fits."""
        for check in (self._taints, self._selected, self._ports):
            why = check(pod, node)
            if why:
                return [why]
        short = self._resources(pod, node)
        if short:
            return short
        for check in (self._volumes, self._spread, self._pod_affinity):
            why = check(pod, node)
            if why:
                return [why]
        return []

    def _taints(self, pod: JsonObject, node: JsonObject) -> str:
        cordon: JsonObject = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        if dig(node, "spec", "unschedulable") is True and not tolerates(pod, cordon):
            return "node(s) were unschedulable"
        for taint in objects(node, "spec", "taints"):
            if dig_str(taint, "effect") in {"NoSchedule", "NoExecute"} and not tolerates(pod, taint):
                return f"node(s) had untolerated taint {{{dig_str(taint, 'key')}: {dig_str(taint, 'value')}}}"
        return ""

    def _selected(self, pod: JsonObject, node: JsonObject) -> str:
        return "" if self._affinity(pod, node) else _NO_MATCH

    def _ports(self, pod: JsonObject, node: JsonObject) -> str:
        wanted = host_ports(pod)
        if wanted and wanted & self.manager.host_ports_on(name_of(node)):
            return "node(s) didn't have free ports for the requested pod ports"
        return ""

    def _affinity(self, pod: JsonObject, node: JsonObject) -> bool:
        selector = strings(pod, "spec", "nodeSelector")
        if selector and not selects_map(selector, labels_of(node)):
            return False
        terms = dig(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        return terms is None or node_terms_match(terms, node)

    def _resources(self, pod: JsonObject, node: JsonObject) -> list[str]:
        room, used = dig_object(node, "status", "allocatable"), self.manager.usage_on(name_of(node))
        promised = preemption.nominated(self.manager.pending_pods.values(), name_of(node), pod)
        short: list[str] = []
        if used["pods"] + 1 > quantity.parse(room.get("pods")):
            short.append("Too many pods")
        for resource in ("cpu", "memory", "ephemeral-storage"):
            wanted = pod_usage(pod, resource)
            if wanted and used[resource] + promised[resource] + wanted > quantity.parse(room.get(resource)):
                short.append(f"Insufficient {resource}")
        return short

    def _volumes(self, pod: JsonObject, node: JsonObject) -> str:
        for volume in objects(pod, "spec", "volumes"):
            name = dig_str(volume, "persistentVolumeClaim", "claimName")
            claim = self.api.store.get("persistentvolumeclaims", namespace_of(pod), name) if name else None
            volume_name = dig_str(claim or {}, "spec", "volumeName")
            pv = self.api.store.get("persistentvolumes", "", volume_name) if volume_name else None
            terms = dig(pv or {}, "spec", "nodeAffinity", "required")
            if terms is not None and not node_terms_match(terms, node):
                return "node(s) didn't match PersistentVolume's node affinity"
        return ""

    def _spread(self, pod: JsonObject, node: JsonObject) -> str:
        for constraint in objects(pod, "spec", "topologySpreadConstraints"):
            if constraint.get("whenUnsatisfiable") != "DoNotSchedule":
                continue
            key = dig_str(constraint, "topologyKey")
            if key not in labels_of(node):
                return "node(s) didn't match pod topology spread constraints (missing required label)"
            selector = dig_object(constraint, "labelSelector")
            counts = {
                labels_of(n)[key]: 0
                for n in self.api.store.scan("nodes")
                if key in labels_of(n) and self._affinity(pod, n)
            }
            for n in self.api.store.scan("nodes"):
                domain = labels_of(n).get(key)
                if domain in counts:
                    on_node = self.manager.pods_of(name_of(n))
                    counts[domain] += sum(
                        1 for p in on_node if namespace_of(p) == namespace_of(pod) and selects(selector, labels_of(p))
                    )
            skew = constraint.get("maxSkew")
            if counts[labels_of(node)[key]] + 1 - min(counts.values()) > (skew if isinstance(skew, int) else 1):
                return "node(s) didn't match pod topology spread constraints"
        return ""

    def _pod_affinity(self, pod: JsonObject, node: JsonObject) -> str:
        for field, refuse_if, text in (
            ("podAntiAffinity", True, "node(s) didn't match pod anti-affinity rules"),
            ("podAffinity", False, "node(s) didn't match pod affinity rules"),
        ):
            for term in objects(pod, "spec", "affinity", field, "requiredDuringSchedulingIgnoredDuringExecution"):
                key = dig_str(term, "topologyKey")
                domain = labels_of(node).get(key)
                near = [
                    n for n in self.api.store.scan("nodes") if domain is not None and labels_of(n).get(key) == domain
                ]
                found = any(
                    affinity_term(term, labels_of(p)) and namespace_of(p) == namespace_of(pod)
                    for n in near
                    for p in self.manager.pods_of(name_of(n))
                )
                if found == refuse_if:
                    return text
        return ""


def zero() -> dict[str, Decimal]:
    """No use of anything."""
    return dict.fromkeys(("cpu", "memory", "ephemeral-storage", "pods"), Decimal(0))
