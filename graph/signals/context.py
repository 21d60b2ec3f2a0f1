"""What a detector must know beyond the object itself, as frozen values built by the caller.

The rule: a detector decides on the object and on these, nothing else, so the watcher and the analyzer see the same.
Neighbours: `contexts` builds them from the mirror, `symptoms` remembers when something was first seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from graph.incident import Reason
from tools.refs import ObjectRef

SymptomKey: TypeAlias = tuple[Reason, str]
"""Reason and container name ("" when the symptom is the whole object's)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A symptom as it was first seen: states like `ErrImagePull` carry no time of their own."""

    at: datetime
    message: str


def _nothing_seen() -> Mapping[SymptomKey, Seen]:
    return {}


@dataclass(frozen=True, slots=True)
class Hints:
    """What Events say.  Best effort: their absence proves nothing, and none of them is a signal by itself."""

    probe_kills: frozenset[str] = frozenset()
    """Containers that the kubelet says it killed for a failed liveness or startup probe."""
    mount_failures: tuple[str, ...] = ()
    """Why volumes or the sandbox could not be set up, newest last."""
    create_failures: tuple[str, ...] = ()
    """Why a controller could not create pods, newest last."""
    is_silent: bool = False
    """The newest probe that failed found nobody listening: a start that takes its time looks like that, too."""
    is_scaling_up: bool = False
    """A cluster autoscaler has promised a node for the pod."""


@dataclass(frozen=True, slots=True)
class PodContext:
    """A pod's place in the world."""

    root: ObjectRef
    """The owner at the end of the chain; the pod itself when it has none."""
    root_uid: str
    controller: str
    """Kind of the pod's own controller, "" when it has none."""
    revision: str | None = None
    is_updating: bool = False
    """It belongs to the revision that a rollout in progress is going to."""
    is_confirmed: bool = False
    """Its revision was once seen healthy for long enough."""
    revision_serves: bool = False
    """At least one pod of its revision is ready now."""
    siblings_leaving: bool = False
    """Other pods of the same root are being deleted at this moment."""
    usual_start: timedelta | None = None
    """How long its siblings took from container start to Ready; None when no sibling is ready."""
    other_images: frozenset[str] = frozenset()
    """Images of other revisions of the root, those that were pulled if any was; empty when none is known."""
    first_start: timedelta | None = None
    """What a pod of the first revision there is, not yet seen healthy, is given to start; None for all others."""
    suppressed: str = ""
    """Why nothing is to be said about it (its owner goes, its node is away); "" when there is no such reason."""
    hints: Hints = field(default_factory=Hints)
    seen: Mapping[SymptomKey, Seen] = field(default_factory=_nothing_seen)

    @property
    def is_fresh(self) -> bool:
        """Whether a fault is likely the revision's own: it is being rolled out, or has never been known to work."""
        return self.is_updating or not (self.is_confirmed or self.revision_serves)


@dataclass(frozen=True, slots=True)
class WorkloadContext:
    """A workload's place in the world."""

    revision: str | None = None
    """What the pods of its present revision bear; None when it cannot be told yet."""
    is_confirmed: bool = False
    """Its present revision was once seen healthy for long enough."""
    rollout_in_progress: bool = False
    suppressed: str = ""
    hints: Hints = field(default_factory=Hints)
    seen: Mapping[SymptomKey, Seen] = field(default_factory=_nothing_seen)
