"""Asks the API server whether what a pod is said to lack is still not there.

A kubelet goes on reporting a missing ConfigMap for about ten seconds after it has come, and people often apply the
Deployment a moment before the ConfigMap.  The rule: nothing is rolled back for want of something that is there; a
signal about it counts as not confirmed until the kubelet has had the time to try again.  Secrets are never read, so for
them the longer grace of the detector has to do.  Neighbours: `graph.evidence` asks, `graph.signals.messages` parses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.messages import Missing, find_missing
from tools.cluster.resources import CONFIG_MAP
from tools.errors import NotFound, ToolError, Transient
from tools.executors.base import Reader
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object

NEXT_TRY: Final = timedelta(seconds=12)
"""The kubelet tries again about ten seconds after a failed start."""
TAKEN_IN: Final = timedelta(seconds=60)
"""A kubelet that complains of an object that has been as it is for longer than this means something else."""


async def recheck(
    signals: Sequence[Signal], reader: Reader, now: datetime
) -> tuple[tuple[Signal, ...], tuple[str, ...]]:
    """The signals, those about a ConfigMap that has come meanwhile unconfirmed and due again; and what was unreadable.

    One request for each ConfigMap.  A signal whose object we may not read stays as it is, and the object is named.
    Raises `Transient` when the API server does not answer.
    """
    sought = {(s.object.namespace or "", m.name) for s in signals if (m := _sought(s)) is not None}
    answers = dict(zip(sought, await asyncio.gather(*(_read(reader, *one) for one in sought)), strict=True))
    unseen = tuple(
        f"ConfigMap {namespace}/{name} ({found.code})"
        for (namespace, name), found in answers.items()
        if isinstance(found, ToolError)
    )
    checked: list[Signal] = []
    for signal in signals:
        missing = _sought(signal)
        found = answers.get((signal.object.namespace or "", missing.name)) if missing is not None else None
        if missing is not None and isinstance(found, dict) and _has_come(found, missing, now):
            checked.append(signal.model_copy(update={"confirmed": False, "due_at": now + NEXT_TRY}))
        else:
            checked.append(signal)
    return tuple(checked), unseen


def _sought(signal: Signal) -> Missing | None:
    """The ConfigMap that a confirmed signal is about; None when it names none."""
    if signal.reason is not Reason.CONFIG_MISSING or not signal.confirmed:
        return None
    missing = find_missing(signal.message)
    return missing if missing is not None and missing.kind == CONFIG_MAP.kind and " " not in missing.name else None


async def _read(reader: Reader, namespace: str, name: str) -> JsonObject | ToolError | None:
    try:
        return await reader.get(CONFIG_MAP, name, namespace)
    except NotFound:
        return None
    except Transient:
        raise
    except ToolError as error:
        return error


def _has_come(held: JsonObject, missing: Missing, now: datetime) -> bool:
    key = missing.key
    if key is not None and key not in dig_object(held, "data") and key not in dig_object(held, "binaryData"):
        return False
    changed = _changed_at(held)
    return changed is None or now - changed < TAKEN_IN


def _changed_at(held: JsonObject) -> datetime | None:
    """When anybody last wrote it, by its own metadata."""
    writes = [dig(entry, "time") for entry in dig_list(held, "metadata", "managedFields")]
    times = [_time(value) for value in (dig(held, "metadata", "creationTimestamp"), *writes)]
    return max((t for t in times if t is not None), default=None)


def _time(value: JsonValue) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
