"""A namespace of a running API server, hands to set it up with, and a door that writes down everything it does.

The server is a real one when SELFHEAL_CONTRACT_KUBECONFIG names it, and the project's simulator otherwise.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from graph.ways import COUNTS_STATUS
from tests.support.crossplane.model import NAMES, wide_rules
from tools import registry
from tools.clock import Clock
from tools.cluster.allowlist import READ_RULES, Rule
from tools.cluster.client import AccessQuestion, Cluster, WriteResult
from tools.cluster.documents import content_of
from tools.cluster.resources import KNOWN, NAMESPACE, POD, Resource, WriteRequest
from tools.errors import NotFound
from tools.executors.base import ACTION_ID, INCIDENT_ID, Action
from tools.executors.crossplane.finder import catalogue_of
from tools.executors.models.edit import EDITS
from tools.guard.door import Door
from tools.guard.orders import Order, OrderContext
from tools.guard.policy import Policy
from tools.journal.compare import normal
from tools.journal.versions import Source, Version
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_object, dig_str, digest
from tools.ledger.ledger import Ledger
from tools.ledger.records import IncidentRecord, Intent
from tools.refs import IncidentId, ObjectRef, Pin, PlanId

PDB = KNOWN["PodDisruptionBudget"]
HPA = KNOWN["HorizontalPodAutoscaler"]
LISTED = catalogue_of(NAMES)
"""The resources of the small provider; known once a test has installed their definitions."""
SET_UP = ("deployments", "statefulsets", "daemonsets")
KINDS_IT_MAKES = (
    *(("", kind) for kind in ("serviceaccounts", "resourcequotas", "limitranges")),
    ("networking.k8s.io", "networkpolicies"),
    *(("rbac.authorization.k8s.io", kind) for kind in ("roles", "rolebindings")),
)
WIDE = (
    *(Rule(verb, group, kind) for group, kind in KINDS_IT_MAKES for verb in ("get", "create", "patch", "delete")),
    *READ_RULES,
    *registry.allow_rules(),
    *wide_rules(),
    *(Rule(verb, "apps", kind) for kind in SET_UP for verb in ("create", "patch", "delete")),
    Rule("create", "", "namespaces"),
    Rule("delete", "", "namespaces"),
    Rule("create", "", "pods"),
    Rule("patch", "", "namespaces"),
    Rule("create", "policy", "poddisruptionbudgets"),
    Rule("create", "autoscaling", "horizontalpodautoscalers"),
    Rule("create", "", "services"),
    Rule("create", "", "configmaps"),
    *(Rule(verb, "", "nodes") for verb in ("create", "patch", "delete")),
    Rule("patch", "", "nodes", "status"),
    *(Rule("create", "", kind) for kind in ("persistentvolumeclaims", "persistentvolumes")),
    Rule("delete", "", "persistentvolumes"),
    *(Rule(verb, "storage.k8s.io", "storageclasses") for verb in ("get", "create", "delete")),
    *(Rule(verb, "batch", kind) for kind in ("jobs", "cronjobs") for verb in ("create", "patch")),
    *(Rule(verb, "keda.sh", kind) for kind in ("scaledobjects", "scaledjobs") for verb in ("create", "patch")),
    Rule("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    Rule("create", "argoproj.io", "applications"),
)
LOOK = timedelta(seconds=0.2)
"""How long to wait between two looks at the cluster."""
KEPT_BY_CONTROLLERS = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")
FREE = Policy.model_validate(
    {
        "default": "auto",
        "namespaces": {"*": {"mode": "auto", "trusted_edits": EDITS}},
        "limits": {
            "cooldown_seconds": 0,
            "quarantine": {"lasts_seconds": 0},
            "plans": {k: {"count": 9999, "seconds": 1} for k in ("owner", "namespace", "cluster")},
        },
    }
)


@dataclass
class Diary:
    """What the door did, in order.

    `intent:ID` when an intent was durable, `write:VERB` when a real call left, `done:VERB` when the server had done it.
    """

    lines: list[str] = field(default_factory=list)

    @property
    def done(self) -> list[str]:
        return [line for line in self.lines if line.startswith("done:")]

    @property
    def writes(self) -> list[str]:
        return [line for line in self.lines if line.startswith("write:")]


class WatchedCluster:
    """The real client, with a diary and a place to do something just before a real call leaves."""

    def __init__(self, cluster: Cluster, diary: Diary) -> None:
        self._cluster, self._diary = cluster, diary
        self.before_call: Callable[[WriteRequest], Awaitable[None]] | None = None
        self.after_call: Callable[[WriteRequest], Awaitable[None]] | None = None
        self.requests: list[WriteRequest] = []

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        return await self._cluster.get(resource, name, namespace, subresource=subresource)

    async def list(self, resource: Resource, namespace: str | None = None, **options: Any) -> Any:
        return await self._cluster.list(resource, namespace, **options)

    async def can_i(self, review: AccessQuestion, /) -> bool:
        return await self._cluster.can_i(review)

    async def write(self, request: WriteRequest, *, dry_run: bool) -> WriteResult:
        if not dry_run:
            self.requests.append(request)
            self._diary.lines.append(f"write:{request.verb}")
            if self.before_call is not None:
                await self.before_call(request)
        result = await self._cluster.write(request, dry_run=dry_run)
        if not dry_run:
            self._diary.lines.append(f"done:{request.verb}")
            if self.after_call is not None:
                await self.after_call(request)
        return result


class WatchedLedger:
    """The real ledger; intents are noted once they are durable."""

    def __init__(self, ledger: Ledger, diary: Diary) -> None:
        self._ledger, self._diary = ledger, diary

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def intend(self, intent: Intent) -> Any:
        record = await self._ledger.intend(intent)
        self._diary.lines.append(f"intent:{intent.action_id}")
        return record


@dataclass
class Shelf:
    """Versions of objects, as a journal keeps them."""

    kept: dict[tuple[ObjectRef, str], Version] = field(default_factory=dict)
    newest: dict[ObjectRef, str] = field(default_factory=dict)

    def put(self, ref: ObjectRef, manifest: JsonObject, source: Source = "desired") -> str:
        """Keep a version and give its digest."""
        resource = resource_of(ref.kind)
        made = normal({"apiVersion": resource.api_version, "kind": resource.kind, **manifest})
        made["metadata"] = {**dig_object(made, "metadata"), "name": ref.name, "namespace": ref.namespace}
        self.newest[ref] = digest(made)[:16]
        self.kept[ref, self.newest[ref]] = Version(made, source)
        return self.newest[ref]

    async def version(self, ref: ObjectRef, version: str) -> Version | None:
        return self.kept.get((ref, version))


@dataclass
class Arena:
    """One namespace with everything a contract needs."""

    cluster: Cluster
    ledger: Ledger
    namespace: str
    diary: Diary
    watched: WatchedCluster
    door: Door
    patience: float
    shelf: Shelf
    clock: Clock
    """The simulator's, which is virtual, or the system's."""
    outside: list[tuple[Resource, str]] = field(default_factory=list)

    @classmethod
    async def make(
        cls, cluster: Cluster, ledger: Ledger, clock: Clock, *, patience: float, policy: Policy = FREE
    ) -> Arena:
        namespace = f"door-{uuid.uuid4().hex[:8]}"
        diary = Diary()
        watched = WatchedCluster(cluster, diary)
        shelf = Shelf()
        enabled = registry.executors(image_registries=("localhost",), versions=shelf, catalogue=LISTED)
        books = WatchedLedger(ledger, diary)
        door = Door(watched, books, policy, clock, enabled, "selfheal", find=LISTED.find)
        arena = cls(cluster, ledger, namespace, diary, watched, door, patience, shelf, clock)
        await arena.create(NAMESPACE, {"metadata": {"name": namespace}})
        return arena

    async def create(self, resource: Resource, document: JsonObject) -> JsonObject:
        """Make an object; what is in no namespace goes when the arena does."""
        name = dig_str(document, "metadata", "name")
        if not resource.namespaced and resource is not NAMESPACE:
            self.outside.append((resource, name))
        body: JsonObject = {"apiVersion": resource.api_version, "kind": resource.manifest_kind, **document}
        space = self.namespace if resource.namespaced else None
        return (await self.cluster.write(WriteRequest("create", resource, space, name, body), dry_run=False)).object

    async def patch(self, resource: Resource, name: str, change: JsonObject) -> JsonObject:
        """A foreign hand: somebody who is not us changes an object."""
        space = self.namespace if resource.namespaced else None
        request = WriteRequest("patch", resource, space, name, change, "application/merge-patch+json", None, "somebody")
        return (await self.cluster.write(request, dry_run=False)).object

    async def get(self, ref: ObjectRef) -> JsonObject:
        return await self.cluster.get(resource_of(ref.kind), ref.name, ref.namespace)

    async def pods(self, app: str) -> list[JsonObject]:
        return await self.cluster.list(POD, self.namespace, label_selector=f"app={app}")

    async def until(self, what: str, question: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the answer is yes; fail with `what` otherwise."""
        ends = self.clock.monotonic() + self.patience
        while not await question():
            assert self.clock.monotonic() < ends, f"{what}: not within {self.patience} s"
            await self.clock.sleep(LOOK)

    async def settled(self, ref: ObjectRef) -> None:
        """Wait until a workload has rolled out and every pod of it is ready."""

        async def is_settled() -> bool:
            return has_settled(await self.get(ref))

        await self.until(f"{ref} settled", is_settled)

    async def order(self, action: Action, owner: ObjectRef | None = None, **changes: Any) -> Order:
        """An order about the world as it stands, in an incident of its own."""
        owner = owner or action.target
        pin, root = await self.pin(action.target), await self.get(owner)
        incident = IncidentId(changes.pop("incident_id", f"inc-{uuid.uuid4().hex[:12]}"))
        await self.open_incident(incident, owner, dig_str(root, "metadata", "uid"))
        context = OrderContext(
            incident_id=incident,
            plan_id=PlanId(f"plan-{uuid.uuid4().hex[:12]}"),
            plan_hash="h",
            step=0,
            scope=(pin,),
            pin=pin,
            owner=owner,
            owner_uid=dig_str(root, "metadata", "uid"),
            origin="rule",
        )
        return replace(context, **changes).order(action)

    async def pin(self, ref: ObjectRef) -> Pin:
        """The object as it stands, or as it is missed."""
        try:
            live = await self.get(ref)
        except NotFound:
            return Pin.absent(ref)
        return Pin(
            ref=ref,
            uid=dig_str(live, "metadata", "uid"),
            resource_version=dig_str(live, "metadata", "resourceVersion"),
            generation=None if ref.kind in COUNTS_STATUS else dig_int(live, "metadata", "generation"),
            content=content_of(live),
        )

    async def open_incident(self, incident: IncidentId, owner: ObjectRef, uid: str) -> None:
        now = self.clock.now()
        record = IncidentRecord(
            id=incident,
            fingerprint=str(incident),
            target=owner,
            target_uid=f"{uid}/{incident}",
            status="open",
            is_open=True,
            opened_at=now,
            updated_at=now,
            document={},
        )
        await self.ledger.open_incident(record)

    async def close(self) -> None:
        for resource, name in (*reversed(self.outside), (NAMESPACE, self.namespace)):
            with suppress(NotFound):
                await self.cluster.write(WriteRequest("delete", resource, None, name, {}), dry_run=False)


