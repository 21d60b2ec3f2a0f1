"""Which earlier revisions could be gone back to, best first, and whether the trouble followed a rollout at all.

The rule: the code enumerates, with exact differences; rules, models and people only choose among what is here.
Neighbours: `tools.journal` reads the history and knows the last known good; `graph.rules.rulebook` chooses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from graph.observed import CandidateRevert, FieldChange, Health
from tools.journal.diffs import diff_templates, loosened
from tools.journal.revisions import History, Revision
from tools.ledger.records import GoodRevision

RECENT: Final = timedelta(hours=1)
"""A fault that shows within this after a rollout may come from it (a liveness loop lets the rollout finish first)."""
MAX_CANDIDATES: Final = 10
MAX_CHANGES: Final = 40
_ORDER: Final = {Health.CONFIRMED: 0, Health.SERVING: 1, Health.UNKNOWN: 2, Health.BAD: 3}


def candidate_reverts(
    history: History, *, good: Sequence[GoodRevision], failing: Collection[str], tried: Collection[str] = ()
) -> tuple[CandidateRevert, ...]:
    """Every earlier revision as a way back: confirmed ones first, then serving ones, then by recency; bad ones last.

    `failing` are hashes whose pods fail now, `tried` hashes that were gone to and did not heal (hashes, since going
    back to a revision gives it a new number).  Empty when it cannot be told which revision is current: the way back
    from an unknown place is unknown.
    """
    current = history.current
    if current is None:
        return ()
    confirmed = {g.revision_hash: g.confirmed_at for g in good if g.owner_uid == history.owner_uid}

    def health(revision: Revision) -> Health:
        if revision.hash in failing or revision.hash in tried:
            return Health.BAD
        if revision.hash in confirmed:
            return Health.CONFIRMED
        return Health.SERVING if revision.ready > 0 else Health.UNKNOWN

    def rank(revision: Revision) -> tuple[int, float, int]:
        at = confirmed.get(revision.hash)
        return _ORDER[health(revision)], -at.timestamp() if at is not None else 0.0, -revision.number

    ranked = sorted(history.earlier, key=rank)[:MAX_CANDIDATES]
    return tuple(_candidate(current, revision, health(revision)) for revision in ranked)


def follows_rollout(
    history: History,
    *,
    failing: Collection[str],
    confirmed: Collection[str],
    rollout_in_progress: bool,
    now: datetime,
) -> bool:
    """Whether the failing pods are of the present revision, which is new and has never been known to be healthy.

    A revision that was confirmed did not bring the trouble, and neither did the first one there ever was.
    """
    current = history.current
    if current is None or not history.earlier or current.hash in confirmed:
        return False
    if failing and current.hash not in failing:
        return False
    if rollout_in_progress:
        return True
    times = [t for t in (current.created_at, history.rolled_at) if t is not None]
    return bool(times) and now - max(times) <= RECENT


def _candidate(current: Revision, revision: Revision, health: Health) -> CandidateRevert:
    changes = diff_templates(current.template, revision.template)
    return CandidateRevert(
        to_revision=revision.number,
        revision_hash=revision.hash,
        health=health,
        created_at=revision.created_at,
        changes=tuple(FieldChange(path=c.path, now=c.now, then=c.then) for c in changes[:MAX_CHANGES]),
        truncated=len(changes) > MAX_CHANGES,
        formerly=revision.formerly,
        loosens=loosened(current.template, revision.template),
    )
