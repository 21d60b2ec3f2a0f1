"""Resources of Crossplane: not in step with the outside world, paused, not looked at, or uncertain; and its packages.

The rule: what Crossplane does by itself it is given the time for: it tries a failed look again within a minute, and a
creation takes as long as it takes.  Of a chain only the cause speaks: a composite or claim is silent about being
unready while one of its parts is in trouble itself, and a managed resource while its provider is.  Where a creation is
uncertain nothing else is said, since nothing else may be done.

Neighbours: `tools.executors.crossplane.facts` reads the conditions, `external_contexts` finds parts and provider.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.findings import AGAIN, CREATION, DEBOUNCE, HANDLING, LONG, UNSEEN, VERY_LONG, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import Document
from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import Role, Said
from tools.jsontypes import JsonObject

UNKNOWN: Final = "Unknown"


@dataclass(frozen=True, slots=True)
class ExternalContext(ObjectContext):
    """Where a resource stands."""

    role: Role = Role.MANAGED
    declared_paused: bool | None = None
    """Whether it is declared, and then whether paused; None when it is not declared."""
    troubled_part: str = ""
    """What speaks instead: the part of a composite or claim that is in trouble itself, the package of a revision; ""
    when nothing is seen to."""
    troubled_provider: str = ""
    """Of a managed resource the package that installed its definition, of a package its revision; "" unless that is
    not healthy."""


def detect_external(item: Document, context: ExternalContext, now: datetime) -> list[Signal]:
    """What is wrong with a resource or a package of Crossplane."""
    found = _of_package(item.body, context) if context.role is Role.PACKAGE else _of_resource(item, context)
    return judge(item, context, found, now)


def is_plainly_well(item: Document) -> bool:
    """Whether `detect_external` finds nothing in any context."""
    live = item.body
    if facts.is_paused(live) or facts.creation_is_uncertain(live) or facts.is_behind(live):
        return False
    said = [facts.condition(live, name) for name in (facts.SYNCED, facts.READY)]
    return any(c is not None for c in said) and all(c is None or c.is_true for c in said)


def is_troubled(item: Document) -> bool:
    """Whether a part says of itself that something is wrong with it, be it for a moment."""
    live = item.body
    synced, ready = facts.condition(live, facts.SYNCED), facts.condition(live, facts.READY)
    if facts.is_paused(live) or facts.creation_is_uncertain(live) or facts.is_behind(live):
        return True
    return any(c is not None and c.status == "False" for c in (synced, ready))


def _of_resource(item: Document, context: ExternalContext) -> Iterator[Finding]:
    live = item.body
    synced, ready = facts.condition(live, facts.SYNCED), facts.condition(live, facts.READY)
    if facts.creation_is_uncertain(live):
        yield _uncertain(live, synced)
        return
    if facts.is_paused(live):
        yield from _paused(live, ready, context)
        return
    if context.troubled_provider:
        return
    if synced is not None and synced.reason == facts.RECONCILE_PAUSED:
        yield Finding(
            Reason.RECONCILE_STUCK, "no controller has looked since it was resumed", UNSEEN, since=item.written_at
        )
        return
    if synced is not None and synced.status == "False":
        yield _unsynced(synced)
        return
    if facts.is_behind(live):
        text = f"generation {item.metadata.generation} has not been looked at{_last(synced)}"
        yield Finding(Reason.RECONCILE_STUCK, text, UNSEEN, since=item.written_at)
    elif synced is None and ready is None:
        since = item.metadata.creation_timestamp
        yield Finding(Reason.RECONCILE_STUCK, "no controller has ever looked at it", UNSEEN, since=since)
    elif ready is not None and not ready.is_true and not context.troubled_part:
        yield from _unready(ready)


def _uncertain(live: JsonObject, synced: Said | None) -> Finding:
    """Between the beginning and the end of a creation it is so for a moment; the provider says when it has given up."""
    has_given_up = synced is not None and facts.INCOMPLETE in synced.message
    since = facts.pending_since(live)
    when = f"{since:%Y-%m-%d %H:%M:%S} UTC" if since is not None else "a time that cannot be read"
    text = f"its creation was begun at {when}, and it is not known how that ended"
    if has_given_up:
        return Finding(Reason.EXTERNAL_UNCERTAIN, text, DEBOUNCE)
    return Finding(Reason.EXTERNAL_UNCERTAIN, text, VERY_LONG, since=since)


def _paused(live: JsonObject, ready: Said | None, context: ExternalContext) -> Iterator[Finding]:
    if context.declared_paused:
        return
    state = f"; Ready is {ready.status} ({ready.text})" if ready is not None else "; it was never ready"
    if context.declared_paused is False:
        yield Finding(Reason.RECONCILE_PAUSED, f"paused, though it is declared without that{state}", HANDLING)
    elif facts.waits_while_paused(live):
        what = "" if ready is None or not ready.is_true else "; its spec was changed since"
        yield Finding(Reason.RECONCILE_PAUSED, f"paused, and nothing is declared{state}{what}", LONG)


def _unsynced(synced: Said) -> Finding:
    """The time of the transition is of no use: it moves with every new message, and some have a number in them."""
    text = synced.text or "no reason given"
    if not facts.is_reference_broken(synced.message):
        return Finding(Reason.EXTERNAL_SYNC_FAILED, text, AGAIN)
    grace = VERY_LONG if facts.is_reference_coming(synced.message) else AGAIN
    return Finding(Reason.EXTERNAL_REFERENCE_BROKEN, text, grace)


def _unready(ready: Said) -> Iterator[Finding]:
    match ready.reason:
        case facts.DELETING:
            return
        case facts.CREATING | facts.WAITING:
            grace = CREATION
        case _:
            grace = VERY_LONG if ready.status == UNKNOWN else AGAIN
    yield Finding(Reason.EXTERNAL_UNREADY, ready.text or "no reason given", grace, since=ready.since)


def _of_package(live: JsonObject, context: ExternalContext) -> Iterator[Finding]:
    """A revision that is not the active one says nothing of interest, nor one whose package speaks itself."""
    if facts.is_inactive(live) or context.troubled_part:
        return
    bad = facts.unhealthy(live)
    if bad is not None:
        more = f"; {context.troubled_provider}" if context.troubled_provider else ""
        grace = VERY_LONG if bad.status == UNKNOWN else AGAIN
        yield Finding(Reason.PROVIDER_UNHEALTHY, f"{bad.text or 'no reason given'}{more}", grace, since=bad.since)
        return
    installed = facts.condition(live, "Installed")
    if installed is not None and installed.status == "False" and installed.reason != "InactivePackageRevision":
        yield Finding(Reason.PROVIDER_UNHEALTHY, f"not installed: {installed.text}", VERY_LONG, since=installed.since)


def _last(synced: Said | None) -> str:
    if synced is None or synced.generation is None:
        return ""
    return f"; the last one was {synced.generation}"
