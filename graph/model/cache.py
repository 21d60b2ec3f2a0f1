"""Remembers which revert healed which pattern of evidence, so that the same failure need not be thought over twice.

The rule: an entry is made only from a plan that was carried out and verified healed, holds no text that anybody wrote,
and cannot extend what is permitted: a hit is one typed `rollback_workload` on the incident's own workload, to a revert
that code enumerated in *this* evidence and whose changes are the same.  Everything else goes the long way.

Kept in memory, at most `MAX_ENTRIES`, each for `TIME_TO_LIVE`, oldest out first.  Deliberately not in the ledger: what
a restart loses costs one question to the model, while a memory that outlives its process would have to be trusted
longer than anybody looks at it.  `purge` removes an entry by its key, which stands in every plan that came from it.
Neighbours: `graph.nodes.reasoner` asks it first; whoever closes an incident as healed calls `remember`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.model.proposals import assemble
from graph.model.view import offer_of, rollback_of
from graph.observed import CandidateRevert, Evidence, Health
from graph.plan import Diagnosis, Origin, Plan, Planned, Step
from tools.clock import Clock
from tools.executors.actions import RollbackWorkload
from tools.jsontypes import JsonValue, digest

MAX_ENTRIES: Final = 256
TIME_TO_LIVE: Final = timedelta(hours=24)
REVERT: Final = "rollback_workload"
KEY_LENGTH: Final = 24

_ABSTRACTIONS: Final = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), "<address>"),
    (re.compile(r"\b(?:sha256:)?[0-9a-f]{12,64}\b"), "<hash>"),
    (re.compile(r"\b(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+\b"), "<duration>"),
    (re.compile(r"\d+"), "<n>"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered: a cause by its stable word, how sure we were, and the changes that healed, as a digest."""

    cause: str
    confidence: float
    changes: str
    learnt_at: datetime
    incident_id: str


class DiagnosisCache:
    """Entries by the key of their evidence."""

    def __init__(self, clock: Clock) -> None:
        """Empty."""
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, evidence: Evidence, *, failed: frozenset[str], incident_id: str) -> Planned | None:
        """The plan that healed the same pattern before, if the same revert applies now and was not tried yet."""
        key = evidence_key(evidence)
        entry = self._entries.get(key)
        offer = offer_of(evidence, (REVERT,), failed)
        if entry is None or offer is None:
            return None
        if self._clock.now() - entry.learnt_at > TIME_TO_LIVE:
            del self._entries[key]
            return None
        fitting = [r for r in offer.reverts if changes_key(r) == entry.changes and r.health is not Health.BAD]
        action = rollback_of(offer.workload, fitting[0].to_revision) if len(fitting) == 1 else None
        if action is None:
            return None
        sentence = f"The same pattern was healed by the same revert in incident {entry.incident_id}."
        diagnosis = Diagnosis(
            cause=entry.cause,
            sentence=sentence,
            confidence=entry.confidence,
            origin=Origin.CACHE,
            author=f"cache:{key}",
            reasons=tuple(dict.fromkeys(s.reason for s in evidence.signals)),
        )
        step = Step(action=action, why=sentence)
        safe = "It goes back to a template that Kubernetes keeps; the same change healed before."
        return Planned(
            plan=assemble((step,), diagnosis, offer, evidence, safe, incident_id=incident_id, now=self._clock.now())
        )

    def remember(self, evidence: Evidence, plan: Plan, *, incident_id: str) -> str | None:
        """Keep what a verified plan of the model showed; the entry's key, or None when such a plan is not kept.

        Before: the plan was carried out and its verification passed.  `evidence` is what it was made from.
        """
        if plan.diagnosis.origin is not Origin.MODEL or len(plan.steps) != 1 or evidence.workload is None:
            return None
        action = plan.steps[0].action
        if not isinstance(action, RollbackWorkload) or action.target != evidence.workload.ref:
            return None
        revert = next((c for c in evidence.candidates if c.to_revision == action.to_revision), None)
        if revert is None or revert.truncated:
            return None
        key = evidence_key(evidence)
        self._entries[key] = Entry(
            cause=_word(plan.diagnosis.cause),
            confidence=plan.diagnosis.confidence,
            changes=changes_key(revert),
            learnt_at=self._clock.now(),
            incident_id=incident_id,
        )
        self._entries.move_to_end(key)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        return key

    def purge(self, key: str) -> bool:
        """Forget one entry; False when there is none under this key."""
        return self._entries.pop(key, None) is not None

    def forget(self, plan: Plan) -> bool:
        """Forget the entry a plan came from; for a plan of the cache that did not heal."""
        return plan.diagnosis.origin is Origin.CACHE and self.purge(plan.diagnosis.author.removeprefix("cache:"))


def evidence_key(evidence: Evidence) -> str:
    """The pattern of the evidence: what fails and how, without names, hashes, numbers that count, and times.  Pure."""
    names = _names(evidence)
    signals = {
        (s.reason.value, s.container or "", abstracted(s.message, names)) for s in evidence.signals if s.confirmed
    }
    states = {
        (c.name, c.init, c.state, c.reason, c.exit_code, c.last_reason, c.last_exit_code)
        for p in evidence.pods
        if not p.ready
        for c in p.containers
        if not c.ready
    }
    reverts: list[JsonValue] = [[r.health.value, changes_key(r)] for r in evidence.candidates]
    pattern: list[JsonValue] = [
        evidence.workload.ref.kind if evidence.workload else None,
        evidence.rollout_is_recent,
        [list(s) for s in sorted(signals)],
        [list(s) for s in sorted(states, key=str)],
        reverts,
    ]
    return digest(pattern)[:KEY_LENGTH]


def changes_key(revert: CandidateRevert) -> str:
    """What a revert changes, exactly: paths and both values; and whether it loosens anything."""
    changes: list[JsonValue] = [[c.path, c.now, c.then] for c in sorted(revert.changes, key=lambda c: c.path)]
    return digest([changes, list(revert.loosens), revert.truncated])[:KEY_LENGTH]


def abstracted(text: str, names: tuple[str, ...] = ()) -> str:
    """The text with names of the incident's objects, uids, times, addresses, hashes and numbers as placeholders."""
    for name in names:
        text = text.replace(name, "<name>")
    for pattern, word in _ABSTRACTIONS:
        text = pattern.sub(word, text)
    return text


def _names(evidence: Evidence) -> tuple[str, ...]:
    """Longest first, so that a pod's name is taken whole before the workload's name inside it."""
    found = {pin.ref.name for pin in evidence.scope} | {pin.ref.namespace or "" for pin in evidence.scope}
    found |= {p.node for p in evidence.pods} | {p.revision for p in evidence.pods}
    return tuple(sorted((n for n in found if len(n) > 2), key=lambda n: (-len(n), n)))


def _word(cause: str) -> str:
    """A cause as one plain word: text that a model wrote under the eyes of an attacker is not kept."""
    return re.sub(r"[^a-z0-9_]+", "_", cause.lower()).strip("_")[:40] or "unnamed"
