"""What was seen of the world when evidence was gathered: enough to gather it again without the cluster.

A `World` is one document in the ledger, named by its digest in the audit line `evidence`.  It holds the objects as the
watch and the reads showed them, what the journal and the detectors remembered, and what had to be left out.

The rule: a world is plain data without secrets, of a bounded size, and its `format` says how to read it; whoever meets
another format refuses it with the remedy.  Neighbours: `recording` takes worlds, `server.export` hands them out,
the evaluations replay them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from graph.incident import Reason, Value
from graph.observed import FieldChange
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

WORLD_FORMAT: Final = 1
"""Raised whenever a reader of the earlier one would misunderstand; fields that are only added do not raise it."""


class Read(Value):
    """One read and what came of it: how many objects (in `World.objects`), the text of a log, or an error."""

    verb: Literal["get", "list", "logs", "may"]
    path: str
    query: str = ""
    found: int = 0
    text: str = ""
    error: str = ""
    """The error's code, such as `NOT_FOUND`; "" when there was an answer."""
    said: str = Field(default="", max_length=400)
    allowed: bool | None = None
    """The answer to `may`."""


class FirstSeen(Value):
    """When a detector first saw a symptom that carries no time of its own."""

    of: Literal["pods", "objects"]
    """Which detectors: those of pods and workloads, or those of all other objects."""
    uid: str
    reason: Reason
    container: str = ""
    at: datetime
    message: str = Field(default="", max_length=1024)


class GoodVersion(Value):
    """A version of an object that was last known good."""

    ref: ObjectRef
    manifest: JsonObject
    vouched_by: ObjectRef
    first_confirmed_at: datetime
    confirmed_at: datetime


class GoodTemplate(Value):
    """A revision of a workload that was last known good."""

    owner: ObjectRef
    owner_uid: str
    revision_hash: str
    confirmed_at: datetime


class Surrounding(Value):
    """Uids of what limited a workload when it was last well."""

    owner: ObjectRef
    present: tuple[str, ...]
    confirmed_at: datetime


class Changed(Value):
    """The newest change of one object that the journal saw."""

    ref: ObjectRef
    uid: str
    what: Literal["changed", "created", "deleted"]
    at: datetime
    by: str = ""
    fields: tuple[FieldChange, ...] = Field(default=(), max_length=12)
    """What it changed, redacted."""


class FormerTaint(Value):
    """A taint that a node had when it was first seen."""

    node_uid: str
    key: str
    value: str
    effect: str


class Remembered(Value):
    """What the journal knew, as far as it is about the namespaces of the incident."""

    declares: bool = False
    """Whether a desired state was configured, and read."""
    declared: tuple[JsonObject, ...] = ()
    """Declared manifests."""
    good: tuple[GoodVersion, ...] = ()
    good_templates: tuple[GoodTemplate, ...] = ()
    surroundings: tuple[Surrounding, ...] = ()
    changes: tuple[Changed, ...] = ()
    taints: tuple[FormerTaint, ...] = ()


class World(Value):
    """The world at one gathering of evidence."""

    format: int = WORLD_FORMAT
    at: datetime
    """The moment of the evidence, by our clock."""
    kubernetes: str = ""
    """The server's version; "" when it did not say."""
    objects: tuple[JsonObject, ...] = ()
    """Manifests: whole where they were read, with the fields that we watch otherwise."""
    reads: tuple[Read, ...] = ()
    unseen: tuple[str, ...] = ()
    """Resources that we may not see, as `deployments.apps`."""
    api_groups: tuple[str, ...] | None = None
    """What the API server served; None when that was not known."""
    first_seen: tuple[FirstSeen, ...] = ()
    remembered: Remembered = Remembered()
    cut: tuple[str, ...] = ()
    """What was left out for want of room: an object each, and in the end how many more."""


class LaterReads(Value):
    """What the validator read besides: the same form, without what the watch shows."""

    format: int = WORLD_FORMAT
    objects: tuple[JsonObject, ...] = ()
    reads: tuple[Read, ...] = ()
    cut: tuple[str, ...] = ()
