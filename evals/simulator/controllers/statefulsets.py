"""StatefulSets: one ordinal after the other, and stuck where the real one is stuck."""

from __future__ import annotations

from evals.simulator.api.errors import ApiError
from evals.simulator.api.store import Change
from evals.simulator.controllers import pods, revisions
from evals.simulator.controllers.base import Controller, Key
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
)
from tools.jsontypes import JsonObject, JsonValue, dig_object, dig_str

NAME = "statefulset-controller"


class StatefulSets(Controller):
    """The StatefulSet controller."""

    name, key = NAME, "statefulsets.apps"

    def related(self, change: Change) -> list[Key]:
        """The owner of a pod that changed."""
        ref = controller_of(change.object) if change.key == "pods" else None
        if ref is None or ref.get("kind") != "StatefulSet":
            return []
        return [(namespace_of(change.object), dig_str(ref, "name"))]

    def sync(self, namespace: str, name: str) -> None:
        """One step, then the status."""
        sts = self.api.store.get(self.key, namespace, name)
        if sts is None or is_deleting(sts):
            return
        update = revisions.current(self.api, sts, hash_only=False)
        before = dig_str(sts, "status", "currentRevision") or name_of(update)
        past = {name_of(r): r for r in revisions.history(self.api, sts)}
        stable = past.get(before, update)
        failure: ApiError | None = None
        try:
            self._step(sts, stable, update)
        except ApiError as error:
            failure = error
        self._report(sts, stable, update)
        revisions.prune(self.api, sts, {labels_of(p).get(revisions.HASH, "") for p in pods.owned_pods(self.api, sts)})
        if failure is not None:
            raise failure

    def _pods(self, sts: JsonObject) -> dict[int, JsonObject]:
        found: dict[int, JsonObject] = {}
        for pod in pods.owned_pods(self.api, sts):
            tail = name_of(pod).rsplit("-", 1)[-1]
            if tail.isdigit():
                found[int(tail)] = pod
        return found

    def _step(self, sts: JsonObject, stable: JsonObject, update: JsonObject) -> None:
        wanted = integer(sts, "spec", "replicas", default=1)
        ordered = dig_str(sts, "spec", "podManagementPolicy") != "Parallel"
        have = self._pods(sts)
        partition = integer(sts, "spec", "updateStrategy", "rollingUpdate", "partition")
        for ordinal in range(wanted):
            pod = have.get(ordinal)
            if pod is None:
                old = ordinal < partition or (
                    name_of(stable) != name_of(update) and not self._may_be_new(sts, ordinal, have, update)
                )
                self._create(sts, ordinal, stable if old and name_of(stable) != name_of(update) else update)
                if ordered:
                    return
            elif dig_str(pod, "status", "phase") in {"Failed", "Succeeded"} and not is_deleting(pod):
                text = f"StatefulSet {namespace_of(sts)}/{name_of(sts)} is recreating failed Pod {name_of(pod)}"
                self.api.event(sts, "Warning", "RecreatingFailedPod", text, NAME)
                self._remove(sts, pod)
                return
            elif ordered and (is_deleting(pod) or not is_ready(pod)):
                return
        extra = sorted((o for o in have if o >= wanted), reverse=True)
        for ordinal in extra:
            if not is_deleting(have[ordinal]):
                self._remove(sts, have[ordinal])
            if ordered:
                return
        if dig_str(sts, "spec", "updateStrategy", "type") == "RollingUpdate":
            self._roll(sts, have, wanted, partition, update)

    def _may_be_new(self, sts: JsonObject, ordinal: int, have: dict[int, JsonObject], update: JsonObject) -> bool:
        """A pod that is missing comes back in the new revision when all above it have it already."""
        label = revisions.label_of(update)
        above = [p for o, p in have.items() if o > ordinal]
        if dig_str(sts, "spec", "updateStrategy", "type") == "OnDelete":
            return True
        top = integer(sts, "spec", "replicas", default=1) - 1
        return len(above) == top - ordinal and all(labels_of(p).get(revisions.HASH) == label for p in above)

    def _roll(
        self, sts: JsonObject, have: dict[int, JsonObject], wanted: int, partition: int, update: JsonObject
    ) -> None:
        label = revisions.label_of(update)
        for ordinal in range(wanted - 1, partition - 1, -1):
            pod = have.get(ordinal)
            if pod is None:
                return
            if labels_of(pod).get(revisions.HASH) != label:
                if not is_deleting(pod):
                    self._remove(sts, pod)
                return
            if not is_ready(pod) or is_deleting(pod):
                return

    def _create(self, sts: JsonObject, ordinal: int, revision: JsonObject) -> None:
        name = f"{name_of(sts)}-{ordinal}"
        template = revisions.stamped(revisions.template_at(revision), revisions.label_of(revision))
        pod = pods.from_template(sts, template, name)
        labels = child(pod, "metadata", "labels")
        labels |= {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(ordinal)}
        spec = child(pod, "spec")
        spec |= {"hostname": name, "subdomain": dig_str(sts, "spec", "serviceName")}
        self._claims(sts, pod, name)
        kind = self.api.kinds.named("Pod")
        try:
            self.api.create(kind, namespace_of(sts), pod, pods.by(NAME))
        except ApiError as error:
            text = f"create Pod {name} in StatefulSet {name_of(sts)} failed error: {error.message}"
            self.api.event(sts, "Warning", "FailedCreate", text, NAME)
            raise
        text = f"create Pod {name} in StatefulSet {name_of(sts)} successful"
        self.api.event(sts, "Normal", "SuccessfulCreate", text, NAME)

    def _claims(self, sts: JsonObject, pod: JsonObject, name: str) -> None:
        volumes = child(pod, "spec").setdefault("volumes", [])
        for template in objects(sts, "spec", "volumeClaimTemplates"):
            volume = dig_str(template, "metadata", "name")
            claim = f"{volume}-{name}"
            if self.api.store.get("persistentvolumeclaims", namespace_of(sts), claim) is None:
                manifest: JsonObject = {"metadata": {"name": claim}, "spec": clone(dig_object(template, "spec"))}
                self.api.create(self.api.kinds.named("PersistentVolumeClaim"), namespace_of(sts), manifest)
            if isinstance(volumes, list):
                kept: list[JsonValue] = [v for v in volumes if not (isinstance(v, dict) and v.get("name") == volume)]
                mounted: JsonObject = {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
                volumes[:] = [*kept, mounted]

    def _remove(self, sts: JsonObject, pod: JsonObject) -> None:
        self.api.delete(self.api.kinds.named("Pod"), namespace_of(pod), name_of(pod), {}, pods.by(NAME))
        text = f"delete Pod {name_of(pod)} in StatefulSet {name_of(sts)} successful"
        self.api.event(sts, "Normal", "SuccessfulDelete", text, NAME)

    def _report(self, sts: JsonObject, stable: JsonObject, update: JsonObject) -> None:
        have = [p for p in self._pods(sts).values() if not is_deleting(p)]
        wanted = integer(sts, "spec", "replicas", default=1)
        updated = [p for p in have if labels_of(p).get(revisions.HASH) == revisions.label_of(update)]
        ready = [p for p in have if is_ready(p)]
        minimum = integer(sts, "spec", "minReadySeconds")
        available = [p for p in have if pods.is_available(self.api, p, minimum)]
        done = len(updated) == wanted == len(have) and len(ready) == wanted
        if done and integer(sts, "spec", "updateStrategy", "rollingUpdate", "partition") == 0:
            stable = update
        current = [p for p in have if labels_of(p).get(revisions.HASH) == revisions.label_of(stable)]
        status: JsonObject = {
            "observedGeneration": integer(sts, "metadata", "generation"),
            "replicas": len(have),
            "readyReplicas": len(ready),
            "availableReplicas": len(available),
            "currentReplicas": len(current),
            "updatedReplicas": len(updated),
            "currentRevision": name_of(stable),
            "updateRevision": name_of(update),
            "collisionCount": 0,
        }
        for field in ("readyReplicas", "currentReplicas", "updatedReplicas"):
            if not status[field]:
                del status[field]
        self.api.set_status(self.api.kinds.by_key(self.key), sts, status)
        if minimum and len(available) < len(ready):
            self.later(namespace_of(sts), name_of(sts), 1.0)
