"""The history of an Argo CD Application, and where a rollback can go to.  Pure.

Argo CD writes an entry for every operation that applied everything; the entry says nothing of health.  So the journal
keeps the keys of what it saw healthy (`healthy_key`), and only those prove a candidate.

Neighbours: `application` reads the rest, `decisions` says whether a rollback may be ordered.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from tools.executors.argocd.application import (
    Health,
    Phase,
    Sync,
    declared_revisions,
    health,
    moment,
    name_of,
    operation,
    revisions_of,
    sync,
)
from tools.jsontypes import JsonObject, dig, dig_int, dig_list, dig_object, digest


@dataclass(frozen=True, slots=True)
class Deployed:
    """One entry of the history: something that was synced completely at some time."""

    id: int
    key: str
    """The same for the same revisions of the same sources with the same parameters."""
    revisions: tuple[str, ...]
    deployed_at: datetime | None
    can_be_restored: bool
    """Whether the entry says which sources it came from; Argo CD refuses to go back to it otherwise."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a rollback can go to."""

    entry: Deployed
    is_proven: bool
    """Whether it was seen healthy; otherwise only that it was synced completely once."""


@dataclass(frozen=True, slots=True)
class NoCandidate:
    """There is nowhere to go back to."""

    sentence: str


def history(app: JsonObject) -> tuple[Deployed, ...]:
    """What was synced completely, newest first.  Entries without an id are left out."""
    found: list[Deployed] = []
    for entry in dig_list(app, "status", "history"):
        number = dig_int(entry, "id")
        if number is not None and isinstance(entry, dict):
            found.append(
                Deployed(
                    id=number,
                    key=_key(entry),
                    revisions=revisions_of(entry),
                    deployed_at=moment(dig(entry, "deployedAt")),
                    can_be_restored=bool(dig_object(entry, "source") or dig_list(entry, "sources")),
                )
            )
    return tuple(sorted(found, key=lambda entry: entry.id, reverse=True))


def healthy_key(app: JsonObject) -> str | None:
    """The key of what runs now if it may be called good: healthy, as declared, and nothing under way.

    A journal that keeps these keys can prove a candidate for a rollback; the history itself says nothing of health.
    """
    entries = history(app)
    is_good = health(app) is Health.HEALTHY and sync(app) is Sync.SYNCED and not operation(app).is_under_way
    if not is_good or not entries or entries[0].revisions != declared_revisions(app):
        return None
    return entries[0].key


def last_healthy(app: JsonObject, proven: Collection[str]) -> Candidate | NoCandidate:
    """The newest entry before what fails now; one whose key is `proven` goes before one that is not.

    What fails is the newest entry; but when the latest operation did not succeed and was about other revisions, the
    newest entry is what was there before it.
    """
    entries = history(app)
    if not entries:
        return NoCandidate(f"{name_of(app)} has no history: nothing was ever synced completely")
    latest = operation(app)
    has_failed = latest.phase in {Phase.FAILED, Phase.ERROR} and latest.revisions not in {(), entries[0].revisions}
    earlier = [e for e in entries if e.can_be_restored and (has_failed or e.key != entries[0].key)]
    if not earlier:
        return NoCandidate(f"the history of {name_of(app)} holds nothing but what is deployed now")
    known = next((entry for entry in earlier if entry.key in proven), None)
    return Candidate(known or earlier[0], is_proven=known is not None)


def _key(entry: JsonObject) -> str:
    sources = dig_list(entry, "sources") or [dig_object(entry, "source")]
    return digest([list(revisions_of(entry)), sources])[:32]
