"""Reads everything about one incident, once: the watch for what is now, a few requests for what was before.

The rule: what could not be read is named in `unseen`, never left out silently; everything that people wrote (messages,
logs, values) is redacted and cut before it is kept.  Neighbours: `graph.facts` turns objects into facts,
`graph.signals` judges, `graph.missing` doubts, `tools.journal` knows the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from graph.aims import AIMING, aim_of
from graph.applications import application_facts, keeper_of
from graph.externals import cause_gone
from graph.facts import container_specs, event_facts, pod_facts, workload_facts
from graph.incident import Family, Incident, Signal
from graph.missing import recheck
from graph.observed import (
    ApplicationFacts,
    CandidateRevert,
    EventFacts,
    Evidence,
    LogExcerpt,
    PodFacts,
    ServiceSummary,
    SubjectFacts,
    WorkloadFacts,
)
from graph.ports import Ports
from graph.room import crowding
from graph.rules.candidates import candidate_reverts, follows_rollout
from graph.services import service_summary
from graph.signals.contexts import is_rolling
from graph.signals.look import look_at_missing, look_at_object, look_at_pod, look_at_root
from graph.signals.object_contexts import former_number
from graph.storage import claim_summary
from graph.subjects import MAX_LINES, subject_facts
from graph.ways import pin_of_live, pins_of, ways_back
from tools.cluster.documents import Application, Document, Service
from tools.cluster.objects import Pod, Workload
from tools.cluster.resources import HPA, JOB, POD, PVC, Resource
from tools.cluster.structs import KubeObject, Reference, as_manifest
from tools.errors import NotFound, ToolError
from tools.executors.models.batch import reruns
from tools.journal.revisions import History, read_history
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.ledger.records import ActionRecord, ActionState
from tools.redact import excerpt
from tools.refs import ObjectRef, Pin, absent_uid

ROLLING = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
PLACES = frozenset({"Node", "PersistentVolumeClaim"})
ROLLBACK = "rollback_workload"
LOG_FAMILIES = frozenset({Family.CRASH, Family.MEMORY, Family.START})
NO_LOGS = "unable to retrieve container logs"
"""The kubelet says so with status 200 when the last life's log is gone already."""
MAX_PODS, MAX_EVENTS, MAX_LOGS, LOG_LINES = 50, 30, 2, 40


async def gather(incident: Incident, ports: Ports) -> Evidence:
    """Everything a diagnosis needs.  Raises `Transient` when the API server does not answer; other gaps are named."""
    now = ports.clock.now()
    unseen = [f"{source} cannot be watched" for source in ports.mirror.unavailable()]
    await ports.good.load(incident.target_uid)  # without a watcher nobody else has
    seen = look(incident, ports)
    signals, unread = await recheck(seen.signals, ports.cluster, now)
    seen = seen.model_copy(update={"signals": signals})
    unseen += unread
    resource = ports.catalogue.find(incident.target.kind)
    if resource is None:
        # A custom controller owns the pods: what they say is evidence, but their owner is nothing we know how to read.
        unseen.append(f"{incident.target}: kind {incident.target.kind} is not one that selfheal reads")
        return seen.model_copy(update={"logs": await _logs(seen, ports), "unseen": tuple(unseen)})
    live = await _live(resource, incident, ports)
    if live is None and not is_absent(incident):
        return Evidence(observed_at=now, workload=None, unseen=tuple(unseen))
    hidden: list[str] = []
    ways = await ways_back(incident, live, ports, hidden)
    unseen += hidden if any(s.confirmed for s in seen.signals) else []
    pin = Pin.absent(incident.target) if live is None else pin_of_live(incident.target, live)
    keeper = _keeper(incident, ports)
    scope = (
        pin,
        *([pin_of_live(keeper.ref, keeper.body)] if keeper is not None else []),
        *_pod_pins(incident, ports),
        *pins_of(ways, ports),
        *_places_for_reruns(incident, ports),
    )
    kept = {} if keeper is None else {"application": _application(keeper, ports)}
    seen = seen.model_copy(
        update={**kept, "objects": ways, "scope": tuple({str(p.ref): p for p in scope}.values())[:80]}
    )
    if live is not None and incident.target.kind == PVC.kind:
        seen = seen.model_copy(update={"claim": await claim_summary(live, ports, unseen)})
    if live is not None and incident.target.kind in AIMING:
        aim = await aim_of(live, incident.target, ports, unseen)
        if aim is not None:
            seen = seen.model_copy(update={"aim": aim[0], "scope": (*seen.scope, aim[1])[:80]})
    if live is None or incident.target.kind not in ROLLING:
        return seen.model_copy(update={"logs": await _logs(seen, ports), "unseen": tuple(unseen)})
    return await _with_history(seen, incident, live, ports, unseen)


