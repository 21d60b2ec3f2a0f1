"""ReplicaSets: as many active pods as wanted."""

from __future__ import annotations

from evals.simulator.api.errors import ApiError
from evals.simulator.api.store import Change
from evals.simulator.controllers import pods
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.objects import (
    condition,
    controller_of,
    integer,
    is_deleting,
    is_ready,
    labels_of,
    namespace_of,
    objects,
    set_condition,
    strings,
    template_of,
)
from tools.jsontypes import JsonObject, dig_str

_NAME = "replicaset-controller"


class ReplicaSets(Controller):
    """The ReplicaSet controller."""

    name, key = _NAME, "replicasets.apps"

    def related(self, change: Change) -> list[Key]:
        """The owner of a pod that changed."""
        if change.key != "pods":
            return []
        ref = controller_of(change.object)
        if ref is None:
            return []
        return [(namespace_of(change.object), dig_str(ref, "name"))] if ref.get("kind") == "ReplicaSet" else []

    def sync(self, namespace: str, name: str) -> None:
        """Create or delete pods, then report."""
        rs = self.api.store.get(self.key, namespace, name)
        if rs is None or is_deleting(rs):
            return
        if not pods.owned_pods(self.api, rs):
            pods.adopt(self.api, rs)
        failure: ApiError | None = None
        active = [p for p in pods.owned_pods(self.api, rs) if pods.is_active(p)]
        wanted = integer(rs, "spec", "replicas", default=1)
        try:
            for _ in range(wanted - len(active)):
                pods.create_pod(self.api, rs, template_of(rs), _NAME)
        except ApiError as error:
            failure = error
        if len(active) > wanted:
            for pod in sorted(active, key=lambda p: pods.deletion_order(self.api, p))[: len(active) - wanted]:
                pods.delete_pod(self.api, rs, pod, _NAME)
        self._report(namespace, name, failure)
        if failure is not None:
            raise failure

    def _report(self, namespace: str, name: str, failure: ApiError | None) -> None:
        rs = self.api.store.get(self.key, namespace, name)
        if rs is None:
            return
        active = [p for p in pods.owned_pods(self.api, rs) if pods.is_active(p)]
        minimum = integer(rs, "spec", "minReadySeconds")
        ready = [p for p in active if is_ready(p)]
        available = [p for p in active if pods.is_available(self.api, p, minimum)]
        labels = strings(template_of(rs), "metadata", "labels")
        labelled = [p for p in active if all(labels_of(p).get(k) == v for k, v in labels.items())]
        status: JsonObject = {
            "replicas": len(active),
            "fullyLabeledReplicas": len(labelled),
            "readyReplicas": len(ready),
            "availableReplicas": len(available),
            "observedGeneration": integer(rs, "metadata", "generation"),
        }
        conditions = objects(rs, "status", "conditions")
        if failure is not None:
            status["conditions"] = [dict(c) for c in conditions]
            if condition(rs, "ReplicaFailure") is None:  # the first refusal stays: its text names a pod that never was
                set_condition(
                    status, "ReplicaFailure", "True", "FailedCreate", failure.message, now=self.api.clock.now()
                )
        elif len(active) >= integer(rs, "spec", "replicas", default=1):
            conditions = [c for c in conditions if c.get("type") != "ReplicaFailure"]
            if conditions:
                status["conditions"] = [dict(c) for c in conditions]
        elif conditions:
            status["conditions"] = [dict(c) for c in conditions]
        for field in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
            if not status[field]:
                del status[field]
        self.api.set_status(self.api.kinds.by_key(self.key), rs, status)
        if minimum and len(available) < len(ready):
            self.later(namespace, name, 1.0)
