"""What an Argo CD Application says about itself: health, sync, operation, policy, resources.  Pure.

The rule: a field that is missing or holds a word we do not know is `UNKNOWN` or None, never the harmless value.

Fields: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/ and the Application CRD (v1alpha1,
Argo CD 2.x and 3.x).
Neighbours: `history` reads what was deployed before, `decisions` says what may be done, `client` fetches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

E = TypeVar("E", bound=StrEnum)

TRACKING_ID: Final = "argocd.argoproj.io/tracking-id"
SKIP_RECONCILE: Final = "argocd.argoproj.io/skip-reconcile"
_GROUP: Final = "argoproj.io"


class Health(StrEnum):
    """What Argo CD finds of all resources together: the worst of them counts."""

    HEALTHY = "Healthy"
    """Every resource is as its kind should be."""
    PROGRESSING = "Progressing"
    """Some are not yet, and may become so."""
    DEGRADED = "Degraded"
    """Some failed."""
    SUSPENDED = "Suspended"
    """Some wait for somebody (a paused rollout, a suspended CronJob)."""
    MISSING = "Missing"
    """Some are not in the cluster."""
    UNKNOWN = "Unknown"
    """Argo CD could not tell, or did not say."""


class Sync(StrEnum):
    """Whether the cluster is as the source declares."""

    SYNCED = "Synced"
    """No difference that counts."""
    OUT_OF_SYNC = "OutOfSync"
    """At least one difference."""
    UNKNOWN = "Unknown"
    """It could not be compared, or Argo CD did not say."""


class Phase(StrEnum):
    """How far the latest operation is."""

    NONE = "None"
    """There has been none."""
    REQUESTED = "Requested"
    """One is ordered and the controller has not begun it."""
    RUNNING = "Running"
    """One is being carried out."""
    TERMINATING = "Terminating"
    """One is being stopped."""
    SUCCEEDED = "Succeeded"
    """The latest one did all it should; that does not say that the result is healthy."""
    FAILED = "Failed"
    """The latest one was carried out and something of it failed."""
    ERROR = "Error"
    """The latest one could not be carried out."""
    UNKNOWN = "Unknown"
    """There is one, in a phase we do not know."""


_UNDER_WAY: Final = frozenset({Phase.REQUESTED, Phase.RUNNING, Phase.TERMINATING, Phase.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Operation:
    """The latest operation of an application."""

    phase: Phase
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    initiated_by: str = ""
    is_automated: bool = False
    revisions: tuple[str, ...] = ()
    info: Mapping[str, str] | None = None
    """What who ordered it attached to it; how an operation of ours is known again."""

    @property
    def is_under_way(self) -> bool:
        """Whether Argo CD would refuse another one."""
        return self.phase in _UNDER_WAY

    def age(self, now: datetime) -> timedelta | None:
        """How long it has been running; None when it does not run or its beginning is not known."""
        if self.phase not in {Phase.RUNNING, Phase.TERMINATING} or self.started_at is None:
            return None
        return now - self.started_at


@dataclass(frozen=True, slots=True)
class AutoSync:
    """What Argo CD does by itself."""

    is_on: bool
    heals: bool
    """It takes back what is changed in the cluster, within seconds."""
    prunes: bool
    """It deletes what is no longer declared."""


class ResourceKey(NamedTuple):
    """How Argo CD names a resource; `namespace` is "" for cluster-scoped ones."""

    group: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, document: JsonObject) -> ResourceKey:
        """The key of an object as the API server prints it."""
        group, _, _ = dig_str(document, "apiVersion").rpartition("/")
        metadata = dig_object(document, "metadata")
        return cls(group, dig_str(document, "kind"), dig_str(metadata, "namespace"), dig_str(metadata, "name"))


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource that the application declares, or did."""

    key: ResourceKey
    sync: Sync
    health: str
    """"" where Argo CD keeps it out of the Application, which is its default since 3.0 (`resourceHealthSource`)."""
    is_hook: bool
    is_left_over: bool
    """It is in the cluster and no longer declared.  While the source cannot be read Argo CD says so of everything."""


