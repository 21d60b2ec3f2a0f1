"""`restore_object` and `remove_object`: an object that is gone is made again, one that does harm is deleted.

The rules: what is made is the remembered manifest and our marks, nothing else; a name that is taken is never touched;
what is deleted is the very life and version that was judged, and is kept so that undoing can make it again.

Neighbours: `putback` lists the kinds, `objects` puts fields of live objects back, `tools.executors.lives` takes both of
these back.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tools.cluster.resources import WriteRequest
from tools.errors import NotFound
from tools.executors.base import Action, Applied, Executor, InverseKind, Mark, Permission, Reader, Situation
from tools.executors.kubernetes.common import refuse
from tools.executors.kubernetes.putback import REMOVED, RESOURCES, RESTORED, Tier
from tools.executors.kubernetes.versions import LAST_KNOWN_GOOD, unknown, version_of
from tools.executors.models.objects import RemoveObject, RestoreObject
from tools.executors.whole import blank, create, delete, is_deleting, maker_of
from tools.guard.verdict import ReasonCode, Refused
from tools.journal.compare import differences
from tools.journal.versions import Versions
from tools.jsontypes import JsonObject, dig_object, dig_str

_LOOK_AGAIN: Final = 5.0
"""Seconds until another look at an object that waits for its finalizers."""
_OF_OTHERS: Final = frozenset({"ownerReferences", "finalizers", "generateName"})
"""An owner may be gone, and a finalizer is its controller's to set."""


