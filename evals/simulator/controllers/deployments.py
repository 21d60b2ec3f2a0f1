"""Deployments: revisions as ReplicaSets, and the way from one to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evals.simulator.api.store import Change
from evals.simulator.controllers import pods
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.controllers.deployment_status import report
from evals.simulator.objects import (
    annotations_of,
    child,
    clone,
    controller_of,
    integer,
    is_deleting,
    name_of,
    namespace_of,
    owner_reference,
    strings,
    template_of,
    uid_of,
)
from tools.jsontypes import JsonObject, JsonValue, canonical, dig, dig_object, dig_str

NAME = "deployment-controller"
RS = "replicasets.apps"
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
}


def bare_template(template: JsonObject) -> bytes:
    """A template without the hash label, for comparing."""
    copy = clone(template)
    labels = dig_object(copy, "metadata", "labels")
    labels.pop(HASH, None)
    return canonical(copy)


def bound(value: JsonValue, total: int, *, up: bool) -> int:
    """An absolute number or a percentage of `total`."""
    if isinstance(value, str) and value.endswith("%"):
        exact = total * int(value[:-1]) / 100
        return math.ceil(exact) if up else math.floor(exact)
    return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many more than wanted there may be, and how many fewer available."""

    surge: int
    unavailable: int


def bounds(deployment: JsonObject) -> Bounds:
    """Read from the strategy, as the controller resolves it: never both zero."""
    total = integer(deployment, "spec", "replicas", default=1)
    rolling = dig_object(deployment, "spec", "strategy", "rollingUpdate")
    surge = bound(rolling.get("maxSurge"), total, up=True)
    unavailable = bound(rolling.get("maxUnavailable"), total, up=False)
    return Bounds(surge, 1 if surge == 0 and unavailable == 0 else unavailable)


