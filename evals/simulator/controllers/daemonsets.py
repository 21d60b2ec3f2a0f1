"""DaemonSets: one pod on each node that fits, replaced a few at a time."""

from __future__ import annotations

from evals.simulator.api.errors import ApiError
from evals.simulator.api.selectors import node_terms_match, selects_map
from evals.simulator.api.store import Change
from evals.simulator.controllers import pods, revisions
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.controllers.deployments import bound
from evals.simulator.controllers.scheduler import tolerates
from evals.simulator.objects import (
    child,
    clone,
    controller_of,
    integer,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    objects,
    strings,
    template_of,
)
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

NAME = "daemonset-controller"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class DaemonSets(Controller):
    """The DaemonSet controller."""

    name, key = NAME, "daemonsets.apps"

    def related(self, change: Change) -> list[Key]:
        """The owner of a pod that changed; all of them when a node did."""
        if change.key == "nodes":
            return [(namespace_of(d), name_of(d)) for d in self.api.store.scan(self.key)]
        ref = controller_of(change.object) if change.key == "pods" else None
        if ref is None or ref.get("kind") != "DaemonSet":
            return []
        return [(namespace_of(change.object), dig_str(ref, "name"))]

    def sync(self, namespace: str, name: str) -> None:
        """One round over the nodes, then the status."""
        ds = self.api.store.get(self.key, namespace, name)
        if ds is None or is_deleting(ds):
            return
        revision = revisions.current(self.api, ds, hash_only=True)
        template = revisions.stamped(template_of(ds), revisions.label_of(revision))
        failure: ApiError | None = None
        fitting = [n for n in self.api.store.select("nodes") if self._fits(template, n)]
        by_node = self._by_node(ds)
        for node in fitting:
            try:
                self._keep(ds, template, node, by_node.get(name_of(node), []))
            except ApiError as error:
                failure = error
        for node_name, extra in by_node.items():
            if node_name not in {name_of(n) for n in fitting}:
                for pod in extra:
                    if not is_deleting(pod):
                        pods.delete_pod(self.api, ds, pod, NAME)
        if dig_str(ds, "spec", "updateStrategy", "type") == "RollingUpdate":
            self._roll(ds, revisions.label_of(revision), len(fitting))
        self._report(ds, revisions.label_of(revision), {name_of(n) for n in fitting})
        revisions.prune(self.api, ds, {labels_of(p).get(revisions.HASH, "") for p in pods.owned_pods(self.api, ds)})
        if failure is not None:
            raise failure

    def _by_node(self, ds: JsonObject) -> dict[str, list[JsonObject]]:
        found: dict[str, list[JsonObject]] = {}
        for pod in pods.owned_pods(self.api, ds):
            found.setdefault(_node_of(pod), []).append(pod)
        return found

    def _fits(self, template: JsonObject, node: JsonObject) -> bool:
        spec = dig_object(template, "spec")
        selector = strings(spec, "nodeSelector")
        if selector and not selects_map(selector, labels_of(node)):
            return False
        terms = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        if terms is not None and not node_terms_match(terms, node):
            return False
        pod: JsonObject = {"spec": {"tolerations": [*objects(spec, "tolerations"), *_tolerations()]}}
        taints = [t for t in objects(node, "spec", "taints") if t.get("effect") in {"NoSchedule", "NoExecute"}]
        return all(tolerates(pod, t) for t in taints)

    def _keep(self, ds: JsonObject, template: JsonObject, node: JsonObject, have: list[JsonObject]) -> None:
        for pod in have:
            if dig_str(pod, "status", "phase") in {"Failed", "Succeeded"} and not is_deleting(pod):
                text = (
                    f"Found failed daemon pod {namespace_of(pod)}/{name_of(pod)} on node {name_of(node)}, "
                    f"will try to kill it"
                )
                self.api.event(ds, "Warning", "FailedDaemonPod", text, NAME)
                pods.delete_pod(self.api, ds, pod, NAME)
                return
        if have:
            return
        own = clone(template)
        spec = child(own, "spec")
        tolerations = spec.setdefault("tolerations", [])
        if isinstance(tolerations, list):
            tolerations += _tolerations()
        term: JsonObject = {
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": [name_of(node)]}],
        }
        required = child(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        required["nodeSelectorTerms"] = [term]
        pods.create_pod(self.api, ds, own, NAME)

    def _roll(self, ds: JsonObject, label: str, total: int) -> None:
        limit = bound(dig(ds, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), total, up=True) or 1
        alive = [p for p in pods.owned_pods(self.api, ds) if not is_deleting(p)]
        going = [p for p in pods.owned_pods(self.api, ds) if is_deleting(p)]
        down = [p for p in alive if not is_ready(p)]
        old = [p for p in alive if labels_of(p).get(revisions.HASH) != label]
        for pod in [p for p in old if not is_ready(p)]:
            pods.delete_pod(self.api, ds, pod, NAME)
            old.remove(pod)
        missing = max(0, total - len(alive) - len(going))
        room = limit - len(down) - len(going) - missing
        for pod in sorted(old, key=name_of)[: max(0, room)]:
            pods.delete_pod(self.api, ds, pod, NAME)

    def _report(self, ds: JsonObject, label: str, fitting: set[str]) -> None:
        alive = [p for p in pods.owned_pods(self.api, ds) if not is_deleting(p)]
        minimum = integer(ds, "spec", "minReadySeconds")
        on = {_node_of(p) for p in alive}
        ready = sum(1 for p in alive if is_ready(p))
        available = sum(1 for p in alive if pods.is_available(self.api, p, minimum))
        status: JsonObject = {
            "currentNumberScheduled": len(on & fitting),
            "desiredNumberScheduled": len(fitting),
            "numberMisscheduled": len(on - fitting),
            "numberReady": ready,
            "observedGeneration": integer(ds, "metadata", "generation"),
        }
        updated = sum(1 for p in alive if labels_of(p).get(revisions.HASH) == label)
        extra = {
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "numberUnavailable": len(fitting) - available,
        }
        status |= {k: v for k, v in extra.items() if v}
        self.api.set_status(self.api.kinds.by_key(self.key), ds, status)
        if minimum and available < ready:
            self.later(namespace_of(ds), name_of(ds), 1.0)


def _tolerations() -> list[JsonObject]:
    return [{"key": k, "operator": "Exists", "effect": e} for k, e in _TOLERATED]


def _node_of(pod: JsonObject) -> str:
    """Where the pod is, or is meant to be."""
    bound_to = dig_str(pod, "spec", "nodeName")
    path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", 0)
    return bound_to or dig_str(pod, "spec", *path, "matchFields", 0, "values", 0)
