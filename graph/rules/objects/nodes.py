"""Nodes: what a person closed, a person opens again; what is faulty, a person may empty; what has died, nobody mends
through the API.
"""

from __future__ import annotations

import re
from typing import Final

from graph.incident import Reason
from graph.plan import Step
from graph.rules.case import Answer, Hopeless, Remedy
from graph.rules.objects.case import ObjectCase, action
from graph.rules.words import name_of, reasons_of, said_of, sentence
from tools.executors.actions import AnyAction

_TAINT: Final = re.compile(r"^taint (?P<key>[^=\s]+)=(?P<value>[^:]*):(?P<effect>NoSchedule|NoExecute)$")
_SYSTEM: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
_BEYOND: Final = {
    Reason.NODE_NOT_READY: (
        "node_away",
        "no longer reports",
        "Look at the machine and its kubelet; no call to the API starts one. Kubernetes moves its pods by itself.",
    ),
    Reason.NODE_PRESSURE: (
        "node_under_pressure",
        "is short of resources",
        "Find what uses the node's memory, disk or process ids; the kubelet evicts pods by itself.",
    ),
    Reason.NODE_PROBLEM: (
        "node_faulty",
        "reports a fault of its own",
        "Look at the machine; cordon it, drain it and repair or replace it when the fault lasts.",
    ),
}
"""What no call to the API mends: a word for the cause, how it shows, and what a person can do."""


_TO_BE_EMPTIED: Final = re.compile(
    r"(?:^|; )(?:KernelDeadlock|ReadonlyFilesystem|CorruptDockerOverlay2|ContainerRuntimeUnhealthy|KubeletUnhealthy"
    r"|DiskBadBlock|XfsShutdown|CperHardwareErrorFatal)/"
)
"""Faults that do not pass and that pods on the node suffer from; the others (a restart too many, a network that is not
there yet) are for a person to look at first."""


class FaultyNodes:
    """Have the pods moved off a node that says that it is broken."""

    name = "faulty_nodes"
    safe_because = (
        "It waits for a person; pods are moved one at a time, within their disruption budgets and none that would be"
        " lost, and the node is opened again when that cannot go on."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """A drain; None for a node that does not report, which Kubernetes empties by itself, and for any other case."""
        faulty = next((s for s in case.signals if s.reason is Reason.NODE_PROBLEM), None)
        if faulty is None or any(s.reason is Reason.NODE_NOT_READY for s in case.signals):
            return None
        drain = action("drain_node", case.target)
        if _TO_BE_EMPTIED.search(faulty.message) is None or case.was_tried(drain):
            return None
        said = said_of(faulty)
        return Remedy(
            cause="node_faulty",
            sentence=sentence(
                f"{name_of(case.target)} reports a fault of its own ({said}). Repair or replace the machine after that."
            ),
            confidence=0.7,
            steps=(Step(action=drain, why="Its pods run on a machine that says that it is broken."),),
            reasons=reasons_of(case.signals),
        )


class Nodes:
    """Open a node that is closed to pods that need it."""

    name = "nodes"
    safe_because = (
        "It waits for a person; it lets pods come to the node again and moves none, and is taken back by one step."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """Uncordon, or the taint away; or what a person should look at; None for anything but nodes."""
        reasons = {s.reason for s in case.signals}
        if reasons & _BEYOND.keys():
            return _beyond_us(case)
        if Reason.NODE_CLOSED not in reasons:
            return None
        steps = [s for s in _openings(case) if not case.was_tried(s.action)]
        if not steps:
            return None
        said = said_of(case.signals[0])
        return Remedy(
            cause="node_closed",
            sentence=sentence(f"{name_of(case.target)} is closed to pods that would fit it ({said})."),
            confidence=0.7,
            steps=tuple(steps),
            reasons=reasons_of(case.signals),
        )


def _openings(case: ObjectCase) -> list[Step]:
    lines = case.evidence.subject.lines if case.evidence.subject is not None else ()
    found: list[tuple[AnyAction, str]] = []
    if "unschedulable: true" in lines:
        found.append((action("uncordon_node", case.target), "It was cordoned, and pods wait that would fit it."))
    for line in lines:
        taint = _TAINT.match(line)
        if taint is not None and not taint["key"].startswith(_SYSTEM):
            remove = action("remove_taint", case.target, key=taint["key"], effect=taint["effect"])
            found.append((remove, f"The taint {taint['key']} keeps pods away that do not tolerate it."))
    return [Step(action=a, why=why) for a, why in found]


def _beyond_us(case: ObjectCase) -> Hopeless:
    first = next(s for s in case.signals if s.reason in _BEYOND)
    cause, shows, advice = _BEYOND[first.reason]
    return Hopeless(
        cause=cause,
        sentence=sentence(f"{name_of(case.target)} {shows} ({said_of(first)})."),
        advice=advice,
        reasons=reasons_of(case.signals),
    )
