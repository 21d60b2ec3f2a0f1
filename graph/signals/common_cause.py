"""Many symptoms, one cause: which failing workloads share an object that all their evidence points at.

Pure: confirmed signals in, groups out.  Twenty workloads that fail for one missing ConfigMap, one node or one quota are
one incident at that object, with the symptoms listed.  The rule: a cause must be named by the evidence itself (a
message of the kubelet, scheduler or API server, or what was seen to have changed); failing at the same time is none.
What has no such cause, or shares it with nobody, stays alone.  Neighbours: `messages` reads names, whoever opens
incidents asks `group`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pydantic import ValidationError

from graph.incident import Reason, Signal
from graph.signals.messages import find_missing
from tools.refs import ObjectRef

LEAST: Final = 2
"""So many different targets, the cause's own trouble included, make a cause common."""

_QUOTA: Final = re.compile(r"(?:exceeded|failed) quota: ([a-z0-9][-a-z0-9.]{0,252}?)[,:\s]")
_CLUSTER_WIDE: Final = frozenset({"PriorityClass", "RuntimeClass"})


class Basis(IntEnum):
    """How a symptom's evidence points at its cause; the lower one is the more exact."""

    ITSELF = 0
    """The signal is on the cause."""
    NAMED = 1
    """A message names it as missing, or as what refuses."""
    CHANGED = 2
    """The target depends on it, and it changed or went away since the target was good."""
    PLACE = 3
    """The failing pod is on that node, which is in trouble itself."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """One confirmed signal with the root owner it would open an incident for, and what else is known about it."""

    target: ObjectRef
    target_uid: str
    signal: Signal
    changed: tuple[ObjectRef, ...] = ()
    """Objects that the target depends on and that are not as when it was good, gone ones included."""
    node: str = ""
    """Where the failing pod runs, or the node that is closed to it; "" when it has none."""


@dataclass(frozen=True, slots=True)
class CommonCause:
    """One object that several targets fail for."""

    object: ObjectRef
    basis: Basis
    """The most exact of its symptoms' bases, its own signals aside unless there are no others."""
    symptoms: tuple[Symptom, ...]
    """In the order in which they were given; those on the object itself among them."""

    @property
    def targets(self) -> tuple[ObjectRef, ...]:
        """The different targets that fail, without the cause itself."""
        return tuple(dict.fromkeys(s.target for s in self.symptoms if s.target != self.object))


@dataclass(frozen=True, slots=True)
class Grouping:
    """Every symptom exactly once: below a common cause, or alone."""

    causes: tuple[CommonCause, ...]
    alone: tuple[Symptom, ...]


def group(symptoms: Sequence[Symptom]) -> Grouping:
    """Group symptoms by the objects they point at; the cause that explains most targets first.

    Between causes that explain as many, the more exactly named one is taken, then the first by name.  A symptom goes to
    one cause only, and a cause that is left with fewer than `LEAST` targets is none.
    """
    troubled = frozenset(s.target for s in symptoms)
    pointers = [dict(_points_at(s, troubled)) for s in symptoms]
    free = set(range(len(symptoms)))
    causes: list[CommonCause] = []
    while (best := _best(symptoms, pointers, free)) is not None:
        members = sorted(i for i in free if best in pointers[i])
        bases = [pointers[i][best] for i in members]
        basis = min((b for b in bases if b is not Basis.ITSELF), default=Basis.ITSELF)
        causes.append(CommonCause(best, basis, tuple(symptoms[i] for i in members)))
        free -= set(members)
    return Grouping(tuple(causes), tuple(symptoms[i] for i in sorted(free)))


def _best(symptoms: Sequence[Symptom], pointers: Sequence[dict[ObjectRef, Basis]], free: set[int]) -> ObjectRef | None:
    targets: dict[ObjectRef, set[ObjectRef]] = {}
    exact: dict[ObjectRef, Basis] = {}
    for i in free:
        for cause, basis in pointers[i].items():
            targets.setdefault(cause, set()).add(symptoms[i].target)
            if basis is not Basis.ITSELF:
                exact[cause] = min(basis, exact.get(cause, basis))
    common = [cause for cause in exact if len(targets[cause]) >= LEAST]
    return min(common, key=lambda cause: (-len(targets[cause]), exact[cause], str(cause)), default=None)


def _points_at(symptom: Symptom, troubled: frozenset[ObjectRef]) -> Iterator[tuple[ObjectRef, Basis]]:
    """Each object the symptom may be of; a later, more exact one takes the place of an earlier one."""
    node = _ref("Node", None, symptom.node) if symptom.node else None
    if node is not None and node in troubled:
        yield node, Basis.PLACE
    for changed in symptom.changed:
        yield changed, Basis.CHANGED
    for named in _named(symptom):
        yield named, Basis.NAMED
    yield symptom.target, Basis.ITSELF


def _named(symptom: Symptom) -> Iterator[ObjectRef]:
    """What the message says is missing or refuses, in the target's namespace; a name that is none is left out."""
    text, namespace = symptom.signal.message, symptom.target.namespace
    missing = find_missing(text)
    if missing is not None and symptom.signal.reason is not Reason.OBJECT_MISSING:
        found = _ref(missing.kind, None if missing.kind in _CLUSTER_WIDE else namespace, missing.name)
        if found is not None:
            yield found
    if (match := _QUOTA.search(text)) is not None:
        found = _ref("ResourceQuota", namespace, match[1])
        if found is not None:
            yield found


def _ref(kind: str, namespace: str | None, name: str) -> ObjectRef | None:
    try:
        return ObjectRef(kind=kind, namespace=namespace, name=name)
    except ValidationError:
        return None