class RestoreObjectExecutor(Executor[RestoreObject]):
    """`restore_object`.  `versions` remembers versions of objects; None refuses every order."""

    action_type: ClassVar[type[Action]] = RestoreObject
    description: ClassVar[str] = (
        "Make an object that was deleted again, as its declared or its last known good version says. Helps when pods "
        "wait for a ConfigMap or a service account, when a Service is gone and nothing answers under its name, when a "
        "workload itself is gone. Refused when something of that name is there. Workloads, roles, network policies and "
        "disruption budgets wait for a person."
    )
    declared_fields: ClassVar[tuple[str, ...]] = ("",)
    permissions: ClassVar[tuple[Permission, ...]] = (
        *(Permission("create", RESOURCES[kind]) for kind in RESTORED),
        *(Permission("delete", RESOURCES[kind]) for kind in RESTORED),
    )
    reads: ClassVar[tuple[Permission, ...]] = tuple(Permission("get", RESOURCES[kind]) for kind in RESTORED)
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    waits_for_rollout: ClassVar[bool] = False
    creates: ClassVar[bool] = True

    def __init__(self, versions: Versions | None = None) -> None:
        """Keep where versions are asked for."""
        self._versions = versions

    async def read(self, action: RestoreObject, cluster: Reader) -> Situation:
        """Read the version, and what stands under the name; empty when nothing does."""
        support = await version_of(self._versions, action.target, action.version)
        try:
            live = await cluster.get(RESOURCES[action.kind], action.name, action.namespace)
        except NotFound:
            live = {}
        return Situation(live, support)

    def subject(self, action: RestoreObject, situation: Situation) -> JsonObject:  # noqa: ARG002
        """What is there, or the manifest: it tells whether somebody else sees to this object."""
        return situation.live or dig_object(situation.support, "manifest")

    def precondition(self, action: RestoreObject, situation: Situation) -> Refused | None:
        """Nothing of that name is there, and the version is known and of this object."""
        target, live = action.target, situation.live
        if is_deleting(live):
            refused = refuse(
                ReasonCode.TARGET_DELETING, f"{target} is still being deleted; it is made when it is gone."
            )
            return refused.model_copy(update={"retry_after_seconds": _LOOK_AGAIN})
        if live:
            return refuse(ReasonCode.TARGET_EXISTS, f"{target} is there; put its fields back if they are wrong.")
        return unknown(target, action.version, situation.support, RESOURCES[action.kind])

    def needs_failure(self, action: RestoreObject, situation: Situation) -> bool:  # noqa: ARG002
        """What nobody declared may have been deleted on purpose."""
        return dig_str(situation.support, "source") == LAST_KNOWN_GOOD

    def approval_reasons(self, action: RestoreObject, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """By kind."""
        if RESTORED[action.kind] is Tier.AUTO:
            return ()
        return (f"A person must agree before a {action.kind} is made again: it runs work or decides who may do what.",)

    def request(self, action: RestoreObject, situation: Situation, mark: Mark) -> WriteRequest:
        """POST; a name that is taken by then is refused by the server."""
        manifest = _manifest(action, situation.support)
        return create(RESOURCES[action.kind], manifest, mark, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RestoreObject, before: Situation, after: Situation) -> Refused | None:
        """What stands there is what the version says: nothing missing, nothing of anybody's added."""
        target, resource = action.target, RESOURCES[action.kind]
        if not after.live:
            return refuse(ReasonCode.TARGET_GONE, f"{target} is not there.")
        live: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind, **after.live}
        wrong = [d.path for d in differences(live, _manifest(action, before.support), partial=True)]
        if not wrong:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"{target}: {', '.join(wrong[:6])} is not as the version says.")

    def was_applied(self, action: RestoreObject, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """The mark that the object was made with tells.  One without it may be ours, made over by somebody."""
        if now is None:
            return Applied.NO
        return Applied.YES if maker_of(now) == mark.action_id else Applied.UNKNOWN


class RemoveObjectExecutor(Executor[RemoveObject]):
    """`remove_object`: always by approval, since it lifts a rule that somebody made."""

    action_type: ClassVar[type[Action]] = RemoveObject
    description: ClassVar[str] = (
        "Delete a NetworkPolicy, ResourceQuota or LimitRange that came after the last known good state and by which a "
        "workload fails now. Always waits for a person; undoing makes it again, under another uid. When such an object "
        "was merely changed, put its fields back instead."
    )
    declared_fields: ClassVar[tuple[str, ...]] = ()
    permissions: ClassVar[tuple[Permission, ...]] = (
        *(Permission("delete", RESOURCES[kind]) for kind in REMOVED),
        *(Permission("create", RESOURCES[kind]) for kind in REMOVED),
    )
    reads: ClassVar[tuple[Permission, ...]] = tuple(Permission("get", RESOURCES[kind]) for kind in REMOVED)
    inverse_kind: ClassVar[InverseKind] = InverseKind.EXACT
    disrupts: ClassVar[bool] = False
    waits_for_rollout: ClassVar[bool] = False

    async def read(self, action: RemoveObject, cluster: Reader) -> Situation:
        """Read the object.  Raises `ToolError`."""
        return Situation(await cluster.get(RESOURCES[action.kind], action.name, action.namespace))

    def precondition(self, action: RemoveObject, situation: Situation) -> Refused | None:
        """It is not on its way out already."""
        if is_deleting(situation.live):
            return refuse(ReasonCode.NO_CHANGE, f"{action.target} is being deleted already.")
        return None

    def approval_reasons(self, action: RemoveObject, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """Always."""
        return (f"{action.target} would be deleted: a rule that somebody made would hold no longer.",)

    def request(self, action: RemoveObject, situation: Situation, mark: Mark) -> WriteRequest:  # noqa: ARG002
        """Delete exactly what was judged."""
        return delete(RESOURCES[action.kind], situation.live, field_manager=f"selfheal-{action.tool}")

    def postcondition(self, action: RemoveObject, before: Situation, after: Situation) -> Refused | None:
        """That life is gone or going, and nobody made another."""
        is_that = dig_str(after.live, "metadata", "uid") == dig_str(before.live, "metadata", "uid")
        if is_that and is_deleting(after.live):
            return None
        what = "is still there" if is_that else "was made anew by somebody"
        return refuse(ReasonCode.VERIFY_FAILED, f"{action.target} {what}.")

    def was_applied(self, action: RemoveObject, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A life that is gone or going is what we wanted, whoever did it."""
        if now is None or dig_str(now, "metadata", "uid") != dig_str(before.live, "metadata", "uid"):
            return Applied.YES
        return Applied.YES if is_deleting(now) else Applied.NO


def _manifest(action: RestoreObject, support: JsonObject) -> JsonObject:
    """The manifest as it is sent, but for our marks: in its namespace, without what belongs to one life."""
    resource = RESOURCES[action.kind]
    made = blank(dig_object(support, "manifest"))
    metadata: JsonObject = {k: v for k, v in dig_object(made, "metadata").items() if k not in _OF_OTHERS}
    metadata |= {"name": action.name, "namespace": action.namespace}
    return {**made, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
