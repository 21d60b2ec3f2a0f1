"""Pods that ended in phase Failed stay until somebody deletes them, although their controller has replaced them."""

from __future__ import annotations

from graph.incident import Reason, Signal
from graph.plan import Step
from graph.rules.case import Answer, Case, Hopeless, Remedy
from graph.rules.words import name_of, said_of, sentence
from graph.signals.messages import is_own_eviction, is_rejection
from tools.executors.actions import DeletePod

MAX_STEPS = 8


class Leftovers:
    """Delete failed pods that are all that is wrong."""

    name = "leftovers"
    safe_because = "A pod in phase Failed runs nothing and never will again; its controller has made another already."

    def judge(self, case: Case) -> Answer | None:
        """The deletions; None when something else is wrong too, or nothing was left behind."""
        left = [s for s in case.signals if s.reason is Reason.POD_FAILED]
        if not left or len(left) != len(case.signals):
            return None
        work = case.workload
        if work.ready < work.desired and any(is_rejection(s.message) and s in case.present for s in left):
            return None  # its controller makes one after the other, and each is turned away
        own = [s for s in left if is_own_eviction(s.message) and s.revision in {None, case.workload.revision_hash}]
        if own:
            return _own_fault(case, own[0])
        deletions = [
            DeletePod(action="delete_pod", namespace=s.object.namespace or "", name=s.object.name) for s in left
        ]
        fresh = [d for d in deletions if not case.was_tried(d)]
        if not fresh:
            return None
        return Remedy(
            cause="failed_pods_left",
            sentence=sentence(
                f"{name_of(case.workload.ref)} has {len(left)} failed pods left behind ({said_of(left[0])});"
                f" {case.workload.ready} of {case.workload.desired} pods are ready."
            ),
            confidence=0.95,
            steps=tuple(Step(action=d, why="It has failed and was replaced.") for d in fresh[:MAX_STEPS]),
            reasons=(Reason.POD_FAILED,),
        )


def _own_fault(case: Case, signal: Signal) -> Hopeless:
    return Hopeless(
        cause="local_storage_limit_too_low",
        sentence=sentence(
            f"{name_of(case.workload.ref)} has pods evicted for breaking a limit of their own ({said_of(signal)})."
        ),
        advice="Raise the ephemeral-storage limit, or find what fills the disk; new pods will be evicted as well.",
        reasons=(Reason.POD_FAILED,),
    )
