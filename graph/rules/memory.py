"""Out of memory with no rollout to blame: the limit is too low for what the container does now.

The limit is doubled, at most twice within one incident, so never beyond four times what it was; a leak is thereby
slowed and not fed for ever.
"""

from __future__ import annotations

import re
from typing import Final

from graph.incident import Reason
from graph.observed import ContainerSpec
from graph.plan import Step
from graph.rules.case import Answer, Case, Hopeless, Remedy, Unclear
from graph.rules.words import name_of, reasons_of, sentence
from tools.executors.actions import DeletePod, SetResources

MAX_FACTOR: Final = 4
MAX_STEPS: Final = 8
_UNITS: Final = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40
}  # fmt: skip
_QUANTITY: Final = re.compile(r"^(\d+(?:\.\d+)?)(k|M|G|T|Ki|Mi|Gi|Ti)?$")
_FOLLOWS: Final = frozenset(
    {
        Reason.OUT_OF_MEMORY,
        Reason.CRASH_LOOP,
        Reason.NOT_READY,
        Reason.LIVENESS_RESTARTS,
        Reason.DEADLINE_EXCEEDED,
        Reason.POD_FAILED,
    }
)
"""What a container that is killed for memory shows besides."""


class OutOfMemory:
    """Double the memory limit of the containers that are killed for it, within the bound."""

    name = "out_of_memory"
    safe_because = (
        "It raises one limit by a bounded factor and changes nothing else; the container asks the scheduler for no more"
        " than before, and the old limit is put back by one step."
    )

    def judge(self, case: Case) -> Answer | None:
        """New limits; or why none would help; None when nothing is killed for memory."""
        killed = [s for s in case.signals if s.reason is Reason.OUT_OF_MEMORY]
        if not killed:
            return None
        who = name_of(case.workload.ref)
        if any(s.reason not in _FOLLOWS for s in case.signals):
            return Unclear(
                cause="out_of_memory_and_more",
                sentence=sentence(f"{who} runs out of memory, and shows {_others(case)} besides."),
                question="Which of the two came first?",
                reasons=reasons_of(case.signals),
            )
        if not case.is_history_known:
            return Unclear(
                cause="out_of_memory",
                sentence=sentence(f"{who} runs out of memory, and its revision history could not be read."),
                question="Did a rollout lower the limit or raise the need?",
                reasons=reasons_of(killed),
            )
        names = sorted({s.container for s in killed if s.container})
        specs = {c.name: c for c in case.evidence.containers}
        known = [specs[n] for n in names if n in specs and specs[n].memory_limit]
        if len(known) != len(names):
            return _no_limit(case, sorted(set(names) - {c.name for c in known}))
        steps = [step for spec in known if (step := _raise(spec, case)) is not None]
        if len(steps) != len(known):
            return _exhausted(case, names)
        limits = ", ".join(f"{c.name} ({c.memory_limit})" for c in known)
        return Remedy(
            cause="memory_limit_too_low",
            sentence=sentence(
                f"{who} has containers killed for exceeding their memory limits: {limits}.",
                "No recent rollout explains it; what they need has grown beyond the limit.",
            ),
            confidence=0.8,
            steps=(*steps, *_stuck(case))[:MAX_STEPS],
            reasons=reasons_of(killed),
        )


def _stuck(case: Case) -> list[Step]:
    """Pods a StatefulSet would wait for for ever: they are killed again and again before the new limit reaches them."""
    return [
        Step(
            action=DeletePod(action="delete_pod", namespace=p.ref.namespace or "", name=p.ref.name),
            why="A StatefulSet waits for this pod, which is killed again and again, before one gets the new limit.",
        )
        for p in case.evidence.pods
        if case.workload.ordered and not p.ready and not p.deleting and p.phase not in {"Succeeded", "Failed"}
    ]


def parse_bytes(quantity: str) -> int | None:
    """A memory quantity in bytes; None when it is none that we write."""
    match = _QUANTITY.match(quantity)
    return int(float(match[1]) * _UNITS[match[2] or ""]) if match else None


def show_bytes(amount: int) -> str:
    """The shortest exact quantity of at least Ki; plain bytes when there is none."""
    for unit in ("Gi", "Mi", "Ki"):
        if amount % _UNITS[unit] == 0:
            return f"{amount // _UNITS[unit]}{unit}"
    return str(amount)


def _others(case: Case) -> str:
    return ", ".join(r for r in reasons_of(case.signals) if r is not Reason.OUT_OF_MEMORY)


def _raise(spec: ContainerSpec, case: Case) -> Step | None:
    """Twice the limit, or four times when twice was tried; None when the bound is reached or the limit is unreadable.

    What was tried is known by digest only, so a present limit that is itself one of our tries is halved back to where
    it began before the bound is counted.
    """
    present = parse_bytes(spec.memory_limit)
    if present is None or present == 0:
        return None
    first = present
    for _ in range(2):
        if first % 2 == 0 and case.was_tried(_action(spec, first, case)):
            first //= 2
    factor = 2
    while factor <= MAX_FACTOR:
        wanted = first * factor
        action = _action(spec, wanted, case)
        if wanted > present and not case.was_tried(action):
            limit = f"{show_bytes(wanted)} is {factor} times what it was"
            return Step(action=action, why=f"Container {spec.name} is killed at {spec.memory_limit}; {limit}.")
        factor *= 2
    return None


def _action(spec: ContainerSpec, limit: int, case: Case) -> SetResources:
    ref = case.workload.ref
    return SetResources.model_validate(
        {
            "action": "set_resources",
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "container": spec.name,
            "memory_limit": show_bytes(limit),
            "memory_request": None,
            "cpu_limit": None,
            "cpu_request": None,
        }
    )


def _no_limit(case: Case, names: list[str]) -> Hopeless:
    return Hopeless(
        cause="memory_of_the_node",
        sentence=sentence(
            f"{name_of(case.workload.ref)} has containers killed for want of memory ({', '.join(names)})"
            " that have no limit of their own in the template."
        ),
        advice="Look at the node's memory and at LimitRanges of the namespace, or give the container a limit.",
        reasons=(Reason.OUT_OF_MEMORY,),
    )


def _exhausted(case: Case, names: list[str]) -> Hopeless:
    return Hopeless(
        cause="memory_need_without_bound",
        sentence=sentence(
            f"{name_of(case.workload.ref)} runs out of memory in {', '.join(names)} even at the highest limit allowed"
            f" ({MAX_FACTOR} times what it was)."
        ),
        advice="Look for a leak, or for a load that the container was not made for.",
        reasons=(Reason.OUT_OF_MEMORY,),
    )