def resource_of(kind: str) -> Resource:
    found = LISTED.find(kind)
    assert found is not None, f"{kind} is not known here"
    return found


def has_settled(workload: JsonObject) -> bool:
    status, spec = dig_object(workload, "status"), dig_object(workload, "spec")
    if dig_int(status, "observedGeneration") != dig_int(workload, "metadata", "generation"):
        return False
    if workload.get("kind") == "DaemonSet":
        wanted = dig_int(status, "desiredNumberScheduled") or 0
        return wanted > 0 and (dig_int(status, "updatedNumberScheduled"), dig_int(status, "numberReady")) == (
            wanted,
            wanted,
        )
    wanted = dig_int(spec, "replicas") or 0
    numbers = [dig_int(status, key) or 0 for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return numbers == [wanted, wanted, wanted]


def without_status(document: JsonObject) -> JsonObject:
    """All that a person declared: no status, no server's or controller's book-keeping, not our marks."""
    metadata = dig_object(document, "metadata")
    managed = {"managedFields", "resourceVersion", "generation"}
    notes = {
        k: v
        for k, v in dig_object(metadata, "annotations").items()
        if k not in {ACTION_ID, INCIDENT_ID, *KEPT_BY_CONTROLLERS}
    }
    plain: JsonObject = {k: v for k, v in metadata.items() if k not in managed} | {"annotations": notes}
    plainly: JsonObject = {k: v for k, v in document.items() if k != "status"} | {"metadata": plain}
    return plainly | {"spec": _untainted(document)} if document.get("kind") == "Node" else plainly


def _untainted(node: JsonObject) -> JsonObject:
    """A node's spec without the taints that its controller sets and clears."""
    spec = dig_object(node, "spec")
    kept: list[JsonValue] = [
        t for t in dig_list(spec, "taints") if not dig_str(t, "key").startswith("node.kubernetes.io/")
    ]
    return {k: v for k, v in spec.items() if k != "taints"} | {"taints": kept}


def template(app: str, *, command: str = "sleep 3600", value: str = "1") -> JsonObject:
    """A pod of busybox that does `command`; the probe makes a pod that ends at once never ready."""
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": "localhost/heal-busybox:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", command],
                    "env": [{"name": "VALUE", "value": value}],
                    "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                }
            ],
        },
    }


def workload(kind: str, app: str, *, replicas: int = 1, command: str = "sleep 3600") -> JsonObject:
    spec: JsonObject = {"selector": {"matchLabels": {"app": app}}, "template": template(app, command=command)}
    if kind != "DaemonSet":
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec |= {"serviceName": app}
    return {"metadata": {"name": app}, "spec": spec}


def env_change(value: str) -> JsonObject:
    """A merge patch of the template that makes a new revision."""
    container = dig_list(template("x", value=value), "spec", "containers")
    return {"spec": {"template": {"spec": {"containers": container}}}}
