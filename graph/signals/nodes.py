"""What is wrong with a node: it does not report, runs out of something, or is closed to pods that need it.

The rule: Kubernetes notices a silent node by itself after 40 s and moves its pods after 5 min, so only what stays is a
signal; a node that people closed is theirs while they drain it; a taint that the node had before is meant.  A closed
node is a signal only when the scheduler's own words on a waiting pod say that it is the obstacle.
Neighbours: `object_contexts` finds the waiting pods; `budgets` says what holds up a drain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from graph.incident import Reason, Signal
from graph.signals.findings import LONG, PASSING, PATIENT, VERY_LONG, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.objects import Condition, Node, Pod, Taint, condition
from tools.cluster.pods import Toleration

TaintKey: TypeAlias = tuple[str, str, str]
"""Key, value, effect."""

UNKNOWN_FOR: Final = timedelta(seconds=20)
"""After the 40 s of silence that it takes until the conditions turn Unknown."""
NEW_NODE: Final = timedelta(minutes=5)
"""A machine that joins pulls its network and storage drivers first."""
FIRST_WORD: Final = timedelta(minutes=1)
"""A condition that has stood since this soon after the node's birth is the first there was: it never was ready."""
DRAIN: Final = timedelta(minutes=10)
"""So long a person who closed a node is taken to be draining it, while evictions are seen."""
CORDON: Final = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
PRESSURES: Final = ("MemoryPressure", "DiskPressure", "PIDPressure")
NETWORK: Final = "NetworkUnavailable"
PROBLEMS: Final = frozenset(
    {
        NETWORK,
        "KernelDeadlock",
        "ReadonlyFilesystem",
        "CorruptDockerOverlay2",
        "ContainerRuntimeUnhealthy",
        "KubeletUnhealthy",
        "FrequentKubeletRestart",
        "FrequentContainerdRestart",
        "FrequentDockerRestart",
        "FrequentUnregisterNetDevice",
        "DiskBadBlock",
        "XfsShutdown",
        "CperHardwareErrorFatal",
    }
)
"""Conditions that node-problem-detector and network drivers set; https://github.com/kubernetes/node-problem-detector.
Any other condition may be good when it is True."""
MAINTENANCE: Final = ("MaintenanceInProgress", "MaintenancePlanned", "DrainInProgress", "Drained")
"""Conditions that people and their tools set."""
_REPELS: Final = frozenset({"NoSchedule", "NoExecute"})
_SYSTEM: Final = re.compile(
    r"(?:node|node-role|node\.cloudprovider)\.kubernetes\.io/|karpenter\.sh/|ToBeDeletedByClusterAutoscaler"
    r"|DeletionCandidateOfClusterAutoscaler"
)
_NO: Final = frozenset({"false", "no", "off", "0", "none"})
_CORDONED: Final = re.compile(r"(?i)node\(?s?\)? (?:were|was) unschedulable")
_ANY_TAINT: Final = re.compile(r"(?i)untolerated taint\(?s?\)?(?! *\{)")


@dataclass(frozen=True, slots=True)
class NodeContext(ObjectContext):
    """Who would need the node, and who works on it."""

    waiting: tuple[Pod, ...] = ()
    """Pods for which the scheduler found no node."""
    is_draining: bool = False
    """Pods are being evicted from it through the eviction API."""
    former_taints: frozenset[TaintKey] = frozenset()
    """Taints it had when it was known good or, failing that, when we saw it first: they are meant."""


def detect_node(node: Node, context: NodeContext, now: datetime) -> list[Signal]:
    """NODE_NOT_READY, NODE_PRESSURE, NODE_PROBLEM and NODE_CLOSED."""
    return judge(node, context, _findings(node, context, now), now)


def is_plainly_well(node: Node) -> bool:
    """Whether `detect_node` finds nothing in any context."""
    return node.is_ready and not pressures(node) and not problems(node) and not barriers(node)


def maintenance_of(node: Node) -> str:
    """Why people are taken to work on the node; "" when nothing says so.

    A condition that maintenance tools set, or an annotation, label or taint whose name speaks of maintenance.
    """
    for kind in MAINTENANCE:
        found = condition(node.status.conditions, kind)
        if found is not None and found.status == "True":
            return f"node {node.name}: {kind}"
    notes = {t.key: t.value for t in node.spec.taints} | node.metadata.labels | node.metadata.annotations
    for key, value in notes.items():
        if "maintenance" in key.lower() and value.lower() not in _NO:
            return f"node {node.name}: {key}={value}"
    return ""


def barriers(node: Node) -> tuple[Taint, ...]:
    """What people put up to keep pods away; taints of Kubernetes itself and of autoscalers are not among them."""
    taints = tuple(t for t in node.spec.taints if t.effect in _REPELS and not _SYSTEM.match(t.key))
    if not node.spec.unschedulable:
        return taints
    held = (t for t in node.spec.taints if (t.key, t.effect) == (CORDON.key, CORDON.effect))
    return (next(held, CORDON), *taints)


def taint_key(taint: Taint) -> TaintKey:
    """What makes a taint the same one."""
    return taint.key, taint.value, taint.effect


