"""Kinds that are looked at whole: what a workload is wired to (settings, Services, budgets, quotas, roles).

Each object is its metadata and its manifest as JSON, without `managedFields` and the copy that kubectl keeps: which of
their fields matters is only known when something fails, so all of them are kept.  They are few beside pods; a manifest
above `KEPT_BYTES` is kept by its digest alone (`is_cut`).

Kinds that are not Kubernetes' own (`CUSTOM`, `document_of`) are the same, where the cluster serves them.

Neighbours: `mirror` holds them, `tools.journal` remembers their versions, `graph.signals` judges them.  Controllers and
pods, of which there are thousands, are small structs (`workloads`, `pods`).
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import ClassVar, Final, TypeVar, cast

import msgspec
from msgspec import field

from tools.cluster.resources import (
    APPLICATION,
    CONFIG_MAP,
    ENDPOINT_SLICE,
    HPA,
    LIMIT_RANGE,
    NETWORK_POLICY,
    PDB,
    PVC,
    QUOTA,
    ROLE,
    ROLE_BINDING,
    SCALED_JOB,
    SCALED_OBJECT,
    SERVICE,
    SERVICE_ACCOUNT,
    Resource,
)
from tools.cluster.structs import KubeObject, ObjectMeta, as_struct
from tools.jsontypes import JsonObject, JsonValue, dig_str, digest

KEPT_BYTES: Final = 65_536
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def _empty() -> JsonObject:
    return {}


class Document(KubeObject, frozen=True, gc=False):
    """One object as its whole manifest.

    `body` has apiVersion, kind, metadata and everything else the server sent, but not `managedFields` and the
    last-applied annotation.  When `is_cut`, it has metadata only and `content` is what the digest was taken of.
    """

    resource: ClassVar[Resource]
    body: JsonObject = field(default_factory=_empty)
    is_cut: bool = False
    content: str = ""
    """Digest of everything but metadata and status: two objects with the same content say the same."""
    written_at: datetime | None = None
    """When its spec or metadata were last written, by the server's own account; None when it does not say."""
    written_by: str = ""
    """The field manager of that write: a hint, anybody may call himself anything."""


class ConfigMap(Document, frozen=True, gc=False):
    """Settings."""

    kind = CONFIG_MAP.kind
    api_version = CONFIG_MAP.api_version
    resource = CONFIG_MAP


class Service(Document, frozen=True, gc=False):
    """A name and port in front of pods."""

    kind = SERVICE.kind
    api_version = SERVICE.api_version
    resource = SERVICE


class EndpointSlice(Document, frozen=True, gc=False):
    """Where a Service leads at this moment."""

    kind = ENDPOINT_SLICE.kind
    api_version = ENDPOINT_SLICE.api_version
    resource = ENDPOINT_SLICE


class HorizontalPodAutoscaler(Document, frozen=True, gc=False):
    """Who owns a replica count."""

    kind = HPA.kind
    api_version = HPA.api_version
    resource = HPA


class PodDisruptionBudget(Document, frozen=True, gc=False):
    """How many pods must stay."""

    kind = PDB.kind
    api_version = PDB.api_version
    resource = PDB


class PersistentVolumeClaim(Document, frozen=True, gc=False):
    """Storage that is wanted."""

    kind = PVC.kind
    api_version = PVC.api_version
    resource = PVC


class ResourceQuota(Document, frozen=True, gc=False):
    """What a namespace may use."""

    kind = QUOTA.kind
    api_version = QUOTA.api_version
    resource = QUOTA


class LimitRange(Document, frozen=True, gc=False):
    """What a container of a namespace may ask for."""

    kind = LIMIT_RANGE.kind
    api_version = LIMIT_RANGE.api_version
    resource = LIMIT_RANGE


class NetworkPolicy(Document, frozen=True, gc=False):
    """Who may talk to whom."""

    kind = NETWORK_POLICY.kind
    api_version = NETWORK_POLICY.api_version
    resource = NETWORK_POLICY


class Role(Document, frozen=True, gc=False):
    """Rights within a namespace."""

    kind = ROLE.kind
    api_version = ROLE.api_version
    resource = ROLE


