"""How Kubernetes JSON becomes a struct: the lenient base, metadata, and names for objects.

The rule: what a real server sends decodes.  Unknown fields are skipped; a null where we expect a value becomes that
field's default (`Lax`), because servers send `containers: null` and `creationTimestamp: null`; a missing field is its
default.  What is left is typed and immutable.

Neighbours: `objects` and `workloads` declare the kinds; `reflector` decodes them; `owners` follows the references.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Optional, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Struct, field, structs

from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

T = TypeVar("T")

if TYPE_CHECKING:
    Lax: TypeAlias = Annotated[T, "null becomes the default"]
else:
    Lax = Optional[T]  # noqa: UP045 - a generic alias is needed, `T | None` cannot be subscripted

KEPT_ANNOTATION: Final = 4096
"""Longer annotation values are dropped at decoding; none that we read is near it."""

_DROPPED_ANNOTATIONS: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})


class Wire(Struct, frozen=True, rename="camel", gc=False):
    """Base of everything decoded: immutable, camelCase on the wire, null means default.

    Without cyclic garbage collection: the values are trees.
    """

    def __post_init__(self) -> None:
        for name, default, is_factory in _defaults(type(self)):
            if getattr(self, name) is None:
                structs.force_setattr(self, name, default() if is_factory and callable(default) else default)


@cache
def _defaults(cls: type[Struct]) -> tuple[tuple[str, object, bool], ...]:
    """(name, default or factory, is factory) of the fields whose default is not None, worked out once per class."""
    found: list[tuple[str, object, bool]] = []
    for known in structs.fields(cls):
        if known.default_factory is not msgspec.NODEFAULT:
            found.append((known.name, known.default_factory, True))
        elif known.default is not msgspec.NODEFAULT and known.default is not None:
            found.append((known.name, known.default, False))
    return tuple(found)


class Reference(Struct, frozen=True, rename="camel", gc=False):
    """An object as another object names it, with the uid that tells it from a namesake ("" when nobody said it).

    `tools.refs.ObjectRef` is the name without the life; this is what the server writes, unchecked.
    """

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""

    @property
    def group(self) -> str:
        """The API group; "" for core."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class LaxRef(Wire, frozen=True, gc=False):
    """An ObjectReference as it stands in an Event, where any part may be null."""

    kind: Lax[str] = ""
    namespace: Lax[str] = ""
    name: Lax[str] = ""
    uid: Lax[str] = ""
    api_version: Lax[str] = ""
    field_path: Lax[str] = ""

    @property
    def reference(self) -> Reference:
        """The object, without the field."""
        return Reference(self.kind, self.namespace, self.name, self.uid, self.api_version)


class OwnerReference(Wire, frozen=True, gc=False):
    """One owner; at most one of an object's owners is its `controller`."""

    api_version: Lax[str] = ""
    kind: Lax[str] = ""
    name: Lax[str] = ""
    uid: Lax[str] = ""
    controller: Lax[bool] = False

    def reference(self, namespace: str) -> Reference:
        """The owner of an object in `namespace`; an owner lives in the same one or in none."""
        return Reference(self.kind, namespace, self.name, self.uid, self.api_version)


class ObjectMeta(Wire, frozen=True, gc=False):
    """Who an object is.  Annotations that hold whole manifests are left out, managedFields too."""

    name: Lax[str] = ""
    namespace: Lax[str] = ""
    uid: Lax[str] = ""
    resource_version: Lax[str] = ""
    generation: Lax[int] = 0
    labels: Lax[dict[str, str]] = field(default_factory=dict[str, str])
    annotations: Lax[dict[str, str]] = field(default_factory=dict[str, str])
    owner_references: Lax[tuple[OwnerReference, ...]] = ()
    finalizers: Lax[tuple[str, ...]] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(k in _DROPPED_ANNOTATIONS or len(v) > KEPT_ANNOTATION for k, v in self.annotations.items()):
            kept = {
                key: value
                for key, value in self.annotations.items()
                if key not in _DROPPED_ANNOTATIONS and len(value) <= KEPT_ANNOTATION
            }
            structs.force_setattr(self, "annotations", kept)

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages this object, if one does."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class KubeObject(Wire, frozen=True, gc=False):
    """Anything with metadata.  `kind` and `api_version` belong to the class, since list items lack them."""

    kind: ClassVar[str] = ""
    api_version: ClassVar[str] = ""

    metadata: Lax[ObjectMeta] = ObjectMeta()

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """metadata.namespace; "" for cluster-scoped objects."""
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return self.metadata.uid

    @property
    def ref(self) -> ObjectRef:
        """What people call this object.  Raises ValueError for a name no API server would accept."""
        return ObjectRef(kind=self.kind, namespace=self.namespace or None, name=self.name)

    @property
    def reference(self) -> Reference:
        """Which life of which object this is."""
        return Reference(self.kind, self.namespace, self.name, self.uid, self.api_version)

    @property
    def is_being_deleted(self) -> bool:
        """True once somebody asked for its deletion."""
        return self.metadata.deletion_timestamp is not None


class Identity(KubeObject, frozen=True, gc=False):
    """Only the metadata of an object of any kind: what is left when the rest does not decode."""


class Condition(Wire, frozen=True, gc=False):
    """A condition of any kind of object.  `status` is "True", "False" or "Unknown"."""

    type: Lax[str] = ""
    status: Lax[str] = "Unknown"
    reason: Lax[str] = ""
    message: Lax[str] = ""
    last_transition_time: datetime | None = None
    last_update_time: datetime | None = None
    last_heartbeat_time: datetime | None = None
    observed_generation: Lax[int] = 0


class LabelSelectorRequirement(Wire, frozen=True, gc=False):
    """One expression of a label selector."""

    key: Lax[str] = ""
    operator: Lax[str] = ""
    values: Lax[tuple[str, ...]] = ()


class LabelSelector(Wire, frozen=True, gc=False):
    """Which objects belong; empty selects everything."""

    match_labels: Lax[dict[str, str]] = field(default_factory=dict[str, str])
    match_expressions: Lax[tuple[LabelSelectorRequirement, ...]] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Say whether an object with these labels is selected; an operator we do not know selects nothing."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            _meets(requirement, labels) for requirement in self.match_expressions
        )


def _meets(requirement: LabelSelectorRequirement, labels: dict[str, str]) -> bool:
    match requirement.operator:
        case "In":
            return labels.get(requirement.key) in requirement.values
        case "NotIn":
            return labels.get(requirement.key) not in requirement.values
        case "Exists":
            return requirement.key in labels
        case "DoesNotExist":
            return requirement.key not in labels
        case _:
            return False


def condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """The condition of that type, if it is there."""
    return next((found for found in conditions if found.type == type_), None)


def as_struct(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode one object.  Raises msgspec.MsgspecError or RecursionError when the bytes do not fit."""
    return cast("T", _decoder(kind).decode(raw))  # type: ignore[arg-type]  # a class is hashable, whatever mypy says


def as_manifest(item: KubeObject) -> JsonObject:
    """The object as JSON in the words of the API, with the fields that we keep."""
    head: JsonObject = {"apiVersion": item.api_version, "kind": item.kind}
    body: JsonObject = msgspec.json.decode(msgspec.json.encode(item))
    return {**body, **head}


@cache
def _decoder(kind: type) -> msgspec.json.Decoder[object]:
    return msgspec.json.Decoder(kind)
