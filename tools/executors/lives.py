"""The recorded way back from making an object, and from deleting one.

The rule is that of `inverse`: only what we did is taken back, and only while it still stands as we left it.  What we
made is deleted while nobody but controllers has written to it; what we deleted is made again while nobody has made
another.  A dry run's uid is not that of the real object, so a life of ours is known by the mark it was made with.

Neighbours: `inverse` joins these with the inverse of field changes; `whole` builds the calls; `tools.guard.undo` acts.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from tools.cluster.resources import JOB, Resource, WriteRequest
from tools.executors.base import Mark
from tools.executors.whole import (
    blank,
    create,
    delete,
    is_deleting,
    maker_of,
    without_assigned,
    without_job_identity,
)
from tools.guard.diff import diff
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str
from tools.refs import ActionId, ObjectRef

MANAGER: Final = "selfheal-undo"
_COUNTED: Final = "/metadata/annotations/deployment.kubernetes.io~1revision"
"""Which revision a Deployment is at: its controller writes it within the object's first second."""


class Created(BaseModel):
    """One object that was not there before.  `made` is what the dry run showed, with the server's defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["created"] = "created"
    target: ObjectRef
    maker: ActionId
    field_manager: str
    made: JsonObject

    def is_ours(self, live: JsonObject) -> bool:
        """Whether this is the life that we made, and no copy of it that somebody made out of its manifest."""
        managers = {dig_str(entry, "manager") for entry in dig_list(live, "metadata", "managedFields")}
        return maker_of(live) == self.maker and (not managers or self.field_manager in managers)

    def foreign(self, live: JsonObject) -> tuple[str, ...]:
        """Pointers of what somebody changed on it since; empty when deleting it takes nothing of anybody's."""
        changes = diff(self.made, without_assigned(live))
        return tuple(change.path for change in changes if change.path != _COUNTED)

    def request(self, resource: Resource, live: JsonObject) -> WriteRequest:
        """Delete that life, at the version that was judged.  Before: `is_ours(live)` and nothing is `foreign`."""
        return delete(resource, live, field_manager=MANAGER)


class Removed(BaseModel):
    """One object that was there before: `manifest` makes another life of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["removed"] = "removed"
    target: ObjectRef
    uid: str
    manifest: JsonObject

    def is_going(self, live: JsonObject) -> bool:
        """Whether our deletion is still under way: the object waits for its finalizers."""
        return dig_str(live, "metadata", "uid") == self.uid and is_deleting(live)

    def request(self, resource: Resource, mark: Mark) -> WriteRequest:
        """Make it again.  Before: nothing of that name is there."""
        return create(resource, self.manifest, mark, field_manager=MANAGER)

    def differs(self, result: JsonObject) -> tuple[str, ...]:
        """Pointers of what `result` says otherwise than the object that was removed."""
        return tuple(change.path for change in diff(without_assigned(self.manifest), without_assigned(result)))


def created(target: ObjectRef, maker: ActionId, field_manager: str, result: JsonObject) -> Created:
    """The way back from a call whose dry run gave `result`."""
    return Created(target=target, maker=maker, field_manager=field_manager, made=without_assigned(result))


def removed(target: ObjectRef, live: JsonObject, resource: Resource) -> Removed:
    """The way back from deleting `live`.  A Job comes back suspended: taking something back never begins work."""
    manifest: JsonObject = {**blank(live), "apiVersion": resource.api_version, "kind": resource.kind}
    if resource == JOB:
        manifest = without_job_identity(manifest)
        manifest["spec"] = {**dig_object(manifest, "spec"), "suspend": True}
    return Removed(target=target, uid=dig_str(live, "metadata", "uid"), manifest=manifest)
