"""What a model gets to see of an incident, and the closed set of things it may choose from.

The rule: no uid, resource version or digest is shown, since a model never supplies one; what it may name is listed here
by code, and `proposals` accepts nothing else.  A revert that is known to be bad or was tried is not offered.
Neighbours: `trim` makes the view fit, `framing` makes it safe to send.
"""

from __future__ import annotations

from dataclasses import dataclass

from graph.incident import Signal
from graph.observed import CandidateRevert, Evidence, Health, ObjectCandidate, Operation, PodFacts
from tools.executors.actions import RollbackWorkload
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ObjectRef

ROLLING = ("Deployment", "StatefulSet", "DaemonSet")
MAX_TRIED = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """What one incident permits: the only targets, reverts, object versions, containers and actions a plan may name."""

    workload: ObjectRef
    """What the incident is about: a workload, or the Service, claim, node or other object that shows the trouble."""
    targets: tuple[ObjectRef, ...]
    reverts: tuple[CandidateRevert, ...]
    containers: frozenset[str]
    actions: tuple[str, ...]
    failed: frozenset[str]
    max_steps: int = 8
    objects: tuple[ObjectCandidate, ...] = ()

    @property
    def namespace(self) -> str:
        """The incident's namespace."""
        return self.workload.namespace or ""

    def revert_to(self, revision: int) -> CandidateRevert | None:
        """The offered revert to this revision."""
        return next((r for r in self.reverts if r.to_revision == revision), None)

    def way_back(self, ref: ObjectRef, operation: Operation, version: str = "") -> ObjectCandidate | None:
        """The offered way back of this very object, by this operation, to this version."""
        wanted = (ref, operation, version)
        return next((o for o in self.objects if (o.ref, o.operation, o.version) == wanted), None)


def offer_of(evidence: Evidence, actions: tuple[str, ...], failed: frozenset[str]) -> Offer | None:
    """The offer; None when the target was not read, since then nothing may be proposed about it."""
    workload = _root(evidence)
    if workload is None or not evidence.scope:
        return None
    tried = {
        r.to_revision for r in evidence.candidates if (a := rollback_of(workload, r.to_revision)) and a.digest in failed
    }
    return Offer(
        workload=workload,
        targets=tuple(pin.ref for pin in evidence.scope),
        reverts=tuple(r for r in evidence.candidates if r.health is not Health.BAD and r.to_revision not in tried),
        containers=frozenset(c.name for c in evidence.containers),
        actions=actions,
        failed=failed,
        objects=evidence.objects,
    )


def _root(evidence: Evidence) -> ObjectRef | None:
    """What the incident is about; for a target that is gone, the object that would be made again."""
    if evidence.workload is not None:
        return evidence.workload.ref
    if evidence.subject is not None:
        return evidence.subject.ref
    return next((o.ref for o in evidence.objects if o.operation is Operation.RESTORE), None)


def rollback_of(workload: ObjectRef, revision: int) -> RollbackWorkload | None:
    """Going back to `revision`, as an action; None for a workload that has no revisions."""
    if workload.kind not in ROLLING or workload.namespace is None:
        return None
    return RollbackWorkload.model_validate(
        {
            "action": "rollback_workload",
            "kind": workload.kind,
            "namespace": workload.namespace,
            "name": workload.name,
            "to_revision": revision,
        }
    )