async def _live(resource: Resource, incident: Incident, ports: Ports) -> JsonObject | None:
    """The target as the API server holds it, in the life the incident is about; None when that is gone."""
    target = incident.target
    try:
        live = await ports.cluster.get(resource, target.name, target.namespace)
    except NotFound:
        return None
    is_it = dig_str(live, "metadata", "uid") == incident.target_uid or is_absent(incident)
    return live if is_it else None


async def _with_history(
    seen: Evidence, incident: Incident, live: JsonObject, ports: Ports, unseen: list[str]
) -> Evidence:
    """What is known of a workload's revisions besides."""
    history, autoscaler, logs = await asyncio.gather(
        _history(incident, live, ports, unseen), _autoscaler(incident.target, ports, unseen), _logs(seen, ports)
    )
    failing = {s.revision for s in seen.signals if s.confirmed and s.revision}
    crowded, crowders = await crowding(seen.signals, ports, unseen)
    owner_uid = dig_str(live, "metadata", "uid")
    good = await ports.ledger.good_revisions(owner_uid)
    workload = _mirrored(incident, ports)
    candidates: tuple[CandidateRevert, ...] = ()
    recent = False
    if history is not None:
        tried = tried_revisions(history, await ports.ledger.actions_of(incident.id))
        candidates = candidate_reverts(history, good=good, failing=failing, tried=tried)
        recent = follows_rollout(
            history,
            failing=failing,
            confirmed={g.revision_hash for g in good},
            rollout_in_progress=workload is not None and is_rolling(workload),
            now=seen.observed_at,
        )
    return seen.model_copy(
        update={
            "containers": container_specs(live),
            "candidates": candidates[:10],
            "crowding": crowded,
            "scope": (*seen.scope, *crowders)[:80],
            "rollout_is_recent": recent,
            "workload": _with_revision(seen.workload, history),
            "logs": logs,
            "autoscaler": autoscaler,
            "unseen": tuple(unseen),
        }
    )


def tried_revisions(history: History, actions: Sequence[ActionRecord]) -> frozenset[str]:
    """Hashes of the revisions that `actions` went back to in vain, for all three kinds; pure.

    An intent holds the name of the object that held the revision: numbers change when a revision is gone back to.
    """
    names = {
        dig_str(record.intent.before, "support", "name")
        for record in actions
        if record.intent.tool == ROLLBACK and record.intent.undoes is None and _was_in_vain(record)
    }
    return frozenset(revision.hash for revision in history.revisions if revision.name in names)


def _was_in_vain(record: ActionRecord) -> bool:
    made = record.state in {ActionState.APPLIED, ActionState.UNKNOWN}
    return record.state is ActionState.UNDONE or (made and record.verified is False)


def look(incident: Incident, ports: Ports) -> Evidence:
    """What the watch shows of the incident's target at this moment; costs no request."""
    now = ports.clock.now()
    workload = _mirrored(incident, ports)
    pods = _pods_of(incident, ports)
    if workload is not None:
        signals = [*look_at_root(workload, ports.contexts, now), *look_at_object(workload, ports.objects, now)]
    else:
        signals = [s for p in pods for s in look_at_pod(p, ports.contexts, now)]
        signals += _of_target(incident, ports, now)
    signals += _of_affected(incident, ports, now)
    return Evidence(
        observed_at=now,
        workload=_workload(workload, ports) if workload is not None else None,
        subject=_subject(incident, ports) if workload is None else None,
        service=_service(incident, ports),
        pods=_pods(pods),
        signals=tuple(sorted(signals, key=lambda s: not s.confirmed)[:50]),
        events=_events([incident.target_uid, *(p.metadata.uid for p in pods)], ports),
    )


def _workload(workload: Workload, ports: Ports) -> WorkloadFacts:
    before = former_number(ports.journal.replaced(workload.ref, "spec.replicas"))
    facts = workload_facts(workload, current_hash(workload, ports))
    return facts.model_copy(update={"former_replicas": before})


def is_absent(incident: Incident) -> bool:
    """Whether the incident is about an object that was gone when it was opened."""
    return incident.target_uid == absent_uid(incident.target)


