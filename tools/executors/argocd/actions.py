"""The actions on Argo CD: `argocd_refresh`, `argocd_sync`, `argocd_rollback`, `argocd_terminate_operation`.

Each asks Argo CD for what a person would ask it for, and never for a removal.  Whether it may be asked is decided in
`decisions`, from what was read before; `form` has what they share.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import ClassVar, Protocol

from tools.clock import Clock
from tools.executors.argocd import application as argo
from tools.executors.argocd import decisions, history
from tools.executors.argocd.application import Phase
from tools.executors.argocd.form import ArgoExecutor, Questions, failed, is_ours, refused, started_of
from tools.executors.argocd.history import Candidate, NoCandidate
from tools.executors.base import Action, Applied, Mark, Reader, Situation
from tools.executors.calls import RemoteRequest
from tools.executors.models.argocd import (
    ArgocdRefresh,
    ArgocdRollback,
    ArgocdSetAutoSync,
    ArgocdSync,
    ArgocdTerminateOperation,
)
from tools.executors.remote import RemoteInverse, Stands
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_list, dig_str
from tools.refs import ActionId, ObjectRef

_ENDED_BADLY = frozenset({Phase.FAILED, Phase.ERROR})
_GOES_OFF = "auto_sync_goes_off"


class Proven(Protocol):
    """Which deployments of an Application were seen healthy."""

    def keys(self, application: ObjectRef) -> Collection[str]:
        """Keys of `history.Deployed`."""
        ...


class ArgocdRefreshExecutor(ArgoExecutor[ArgocdRefresh]):
    """`argocd_refresh`: compare anew."""

    action_type: ClassVar[type[Action]] = ArgocdRefresh
    description: ClassVar[str] = (
        "Have Argo CD compare an Application with its source anew. Helps when what it says of the Application is old, "
        "or when it could not read the source and now can. Changes nothing in the cluster by itself; with automated "
        "sync on, a difference that is found is then synced as usual."
    )
    disrupts: ClassVar[bool] = False

    def precondition(self, action: ArgocdRefresh, situation: Situation) -> Refused | None:  # noqa: ARG002
        """Nobody told Argo CD to leave it alone."""
        return refused(decisions.refresh_hindrance(situation.live))

    def request(self, action: ArgocdRefresh, situation: Situation, mark: Mark) -> RemoteRequest:
        """One comparison."""
        return self._call(action, situation, mark, "refresh", is_hard=action.is_hard)

    def way_back(self, action: ArgocdRefresh, situation: Situation, mark: Mark) -> RemoteInverse | None:
        """A comparison leaves nothing behind."""
        return self._inverse(action, situation, mark, None, "a comparison changes nothing")

    def postcondition(self, action: ArgocdRefresh, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """Argo CD answers only when it has compared; its stamp has whole seconds and may be the same."""
        return None

    def was_applied(
        self,
        action: ArgocdRefresh,  # noqa: ARG002
        before: Situation,
        now: JsonObject | None,
        mark: Mark,  # noqa: ARG002
    ) -> Applied:
        """Compared since; if not, asking again does no harm."""
        is_new = now is not None and dig_str(now, "status", "reconciledAt") != dig_str(before.support, "reconciled")
        return Applied.YES if is_new else Applied.NO

    def stands(self, inverse: RemoteInverse, live: JsonObject, undo_id: ActionId, *, was_tried: bool) -> Stands:  # noqa: ARG002
        """Nothing of it stands."""
        return Stands.UNDONE


class ArgocdSyncExecutor(ArgoExecutor[ArgocdSync]):
    """`argocd_sync`: to what is declared."""

    action_type: ClassVar[type[Action]] = ArgocdSync
    description: ClassVar[str] = (
        "Have Argo CD sync an Application: the cluster becomes what its repository declares, and nothing is removed. "
        "Helps when somebody changed an object that Argo CD keeps, or when a sync was interrupted. Where the "
        "repository holds a revision that has not been deployed before, this deploys it, and a person must agree."
    )

    def precondition(self, action: ArgocdSync, situation: Situation) -> Refused | None:  # noqa: ARG002
        """Nothing stands against a sync."""
        return refused(decisions.sync_hindrance(situation.live, dig(situation.support, "windows")))

    def approval_reasons(self, action: ArgocdSync, situation: Situation) -> tuple[str, ...]:
        """What a person has to know of this sync."""
        live = situation.live
        reasons = decisions.sync_approvals(live, dig(situation.support, "windows"))
        if _is_drift(live):
            return reasons
        revisions = ", ".join(argo.declared_revisions(live)) or "an unknown revision"
        return (*reasons, f"It deploys {revisions}, which {action.target} has not run before.")

    def request(self, action: ArgocdSync, situation: Situation, mark: Mark) -> RemoteRequest:
        """One sync, to the very revision that was compared; Argo CD takes no revision where it syncs by itself."""
        live = situation.live
        revisions = argo.declared_revisions(live)
        is_pinned = len(revisions) == 1 and not argo.auto_sync(live).is_on and not dig_list(live, "spec", "sources")
        return self._call(action, situation, mark, "sync", revision=revisions[0] if is_pinned else None)

    def way_back(self, action: ArgocdSync, situation: Situation, mark: Mark) -> RemoteInverse | None:
        """What was deployed before, where another revision is deployed; what merely differed is declared nowhere."""
        live, deployed = situation.live, history.history(situation.live)
        if _is_drift(live):
            return self._inverse(action, situation, mark, None, f"{action.target} is as its repository declares")
        if not deployed or not deployed[0].can_be_restored or argo.auto_sync(live).is_on:
            return None
        sentence = f"what was deployed before is deployed again (entry {deployed[0].id} of the history)"
        return self._inverse(action, situation, mark, "rollback", sentence, entry=deployed[0].id, key=deployed[0].key)

    def postcondition(self, action: ArgocdSync, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """The latest operation has not failed.  Whether it helped, the health tells later."""
        if argo.operation(after.live).phase in _ENDED_BADLY:
            return failed(after.live, action.target)
        return None

    def was_applied(
        self,
        action: ArgocdSync,  # noqa: ARG002
        before: Situation,
        now: JsonObject | None,
        mark: Mark,
    ) -> Applied:
        """By our mark on the operation."""
        return _was_ordered(before, now, mark)

    def stands(self, inverse: RemoteInverse, live: JsonObject, undo_id: ActionId, *, was_tried: bool) -> Stands:  # noqa: ARG002
        """Ours as long as nobody ordered another operation."""
        if is_ours(live, inverse.maker):
            return Stands.GOING if argo.operation(live).is_under_way else Stands.OURS
        return _after_rollback(inverse, live)


class ArgocdRollbackExecutor(ArgoExecutor[ArgocdRollback]):
    """`argocd_rollback`: to what was deployed before."""

    action_type: ClassVar[type[Action]] = ArgocdRollback
    description: ClassVar[str] = (
        "Have Argo CD go back to an earlier deployment of an Application, by the entry of its history, and remove "
        "nothing. Helps when the newest revision of its repository fails and an earlier one was healthy. Argo CD "
        "permits it only while automated sync is off; the repository has to be put right as well."
    )

    def __init__(
        self, questions: Questions | None = None, clock: Clock | None = None, proven: Proven | None = None
    ) -> None:
        """`proven` tells which deployments were healthy; a person agrees to going back to any other."""
        super().__init__(questions, clock)
        self._proven = proven

    async def read(self, action: ArgocdRollback, cluster: Reader) -> Situation:
        """The same, with what is known of the deployments before."""
        found = await super().read(action, cluster)
        keys = sorted(self._proven.keys(action.target)) if self._proven is not None else []
        return Situation(found.live, {**found.support, "proven": [*keys]})

    def foresee(self, action: ArgocdRollback, situation: Situation, ahead: Sequence[Action]) -> Situation:
        """Without automated sync, where an earlier step turns it off."""
        goes_off = any(
            isinstance(step, ArgocdSetAutoSync) and step.target == action.target and not step.enabled for step in ahead
        )
        return Situation(situation.live, {**situation.support, _GOES_OFF: True}) if goes_off else situation

    def is_early(self, action: ArgocdRollback, situation: Situation) -> bool:  # noqa: ARG002
        """Automated sync is to be off by then, and is still on."""
        return dig(situation.support, _GOES_OFF) is True and argo.auto_sync(situation.live).is_on

    def precondition(self, action: ArgocdRollback, situation: Situation) -> Refused | None:
        """There is such an entry, it is another than the newest, and nothing stands against going there."""
        windows = dig(situation.support, "windows")
        is_off = dig(situation.support, _GOES_OFF) is True
        to = _candidate(action, situation)
        return refused(decisions.rollback_hindrance(situation.live, windows, to, auto_sync_goes_off=is_off))

    def approval_reasons(self, action: ArgocdRollback, situation: Situation) -> tuple[str, ...]:
        """What a person has to know of it."""
        to = _candidate(action, situation)
        if isinstance(to, NoCandidate):
            return ()
        return decisions.rollback_approvals(situation.live, dig(situation.support, "windows"), to)

    def request(self, action: ArgocdRollback, situation: Situation, mark: Mark) -> RemoteRequest:
        """One rollback to that entry."""
        return self._call(action, situation, mark, "rollback", entry=action.entry)

    def way_back(self, action: ArgocdRollback, situation: Situation, mark: Mark) -> RemoteInverse | None:
        """To the newest entry again."""
        entries = history.history(situation.live)
        to = _candidate(action, situation)
        if not entries or not entries[0].can_be_restored or isinstance(to, NoCandidate):
            return None
        sentence = f"what was deployed before is deployed again (entry {entries[0].id} of the history)"
        return self._inverse(
            action, situation, mark, "rollback", sentence, entry=entries[0].id, key=entries[0].key, to=to.entry.key
        )

    def postcondition(self, action: ArgocdRollback, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """The latest operation has not failed."""
        if argo.operation(after.live).phase in _ENDED_BADLY:
            return failed(after.live, action.target)
        return None

    def was_applied(self, action: ArgocdRollback, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A rollback carries no mark: a new operation may be ours or somebody else's."""
        return (
            Applied.NO if now is not None and started_of(now) == dig_str(before.support, "started") else Applied.UNKNOWN
        )

    def stands(self, inverse: RemoteInverse, live: JsonObject, undo_id: ActionId, *, was_tried: bool) -> Stands:  # noqa: ARG002
        """Ours as long as what we went back to is what is deployed."""
        entries = history.history(live)
        if entries and entries[0].key == dig_str(inverse.arguments, "to"):
            return Stands.GOING if argo.operation(live).is_under_way else Stands.OURS
        return _after_rollback(inverse, live)


