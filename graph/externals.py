"""Whether the error that a resource of Crossplane shows is older than the end of its cause.

The rule: a cause is gone only when the message names what was missing and that is there and well, or when the package
that serves the resource has become healthy since; each for longer than a controller takes to look again by itself.
Neighbours: `evidence` puts the line among the facts, `graph.rules.objects.crossplane` asks for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from graph.ports import Ports
from graph.signals.crossplane import is_plainly_well
from tools.cluster.documents import Document
from tools.cluster.structs import Reference
from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import Said

CAUSE_GONE: Final = "the cause is gone: "
"""How the line begins that says so."""
PATIENCE: Final = timedelta(seconds=60)
"""A failed look is repeated after at most this: crossplane/crossplane-runtime, pkg/ratelimiter (1 s to 60 s)."""


def cause_gone(item: Document, ports: Ports) -> tuple[str, ...]:
    """The line, or nothing."""
    synced = facts.condition(item.body, facts.SYNCED)
    if synced is None or synced.status != "False":
        return ()
    now = ports.clock.now()
    found = _came(item, synced, ports, now) or _recovered(item, synced, ports, now)
    return (CAUSE_GONE + found,) if found else ()


def _came(item: Document, synced: Said, ports: Ports, now: datetime) -> str:
    """What the API server did not find then, and does now."""
    missing = facts.missing_of(synced.message)
    if missing is None:
        return ""
    plural, group, name = missing
    resource = ports.catalogue.named(plural, group)
    if resource is None:
        return ""
    namespace = item.namespace if resource.namespaced else ""
    there = ports.mirror.find(Reference(resource.kind, namespace, name, "", resource.api_version))
    if not isinstance(there, Document) or not is_plainly_well(there):
        return ""
    ready = facts.condition(there.body, facts.READY)
    since = ready.since if ready is not None else there.metadata.creation_timestamp
    if since is None or now - since < PATIENCE:
        return ""
    return f"{there.ref} is there, and ready since {since:%H:%M:%S} UTC"


def _recovered(item: Document, synced: Said, ports: Ports, now: datetime) -> str:
    """The package that serves it, when it has become healthy after the error."""
    revision = ports.objects.externals.serving(item)
    healthy = facts.healthy_since(revision.body) if revision is not None else None
    if revision is None or healthy is None or synced.since is None:
        return ""
    if not synced.since < healthy <= now - PATIENCE:
        return ""
    return f"{revision.name}, which serves it, is healthy since {healthy:%H:%M:%S} UTC"
