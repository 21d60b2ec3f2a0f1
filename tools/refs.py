"""How an object is named, and how a name is pinned to one life of that object.

A model or a caller may give an `ObjectRef`.  Only our own code, having read the object, makes a `Pin` of it: names are
reused in Kubernetes (a StatefulSet pod keeps its name for ever), uids are not.
"""

from __future__ import annotations

import re
from typing import NewType

from pydantic import BaseModel, ConfigDict, Field

IncidentId = NewType("IncidentId", str)
ActionId = NewType("ActionId", str)
PlanId = NewType("PlanId", str)

DNS_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
KIND = r"^[A-Z][A-Za-z0-9]{0,62}(\.[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"
"""A kind; one that is known only at run time is qualified by its group: `Bucket.storage.example.org`."""
_REFERENCE = re.compile(r"^(?:(?P<namespace>[^/]+)/)?(?P<kind>[A-Za-z][A-Za-z0-9.-]*)/(?P<name>[^/]+)$")


class ObjectRef(BaseModel):
    """Kind, namespace and name: what a person writes.  `namespace` is None for cluster-scoped kinds only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(pattern=KIND)
    namespace: str | None = Field(pattern=DNS_NAME)
    name: str = Field(pattern=DNS_NAME)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectRef:
        """Read `NAMESPACE/KIND/NAME` or `KIND/NAME`; ValueError names the form that is expected."""
        match = _REFERENCE.match(text)
        if match is None:
            raise ValueError(f"{text!r} is not an object: write NAMESPACE/KIND/NAME, for example shop/Deployment/web")
        return cls(kind=match["kind"], namespace=match["namespace"], name=match["name"])


def absent_uid(ref: ObjectRef) -> str:
    """What stands for the uid of an object that is not there: no server gives such a one, and it is one per name."""
    return f"absent:{ref}"


class Pin(BaseModel):
    """One life of one object as it stood when it was read.

    `generation` counts changes of the spec and is None for kinds that have none; `resource_version` changes with every
    write, status included, and is opaque.  `content` is `tools.cluster.documents.content_of` of what was read: it tells
    for kinds without a generation whether anybody changed them; None when nobody took it.

    An object that was looked for and is not there has a pin as well (`absent`): it says which name stood for nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ref: ObjectRef
    uid: str = Field(min_length=1)
    resource_version: str
    generation: int | None
    content: str | None = None

    @classmethod
    def absent(cls, ref: ObjectRef) -> Pin:
        """The pin of an object that is not there."""
        return cls(ref=ref, uid=absent_uid(ref), resource_version="", generation=None)