class Deployments(Controller):
    """The Deployment controller."""

    name, key = NAME, "deployments.apps"

    def related(self, change: Change) -> list[Key]:
        """The Deployment of a ReplicaSet, and of a deleted pod (Recreate waits for them)."""
        obj = change.object
        if change.key == RS:
            ref = controller_of(obj)
            return [(namespace_of(obj), dig_str(ref, "name"))] if ref else []
        if change.key == "pods" and change.type == "DELETED":
            ref = controller_of(obj)
            rs = self.api.store.get(RS, namespace_of(obj), dig_str(ref or {}, "name"))
            above = controller_of(rs) if rs else None
            return [(namespace_of(obj), dig_str(above, "name"))] if above else []
        return []

    def sync(self, namespace: str, name: str) -> None:
        """One step of whatever is to be done, then the status."""
        deployment = self.api.store.get(self.key, namespace, name)
        if deployment is None or is_deleting(deployment):
            return
        sets = self.replica_sets(deployment)
        paused = dig(deployment, "spec", "paused") is True
        current = self._find(deployment, sets)
        if current is None and not paused:
            current = self._new_set(deployment, sets)
            sets.append(current)
        elif current is not None and not paused:
            current = self._keep_revision(deployment, current, sets)
            sets = self.replica_sets(deployment)
        deployment = self.api.store.get(self.key, namespace, name)
        if deployment is None:
            return
        if paused:
            self._resize(deployment, sets)
        elif dig_str(deployment, "spec", "strategy", "type") == "Recreate":
            self._recreate(deployment, current, sets)
        else:
            self._roll(deployment, current, sets)
        self._clean_up(deployment, sets)
        report(self, deployment, self.replica_sets(deployment), current)

    def replica_sets(self, deployment: JsonObject) -> list[JsonObject]:
        """Its ReplicaSets, oldest revision first."""
        found = [o for key, o in self.api.store.owned_by(uid_of(deployment)) if key == RS]
        return sorted(found, key=_revision)

    def _find(self, deployment: JsonObject, sets: list[JsonObject]) -> JsonObject | None:
        wanted = bare_template(template_of(deployment))
        return next((s for s in sets if bare_template(template_of(s)) == wanted), None)

    def _new_set(self, deployment: JsonObject, sets: list[JsonObject]) -> JsonObject:
        template = clone(template_of(deployment))
        digest = pods.template_hash(template)
        child(template, "metadata", "labels")[HASH] = digest
        revision = max((_revision(s) for s in sets), default=0) + 1
        wanted = self._initial_size(deployment, sets)
        notes: JsonObject = {k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED}
        notes |= self._size_notes(deployment) | {REVISION: str(revision)}
        labels: JsonObject = {**strings(template, "metadata", "labels")}
        manifest: JsonObject = {
            "metadata": {
                "name": f"{name_of(deployment)}-{digest}",
                "labels": labels,
                "annotations": notes,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {
                "replicas": wanted,
                "selector": {
                    "matchLabels": {**strings(deployment, "spec", "selector", "matchLabels"), HASH: digest},
                },
                "template": template,
            },
        }
        expressions = dig(deployment, "spec", "selector", "matchExpressions")
        if expressions:
            child(manifest, "spec", "selector")["matchExpressions"] = expressions
        if dig(deployment, "spec", "minReadySeconds"):
            child(manifest, "spec")["minReadySeconds"] = dig(deployment, "spec", "minReadySeconds")
        created = self.api.create(self.api.kinds.by_key(RS), namespace_of(deployment), manifest, pods.by(NAME))
        self._set_revision(deployment, revision)
        if wanted:
            self._scaled(deployment, created, 0, wanted)
        return created

    def _initial_size(self, deployment: JsonObject, sets: list[JsonObject]) -> int:
        total = integer(deployment, "spec", "replicas", default=1)
        have = sum(_size(s) for s in sets)
        if dig_str(deployment, "spec", "strategy", "type") == "Recreate":
            return 0 if have or any(pods.owned_pods(self.api, s) for s in sets) else total
        return max(0, min(total, total + bounds(deployment).surge - have))

    def _size_notes(self, deployment: JsonObject) -> JsonObject:
        total = integer(deployment, "spec", "replicas", default=1)
        most = total + (
            bounds(deployment).surge if dig_str(deployment, "spec", "strategy", "type") != "Recreate" else 0
        )
        return {
            "deployment.kubernetes.io/desired-replicas": str(total),
            "deployment.kubernetes.io/max-replicas": str(most),
        }

    def _keep_revision(self, deployment: JsonObject, current: JsonObject, sets: list[JsonObject]) -> JsonObject:
        """An old template that is wanted again becomes the newest revision."""
        newest = max((_revision(s) for s in sets if s is not current), default=0)
        revision = _revision(current)
        notes: JsonObject = {k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED}
        if revision <= newest:
            history = annotations_of(current).get("deployment.kubernetes.io/revision-history", "")
            notes["deployment.kubernetes.io/revision-history"] = f"{history},{revision}".strip(",")
            revision = newest + 1
            notes[REVISION] = str(revision)
        have = annotations_of(current)
        notes |= self._size_notes(deployment)
        if any(have.get(k) != v for k, v in notes.items()):
            changed = clone(current)
            child(changed, "metadata", "annotations").update(notes)
            current = self.api.store.put(RS, changed)
        self._set_revision(deployment, revision)
        return current

    def _set_revision(self, deployment: JsonObject, revision: int) -> None:
        current = self.api.store.get(self.key, namespace_of(deployment), name_of(deployment))
        if current is not None and annotations_of(current).get(REVISION) != str(revision):
            changed = clone(current)
            child(changed, "metadata", "annotations")[REVISION] = str(revision)
            self.api.store.put(self.key, changed)

    # ---- scaling

    def scale(self, deployment: JsonObject, rs: JsonObject, wanted: int) -> None:
        """Set a ReplicaSet's size and say so."""
        current = self.api.store.get(RS, namespace_of(rs), name_of(rs))
        if current is None or _size(current) == wanted:
            return
        changed = clone(current)
        child(changed, "spec")["replicas"] = wanted
        child(changed, "metadata", "annotations").update(self._size_notes(deployment))
        child(changed, "metadata")["generation"] = integer(current, "metadata", "generation") + 1
        self.api.store.put(RS, changed)
        self._scaled(deployment, changed, _size(current), wanted)

    def _scaled(self, deployment: JsonObject, rs: JsonObject, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        text = f"Scaled {way} replica set {name_of(rs)} from {before} to {after}"
        self.api.event(deployment, "Normal", "ScalingReplicaSet", text, NAME)

    def _resize(self, deployment: JsonObject, sets: list[JsonObject]) -> None:
        """Only the size changed while paused: the newest set with pods takes the difference."""
        active = [s for s in sets if _size(s)] or sets[-1:]
        total = integer(deployment, "spec", "replicas", default=1)
        if len(active) == 1:
            self.scale(deployment, active[0], total)

    def _recreate(self, deployment: JsonObject, current: JsonObject | None, sets: list[JsonObject]) -> None:
        old = [s for s in sets if current is None or uid_of(s) != uid_of(current)]
        for rs in old:
            if _size(rs):
                self.scale(deployment, rs, 0)
        if any(
            p
            for s in old
            for p in pods.owned_pods(self.api, s)
            if dig_str(p, "status", "phase") not in {"Failed", "Succeeded"}
        ):
            return
        if current is not None:
            self.scale(deployment, current, integer(deployment, "spec", "replicas", default=1))

    def _roll(self, deployment: JsonObject, current: JsonObject | None, sets: list[JsonObject]) -> None:
        if current is None:
            return
        total, limits = integer(deployment, "spec", "replicas", default=1), bounds(deployment)
        old = [s for s in sets if uid_of(s) != uid_of(current)]
        size = _size(current)
        if size > total:
            self.scale(deployment, current, total)
        elif size < total:
            have = sum(_size(s) for s in sets)
            self.scale(deployment, current, min(total, size + max(0, total + limits.surge - have)))
        self._shrink(deployment, current, old, total - limits.unavailable)

    def _shrink(self, deployment: JsonObject, current: JsonObject, old: list[JsonObject], least: int) -> None:
        """Take old pods away: the unavailable ones first, then as many available ones as may go."""
        fresh = self.api.store.get(RS, namespace_of(current), name_of(current))
        old = [f for s in old if (f := self.api.store.get(RS, namespace_of(s), name_of(s))) is not None]
        if fresh is None or not any(_size(s) for s in old):
            return
        new_unavailable = _size(fresh) - _available(fresh)
        room = sum(_size(s) for s in [*old, fresh]) - least - new_unavailable
        if room <= 0:
            return
        for rs in old:
            sick = min(_size(rs) - _available(rs), room)
            if sick > 0:
                self.scale(deployment, rs, _size(rs) - sick)
                room -= sick
        available = _available(fresh) + sum(_available(s) for s in old)
        may_go = available - least
        for rs in old:
            now = self.api.store.get(RS, namespace_of(rs), name_of(rs))
            if now is not None and may_go > 0 and _size(now):
                step = min(_size(now), may_go)
                self.scale(deployment, now, _size(now) - step)
                may_go -= step

    def _clean_up(self, deployment: JsonObject, sets: list[JsonObject]) -> None:
        keep = integer(deployment, "spec", "revisionHistoryLimit", default=10)
        wanted = bare_template(template_of(deployment))
        old = [
            s
            for s in sets
            if not _size(s) and not integer(s, "status", "replicas") and bare_template(template_of(s)) != wanted
        ]
        for rs in old[: max(0, len(old) - keep)]:
            self.api.delete(self.api.kinds.by_key(RS), namespace_of(rs), name_of(rs), {}, pods.by(NAME))


def _revision(rs: JsonObject) -> int:
    text = annotations_of(rs).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _size(rs: JsonObject) -> int:
    return integer(rs, "spec", "replicas")


def _available(rs: JsonObject) -> int:
    return integer(rs, "status", "availableReplicas")