def name_of(app: JsonObject) -> str:
    """`namespace/name` as Argo CD prints it."""
    return f"{dig_str(app, 'metadata', 'namespace')}/{dig_str(app, 'metadata', 'name')}"


def health(app: JsonObject) -> Health:
    """The health of the application."""
    return _word(Health, dig_str(app, "status", "health", "status"), Health.UNKNOWN)


def sync(app: JsonObject) -> Sync:
    """Whether it is as declared."""
    return _word(Sync, dig_str(app, "status", "sync", "status"), Sync.UNKNOWN)


def is_being_deleted(app: JsonObject) -> bool:
    """Whether somebody asked for its deletion."""
    return dig(app, "metadata", "deletionTimestamp") is not None


def is_skipped(app: JsonObject) -> bool:
    """Whether somebody told the controller to leave it alone."""
    return dig_str(app, "metadata", "annotations", SKIP_RECONCILE) == "true"


def errors(app: JsonObject) -> tuple[str, ...]:
    """Conditions that say that something is wrong, each as `Type: message`; warnings are not among them."""
    found = dig_list(app, "status", "conditions")
    return tuple(
        f"{dig_str(c, 'type')}: {dig_str(c, 'message')}" for c in found if dig_str(c, "type").endswith("Error")
    )


def operation(app: JsonObject) -> Operation:
    """The latest operation.  One that is ordered and not begun hides what was before it."""
    state, ordered = dig_object(app, "status", "operationState"), dig(app, "operation")
    said = dig_str(state, "phase")
    phase = _word(Phase, said, Phase.UNKNOWN) if state else Phase.NONE
    if isinstance(ordered, dict) and phase not in _UNDER_WAY:
        return Operation(
            Phase.REQUESTED,
            revisions=revisions_of(dig_object(ordered, "sync")),
            initiated_by=dig_str(ordered, "initiatedBy", "username"),
            is_automated=dig(ordered, "initiatedBy", "automated") is True,
            info=_info(ordered),
        )
    return Operation(
        phase,
        message=dig_str(state, "message"),
        started_at=moment(dig(state, "startedAt")),
        finished_at=moment(dig(state, "finishedAt")),
        initiated_by=dig_str(state, "operation", "initiatedBy", "username"),
        is_automated=dig(state, "operation", "initiatedBy", "automated") is True,
        revisions=revisions_of(dig_object(state, "syncResult")) or revisions_of(dig_object(state, "operation", "sync")),
        info=_info(dig_object(state, "operation")),
    )


def declared_revisions(app: JsonObject) -> tuple[str, ...]:
    """The revisions that the cluster was compared with last: what a sync would go to."""
    return revisions_of(dig_object(app, "status", "sync"))


def has_hook_results(app: JsonObject) -> bool:
    """Whether the latest operation ran hooks."""
    results = dig_list(app, "status", "operationState", "syncResult", "resources")
    return any(dig_str(result, "hookType") for result in results)


def failures(app: JsonObject) -> tuple[str, ...]:
    """What failed in the latest operation, one sentence for each resource or hook."""
    found: list[str] = []
    for result in dig_list(app, "status", "operationState", "syncResult", "resources"):
        hook, message = dig_str(result, "hookType"), dig_str(result, "message")
        what = f"{dig_str(result, 'kind')} {dig_str(result, 'namespace')}/{dig_str(result, 'name')}"
        if dig_str(result, "status") == "SyncFailed":
            found.append(f"{what}: {message or 'not applied'}")
        elif dig_str(result, "hookPhase") in {"Failed", "Error"} and hook:
            found.append(f"{hook} hook {what}: {message or 'failed'}")
    return tuple(found)


