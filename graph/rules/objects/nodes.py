"""Nodes: what a person closed, a person opens again; what has died, nobody mends through the API."""

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


class Nodes:
    """Open a node that is closed to pods that need it."""

    name = "nodes"
    safe_because = (
        "It waits for a person; it lets pods come to the node again and moves none, and is taken back by one step."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """Uncordon, or the taint away; or what a person should look at; None for anything but nodes."""
        reasons = {s.reason for s in case.signals}
        if Reason.NODE_NOT_READY in reasons or Reason.NODE_PRESSURE in reasons:
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
    first = case.signals[0]
    away = first.reason is Reason.NODE_NOT_READY
    return Hopeless(
        cause="node_away" if away else "node_under_pressure",
        sentence=sentence(
            f"{name_of(case.target)} {'no longer reports' if away else 'is short of resources'} ({said_of(first)})."
        ),
        advice=(
            "Look at the machine and its kubelet; no call to the API starts one. Kubernetes moves its pods by itself."
            if away
            else "Find what uses the node's memory, disk or process ids; the kubelet evicts pods by itself."
        ),
        reasons=reasons_of(case.signals),
    )