def of_any_life(incident: Incident) -> Incident:
    """The same incident about whatever bears the target's name: a remedy has made it anew; pure."""
    return incident.model_copy(update={"target_uid": absent_uid(incident.target)})


def _mirrored(incident: Incident, ports: Ports) -> Workload | None:
    """The target in the life that the incident is about, as the watch shows it; of one that was gone, any life."""
    target = incident.target
    found = ports.mirror.workload(target.kind, target.namespace, target.name) if target.kind in ROLLING else None
    return found if found is not None and (found.uid == incident.target_uid or is_absent(incident)) else None


def _held(incident: Incident, ports: Ports) -> KubeObject | None:
    """The same for a target of any other kind."""
    target, resource = incident.target, ports.catalogue.find(incident.target.kind)
    if resource is None or target.kind in ROLLING or target.kind == POD.kind:
        return None
    wanted = Reference(target.kind, target.namespace or "", target.name, "", resource.api_version)
    found = ports.mirror.find(wanted)
    return found if found is not None and (found.uid == incident.target_uid or is_absent(incident)) else None


def _of_target(incident: Incident, ports: Ports, now: datetime) -> list[Signal]:
    """What is wrong with a target that is no workload, or with its absence."""
    item = _held(incident, ports)
    if item is not None:
        return look_at_object(item, ports.objects, now)
    return look_at_missing(incident.target, ports.objects, now) if is_absent(incident) else []


def _of_affected(incident: Incident, ports: Ports, now: datetime) -> list[Signal]:
    """What the workloads show that fail for the target: it is healed when they are.

    What keeps pods from a place is judged by itself: they may find no place for other reasons too.
    """
    signals: list[Signal] = []
    if incident.target.kind in PLACES:
        return signals
    for ref in incident.affected:
        workload = ports.mirror.workload(ref.kind, ref.namespace, ref.name)
        whole = ports.mirror.document(ref.kind, ref.namespace or "", ref.name)
        if workload is not None:
            signals += look_at_root(workload, ports.contexts, now)
        elif whole is not None and whole.uid != incident.target_uid:
            signals += look_at_object(whole, ports.objects, now)
    return signals


def _keeper(incident: Incident, ports: Ports) -> Application | None:
    """The Argo CD Application that the incident is about, or that keeps what it is about."""
    item = _held(incident, ports)
    if isinstance(item, Application):
        return item
    return keeper_of(incident.target, ports.mirror.documents(Application))


def _application(app: Application, ports: Ports) -> ApplicationFacts:
    proven = ports.journal.deployed.keys(app.ref)
    return application_facts(app, proven, ports.objects.hangs_after, ports.clock.now())


def _subject(incident: Incident, ports: Ports) -> SubjectFacts | None:
    item = _held(incident, ports)
    if item is None:
        return None
    body = item.body if isinstance(item, Document) else as_manifest(item)
    said = subject_facts(incident.target, body)
    if not isinstance(item, Document) or ports.objects.externals.role(item) is None:
        return said
    return said.model_copy(update={"lines": (*cause_gone(item, ports), *said.lines)[:MAX_LINES]})


def _service(incident: Incident, ports: Ports) -> ServiceSummary | None:
    item = _held(incident, ports)
    return service_summary(item, ports) if isinstance(item, Service) else None


def _events(uids: Sequence[str], ports: Ports) -> tuple[EventFacts, ...]:
    """The newest that were said about any of them, oldest first."""
    notes = [event for uid in dict.fromkeys(uids) for event in ports.mirror.events_for(uid)]
    notes.sort(key=lambda e: e.last_time.timestamp() if e.last_time else 0.0)
    return tuple(event_facts(event) for event in notes[-MAX_EVENTS:])


def _pods_of(incident: Incident, ports: Ports) -> list[Pod]:
    """The target's pods; of a pod without a controller, itself."""
    target = incident.target
    if target.kind != POD.kind or target.namespace is None:
        return ports.mirror.pods_of(incident.target_uid)
    pod = ports.mirror.pod(target.namespace, target.name)
    return [pod] if pod is not None and pod.metadata.uid == incident.target_uid else []


def current_hash(workload: Workload, ports: Ports) -> str:
    """What the pods of the present revision bear, as far as the watch knows; "" when it does not."""
    return ports.contexts.present_revision(workload) or ""