def auto_sync(app: JsonObject) -> AutoSync:
    """What is done without being asked.  What cannot be read counts as done."""
    policy = dig(app, "spec", "syncPolicy", "automated")
    if policy is None:
        return AutoSync(is_on=False, heals=False, prunes=False)
    if not isinstance(policy, dict):
        return AutoSync(is_on=True, heals=True, prunes=True)
    is_on = policy.get("enabled") is not False
    return AutoSync(
        is_on=is_on,
        heals=is_on and policy.get("selfHeal", False) not in (False, None),
        prunes=is_on and policy.get("prune", False) not in (False, None),
    )


def sync_options(app: JsonObject) -> frozenset[str]:
    """The options every sync of it has, as `Replace=true`."""
    return frozenset(option for option in dig_list(app, "spec", "syncPolicy", "syncOptions") if isinstance(option, str))


def resources(app: JsonObject) -> tuple[Resource, ...]:
    """Everything that Argo CD keeps for the application."""
    return tuple(
        Resource(
            key=ResourceKey(*(dig_str(item, part) for part in ("group", "kind", "namespace", "name"))),
            sync=_word(Sync, dig_str(item, "status"), Sync.UNKNOWN),
            health=dig_str(item, "health", "status"),
            is_hook=dig(item, "hook") is True,
            is_left_over=dig(item, "requiresPruning") is True and dig_str(item, "status") != Sync.UNKNOWN,
        )
        for item in dig_list(app, "status", "resources")
    )


def tracked(app: JsonObject, key: ResourceKey) -> Resource | None:
    """The resource of that key, if the application keeps it."""
    return next((found for found in resources(app) if found.key == key), None)


def children(app: JsonObject) -> tuple[str, ...]:
    """Names of the applications that this one declares (an app of apps)."""
    return tuple(f.key.name for f in resources(app) if (f.key.group, f.key.kind) == (_GROUP, "Application"))


def parent(app: JsonObject) -> str | None:
    """The application that declares this one, by its tracking id or label; None when nobody is seen to."""
    key = ResourceKey(_GROUP, "Application", dig_str(app, "metadata", "namespace"), dig_str(app, "metadata", "name"))
    by_id = tracked_by(dig_str(app, "metadata", "annotations", TRACKING_ID), key)
    labels = dig_object(app, "metadata", "labels")
    for label in ("argocd.argoproj.io/instance", "app.kubernetes.io/instance"):
        name = dig_str(labels, label)
        if by_id is None and name and name != key.name:
            return name
    return by_id


def tracked_by(tracking_id: str, key: ResourceKey) -> str | None:
    """The application a tracking id names, if the id is about the object that bears it.

    An id is `APPLICATION:GROUP/KIND:NAMESPACE/NAME`.  Controllers copy annotations to what they make; a copy names
    another object, and Argo CD does not count it.  The application is `NAMESPACE_NAME` outside Argo CD's own namespace.
    """
    name, _, about = tracking_id.partition(":")
    kind, _, place = about.partition(":")
    group, _, kind = kind.rpartition("/")
    namespace, _, object_name = place.rpartition("/")
    is_about = (group, kind, object_name) == (key.group, key.kind, key.name) and key.namespace in {"", namespace}
    return name if name and is_about else None


# --- reading ----------------------------------------------------------------------------------------------------------


def moment(value: JsonValue) -> datetime | None:
    """A time as Kubernetes writes it; None for anything else, also for one without a zone."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _word(kind: type[E], said: str, otherwise: E) -> E:
    try:
        return kind(said)
    except ValueError:
        return otherwise


def revisions_of(place: JsonObject) -> tuple[str, ...]:
    """One revision for each source, of a place that has them; applications of one source have a field for it."""
    several = tuple(found for found in dig_list(place, "revisions") if isinstance(found, str))
    single = dig_str(place, "revision")
    return several or ((single,) if single else ())


def _info(place: JsonObject) -> Mapping[str, str]:
    return {dig_str(item, "name"): dig_str(item, "value") for item in dig_list(place, "info")}
