"""What Crossplane's documented resource model says of one object: conditions, annotations, references.  Pure.

The rule: what is not there says nothing.  A controller that never reports the generation it has seen is not behind, a
resource without a Ready condition is not unready.

Sources, by what they say:
- conditions Synced and Ready with their reasons, the annotations `paused`, `external-name` and `external-create-*`:
  crossplane/docs, content/master/managed-resources/managed-resources.md (sections Annotations and Conditions), and
  crossplane/crossplane-runtime, apis/common/condition.go (also ReconcileForbidden and `observedGeneration`);
- a creation whose end is not known stops the provider until a person has looked: the same page, "Creation annotations",
  and crossplane-runtime, pkg/reconciler/managed/reconciler.go (`errCreateIncomplete`, no requeue);
- `reconcile-requested-at`, an opaque token that is answered in `status.lastHandledReconcileAt`, for managed resources
  and composites: crossplane/crossplane, design one-pager "Per-Resource Poll Interval", and crossplane/docs v2.3,
  guides/pods.md.  Older controllers do not read it, but a managed resource is reconciled on any change of its
  annotations: crossplane-runtime, pkg/resource/predicates.go (`DesiredStateChanged`);
- what a claim or composite is made of: `spec.resourceRef` (claim), `spec.resourceRefs` (v1), and
  `spec.crossplane.resourceRefs` (v2), where a namespaced composite leaves its own namespace out;
- packages: crossplane/docs, packages/providers.md ("Provider conditions"); revisions say Healthy in v1 and
  RevisionHealthy and RuntimeHealthy in v2, and list what they installed in `status.objectRefs`;
- the words of broken references: crossplane-runtime, pkg/reference/reference.go.

Neighbours: `wake` acts by it, `graph.signals.crossplane` judges by it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tools.cluster.catalogue import DefinitionName
from tools.cluster.resources import qualified
from tools.cluster.structs import Reference
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str

PAUSED: Final = "crossplane.io/paused"
"""Only the value `true` pauses; such an object is not deleted either while it stands."""
REQUESTED: Final = "crossplane.io/reconcile-requested-at"
EXTERNAL_NAME: Final = "crossplane.io/external-name"
CREATE_PENDING: Final = "crossplane.io/external-create-pending"
CREATE_SUCCEEDED: Final = "crossplane.io/external-create-succeeded"
CREATE_FAILED: Final = "crossplane.io/external-create-failed"
UNTOUCHABLE: Final = frozenset({EXTERNAL_NAME, CREATE_PENDING, CREATE_SUCCEEDED, CREATE_FAILED})
"""By these a provider knows what it has made; whoever changes one may lose or double what stands outside."""

SYNCED: Final = "Synced"
READY: Final = "Ready"
RECONCILE_PAUSED: Final = "ReconcilePaused"
CREATING: Final = "Creating"
DELETING: Final = "Deleting"
WAITING: Final = "Waiting"
"""A claim's reason while its composite is not ready."""
INCOMPLETE: Final = "cannot determine creation result"

PACKAGES: Final = "pkg.crossplane.io"
PROVIDERS: Final = DefinitionName("providers", PACKAGES)
PROVIDER_REVISIONS: Final = DefinitionName("providerrevisions", PACKAGES)
PROVIDER: Final = qualified("Provider", PACKAGES)
PROVIDER_REVISION: Final = qualified("ProviderRevision", PACKAGES)
HEALTH: Final = ("Healthy", "RevisionHealthy", "RuntimeHealthy")
_INACTIVE: Final = "Inactive"

_BROKEN: Final = re.compile(
    r"cannot resolve references|cannot get referenced|no resources matched selector|referenced field was empty"
    r"|cannot list resources that match selector"
)
_COMING: Final = re.compile(r"referenced field was empty|may not yet be ready")
_NOT_FOUND: Final = re.compile(
    r"\b(?P<plural>[a-z0-9][-a-z0-9]{0,62})\.(?P<group>[a-z0-9][-a-z0-9.]{0,190})"
    r" \\?\"(?P<name>[^\"\\]{1,253})\\?\" not found"
)


class Role(StrEnum):
    """What an object is to Crossplane, by the category of its definition."""

    MANAGED = "managed"
    """It stands for one thing outside the cluster."""
    COMPOSITE = "composite"
    """It is made of others."""
    CLAIM = "claim"
    """It asks for a composite (v1)."""
    PACKAGE = "package"
    """It installs controllers and definitions."""


@dataclass(frozen=True, slots=True)
class Said:
    """One condition."""

    status: str
    reason: str
    message: str
    since: datetime | None
    generation: int | None
    """The generation it is about; None where the controller does not say."""

    @property
    def is_true(self) -> bool:
        """Whether it holds."""
        return self.status == "True"

    @property
    def text(self) -> str:
        """`Reason: message`, as far as there is any."""
        return ": ".join(part for part in (self.reason, self.message) if part)


def role_of(kind: str, categories: Collection[str]) -> Role | None:
    """The role of a kind; None for what is not Crossplane's.

    Crossplane gives its definitions the categories `managed`, `composite` and `claim`, by which kubectl lists them.
    """
    if kind in (PROVIDER, PROVIDER_REVISION):
        return Role.PACKAGE
    return next((r for r in (Role.MANAGED, Role.COMPOSITE, Role.CLAIM) if r.value in categories), None)


