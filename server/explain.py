"""Why does it not act?  What is seen of one object, which mode holds for it, what rests, and since when.

Reads the mirror, the policy and the ledger; writes nothing and decides nothing: each line says what a part of the
service would say itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from graph.incident import Signal
from graph.ports import Ports
from graph.signals.look import look_at_pod, look_at_root
from server.account import incident_line
from server.explain_view import ModeLine, ObjectView
from server.watcher import Watcher
from tools import registry
from tools.cluster.objects import Workload
from tools.cluster.owners import find_root
from tools.errors import NotFound, ToolError
from tools.guard.checks.quarantine import ends_at
from tools.guard.policy import MODE_ANNOTATION, Mode, mode_from_annotation, strictest
from tools.refs import ObjectRef

MAX_INCIDENTS = 5


async def explain_object(ref: ObjectRef, ports: Ports, watcher: Watcher | None) -> ObjectView:
    """The view of one object.  Raises `ToolError` when the cluster or the ledger does not answer."""
    now = ports.clock.now()
    try:
        root = await find_root(ref, ports.mirror, ports.cluster, find=ports.catalogue.find)
    except NotFound as error:
        sentence = f"{ref} is not there: {error}"
        return ObjectView(object=ref, root=None, sentence=sentence, signals=(), modes=(), hindrances=(), incidents=())
    workload = ports.mirror.workload(root.ref.kind, root.ref.namespace, root.ref.name)
    signals = _signals(ref, workload, ports, now)
    modes = modes_of(root.ref, workload, ports)
    records = await ports.ledger.incidents(target=root.ref, limit=MAX_INCIDENTS)
    hindrances = [*_by_policy(root.ref, modes, ports), *await _by_ledger(root.ref, root.uid, ports, now)]
    if watcher is not None:
        hindrances += [
            f"{reason}: an incident ended {rest.status.value}; the same signal is not opened again before "
            f"{rest.until:%H:%M:%S} UTC."
            for reason, rest in watcher.rests(root.uid)
            if rest.until > now
        ]
    return ObjectView(
        object=ref,
        root=root.ref,
        sentence=_sentence(root.ref, signals, [r.id for r in records if r.is_open]),
        signals=tuple(signals),
        modes=modes,
        hindrances=tuple(hindrances),
        incidents=tuple(incident_line(r) for r in records),
    )


def modes_of(ref: ObjectRef, workload: Workload | None, ports: Ports) -> tuple[ModeLine, ...]:
    """The mode of every action on this object, with the line of the policy or the annotation that decided it."""
    namespace = ref.namespace or ""
    policy = ports.policy
    own = workload.metadata.annotations.get(MODE_ANNOTATION) if workload is not None else None
    annotated = mode_from_annotation(own)
    lines: list[ModeLine] = []
    for action in sorted(registry.ALL):
        by_file = policy.mode_for(namespace, action)
        mode = by_file if annotated is None else strictest(by_file, annotated)
        because = f"the policy for namespace {namespace}" if namespace else "the policy's default"
        if mode is not by_file:
            because = f"the annotation {MODE_ANNOTATION}: {own}"
        elif policy.cap is by_file and policy.cap is not Mode.AUTO:
            because = f"the service was started to go no further than {policy.cap.value}"
        lines.append(ModeLine(action=action, mode=mode.value, because=because))
    return tuple(lines)


def _signals(ref: ObjectRef, workload: Workload | None, ports: Ports, now: datetime) -> list[Signal]:
    if workload is not None:
        return look_at_root(workload, ports.contexts, now)
    pod = ports.mirror.pod(ref.namespace or "", ref.name) if ref.kind == "Pod" else None
    return look_at_pod(pod, ports.contexts, now) if pod is not None else []


def _by_policy(ref: ObjectRef, modes: tuple[ModeLine, ...], ports: Ports) -> list[str]:
    found: list[str] = []
    if ref.namespace and ports.policy.protects_namespace(ref.namespace):
        found.append(f"Namespace {ref.namespace} is protected: nothing is ever written there.")
    if ports.policy.protects_object(ref):
        found.append(f"{ref} is protected by the policy file: it is never written.")
    for mode, meaning in (
        (Mode.OFF, "Nothing is opened or written here"),
        (Mode.OBSERVE, "Plans are recorded and not carried out"),
        (Mode.APPROVE, "Each plan waits for a person"),
    ):
        if modes and all(line.mode == mode.value for line in modes):
            found.append(f"{meaning}: mode {mode.value} ({modes[0].because}).")
    return found


async def _by_ledger(ref: ObjectRef, uid: str, ports: Ports, now: datetime) -> list[str]:
    found: list[str] = []
    try:
        last = await ports.ledger.last_plan(uid)
        paused = await ports.ledger.paused_until(ref.namespace or "", now)
    except ToolError as error:
        return [f"The ledger does not answer ({error}); while that is so nothing is written."]
    if last is not None:
        free = last.started_at + timedelta(seconds=ports.policy.limits.cooldown_seconds)
        if free > now:
            found.append(
                f"Cooldown: the last plan (incident {last.incident_id}) began at {last.started_at:%H:%M:%S} UTC; "
                f"the next incident may act after {free:%H:%M:%S} UTC."
            )
    if (quarantine := await _quarantine(ref, uid, ports, now)) is not None:
        found.append(quarantine)
    if paused is not None:
        found.append(f"Acting is paused by an operator until {paused:%Y-%m-%d %H:%M:%S} UTC.")
    found += [f"We cannot see {source}." for source in (*ports.mirror.unavailable(), *ports.mirror.blind_spots())]
    desired = ports.journal.desired
    if desired is not None:
        found += [f"The declared state is not whole: {problem}" for problem in desired.problems[:5]]
    return found


async def _quarantine(ref: ObjectRef, uid: str, ports: Ports, now: datetime) -> str | None:
    """That it is left to people, and until when; None when it is not."""
    rule = ports.policy.limits.quarantine
    since = now - timedelta(seconds=rule.within_seconds + rule.lasts_seconds)
    try:
        until = ends_at(await ports.ledger.plans_of(uid, since=since), rule)
    except ToolError:
        return None  # said already: the ledger does not answer
    if until is None or until <= now:
        return None
    return (
        f"Quarantine: {ref} broke {rule.incidents} times within {rule.within_seconds // 60} minutes although it was"
        f" acted on each time; it is left to people until {until:%Y-%m-%d %H:%M:%S} UTC."
    )


def _sentence(ref: ObjectRef, signals: list[Signal], open_ids: list[str]) -> str:
    confirmed = sorted({s.reason.value for s in signals if s.confirmed})
    growing = sorted({s.reason.value for s in signals if not s.confirmed} - set(confirmed))
    said = f"{', '.join(confirmed)} is seen on {ref}" if confirmed else f"Nothing is wrong with {ref} as we see it"
    if growing:
        said += f"; {', '.join(growing)} may become a signal if it stays"
    if open_ids:
        said += f"; incident {open_ids[0]} works on it"
    return said + "."
