"""What a client inside the cluster gets: name service, Service, endpoint, network policy, and the process behind it.

Nothing is sent; the answer is read off the model, in the order in which a real request can fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from evals.simulator.api.selectors import selects
from evals.simulator.api.store import Store
from evals.simulator.kubelet.kubelet import Kubelets
from evals.simulator.kubelet.probes import listening, serves
from evals.simulator.objects import labels_of, name_of, namespace_of, objects, texts
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str

_SLICES = "endpointslices.discovery.k8s.io"
_POLICIES = "networkpolicies.networking.k8s.io"
_CLUSTER_DNS = "10.96.0.10"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, or `why` there is none (status 0)."""

    status: int
    why: str = ""


class Network:
    """Asks on behalf of a pod of another namespace."""

    def __init__(self, store: Store, kubelets: Kubelets, *, enforces_policies: bool = True) -> None:
        self._store = store
        self._kubelets = kubelets
        self._enforces = enforces_policies

    def get(self, namespace: str, service: str, port: int, path: str) -> Answer:
        """GET http://SERVICE.NAMESPACE:PORT/PATH from a pod elsewhere: the worst answer of all ready endpoints."""
        found = self._store.get("services", namespace, service)
        if found is None:
            return Answer(0, f"{service}.{namespace}: no such host")
        named = [p for p in objects(found, "spec", "ports") if p.get("port") == port]
        if not named:
            return Answer(0, f"{service}.{namespace}:{port}: connection timed out")
        answers = [
            self._endpoint(pod, number, path) for pod, number in self._endpoints(found, dig_str(named[0], "name"))
        ]
        return max(answers, key=_badness, default=Answer(0, f"{service}.{namespace}:{port}: connection refused"))

    def resolves(self, pod: JsonObject) -> bool:
        """Whether a cluster name can be looked up inside the pod."""
        policy = dig_str(pod, "spec", "dnsPolicy") or "ClusterFirst"
        if policy == "None":
            return _CLUSTER_DNS in texts(pod, "spec", "dnsConfig", "nameservers")
        host = dig(pod, "spec", "hostNetwork") is True
        return policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not host)

    def _endpoints(self, service: JsonObject, port_name: str) -> list[tuple[JsonObject, int]]:
        """(pod, port) of each ready endpoint of one port."""
        namespace = namespace_of(service)
        found: list[tuple[JsonObject, int]] = []
        for piece in self._store.select(_SLICES, namespace):
            if labels_of(piece).get("kubernetes.io/service-name") != name_of(service):
                continue
            numbers = [p.get("port") for p in objects(piece, "ports") if dig_str(p, "name") == port_name]
            number = numbers[0] if numbers else None
            for endpoint in objects(piece, "endpoints"):
                pod = self._store.get("pods", namespace, dig_str(endpoint, "targetRef", "name"))
                if dig(endpoint, "conditions", "ready") is True and pod is not None and isinstance(number, int):
                    found.append((pod, number))
        return found

    def _endpoint(self, pod: JsonObject, port: int, path: str) -> Answer:
        if self._enforces and not self._admits(pod):
            return Answer(0, f"{name_of(pod)}:{port}: connection timed out")
        worker = self._kubelets.worker(pod)
        now = self._kubelets.api.clock.monotonic()
        process = listening(worker.mains, port, now) if worker is not None else None
        if process is None:
            return Answer(0, f"{name_of(pod)}:{port}: connection refused")
        return Answer(200) if serves(process, path) else Answer(404)

    def _admits(self, pod: JsonObject) -> bool:
        """Whether some policy that isolates the pod lets a pod of another namespace in, or none isolates it."""
        isolating = [
            p
            for p in self._store.select(_POLICIES, namespace_of(pod))
            if "Ingress" in (texts(p, "spec", "policyTypes") or ["Ingress"])
            and selects(dig_object(p, "spec").get("podSelector"), labels_of(pod))
        ]
        return not isolating or any(_is_open(rule) for p in isolating for rule in objects(p, "spec", "ingress"))


def _is_open(rule: JsonObject) -> bool:
    """Whether a rule lets any pod of any namespace in; finer selectors of clients are not modelled and keep out."""
    peers = dig_list(rule, "from")
    return not peers or any(dig(p, "namespaceSelector") == {} for p in peers)


def _badness(answer: Answer) -> int:
    return 1000 if answer.status == 0 else answer.status