def condition(live: JsonObject, name: str) -> Said | None:
    """The condition of that type; None when it was never set."""
    for found in dig_list(live, "status", "conditions"):
        if dig_str(found, "type") == name:
            return Said(
                status=dig_str(found, "status"),
                reason=dig_str(found, "reason"),
                message=dig_str(found, "message"),
                since=time_of(dig(found, "lastTransitionTime")),
                generation=dig_int(found, "observedGeneration") or None,
            )
    return None


def annotation(live: JsonObject, key: str) -> str:
    """The value of an annotation; "" when it is not there."""
    return dig_str(live, "metadata", "annotations", key)


def is_paused(live: JsonObject) -> bool:
    """Whether its controller was told to leave it alone."""
    return annotation(live, PAUSED) == "true"


def waits_while_paused(live: JsonObject) -> bool:
    """Whether a paused object is not as it is wanted: not ready, or its spec was changed since it was last looked at.

    While it is paused only Synced is brought up to date, so what Ready is about tells what was reconciled last.
    """
    ready = condition(live, READY)
    if ready is None:
        return True
    return not ready.is_true or (ready.generation is not None and ready.generation < _generation(live))


def creation_is_uncertain(live: JsonObject) -> bool:
    """Whether a creation outside was begun and nobody knows how it ended: newest of the three is `pending`.

    A time that cannot be read makes it uncertain: unknown is not "it went well".
    """
    if CREATE_PENDING not in dig_object(live, "metadata", "annotations"):
        return False
    pending = time_of(annotation(live, CREATE_PENDING))
    ended = [at for key in (CREATE_SUCCEEDED, CREATE_FAILED) if (at := time_of(annotation(live, key))) is not None]
    return pending is None or not ended or pending > max(ended)


def pending_since(live: JsonObject) -> datetime | None:
    """When the creation that is pending was begun."""
    return time_of(annotation(live, CREATE_PENDING))


def is_behind(live: JsonObject) -> bool:
    """Whether its controller has not looked at the newest spec, or not handled a request that it can handle."""
    observed = observed_generation(live)
    if observed is not None and observed < _generation(live):
        return True
    handled, asked = dig_str(live, "status", "lastHandledReconcileAt"), annotation(live, REQUESTED)
    return bool(handled and asked) and handled != asked


def observed_generation(live: JsonObject) -> int | None:
    """The newest generation that anything in the status is about; None where nothing says so."""
    said = [c.generation for c in (condition(live, SYNCED), condition(live, READY)) if c is not None]
    told = [n for n in (dig_int(live, "status", "observedGeneration"), *said) if n]
    return max(told, default=None)


def is_reference_broken(message: str) -> bool:
    """Whether the message says that something it refers to cannot be found or used."""
    return _BROKEN.search(message) is not None


def is_reference_coming(message: str) -> bool:
    """Whether what it refers to is there and merely not finished, which takes as long as that takes."""
    return _COMING.search(message) is not None


def missing_of(message: str) -> tuple[str, str, str] | None:
    """(plural, group, name) of an object that the API server did not find, by its own words; None when there is none.

    `networks.storage.example.org "net" not found`: k8s.io/apimachinery, api/errors (`NewNotFound`).
    """
    found = _NOT_FOUND.search(message)
    return None if found is None else (found["plural"], found["group"], found["name"])


def made_of(live: JsonObject) -> tuple[Reference, ...]:
    """What a claim or composite refers to as its parts, with the kinds as in manifests; half a name is left out.

    The parts of a v2 composite are in its own namespace unless they say otherwise; a claim's composite is in none.
    """
    own = dig_str(live, "metadata", "namespace")
    found = [(ref, dig_str(ref, "namespace") or own) for ref in dig_list(live, "spec", "crossplane", "resourceRefs")]
    found += [(ref, dig_str(ref, "namespace")) for ref in dig_list(live, "spec", "resourceRefs")]
    claimed = dig_object(live, "spec", "resourceRef")
    if claimed:
        found.append((claimed, ""))
    return tuple(
        Reference(dig_str(ref, "kind"), namespace, dig_str(ref, "name"), "", dig_str(ref, "apiVersion"))
        for ref, namespace in found
        if dig_str(ref, "kind") and dig_str(ref, "name")
    )


def installed_by(revision: JsonObject) -> frozenset[str]:
    """Names of the definitions that a package revision installed and keeps."""
    return frozenset(
        dig_str(ref, "name")
        for ref in dig_list(revision, "status", "objectRefs")
        if dig_str(ref, "kind") == "CustomResourceDefinition"
    )


def is_inactive(revision: JsonObject) -> bool:
    """Whether a package revision is not the one that runs."""
    return dig_str(revision, "spec", "desiredState") == _INACTIVE


def unhealthy(package: JsonObject) -> Said | None:
    """The condition by which a package or revision is not well; None when all that are there hold."""
    found = [c for name in HEALTH if (c := condition(package, name)) is not None and not c.is_true]
    return min(found, key=lambda c: c.status == "Unknown", default=None)


def healthy_since(package: JsonObject) -> datetime | None:
    """When the last of its conditions of health came to hold; None while one does not, or none is there."""
    found = [c for name in HEALTH if (c := condition(package, name)) is not None]
    if not found or not all(c.is_true and c.since is not None for c in found):
        return None
    return max(c.since for c in found if c.since is not None)


def time_of(value: JsonValue) -> datetime | None:
    """A moment as Kubernetes writes it (RFC 3339); None for anything else."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


def _generation(live: JsonObject) -> int:
    return dig_int(live, "metadata", "generation") or 0