class RoleBinding(Document, frozen=True, gc=False):
    """Who has those rights."""

    kind = ROLE_BINDING.kind
    api_version = ROLE_BINDING.api_version
    resource = ROLE_BINDING


class ServiceAccount(Document, frozen=True, gc=False):
    """Who pods are to the API server."""

    kind = SERVICE_ACCOUNT.kind
    api_version = SERVICE_ACCOUNT.api_version
    resource = SERVICE_ACCOUNT


class ScaledObject(Document, frozen=True, gc=False):
    """KEDA's autoscaler of a workload, of which it makes a HorizontalPodAutoscaler."""

    kind = SCALED_OBJECT.kind
    api_version = SCALED_OBJECT.api_version
    resource = SCALED_OBJECT


class ScaledJob(Document, frozen=True, gc=False):
    """KEDA's maker of Jobs."""

    kind = SCALED_JOB.kind
    api_version = SCALED_JOB.api_version
    resource = SCALED_JOB


class Application(Document, frozen=True, gc=False):
    """What Argo CD delivers."""

    kind = APPLICATION.kind
    api_version = APPLICATION.api_version
    resource = APPLICATION


DOCUMENTS: Final[tuple[type[Document], ...]] = (
    ConfigMap,
    Service,
    EndpointSlice,
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
    PersistentVolumeClaim,
    ResourceQuota,
    LimitRange,
    NetworkPolicy,
    Role,
    RoleBinding,
    ServiceAccount,
)
"""Every kind of Kubernetes itself that is looked at whole."""

CUSTOM: Final[tuple[type[Document], ...]] = (ScaledObject, ScaledJob, Application)
"""Kinds of other people's definitions that are looked at whole where the cluster serves them (`discovery`)."""

WIRED: Final[tuple[type[Document], ...]] = (*DOCUMENTS, ScaledObject, ScaledJob)
"""What workloads are wired to or people declare; a kind that is not served has no objects."""

D = TypeVar("D", bound=Document)
_KNOWN_KINDS: Final = {struct.resource: struct for struct in (*DOCUMENTS, *CUSTOM)}
_HEADS: Final = frozenset({"apiVersion", "kind", "metadata", "status"})


@cache
def document_of(resource: Resource) -> type[Document]:
    """The struct of a kind that is kept whole; of one that only the cluster knows it is made here, once."""
    known = _KNOWN_KINDS.get(resource)
    if known is not None:
        return known
    names = {"kind": resource.kind, "api_version": resource.api_version, "resource": resource}
    made = msgspec.defstruct(resource.kind, [], bases=(Document,), namespace=names, frozen=True, gc=False)
    return cast("type[Document]", made)


def content_of(body: JsonObject) -> str:
    """Digest of all that a manifest says beside its head: the same whether the object was got, listed or watched."""
    return digest({key: value for key, value in body.items() if key not in _HEADS})


def decode_document(raw: bytes | msgspec.Raw, struct: type[D]) -> D:
    """Decode one object whole.  Raises msgspec.MsgspecError or RecursionError when the bytes do not fit."""
    body = cast("JsonObject", msgspec.json.decode(raw, type=dict))
    metadata = body.get("metadata")
    writes: JsonValue = []
    if isinstance(metadata, dict):
        writes = metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            annotations.pop(LAST_APPLIED, None)
    else:
        metadata = {}
    content = content_of(body)
    meta = as_struct(msgspec.json.encode(metadata), ObjectMeta)
    head: JsonObject = {"apiVersion": struct.api_version, "kind": struct.resource.manifest_kind}
    is_cut = len(bytes(raw)) > KEPT_BYTES
    kept = {**head, "metadata": metadata} if is_cut else {**body, **head}
    at, by = last_write(writes)
    return struct(metadata=meta, body=kept, is_cut=is_cut, content=content, written_at=at, written_by=by)


def last_write(managed_fields: JsonValue) -> tuple[datetime | None, str]:
    """When and by which field manager an object was last written, status aside; (None, "") when nobody said.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
    """
    found: tuple[datetime | None, str] = (None, "")
    for entry in managed_fields if isinstance(managed_fields, list) else ():
        at = _time(dig_str(entry, "time"))
        if at is not None and not dig_str(entry, "subresource") and (found[0] is None or at >= found[0]):
            found = (at, dig_str(entry, "manager"))
    return found


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
