"""Where only the repository can be right, an escalation ends with the revert prepared, as far as that can be done.

The rule: it is best effort.  It changes nothing about the incident but the account of it, and whatever goes wrong is a
sentence there.  A patch is a file of ours; a branch is pushed only where a rollback of the Application might be, by the
policy and by every annotation that counts, and what cannot be read counts as no.

Neighbours: `nodes.closer` asks here, `rules.delivered` makes the diagnosis, `tools.journal.reverts` does the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import structlog

from graph.evidence import load
from graph.incident import Incident, Value
from graph.plan import NoPlan, Origin, Planned, PreparedRevert, Resolution, Status
from graph.ports import Ports
from graph.rules.delivered import BAD_COMMIT
from tools.cluster.documents import Application
from tools.cluster.objects import Namespace
from tools.cluster.structs import KubeObject, Reference
from tools.executors.argocd import application as argo
from tools.executors.argocd.source import NotRevertible, revertible
from tools.guard.policy import MODE_ANNOTATION, Mode, mode_from_annotation, strictest
from tools.journal.revertpatch import RevertOrder
from tools.journal.reverts import NotPrepared, Prepared
from tools.jsontypes import JsonObject, dig_str
from tools.redact import excerpt
from tools.refs import ObjectRef

log = structlog.get_logger(__name__)

AS: Final = "argocd_rollback"
"""The action by whose mode a branch is pushed: a revert is the rollback of what follows its repository."""
LIMIT: Final = 600


class RevertTold(Value):
    """What came of it, in one sentence; `revert` is None when nothing could be prepared."""

    sentence: str
    revert: PreparedRevert | None = None


async def prepare_revert(
    proposal: Planned | NoPlan | None, evidence: str, incident: Incident, resolution: Resolution, ports: Ports
) -> RevertTold | None:
    """What was prepared, or why nothing was; None when the incident did not end with a commit to be reverted."""
    if ports.reverts is None or resolution.status is not Status.ESCALATED or not _is_bad_commit(proposal):
        return None
    try:
        return await _prepare(evidence, incident, ports)
    except Exception as error:
        log.exception("revert.failed", incident_id=incident.id)
        return _nothing(f"{type(error).__name__}, see the log")


def _is_bad_commit(proposal: Planned | NoPlan | None) -> bool:
    """Whether a rule said so: a model may use the word for anything."""
    diagnosis = proposal.diagnosis if isinstance(proposal, NoPlan) else None
    return diagnosis is not None and (diagnosis.cause, diagnosis.origin) == (BAD_COMMIT, Origin.RULE)


async def _prepare(evidence: str, incident: Incident, ports: Ports) -> RevertTold | None:
    facts = (await load(evidence, ports)).application
    if ports.reverts is None or facts is None or facts.back is None:
        return _nothing("no earlier deployment is known")
    app = ports.mirror.document(facts.ref.kind, facts.ref.namespace or "", facts.ref.name)
    if not isinstance(app, Application) or app.uid != facts.uid or app.is_cut:
        return _nothing(f"{facts.ref} is not there any more, or too large to be kept")
    found = revertible(app.body, facts.back)
    if isinstance(found, NotRevertible):
        return _nothing(found.sentence)
    mode, hindrance = await _allowance(incident.target, app, ports)
    if mode is Mode.OFF:
        return _nothing("the policy or an annotation says hands off")
    order = RevertOrder(
        incident_id=incident.id,
        application=str(facts.ref),
        repository=found.repository,
        path=found.path,
        target=found.target,
        bad=found.bad,
        good=found.good,
        at=incident.opened_at,
        no_branch=hindrance,
    )
    match await ports.reverts.prepare(order):
        case Prepared() as done:
            return RevertTold(sentence=excerpt(done.sentence, LIMIT), revert=_shown(done))
        case NotPrepared(sentence=sentence):
            return _nothing(sentence)


async def _allowance(target: ObjectRef, app: Application, ports: Ports) -> tuple[Mode, str]:
    """The mode that holds for a rollback of this Application, and why no branch may be pushed; "" when one may.

    All places count that the Application reaches, as for a rollback.
    """
    places = sorted({app.namespace, target.namespace or "", *_reached(app.body)} - {""})
    now, policy = ports.clock.now(), ports.policy
    modes = [policy.mode_for(place, AS) for place in places]
    hindrances = [f"{place} is protected" for place in places if policy.protects_namespace(place)]
    hindrances += [f"{ref} is protected" for ref in (target, app.ref) if policy.protects_object(ref)]
    for who, found in _annotated(target, app, places, ports):
        if found is None:
            hindrances.append(f"{who} cannot be seen, and might forbid it")
        elif (said := mode_from_annotation(found.get(MODE_ANNOTATION))) is not None:
            modes.append(said)
    mode = strictest(*modes)
    if mode in {Mode.OFF, Mode.OBSERVE}:
        hindrances.append(f"the mode is {mode.value}")
    for place in places:
        if await ports.ledger.paused_until(place, now) is not None:
            hindrances.append(f"acting is paused in {place}")
    return mode, hindrances[0] if hindrances else ""


def _reached(app: JsonObject) -> set[str]:
    """Namespaces that the Application delivers to, as it declares and as it lists what it keeps."""
    return {dig_str(app, "spec", "destination", "namespace"), *(found.key.namespace for found in argo.resources(app))}


def _annotated(
    target: ObjectRef, app: Application, places: list[str], ports: Ports
) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Everything whose annotation counts, with its annotations; None for what the watch does not show."""
    yield str(app.ref), dict(app.metadata.annotations)
    shown: KubeObject | None = ports.mirror.workload(target.kind, target.namespace, target.name)
    if shown is None:
        shown = ports.mirror.document(target.kind, target.namespace or "", target.name)
    yield str(target), None if shown is None else dict(shown.metadata.annotations)
    for place in places:
        namespace = ports.mirror.find(Reference(Namespace.kind, "", place, "", Namespace.api_version))
        yield f"namespace {place}", None if namespace is None else dict(namespace.metadata.annotations)


def _shown(done: Prepared) -> PreparedRevert:
    return PreparedRevert(
        patch=str(done.patch),
        repository=excerpt(done.repository, 200),
        onto=done.onto,
        path=excerpt(done.path, 200),
        reverts=done.bad,
        restores=done.good,
        branch=done.branch,
        changes=done.changes,
        notes=done.notes,
    )


def _nothing(why: str) -> RevertTold:
    return RevertTold(sentence=excerpt(f"No revert could be prepared: {why}.", LIMIT))
