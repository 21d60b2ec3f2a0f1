"""The recorded way back from one write, computed before the write is made.

The rule: undoing restores exactly what we changed and never overwrites anybody else.  For each declared field that the
server-side dry run shows to change, the record holds what we are about to write (as the server defaulted it) and what
was there; undoing is a compare-and-swap of all of them at once.  It is plain data: it survives in the ledger, tagged by
`kind`; a record without a tag is of an earlier program and about fields.

Neighbours: `tools.guard.door` records it with the intent and applies it; `compare` says what "the same" means; `lives`
is the same for objects that were made or deleted, `remote` for calls to other systems.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

from tools.cluster.resources import Resource, WriteRequest
from tools.executors.base import Mark
from tools.executors.compare import same
from tools.executors.lives import Created, Removed
from tools.executors.patch import find, is_comparable, json_patch, operation, sign, tested
from tools.executors.remote import RemoteInverse
from tools.jsontypes import JsonObject, JsonValue, dig_str
from tools.refs import ObjectRef


class FieldInverse(BaseModel):
    """One field: what we wrote there and what was there before.  The `has_` flags tell null from not there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    has_wrote: bool
    wrote: JsonValue
    has_was: bool
    was: JsonValue

    def is_ours(self, live: JsonObject) -> bool:
        """Whether the field still holds what we wrote."""
        there, value = find(live, self.path)
        return same(value if there else None, self.wrote)

    def is_restored(self, live: JsonObject) -> bool:
        """Whether the field holds what was there before us."""
        there, value = find(live, self.path)
        return same(value if there else None, self.was)

    def swap(self, live: JsonObject) -> list[JsonObject]:
        """Operations that restore the field if it still holds what `live` shows."""
        there, value = find(live, self.path)
        fence = tested(self.path, value) if there else []
        if self.has_was:
            return [*fence, operation("replace" if there else "add", self.path, self.was)]
        return [*fence, operation("remove", self.path)] if there else []


class Inverse(BaseModel):
    """All fields that one action changes on one object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fields"] = "fields"
    target: ObjectRef
    uid: str
    fields: tuple[FieldInverse, ...] = Field(min_length=1)

    def foreign(self, live: JsonObject) -> tuple[str, ...]:
        """Pointers of the fields that somebody changed after us; empty when undoing overwrites nobody."""
        return tuple(f.path for f in self.fields if not f.is_ours(live))

    def is_restored(self, live: JsonObject) -> bool:
        """Whether everything is already as it was before us."""
        return all(f.is_restored(live) for f in self.fields)

    def request(self, resource: Resource, live: JsonObject, mark: Mark) -> WriteRequest:
        """The compare-and-swap that restores every field.

        Before: `foreign(live)` is empty.  A field that changes after that read fails its `test`, so nothing is written.
        The version is not part of the fence: a status update in between does not matter.  Only where we had removed a
        field, or wrote what cannot be tested (`patch.is_comparable`), is there no value to test, and then the version
        is the fence.
        """
        operations = [operation("test", "/metadata/uid", self.uid)]
        if not all(f.has_wrote and is_comparable(find(live, f.path)[1]) for f in self.fields):
            version = dig_str(live, "metadata", "resourceVersion")
            operations.append(operation("replace", "/metadata/resourceVersion", version))
        for field in self.fields:
            operations += field.swap(live)
        return json_patch(resource, live, [*operations, *sign(live, mark)], field_manager="selfheal-undo")


def _tag(value: object) -> str:
    """The tag of a record, or of an inverse; untagged is about fields."""
    if isinstance(value, dict):
        return str(cast("JsonObject", value).get("kind", "fields"))
    return str(getattr(value, "kind", "fields"))


AnyInverse: TypeAlias = Annotated[
    Annotated[Inverse, Tag("fields")]
    | Annotated[Created, Tag("created")]
    | Annotated[Removed, Tag("removed")]
    | Annotated[RemoteInverse, Tag("remote")],
    Discriminator(_tag),
]
INVERSES: Final[TypeAdapter[AnyInverse]] = TypeAdapter(AnyInverse)
"""Reads a recorded inverse of whatever kind; `pydantic.ValidationError` for what no version of this program wrote."""


def record(target: ObjectRef, paths: Iterable[str], live: JsonObject, result: JsonObject) -> Inverse | None:
    """The inverse of the write that turns `live` into `result`, within `paths`; None when none of them changes."""
    fields: list[FieldInverse] = []
    for path in paths:
        has_was, was = find(live, path)
        has_wrote, wrote = find(result, path)
        if not same(was, wrote):
            fields.append(FieldInverse(path=path, has_wrote=has_wrote, wrote=wrote, has_was=has_was, was=was))
    if not fields:
        return None
    return Inverse(target=target, uid=dig_str(live, "metadata", "uid"), fields=tuple(fields))
