"""What is wrong with one container, as its status says: at most one finding, the most exact one.

The rule: a container is in a loop when it ended badly twice within the time after which the kubelet forgets its
back-off; one restart of something that ran well is nothing.  Terminated states come seconds before the back-off shows,
so they are what is read.  Neighbours: `pods` asks for each container, `messages` reads what the kubelet says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from graph.incident import Reason
from graph.signals.context import PodContext
from graph.signals.findings import (
    AT_ONCE,
    DEBOUNCE,
    LONG,
    NEW_PLACE,
    NEW_VERSION,
    PASSING,
    PATIENT,
    SECRET,
    SETTINGS,
    SHORT,
    Finding,
)
from graph.signals.images import Novelty, novelty
from graph.signals.messages import (
    Pull,
    classify_pull,
    find_missing,
    is_busy_runtime,
    is_cache_lag,
    is_root_refusal,
    is_start_out_of_memory,
)
from tools.cluster.objects import Container, ContainerStatus
from tools.cluster.pods import Terminated

BACKOFF_MEMORY: Final = timedelta(minutes=10)
"""The kubelet starts its back-off anew after a run of this length; a longer run is no part of a loop."""
CALM_LEAST: Final = timedelta(seconds=30)
"""A container of a loop counts as looping until it ran at least this long."""
INSTANT: Final = timedelta(seconds=2)
"""A process that ends with 126 or 127 within this never did its work: its command cannot be run."""

_PULL_REASONS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"})
_RUNTIME_REASONS: Final = frozenset(
    {
        "CreateContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
        "CreatePodSandboxError",
        "ConfigPodSandboxError",
        "RROUnsupported",
        "ImageVolumeMountFailed",
    }
)
_NO_FAULT: Final = frozenset({"ContainerStatusUnknown", "RestartingAllContainers", "NodeShutdown"})
_START_REASONS: Final = frozenset({"StartError", "ContainerCannotRun"})
_PROBE_CODES: Final = frozenset({137, 143})


class Role(StrEnum):
    """What part a container has in its pod."""

    MAIN = "main"
    """It must run for as long as the pod does; sidecars too."""
    INIT = "init"
    """It must end well before the main containers start."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One container: what the template wants and what the status says."""

    spec: Container
    status: ContainerStatus
    role: Role

    @property
    def newest_end(self) -> Terminated | None:
        """The newest run that has ended."""
        return self.status.state.terminated or self.status.last_state.terminated

    @property
    def is_backing_off(self) -> bool:
        """Whether the kubelet waits before it starts it again."""
        waiting = self.status.state.waiting
        return waiting is not None and waiting.reason == "CrashLoopBackOff"

    @property
    def can_be_probed_dead(self) -> bool:
        """Whether a failed probe makes the kubelet kill it."""
        return self.spec.liveness_probe is not None or self.spec.startup_probe is not None


def find_in_container(subject: Subject, context: PodContext, now: datetime) -> Finding | None:
    """The one thing that is wrong with it; None when nothing is, or nothing that its status shows."""
    return _waiting(subject, context) or _start_failure(subject, context) or _loop(subject, context, now)


def is_plainly_well(subject: Subject, now: datetime) -> bool:
    """Whether `find_in_container` finds nothing in any context; false where only the context can tell."""
    state = subject.status.state
    if state.running is not None:
        ended = subject.newest_end
        return ended is None or not _is_failure(ended, subject.role) or not _is_looping(subject, now)
    done = state.terminated
    if done is None or subject.role is not Role.INIT:
        return False
    return done.exit_code == 0 and done.reason not in _START_REASONS


def _waiting(subject: Subject, context: PodContext) -> Finding | None:
    waiting = subject.status.state.waiting
    if waiting is None:
        return None
    name, fresh = subject.status.name, context.is_fresh
    text = _said(waiting.reason, waiting.message)
    found: Finding | None = None
    match waiting.reason:
        case "InvalidImageName":
            found = Finding(Reason.IMAGE_NAME_INVALID, text, AT_ONCE if fresh else PATIENT, name)
        case "ErrImageNeverPull":
            found = Finding(Reason.IMAGE_PULL_FAILED, text, DEBOUNCE if fresh else PASSING, name)
        case "SignatureValidationFailed":
            found = Finding(Reason.IMAGE_PULL_FAILED, text, DEBOUNCE, name)
        case "CreateContainerConfigError":
            found = _config_error(text, name, fresh=fresh)
        case "RunContainerError":
            found = _not_started(text, name, fresh=fresh)
        case reason if reason in _PULL_REASONS:
            found = _pull_failure(text, subject, context)
        case reason if reason in _RUNTIME_REASONS:
            grace = LONG if is_busy_runtime(text) else SHORT if fresh else PASSING
            found = Finding(Reason.CONTAINER_START_FAILED, text, grace, name)
        case _:
            pass  # ContainerCreating, PodInitializing: on the way; CrashLoopBackOff: see `_loop`
    return found


def _pull_failure(text: str, subject: Subject, context: PodContext) -> Finding:
    """While the kubelet backs off, old versions no longer say why: then the first message still holds."""
    name = subject.status.name
    kind = classify_pull(text)
    earlier = context.seen.get((Reason.IMAGE_PULL_FAILED, name))
    if kind is Pull.UNKNOWN and earlier is not None:
        text, kind = earlier.message, classify_pull(earlier.message)
    return Finding(Reason.IMAGE_PULL_FAILED, text, _pull_grace(kind, subject.spec.image, context), name)


