"""Whether Argo CD may be asked for something now, from what the application and its sync windows say.  Pure.

The rule: a reason not to ask is found by reading, before asking, since what Argo CD accepts and cannot carry out hangs
(an operation in a closed window stays Running).  What cannot be read stands against asking.

Facts, from Argo CD's API server and controller: a rollback is refused while auto-sync is on; a sync window counts for
rollbacks too, but only the controller says so; a rollback applies without hooks, a sync runs them again.

Neighbours: `application` reads; `tools.ownership` uses `reversal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tools.executors.argocd import application as argo
from tools.executors.argocd.application import Health, Phase, ResourceKey, Sync
from tools.executors.argocd.history import Candidate, NoCandidate
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_str

HANGS_AFTER: Final = timedelta(minutes=10)
"""An operation that runs for longer is hanging; long hooks need a larger value."""


class Code(StrEnum):
    """Why something is not asked of Argo CD."""

    BEING_DELETED = "ARGOCD_BEING_DELETED"
    """The application is on its way out."""
    SKIPPED = "ARGOCD_RECONCILE_SKIPPED"
    """Somebody told the controller to leave the application alone; only they know why."""
    OPERATION_UNDER_WAY = "ARGOCD_OPERATION_UNDER_WAY"
    """Another operation is ordered or running."""
    NO_OPERATION = "ARGOCD_NO_OPERATION"
    """There is no operation that could be stopped."""
    NOT_HANGING = "ARGOCD_NOT_HANGING"
    """The operation runs, and not for too long."""
    WINDOW_CLOSED = "ARGOCD_WINDOW_CLOSED"
    """A sync window forbids it now."""
    WINDOW_UNREADABLE = "ARGOCD_WINDOW_UNREADABLE"
    """What the sync windows say could not be read, or contradicts itself."""
    CANNOT_COMPARE = "ARGOCD_CANNOT_COMPARE"
    """Argo CD cannot work out what is declared; a sync would fail for the same reason."""
    NOTHING_TO_SYNC = "ARGOCD_NOTHING_TO_SYNC"
    """Everything is as declared; the declaration itself is what is wrong."""
    FAILED_BEFORE = "ARGOCD_FAILED_BEFORE"
    """The latest operation was a sync to the same revision, and it failed."""
    AUTO_SYNC_ON = "ARGOCD_AUTO_SYNC_ON"
    """Argo CD keeps the newest revision by itself and refuses to go back; the repository must change."""
    NO_CANDIDATE = "ARGOCD_NO_CANDIDATE"
    """There is no earlier deployment to go back to."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """No, and why, in a sentence a person can act on."""

    code: Code
    sentence: str


class Gate(StrEnum):
    """What the sync windows of an application permit at the moment."""

    OPEN = "open"
    """Syncs of every kind."""
    BY_HAND = "by hand"
    """Automation is kept out, a person may sync.  A healer is automation: a person must agree."""
    CLOSED = "closed"
    """Nobody may."""
    UNREADABLE = "unreadable"
    """It cannot be told."""


def gate(windows: JsonValue) -> Gate:
    """Judge the answer of `applications/NAME/syncwindows`: active and assigned windows, and the server's own verdict.

    The verdict is about syncs by hand.  Where it and the windows contradict each other nothing is certain.
    """
    verdict = dig(windows, "canSync")
    active, assigned = dig(windows, "activeWindows"), dig(windows, "assignedWindows")
    if not isinstance(verdict, bool) or not all(
        found is None or isinstance(found, list) for found in (active, assigned)
    ):
        return Gate.UNREADABLE
    if not verdict:
        return Gate.CLOSED
    denies = [w for w in dig_list(windows, "activeWindows") if dig_str(w, "kind") == "deny"]
    allows = [w for w in dig_list(windows, "assignedWindows") if dig_str(w, "kind") == "allow"]
    is_allowed = any(dig_str(w, "kind") == "allow" for w in dig_list(windows, "activeWindows"))
    if any(dig(w, "manualSync") is not True for w in denies):
        return Gate.UNREADABLE
    return Gate.BY_HAND if denies or (allows and not is_allowed) else Gate.OPEN


def refresh_hindrance(app: JsonObject) -> Hindrance | None:
    """Why the application should not be compared anew.  Comparing changes nothing but what Argo CD knows."""
    return _left_alone(app)


def sync_hindrance(app: JsonObject, windows: JsonValue) -> Hindrance | None:
    """Why a sync to what is declared should not be ordered now."""
    name = argo.name_of(app)
    found = _left_alone(app) or _busy(app) or _window(app, windows)
    if found is not None:
        return found
    broken = [error for error in argo.errors(app) if error.startswith(("ComparisonError", "InvalidSpecError"))]
    if broken or argo.sync(app) is Sync.UNKNOWN:
        why = broken[0] if broken else "its sync status is unknown"
        return Hindrance(Code.CANNOT_COMPARE, f"{name} cannot be compared with its source ({why}): repair the source.")
    if argo.sync(app) is Sync.SYNCED:
        sentence = f"{name} is as declared: what is wrong with it must be changed in its repository."
        return Hindrance(Code.NOTHING_TO_SYNC, sentence)
    latest, target = argo.operation(app), argo.declared_revisions(app)
    if latest.phase in {Phase.FAILED, Phase.ERROR} and target and latest.revisions == target:
        sentence = f"The sync of {name} to the same revision failed before ({latest.message}): repair the source."
        return Hindrance(Code.FAILED_BEFORE, sentence)
    return None


def sync_approvals(app: JsonObject, windows: JsonValue) -> tuple[str, ...]:
    """Why a person must agree to a sync, in sentences."""
    found = list(_by_hand(windows))
    if any(resource.is_hook for resource in argo.resources(app)) or argo.has_hook_results(app):
        found.append("A sync runs the hooks of the application again.")
    rough = sorted(argo.sync_options(app) & {"Replace=true", "Force=true"})
    if rough:
        found.append(f"Its syncs replace objects instead of changing them ({', '.join(rough)}).")
    if argo.children(app):
        found.append("It declares other applications, which may change too.")
    return tuple(found)


def rollback_hindrance(
    app: JsonObject, windows: JsonValue, to: Candidate | NoCandidate, *, auto_sync_goes_off: bool = False
) -> Hindrance | None:
    """Why going back in the history should not be ordered; `auto_sync_goes_off` when it is to be turned off first."""
    name = argo.name_of(app)
    if argo.auto_sync(app).is_on and not auto_sync_goes_off:
        sentence = f"{name} follows its repository by itself: revert the commit there. Argo CD refuses a rollback."
        return Hindrance(Code.AUTO_SYNC_ON, sentence)
    found = _left_alone(app) or _busy(app) or _window(app, windows)
    if found is None and isinstance(to, NoCandidate):
        return Hindrance(Code.NO_CANDIDATE, f"{to.sentence}.")
    return found


def rollback_approvals(app: JsonObject, windows: JsonValue, to: Candidate) -> tuple[str, ...]:
    """Why a person must agree to a rollback, in sentences."""
    found = list(_by_hand(windows))
    if not to.is_proven:
        found.append(f"Entry {to.entry.id} of the history was synced once, but nobody saw it healthy.")
    if argo.children(app):
        found.append("It declares other applications, which may change too.")
    return tuple(found)


def terminate_hindrance(app: JsonObject, now: datetime, limit: timedelta = HANGS_AFTER) -> Hindrance | None:
    """Why the operation should not be stopped: there is none, or it is not hanging."""
    name, found = argo.name_of(app), argo.operation(app)
    if found.phase not in {Phase.RUNNING, Phase.TERMINATING}:
        return Hindrance(Code.NO_OPERATION, f"{name} has no operation that runs ({found.phase}).")
    if waits_for_window(app):
        sentence = f"The operation of {name} waits for a sync window: stopping it would only end when that opens."
        return Hindrance(Code.WINDOW_CLOSED, sentence)
    if hanging(app, now, limit) is None:
        return Hindrance(Code.NOT_HANGING, f"The operation of {name} does not hang: give it time.")
    return None


def waits_for_window(app: JsonObject) -> bool:
    """Whether the operation under way waits for a sync window to open: by design, not by fault."""
    return "blocked by sync window" in argo.operation(app).message.lower()


def hanging(app: JsonObject, now: datetime, limit: timedelta = HANGS_AFTER) -> str | None:
    """Why the operation under way must be called hanging, in a sentence; None when it is not, or it cannot be told."""
    found = argo.operation(app)
    age = found.age(now)
    if age is None or age < limit:
        return None
    minutes = int(age.total_seconds() // 60)
    if waits_for_window(app):
        return f"It has waited for a sync window for {minutes} minutes."
    return (
        f"It has been {found.phase.value.lower()} for {minutes} minutes: {found.message or 'Argo CD does not say why'}."
    )


def is_failing(app: JsonObject) -> bool:
    """Whether the application itself says that something is wrong with it."""
    return (
        argo.health(app) in {Health.DEGRADED, Health.MISSING}
        or argo.operation(app).phase in {Phase.FAILED, Phase.ERROR}
        or bool(argo.errors(app))
    )


class Reversal(StrEnum):
    """What becomes of a change that somebody makes to a resource in the cluster."""

    NEVER = "never"
    """Argo CD leaves it as it is."""
    NEXT_SYNC = "next sync"
    """It shows as a difference and is taken back when the application is synced next."""
    AT_ONCE = "at once"
    """It is taken back within seconds."""


def reversal(app: JsonObject, key: ResourceKey, fields: Sequence[str] = ()) -> Reversal:
    """What Argo CD would do to a change of these fields (JSON pointers; none means any) of a resource it keeps.

    A resource it does not keep is left alone.  Fields that it ignores when comparing may still be written by a sync.
    """
    resource = argo.tracked(app, key)
    if resource is None or (resource.is_hook and not resource.is_left_over):
        return Reversal.NEVER
    policy = argo.auto_sync(app)
    if resource.is_left_over:
        return Reversal.AT_ONCE if policy.prunes else Reversal.NEVER
    if fields and all(_is_ignored(app, key, field) for field in fields):
        return Reversal.NEVER if "RespectIgnoreDifferences=true" in argo.sync_options(app) else Reversal.NEXT_SYNC
    return Reversal.AT_ONCE if policy.heals and not argo.is_skipped(app) else Reversal.NEXT_SYNC


def _is_ignored(app: JsonObject, key: ResourceKey, field: str) -> bool:
    """Whether a rule names the field or something above it by JSON pointer; rules of other forms are not understood."""
    for rule in dig_list(app, "spec", "ignoreDifferences"):
        wanted = (dig_str(rule, "group"), dig_str(rule, "kind"))
        named = all(dig(rule, part) in {None, "", getattr(key, part)} for part in ("namespace", "name"))
        if named and wanted[0] in {"*", key.group} and wanted[1] in {"*", key.kind}:
            for pointer in dig_list(rule, "jsonPointers"):
                if isinstance(pointer, str) and pointer and (field == pointer or field.startswith(f"{pointer}/")):
                    return True
    return False


def _left_alone(app: JsonObject) -> Hindrance | None:
    name = argo.name_of(app)
    if argo.is_being_deleted(app):
        return Hindrance(Code.BEING_DELETED, f"{name} is being deleted.")
    if argo.is_skipped(app):
        sentence = f"Somebody told Argo CD to leave {name} alone ({argo.SKIP_RECONCILE}): ask them."
        return Hindrance(Code.SKIPPED, sentence)
    return None


def _busy(app: JsonObject) -> Hindrance | None:
    found = argo.operation(app)
    if not found.is_under_way:
        return None
    by = f" by {found.initiated_by}" if found.initiated_by else ""
    sentence = f"An operation{by} is under way on {argo.name_of(app)} ({found.phase}): wait for its end."
    return Hindrance(Code.OPERATION_UNDER_WAY, sentence)


def _window(app: JsonObject, windows: JsonValue) -> Hindrance | None:
    name = argo.name_of(app)
    match gate(windows):
        case Gate.OPEN | Gate.BY_HAND:
            return None
        case Gate.CLOSED:
            denies = [w for w in dig_list(windows, "activeWindows") if dig_str(w, "kind") == "deny"]
            which = f"{dig_str(denies[0], 'schedule')} for {dig_str(denies[0], 'duration')} is closed" if denies else ""
            sentence = f"The sync windows of {name} forbid it now ({which or 'no allowed window is open'}): wait."
            return Hindrance(Code.WINDOW_CLOSED, sentence)
        case Gate.UNREADABLE:
            sentence = f"It cannot be told whether the sync windows of {name} permit it: look at its project."
            return Hindrance(Code.WINDOW_UNREADABLE, sentence)


def _by_hand(windows: JsonValue) -> tuple[str, ...]:
    is_by_hand = gate(windows) is Gate.BY_HAND
    return ("A sync window keeps automation out and lets a person through.",) if is_by_hand else ()