def _pods(pods: Sequence[Pod]) -> tuple[PodFacts, ...]:
    return tuple(pod_facts(p) for p in _failing_first(pods)[:MAX_PODS])


def _failing_first(pods: Sequence[Pod]) -> list[Pod]:
    """So that a cut never hides them, and what is told of can be acted on."""
    return sorted(pods, key=lambda p: (p.is_ready, p.namespace, p.name))


def _with_revision(work: WorkloadFacts | None, history: History | None) -> WorkloadFacts | None:
    """The revision by the history: the one source that knows it for all three kinds."""
    if work is None or history is None or history.current is None:
        return work
    return work.model_copy(update={"revision": history.current.number, "revision_hash": history.current.hash})


async def _history(incident: Incident, live: JsonObject, ports: Ports, unseen: list[str]) -> History | None:
    if incident.target.kind not in ROLLING:
        return None
    try:
        return await read_history(ports.cluster, live)
    except ToolError as error:
        unseen.append(f"the revision history of {incident.target} ({error.code})")
        return None


async def _autoscaler(target: ObjectRef, ports: Ports, unseen: list[str]) -> ObjectRef | None:
    if target.kind not in ROLLING:
        return None
    try:
        found = await ports.cluster.list(HPA, target.namespace)
    except ToolError as error:
        unseen.append(f"the autoscalers of {target.namespace} ({error.code})")
        return None
    for hpa in found:
        aim = dig_object(hpa, "spec", "scaleTargetRef")
        if dig_str(aim, "kind") == target.kind and dig_str(aim, "name") == target.name:
            return ObjectRef(kind=HPA.kind, namespace=target.namespace, name=dig_str(hpa, "metadata", "name"))
    return None


async def _logs(seen: Evidence, ports: Ports) -> tuple[LogExcerpt, ...]:
    """The last words of the first containers that crashed; logs that are not to be had are no finding."""
    excerpts: list[LogExcerpt] = []
    for pod, container in _talkers(seen.signals, seen.pods)[:MAX_LOGS]:
        for previous in (True, False):
            try:
                text = await ports.cluster.logs(
                    pod.namespace or "", pod.name, container, previous=previous, tail_lines=LOG_LINES
                )
            except ToolError:
                continue
            if text.strip() and not text.startswith(NO_LOGS):
                excerpts.append(LogExcerpt(pod=pod, container=container, previous=previous, text=excerpt(text, 8192)))
                break
    return tuple(excerpts)


def _talkers(signals: Sequence[Signal], pods: Sequence[PodFacts]) -> list[tuple[ObjectRef, str]]:
    """One pod for each container that has run and failed."""
    known = {str(p.ref): p for p in pods}
    chosen: dict[str, ObjectRef] = {}
    for signal in signals:
        if signal.container and signal.family in LOG_FAMILIES and str(signal.object) in known:
            chosen.setdefault(signal.container, signal.object)
    return [(pod, container) for container, pod in chosen.items()]


def _pod_pins(incident: Incident, ports: Ports) -> list[Pin]:
    return [
        Pin(
            ref=ObjectRef(kind="Pod", namespace=p.metadata.namespace, name=p.metadata.name),
            uid=p.metadata.uid,
            resource_version=p.metadata.resource_version,
            generation=None,
        )
        for p in _failing_first(_pods_of(incident, ports))[:MAX_PODS]
        if p.metadata.uid != incident.target_uid
    ]


def _places_for_reruns(incident: Incident, ports: Ports) -> list[Pin]:
    """The names under which the work of a failed Job could be done again, as far as they are free."""
    target = incident.target
    if target.kind != JOB.kind or target.namespace is None:
        return []
    free = [n for n in reruns(target.name) if ports.mirror.controller(JOB.kind, target.namespace, n) is None]
    return [Pin.absent(ObjectRef(kind=JOB.kind, namespace=target.namespace, name=name)) for name in free]


async def keep(evidence: Evidence, ports: Ports) -> str:
    """Store it in the ledger; the digest is what the state carries."""
    return await ports.ledger.put_document("evidence", evidence.model_dump(mode="json"), ports.clock.now())


async def load(digest: str, ports: Ports) -> Evidence:
    """The evidence under this digest.  A missing one is a damaged ledger: better to stop than to act on nothing."""
    document = await ports.ledger.document(digest)
    if document is None:
        raise LookupError(f"evidence {digest!r} is not in the ledger; restore it from a backup, or close the incident")
    return Evidence.model_validate(document)
