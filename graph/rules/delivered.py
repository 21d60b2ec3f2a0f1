"""What Argo CD keeps is put right through Argo CD: a write to the object itself would be reverted, or be drift.

Two causes are plain to see.  The cluster differs from the revision that is deployed: somebody changed it, and a sync
takes that back.  Nothing differs and the newest deployment fails: it was deployed just now, and the one before goes
back.  Where Argo CD follows its repository by itself, only the repository can be right, and a person is told which
commit.  Where no commit alone would take the deployment back, a person is offered to stop following it and go back.

Neighbours: `graph.applications` has the facts; `objects.applications` is the same for the Application itself;
`graph.reverts` has the revert of that commit prepared.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from graph.incident import Reason
from graph.observed import ApplicationFacts
from graph.plan import Step
from graph.rules.case import MEANT, Answer, Case, Hopeless, Remedy
from graph.rules.objects.case import action
from graph.rules.words import by_weight, name_of, reasons_of, sentence, trouble

RECENT: Final = timedelta(minutes=30)
"""A deployment before that is not suspected of what fails now, unless the rollout itself is recent."""
_PROVEN, _UNPROVEN = 0.9, 0.6
BAD_COMMIT: Final = "bad_commit"
"""What is deployed fails, and only its repository can be right."""


class Delivered:
    """Sync what was changed behind Argo CD's back; go back from a deployment that fails."""

    name = "delivered"
    safe_because = (
        "It asks Argo CD for what its repository declares, or declared before; nothing is removed, no object is written"
        " behind its back, and the deployment that was there can be asked for again."
    )

    def judge(self, case: Case) -> Answer | None:
        """A sync, a rollback, or where the repository must change; None when no Application keeps the workload."""
        app = case.evidence.application
        if app is None or not case.signals:
            return None
        first = by_weight(case.signals)[0]
        what = f"{name_of(case.workload.ref)} {trouble(first, case.evidence.pods)}"
        reasons = reasons_of(case.signals)
        drift = _sync(app, what, reasons)
        if drift is not None and not case.was_tried(drift.steps[0].action):
            return drift
        fails = any(s.reason not in MEANT for s in case.present)
        if not fails or not _is_newly_deployed(app, case):
            return None
        if app.syncs_itself:
            stop = _stop_following(app, what, reasons)
            is_new = stop is not None and not any(case.was_tried(step.action) for step in stop.steps)
            return stop if is_new else _repository(app, what, reasons)
        back = _rollback(app, what, reasons)
        return back if back is not None and not case.was_tried(back.steps[0].action) else None


def _is_newly_deployed(app: ApplicationFacts, case: Case) -> bool:
    """Whether the trouble follows a deployment."""
    at = app.deployed_at
    return case.evidence.rollout_is_recent or (at is not None and case.now - at <= RECENT)


def _sync(app: ApplicationFacts, what: str, reasons: tuple[Reason, ...]) -> Remedy | None:
    if not app.is_drift:
        return None
    listed = ", ".join(app.differing[:3]) or "something"
    why = f"{listed} is not as revision {app.deployed} of the repository declares."
    return Remedy(
        cause="changed_behind_argocd",
        sentence=sentence(f"{what}.", why),
        confidence=0.9,
        steps=(Step(action=action("argocd_sync", app.ref), why=why[:400]),),
        reasons=reasons,
    )


def _rollback(app: ApplicationFacts, what: str, reasons: tuple[Reason, ...]) -> Remedy | None:
    if app.back is None:
        return None
    why = f"{name_of(app.ref)} deployed {app.deployed} and this fails; before, {app.back_revision} was deployed."
    return Remedy(
        cause="bad_deployment",
        sentence=sentence(f"{what}.", why, "The repository has to be put right as well."),
        confidence=_PROVEN if app.back_is_proven else _UNPROVEN,
        steps=(Step(action=action("argocd_rollback", app.ref, entry=app.back), why=why[:400]),),
        reasons=reasons,
    )


def _stop_following(app: ApplicationFacts, what: str, reasons: tuple[Reason, ...]) -> Remedy | None:
    """To the deployment before, for as long as it takes to put right what a revert of one commit would not.

    None where such a revert is the better way, and where the Application itself is declared elsewhere.
    """
    if app.one_commit or app.back is None or app.declared_by:
        return None
    where = app.repository or "its repository"
    stop = f"{name_of(app.ref)} follows its repository by itself, and Argo CD refuses to go back until that is off."
    back = f"It deployed {app.deployed} and this fails; before, {app.back_revision} was deployed."
    return Remedy(
        cause=BAD_COMMIT,
        sentence=sentence(
            f"{what}.",
            f"{back[:-1]}, and no commit alone takes that back.",
            f"Put {where} right, then turn automated sync on again.",
        ),
        confidence=_PROVEN if app.back_is_proven else _UNPROVEN,
        steps=(
            Step(action=action("argocd_set_auto_sync", app.ref, enabled=False), why=stop[:400]),
            Step(action=action("argocd_rollback", app.ref, entry=app.back), why=back[:400]),
        ),
        reasons=reasons,
        needs_person=("Automated sync stays off until somebody turns it on again",),
    )


def _repository(app: ApplicationFacts, what: str, reasons: tuple[Reason, ...]) -> Hopeless:
    before = f" and go back to what {app.back_revision} declares" if app.back_revision else ""
    return Hopeless(
        cause=BAD_COMMIT,
        sentence=sentence(f"{what}.", f"{name_of(app.ref)} deployed {app.deployed} and follows its repository."),
        advice=(
            f"Revert {app.deployed} in {app.repository or 'its repository'}{before}: Argo CD syncs by itself, so a"
            " change in the cluster would not last and it refuses a rollback."
        ),
        reasons=reasons,
    )