def pressures(node: Node) -> list[str]:
    """What runs out, as `Type/Reason: message`; Unknown is no pressure, a silent node says it of everything."""
    found = (condition(node.status.conditions, kind) for kind in PRESSURES)
    return [f"{c.type}/{c.reason}: {c.message}" for c in found if c is not None and c.status == "True"]


def problems(node: Node) -> list[Condition]:
    """Faults that the node reports of itself."""
    return [c for c in node.status.conditions if c.type in PROBLEMS and c.status == "True"]


def tolerates(pod: Pod, taint: Taint) -> bool:
    """Whether the pod does not mind the taint."""
    return any(_covers(toleration, taint) for toleration in pod.spec.tolerations)


def _covers(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect):
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint.key)
    return (toleration.key, toleration.value) == (taint.key, taint.value)


def _findings(node: Node, context: NodeContext, now: datetime) -> Iterator[Finding]:
    if not node.is_ready:
        yield _silent(node)
        return
    if found := pressures(node):
        since = [c.last_transition_time for c in node.status.conditions if c.type in PRESSURES and c.status == "True"]
        known = [t for t in since if t is not None]
        yield Finding(Reason.NODE_PRESSURE, "; ".join(found), PASSING, since=min(known, default=None))
    if faults := problems(node):
        yield _faulty(node, faults)
    yield from _closed(node, context, now)


def _faulty(node: Node, faults: list[Condition]) -> Finding:
    """A machine that joins has no network until its driver has come."""
    text = "; ".join(f"{c.type}/{c.reason}: {c.message}" for c in faults)
    born, only = node.metadata.creation_timestamp, {c.type for c in faults}
    if only == {NETWORK}:
        since = faults[0].last_transition_time
        joins = born is not None and (since is None or since - born < FIRST_WORD)
        return Finding(Reason.NODE_PROBLEM, text, NEW_NODE if joins else LONG, since=born if joins else since)
    known = [c.last_transition_time for c in faults if c.last_transition_time is not None]
    return Finding(Reason.NODE_PROBLEM, text, PASSING, since=min(known, default=None))


def _silent(node: Node) -> Finding:
    ready, born = condition(node.status.conditions, "Ready"), node.metadata.creation_timestamp
    if ready is None:
        return Finding(Reason.NODE_NOT_READY, "it has never reported", NEW_NODE, since=born)
    text = f"Ready={ready.status}/{ready.reason}: {ready.message}"
    since = ready.last_transition_time
    if born is not None and (since is None or since - born < FIRST_WORD):
        return Finding(Reason.NODE_NOT_READY, text, NEW_NODE, since=born)
    if node.spec.unschedulable:  # somebody closed it first: it is being restarted on purpose
        return Finding(Reason.NODE_NOT_READY, text, VERY_LONG, since=since)
    grace = UNKNOWN_FOR if ready.status == "Unknown" else LONG
    return Finding(Reason.NODE_NOT_READY, text, grace, since=since)


def is_turned_away(pod: Pod) -> bool:
    """Whether the scheduler names a closed node among what keeps the pod waiting."""
    said = _scheduler_says(pod)
    return _CORDONED.search(said) is not None or "untolerated taint" in said


def shut_out(node: Node, context: NodeContext) -> list[tuple[Pod, Taint]]:
    """The waiting pods that could run on the node but for what people put up there, each with that."""
    closing = [t for t in barriers(node) if taint_key(t) not in context.former_taints or t.key == CORDON.key]
    return [(pod, t) for pod in context.waiting for t in closing if _shuts_out(node, t, closing, pod)]


def _closed(node: Node, context: NodeContext, now: datetime) -> Iterator[Finding]:
    found = shut_out(node, context)
    if not found or (context.is_draining and _is_recent(found[0][1], now)):
        return
    pod, taint = found[0]
    how = "cordoned" if taint.key == CORDON.key else f"tainted {taint.key}={taint.value}:{taint.effect}"
    count = len({p.uid for p, _ in found})
    said = _scheduler_says(pod)
    text = f"{how}, and {count} pods find no place, such as {pod.namespace}/{pod.name}: {said}"
    yield Finding(Reason.NODE_CLOSED, text, PATIENT)


def _is_recent(taint: Taint, now: datetime) -> bool:
    return taint.time_added is None or now - taint.time_added < DRAIN


def _shuts_out(node: Node, taint: Taint, closing: list[Taint], pod: Pod) -> bool:
    """Whether the pod could run there but for what closes the node, by the scheduler's own words."""
    said = _scheduler_says(pod)
    if taint.key == CORDON.key:
        is_named = _CORDONED.search(said) is not None
    else:
        is_named = f"{{{taint.key}" in said or _ANY_TAINT.search(said) is not None
    if not is_named or tolerates(pod, taint):
        return False
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in pod.spec.node_selector.items()):
        return False
    cleared = {taint_key(t) for t in closing}
    others = [t for t in node.spec.taints if t.effect in _REPELS and taint_key(t) not in cleared]
    return all(tolerates(pod, t) for t in others if t.key != CORDON.key)


def _scheduler_says(pod: Pod) -> str:
    scheduled = condition(pod.status.conditions, "PodScheduled")
    return scheduled.message if scheduled is not None and scheduled.status == "False" else ""