class ArgocdTerminateOperationExecutor(ArgoExecutor[ArgocdTerminateOperation]):
    """`argocd_terminate_operation`: stop what hangs."""

    action_type: ClassVar[type[Action]] = ArgocdTerminateOperation
    description: ClassVar[str] = (
        "Have Argo CD stop the operation of an Application that hangs, for example on a hook that never ends, so that "
        "another one can be ordered. What it has applied so far stays."
    )

    def __init__(
        self,
        questions: Questions | None = None,
        clock: Clock | None = None,
        hangs_after: timedelta = decisions.HANGS_AFTER,
    ) -> None:
        """An operation that runs for longer than `hangs_after` may be stopped."""
        super().__init__(questions, clock)
        self._hangs_after = hangs_after

    def precondition(self, action: ArgocdTerminateOperation, situation: Situation) -> Refused | None:  # noqa: ARG002
        """There is one, and it hangs."""
        now = argo.moment(dig(situation.support, "now"))
        if now is None:
            return Refused(code=ReasonCode.INPUT_UNREADABLE, reason="The time of the reading is not known.")
        return refused(decisions.terminate_hindrance(situation.live, now, self._hangs_after))

    def request(self, action: ArgocdTerminateOperation, situation: Situation, mark: Mark) -> RemoteRequest:
        """One request to stop."""
        return self._call(action, situation, mark, "terminate")

    def way_back(self, action: ArgocdTerminateOperation, situation: Situation, mark: Mark) -> RemoteInverse | None:
        """Nothing: what hung once would hang again, and whoever wants it can order it again."""
        return self._inverse(action, situation, mark, None, "an operation that was stopped can be ordered again")

    def postcondition(self, action: ArgocdTerminateOperation, before: Situation, after: Situation) -> Refused | None:
        """It is being stopped, or it is over."""
        phase = argo.operation(after.live).phase
        if started_of(after.live) != dig_str(before.support, "started") or phase is not Phase.RUNNING:
            return None
        return Refused(code=ReasonCode.VERIFY_FAILED, reason=f"The operation of {action.target} still runs.")

    def was_applied(
        self,
        action: ArgocdTerminateOperation,  # noqa: ARG002
        before: Situation,
        now: JsonObject | None,
        mark: Mark,  # noqa: ARG002
    ) -> Applied:
        """It does not run any more, by us or by itself."""
        if now is None:
            return Applied.UNKNOWN
        still_runs = (
            started_of(now) == dig_str(before.support, "started") and argo.operation(now).phase is Phase.RUNNING
        )
        return Applied.NO if still_runs else Applied.YES

    def stands(self, inverse: RemoteInverse, live: JsonObject, undo_id: ActionId, *, was_tried: bool) -> Stands:  # noqa: ARG002
        """Nothing of it stands."""
        return Stands.UNDONE