def _pull_grace(kind: Pull, image: str, context: PodContext) -> timedelta:
    """An image that the rollout brought is suspect by itself; one that was there before is not."""
    if kind in (Pull.LASTING, Pull.UNTRUSTED):
        return DEBOUNCE if context.is_fresh else PASSING
    match novelty(image, context.other_images) if context.is_updating else Novelty.UNKNOWN:
        case Novelty.PLACE:
            return NEW_PLACE
        case Novelty.VERSION:
            return NEW_VERSION
        case Novelty.NONE | Novelty.UNKNOWN:
            return LONG if kind is Pull.PASSING else PASSING


def _config_error(text: str, name: str, *, fresh: bool) -> Finding:
    if is_root_refusal(text):
        return Finding(Reason.CONTAINER_START_FAILED, text, AT_ONCE if fresh else PATIENT, name)
    if is_cache_lag(text):
        return Finding(Reason.CONFIG_MISSING, text, PASSING, name)
    missing = find_missing(text)
    grace = SECRET if missing is not None and missing.kind == "Secret" else SETTINGS
    return Finding(Reason.CONFIG_MISSING, text, grace if fresh else PATIENT, name)


def _start_failure(subject: Subject, context: PodContext) -> Finding | None:
    """A process that could not be started: once is enough, it is the same bytes each time."""
    ended = subject.newest_end
    if ended is None or subject.status.state.running is not None:
        return None
    if ended.reason not in _START_REASONS and not _is_missing_command(ended):
        return None
    return _not_started(_said(_ending(ended), ended.message), subject.status.name, fresh=context.is_fresh)


def _not_started(text: str, name: str, *, fresh: bool) -> Finding:
    if is_start_out_of_memory(text):
        return Finding(Reason.OUT_OF_MEMORY, text, AT_ONCE, name)
    if is_busy_runtime(text):
        return Finding(Reason.CONTAINER_START_FAILED, text, LONG, name)
    return Finding(Reason.CONTAINER_START_FAILED, text, AT_ONCE if fresh else PATIENT, name)


def _is_missing_command(ended: Terminated) -> bool:
    run = _run_time(ended)
    return ended.exit_code in (126, 127) and run is not None and run <= INSTANT


def _loop(subject: Subject, context: PodContext, now: datetime) -> Finding | None:
    ended = subject.newest_end
    if ended is None or not _is_failure(ended, subject.role) or not _is_looping(subject, now):
        return None
    name, fresh = subject.status.name, context.is_fresh
    text = f"{_said(_ending(ended), ended.message)}; {subject.status.restart_count} restarts"
    if ended.reason == "OOMKilled":
        return Finding(Reason.OUT_OF_MEMORY, text, AT_ONCE, name)
    if _is_probe_kill(subject, ended, context):
        return Finding(Reason.LIVENESS_RESTARTS, text, AT_ONCE, name)
    reason = Reason.INIT_FAILED if subject.role is Role.INIT else Reason.CRASH_LOOP
    return Finding(reason, text, AT_ONCE if fresh else PATIENT, name)


def _is_looping(subject: Subject, now: datetime) -> bool:
    """Whether it ended twice, the last time after a run too short for the kubelet to forget."""
    status = subject.status
    if subject.is_backing_off:
        return True
    ended, last = status.state.terminated, status.last_state.terminated
    if ended is not None:
        return status.restart_count >= 1 and last is not None and _is_short(ended)
    running = status.state.running
    if running is None or last is None or status.restart_count < 2 or not _is_short(last):
        return False
    return running.started_at is None or now - running.started_at < _calm_after(last)


def _is_failure(ended: Terminated, role: Role) -> bool:
    """An init container that ended with 0 did its work; a main container must not end at all."""
    if ended.reason in _NO_FAULT:
        return False
    return role is Role.MAIN or ended.exit_code != 0


def _is_probe_kill(subject: Subject, ended: Terminated, context: PodContext) -> bool:
    """A killed process that has a deadly probe; an Event saying so also covers processes that end tidily."""
    if not subject.can_be_probed_dead:
        return False
    if subject.status.name in context.hints.probe_kills:
        return True
    restarts = subject.status.restart_count
    return ended.exit_code in _PROBE_CODES and (restarts >= 2 or context.is_fresh)


def _calm_after(last: Terminated) -> timedelta:
    """How long the next run must last before the loop counts as broken: well beyond what the last one did."""
    run = _run_time(last) or timedelta(0)
    return min(max(2 * run, CALM_LEAST), BACKOFF_MEMORY)


def _is_short(ended: Terminated) -> bool:
    run = _run_time(ended)
    return run is None or run < BACKOFF_MEMORY


def _run_time(ended: Terminated) -> timedelta | None:
    """How long the run lasted; None when the status does not say (a process that never started has no start)."""
    if ended.started_at is None or ended.finished_at is None or ended.started_at.year <= 1970:
        return None
    return max(timedelta(0), ended.finished_at - ended.started_at)


def _ending(ended: Terminated) -> str:
    killed = f", signal {ended.signal}" if ended.signal else ""
    return f"{ended.reason or 'ended'} with exit code {ended.exit_code}{killed}"


def _said(what: str, message: str) -> str:
    return f"{what}: {message.strip()}" if message.strip() else what
