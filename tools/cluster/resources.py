"""Names of the Kubernetes resources we speak of, and the shape of one write.

A `Resource` is what a URL path needs; a `WriteRequest` is one mutating call as a value: the same value is sent
with `dryRun=All` and then for real, so what was checked is what happens.
Paths: https://kubernetes.io/docs/reference/using-api/api-concepts/#standard-api-terminology
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from tools.jsontypes import JsonValue

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete"]
PatchType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API names it: `group` is "" for core; `plural` is the path segment.

    `kind` is what references call it: the manifest's, or for a kind that is known only at run time `qualified`.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As written in a manifest: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def manifest_kind(self) -> str:
        """As written in a manifest: the kind without the group that qualifies it (`qualified`)."""
        return self.kind.partition(".")[0]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, the object or its subresource; segments are percent-encoded.

        Raises ValueError when a namespaced object is named without its namespace: guessing one would hit another.
        """
        if name is not None and self.namespaced and not namespace:
            raise ValueError(f"{self.kind} {name}: a namespace is needed")
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource is not None:
            parts.append(subresource)
        return "/" + "/".join(quote(p, safe="") for p in parts)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One mutating call, complete but for `dryRun`.

    `verb` is the RBAC verb; create means POST, update PUT, patch PATCH, delete DELETE.
    `body` already carries its preconditions (uid, resourceVersion).
    """

    verb: Literal["create", "update", "patch", "delete"]
    resource: Resource
    namespace: str | None
    name: str
    body: JsonValue
    content_type: PatchType | Literal["application/json"] = "application/json"
    subresource: str | None = None
    field_manager: str = "selfheal"


def qualified(kind: str, group: str) -> str:
    """The name of a kind that is known only at run time: `Bucket.storage.example.org`.  No kind has a dot itself."""
    return f"{kind}.{group}"


POD = Resource("", "v1", "pods", "Pod")
NODE = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACE = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICE = Resource("", "v1", "services", "Service")
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")
PVC = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGE = Resource("", "v1", "limitranges", "LimitRange")
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")
PERSISTENT_VOLUME = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
CORE_EVENT = Resource("", "v1", "events", "Event")
EVENT = Resource("events.k8s.io", "v1", "events", "Event")
DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Resource("apps", "v1", "replicasets", "ReplicaSet")
STATEFUL_SET = Resource("apps", "v1", "statefulsets", "StatefulSet")
DAEMON_SET = Resource("apps", "v1", "daemonsets", "DaemonSet")
CONTROLLER_REVISION = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
JOB = Resource("batch", "v1", "jobs", "Job")
CRON_JOB = Resource("batch", "v1", "cronjobs", "CronJob")
HPA = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
PDB = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICY = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLE = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDING = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
STORAGE_CLASS = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
SCALED_OBJECT = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
SCALED_JOB = Resource("keda.sh", "v1alpha1", "scaledjobs", "ScaledJob")
APPLICATION = Resource("argoproj.io", "v1alpha1", "applications", "Application")
VPA = Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalers", "VerticalPodAutoscaler")
SELF_SUBJECT_ACCESS_REVIEW = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)

KNOWN: dict[str, Resource] = {
    r.kind: r
    for r in (
        POD, NODE, NAMESPACE, SERVICE, CONFIG_MAP, PVC, QUOTA, DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET,
        CONTROLLER_REVISION, JOB, CRON_JOB, HPA, PDB, ENDPOINT_SLICE, LIMIT_RANGE, SERVICE_ACCOUNT, NETWORK_POLICY,
        ROLE, ROLE_BINDING, PERSISTENT_VOLUME, STORAGE_CLASS, SCALED_OBJECT, SCALED_JOB, APPLICATION,
    )
}  # fmt: skip
"""By kind, for object references that come in without a group; kinds that exist in two groups (Event) are left out."""
