"""Delivery: what Argo CD, Flux or an operator keeps as declared would be reverted; the declaration must change instead.

What a controller makes anew by itself is exempt when it is taken away: nobody declares a pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tools.claims.managers import owner_of
from tools.executors.base import InverseKind, Situation
from tools.executors.kubernetes.common import controller_of
from tools.executors.patch import split
from tools.executors.remote import RemoteExecutor
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, no, subject_of
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str
from tools.ownership import Effect, Known, Owner, Ownership, ownership

_NAMES: Final = {Owner.ARGO_CD: "Argo CD", Owner.FLUX: "Flux", Owner.CROSSPLANE: "Crossplane"}
_KEEPERS: Final = frozenset({*_NAMES, Owner.KEDA, Owner.CONTROLLER, Owner.OPERATOR})
"""Who writes again what it declared or made.  A Helm release is written anew only when people upgrade it."""


def check(world: World) -> Refused | None:
    """Refuse to write, make or remove what somebody else keeps as declared."""
    target = world.order.action.target
    manifest, executor = subject_of(world), world.executor
    if isinstance(executor, RemoteExecutor):
        return None  # it asks the owner, or whoever runs the script answers for what that writes
    if executor is None or not (executor.declared_fields or executor.inverse_kind is InverseKind.EXACT):
        return None
    notes = _annotations_of(world) if executor.asks_by_annotation else ()
    owner = next(iter(_keepers(manifest, notes)), None) if notes else delivered_by(manifest, _fields_of(world))
    if owner is None:
        return None
    return no(ReasonCode.OWNED_BY_GITOPS, f"{owner} keeps {target} as declared and would revert the write.")


def _fields_of(world: World) -> tuple[str, ...]:
    """What the action writes; empty, which is anything, where that is not known."""
    if world.executor is None or not isinstance(world.situation, Situation):
        return ()
    return world.executor.fields(world.order.action, world.situation)


def _annotations_of(world: World) -> tuple[str, ...]:
    """The annotations that the action writes."""
    paths = [split(path) for path in _fields_of(world)]
    return tuple(path[2] for path in paths if path[:2] == ("metadata", "annotations") and len(path) == 3)


def _keepers(live: JsonObject, notes: tuple[str, ...]) -> Iterator[str]:
    """Who wrote one of these annotations and would write it again; where nobody is named, who keeps the object.

    What is not there yet is nobody's.
    """
    for note in notes:
        if note not in dig_object(live, "metadata", "annotations"):
            continue
        writers = {
            dig_str(entry, "manager")
            for entry in dig_list(live, "metadata", "managedFields")
            if f"f:{note}" in dig_object(entry, "fieldsV1", "f:metadata", "f:annotations")
        }
        found = {_NAMES.get(owner_of(writer)) or ("Crossplane" if _composes(writer) else None) for writer in writers}
        yield from sorted(who for who in (found if writers else {delivered_by(live)}) if who is not None)


def _composes(manager: str) -> bool:
    """Crossplane's own field managers: what a composition or claim says of its parts is written by these.

    crossplane/crossplane, internal/controller/apiextensions (`apiextensions.crossplane.io/...`); without server-side
    apply the name of the program.
    """
    return manager == "crossplane" or manager.startswith("apiextensions.crossplane.io")


def delivered_by(live: JsonObject, fields: Sequence[str] = ()) -> str | None:
    """Who keeps the object, or these fields of it, as declared; None when nobody is seen to."""
    claim = ownership(live, Known(), fields, among=_is_kept)
    if claim.owner is Owner.NOBODY:
        return None
    if claim.owner in _NAMES:
        return _NAMES[claim.owner]
    controller = controller_of(live)
    return f"{dig_str(controller, 'kind')} {dig_str(controller, 'name')}"


def _is_kept(claim: Ownership) -> bool:
    """Not who merely wrote a field once: only a name that is known comes back by itself."""
    is_known = claim.owner is not Owner.OPERATOR or claim.effect is Effect.REVERTED
    return claim.owner in _KEEPERS and is_known and claim.effect is not Effect.HOLDS