def _is_drift(live: JsonObject) -> bool:
    """Whether what is declared is what was deployed last: then only the cluster differs."""
    entries = history.history(live)
    return bool(entries) and entries[0].revisions == argo.declared_revisions(live) != ()


def _candidate(action: ArgocdRollback, situation: Situation) -> Candidate | NoCandidate:
    entries = history.history(situation.live)
    found = next((entry for entry in entries if entry.id == action.entry), None)
    if found is None or not found.can_be_restored:
        return NoCandidate(f"{action.target} has no entry {action.entry} in its history to go back to")
    if found.key == entries[0].key:
        return NoCandidate(f"entry {action.entry} is what {action.target} has deployed now")
    return Candidate(found, is_proven=found.key in dig_list(situation.support, "proven"))


def _was_ordered(before: Situation, now: JsonObject | None, mark: Mark) -> Applied:
    if now is None:
        return Applied.UNKNOWN
    if is_ours(now, mark.action_id):
        return Applied.YES
    return Applied.NO if started_of(now) == dig_str(before.support, "started") else Applied.UNKNOWN


def _after_rollback(inverse: RemoteInverse, live: JsonObject) -> Stands:
    """What stands when the latest operation is not the one that is to be taken back."""
    entries = history.history(live)
    is_back = bool(entries) and entries[0].key == dig_str(inverse.arguments, "key")
    if is_back:
        return Stands.GOING if argo.operation(live).is_under_way else Stands.UNDONE
    return Stands.FOREIGN
