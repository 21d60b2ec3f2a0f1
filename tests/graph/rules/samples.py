"""Evidence as the analyzer gathers it; each test changes what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from graph.incident import Reason, Signal
from graph.observed import (
    CandidateRevert,
    ContainerFacts,
    ContainerSpec,
    Evidence,
    FieldChange,
    Health,
    PodFacts,
    WorkloadFacts,
)
from graph.signals.findings import FAMILIES
from tools.refs import ObjectRef, Pin

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
BAD, GOOD, OLDER = "h4", "h3", "h2"


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(kind=kind, namespace="shop", name=name)


def signal(
    reason: Reason,
    message: str = "",
    *,
    pod: str = "web-1",
    container: str | None = "app",
    revision: str | None = BAD,
    confirmed: bool = True,
    about: ObjectRef | None = None,
) -> Signal:
    subject = about or ref("Pod", pod)
    return Signal(
        reason=reason,
        family=FAMILIES[reason],
        object=subject,
        uid=f"uid-{subject.name}",
        container=container,
        revision=revision,
        message=message,
        observed_at=NOW - timedelta(seconds=2),
        confirmed=confirmed,
        due_at=None if confirmed else NOW + timedelta(seconds=5),
    )


def pod(
    name: str = "web-1",
    revision: str = BAD,
    *,
    ready: bool = False,
    node: str = "node1",
    phase: str = "Running",
    image: str = "registry.example/shop/web:4",
    deleting: bool = False,
) -> PodFacts:
    container = ContainerFacts(name="app", image=image, state="running" if ready else "waiting", ready=ready)
    return PodFacts(
        ref=ref("Pod", name),
        uid=f"uid-{name}",
        revision=revision,
        phase=phase,
        ready=ready,
        node=node,
        deleting=deleting,
        containers=(container,),
    )


def change(path: str, now: str = "new", then: str = "old") -> FieldChange:
    return FieldChange(path=path, now=now, then=then)


def candidate(
    number: int,
    *changes: FieldChange | str,
    health: Health = Health.CONFIRMED,
    revision_hash: str = GOOD,
    truncated: bool = False,
    loosens: tuple[str, ...] = (),
    formerly: tuple[int, ...] = (),
) -> CandidateRevert:
    return CandidateRevert(
        to_revision=number,
        revision_hash=revision_hash,
        health=health,
        created_at=NOW - timedelta(days=1),
        changes=tuple(c if isinstance(c, FieldChange) else change(c) for c in changes),
        truncated=truncated,
        loosens=loosens,
        formerly=formerly,
    )


IMAGE = "containers[app].image"
RESTARTED = "metadata.annotations[kubectl.kubernetes.io/restartedAt]"


def evidence(
    *signals: Signal,
    candidates: tuple[CandidateRevert, ...] | None = None,
    kind: str = "Deployment",
    recent: bool = True,
    pods: tuple[PodFacts, ...] | None = None,
    ordered: bool = False,
    containers: tuple[ContainerSpec, ...] | None = None,
    revision: int | None = 4,
    unseen: tuple[str, ...] = (),
    scope: bool = True,
) -> Evidence:
    name = "web"
    listed = (pod(), pod("web-0", GOOD, ready=True)) if pods is None else pods
    targets = {str(t): t for t in (ref(kind, name), *(p.ref for p in listed), *(s.object for s in signals))}
    pins = tuple(Pin(ref=t, uid=f"uid-{t.name}", resource_version="9", generation=None) for t in targets.values())
    return Evidence(
        observed_at=NOW,
        workload=WorkloadFacts(
            ref=ref(kind, name),
            uid="uid-web",
            generation=4,
            observed_generation=4,
            desired=2,
            updated=1,
            ready=1,
            available=1,
            paused=False,
            revision=revision,
            revision_hash=BAD,
            ordered=ordered,
        ),
        containers=(ContainerSpec(name="app", image="i", memory_limit="64Mi", memory_request="16Mi"),)
        if containers is None
        else containers,
        pods=listed,
        signals=signals,
        candidates=(candidate(3, IMAGE),) if candidates is None else candidates,
        rollout_is_recent=recent,
        scope=pins if scope else (),
        unseen=unseen,
    )
