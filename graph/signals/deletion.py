"""An object that was deleted and does not go, because a finalizer is never removed.

The rule: a finalizer belongs to a controller, which may need minutes; only its long absence is a signal, and removing
it is never ours to do unasked.  A deletion that waits for others that are still going is no fault.  Neighbour:
`object_contexts` sees what it waits for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.findings import LONG, Finding
from graph.signals.objects import ObjectContext, made
from tools.cluster.objects import KubeObject

STUCK: Final = timedelta(minutes=5)
COLLECTED: Final = frozenset({"foregroundDeletion", "orphan"})
"""The garbage collector removes these once the dependents are dealt with."""
BUILT_IN: Final = ("kubernetes.io", "k8s.io")


@dataclass(frozen=True, slots=True)
class DeletionContext(ObjectContext):
    """What a deletion waits for."""

    waits_for: str = ""
    """What is still going, or still uses it: then it waits rightly; "" when nothing is seen."""
    api_groups: frozenset[str] | None = None
    """All API groups that the cluster serves; None when that is not known."""


def detect_deletion(item: KubeObject, context: DeletionContext, now: datetime) -> list[Signal]:
    """DELETION_STUCK."""
    return [] if context.suppressed else made(item, context, _findings(item, context), now)


def _findings(item: KubeObject, context: DeletionContext) -> Iterator[Finding]:
    finalizers, since = item.metadata.finalizers, item.metadata.deletion_timestamp
    if since is None or not finalizers or context.waits_for:
        return
    orphaned = [f for f in finalizers if is_orphaned(f, context.api_groups)]
    text = f"deleted and still there, held by finalizer {', '.join(finalizers)}"
    if orphaned:
        text += f"; the cluster serves no API that {orphaned[0]} could belong to"
    yield Finding(Reason.DELETION_STUCK, text, LONG if orphaned else STUCK, since=since)


def is_orphaned(finalizer: str, api_groups: Collection[str] | None) -> bool:
    """Whether the controller that a finalizer names is known to be absent: no API group is of its domain.

    Controllers name finalizers by their domain, `example.com/name` or `name.example.com`; those of Kubernetes itself
    are never orphaned, and without the groups nothing is known.
    """
    domain = finalizer.partition("/")[0]
    if api_groups is None or "." not in domain or domain.endswith(BUILT_IN):
        return False
    top = ".".join(domain.split(".")[-2:])
    return not any(group == top or group.endswith(f".{top}") for group in api_groups)