def view_of(evidence: Evidence, offer: Offer, refusals: tuple[Refused, ...]) -> JsonObject:
    """The case as JSON: choices first, then what is known, most telling first."""
    ready = {str(p.ref) for p in evidence.pods if p.ready}
    targets = sorted(offer.targets, key=lambda r: (r != offer.workload, str(r) in ready, str(r)))
    view: JsonObject = {
        "choices": {
            "actions": list(offer.actions),
            "targets": [str(r) for r in targets],
            "reverts": [_revert(r) for r in offer.reverts],
            **({"objects": [_object(o) for o in offer.objects]} if offer.objects else {}),
        },
        "tried": _tried(evidence, offer, refusals),
        "workload": _workload(evidence),
        **_subject(evidence),
        **_beside(evidence),
        "signals": [_signal(s) for s in evidence.signals],
        "rollout_is_recent": evidence.rollout_is_recent,
        "containers": [c.model_dump(mode="json", exclude_defaults=True) for c in evidence.containers],
        "pods": [_pod(p) for p in evidence.pods],
        "events": [e.model_dump(mode="json", exclude={"about"}) | {"about": str(e.about)} for e in evidence.events],
        "logs": [
            {"pod": log.pod.name, "container": log.container, "previous": log.previous, "text": log.text}
            for log in evidence.logs
        ],
        "autoscaler": str(evidence.autoscaler) if evidence.autoscaler else None,
        "findings": [],
        "unseen": list(evidence.unseen),
        "left_out": {},
    }
    return view


def _workload(evidence: Evidence) -> JsonValue:
    if evidence.workload is None:
        return None
    facts = evidence.workload
    return facts.model_dump(mode="json", exclude={"ref", "uid"}) | {"target": str(facts.ref)}


def _subject(evidence: Evidence) -> JsonObject:
    """What the target is, where it is no workload."""
    if evidence.subject is None:
        return {}
    facts = evidence.subject
    return {"subject": {"target": str(facts.ref), "facts": list(facts.lines), "deleting": facts.deleting}}


def _beside(evidence: Evidence) -> JsonObject:
    """What the cluster has for an unbound claim, and who took the room that pods wait for."""
    found: JsonObject = {}
    if evidence.claim is not None:
        found["claim"] = evidence.claim.model_dump(mode="json")
    if evidence.crowding:
        found["crowding"] = [
            {"target": str(c.ref), "priority": c.priority, "replicas_before": c.before, "replicas": c.now}
            for c in evidence.crowding
        ]
    return found


def _object(candidate: ObjectCandidate) -> JsonValue:
    return {
        "target": str(candidate.ref),
        "operation": candidate.operation.value,
        "version": candidate.version,
        "source": candidate.source.value,
        "changed_at": candidate.changed_at.isoformat() if candidate.changed_at else None,
        "changed_by": candidate.changed_by,
        "relation": candidate.relation,
        "changes": [{"field": c.path, "now": c.now, "then": c.then} for c in candidate.changes],
        "more_changes": candidate.truncated,
    }


def _signal(signal: Signal) -> JsonValue:
    return {
        "reason": signal.reason.value,
        "object": str(signal.object),
        "container": signal.container,
        "revision": signal.revision,
        "confirmed": signal.confirmed,
        "message": signal.message,
    }


def _pod(pod: PodFacts) -> JsonValue:
    facts: JsonObject = pod.model_dump(mode="json", exclude={"ref", "uid", "containers"}, exclude_defaults=True)
    containers: list[JsonValue] = [c.model_dump(mode="json", exclude_defaults=True) for c in pod.containers]
    return {**facts, "name": pod.ref.name, "ready": pod.ready, "containers": containers}


def _revert(revert: CandidateRevert) -> JsonValue:
    return {
        "to_revision": revert.to_revision,
        "health": revert.health.value,
        "created_at": revert.created_at.isoformat() if revert.created_at else None,
        "changes": [{"field": c.path, "now": c.now, "then": c.then} for c in revert.changes],
        "more_changes": revert.truncated,
        "loosens": list(revert.loosens),
    }


def _tried(evidence: Evidence, offer: Offer, refusals: tuple[Refused, ...]) -> JsonValue:
    offered = {r.to_revision for r in offer.reverts}
    gone = [
        f"the revert to revision {c.to_revision} is known to be bad or was tried"
        for c in evidence.candidates
        if c.to_revision not in offered
    ]
    reasons = [f"[{r.code.value}] {r.reason}" for r in refusals[-MAX_TRIED:]]
    return [*gone, *reasons]
