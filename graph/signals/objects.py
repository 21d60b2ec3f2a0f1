"""What all detectors of objects that are no pods share: the base of their contexts, and findings made signals.

The rule is that of `pods` and `workloads`: object and context in, signals out; what is being deleted is judged by
`deletion` alone.  Neighbours: one module for each kind, `object_contexts` builds what they need, `look` calls them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from graph.incident import Signal
from graph.signals.context import Seen, SymptomKey
from graph.signals.findings import Finding, to_signal
from tools.cluster.objects import KubeObject


def _nothing_seen() -> Mapping[SymptomKey, Seen]:
    return {}


@dataclass(frozen=True, slots=True)
class ObjectContext:
    """An object's place in the world; each kind adds what it needs."""

    suppressed: str = ""
    """Why nothing is to be said about it (its namespace goes, people work on it); "" when there is no such reason."""
    seen: Mapping[SymptomKey, Seen] = field(default_factory=_nothing_seen)


def judge(item: KubeObject, context: ObjectContext, findings: Iterable[Finding], now: datetime) -> list[Signal]:
    """The signals of what was found; none for an object that is being deleted or whose context says to be silent.

    `findings` is only drawn from when something may be said.  Raises ValueError for a name that no reference can hold.
    """
    if item.is_being_deleted or context.suppressed:
        return []
    return made(item, context, findings, now)


def made(item: KubeObject, context: ObjectContext, findings: Iterable[Finding], now: datetime) -> list[Signal]:
    """The signals of `findings`, whatever the object's state."""
    return [to_signal(f, item.ref, item.uid, revision=None, seen=context.seen, now=now) for f in findings]
