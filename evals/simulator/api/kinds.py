"""The table of resources: what discovery says and what the server needs to know of each kind.

Built-in kinds are a table; those of CustomResourceDefinitions come and go in `KindTable`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.jsontypes import JsonObject

POD_KEY = "pods"
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource in one version.  `storage` names the resource whose objects it shows (Events have two views)."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    storage: str = ""
    verbs: tuple[str, ...] = ALL_VERBS
    custom: JsonObject | None = field(default=None, compare=False)
    """The version's entry in its CustomResourceDefinition; None for a built-in kind."""
    status_is_separate: bool = True
    """Whether a plain write leaves `status` alone (false for a custom resource without the subresource)."""

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`deployments.apps`, `pods`: as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def key(self) -> str:
        """Under which the store keeps its objects."""
        return self.storage or self.resource

    @property
    def singular(self) -> str:
        """`deployment`."""
        return self.kind.lower()


def _k(group: str, version: str, plural: str, kind: str, short: str = "", *subs: str) -> Kind:
    """A namespaced kind; `all` among the subresources is the category."""
    parts = [s for text in subs for s in text.split()]
    known = tuple(s for s in parts if s != "all")
    return Kind(group, version, plural, kind, True, tuple(short.split()), known, ("all",) if "all" in parts else ())  # noqa: FBT003


def _c(group: str, version: str, plural: str, kind: str, short: str = "", subs: str = "") -> Kind:  # noqa: PLR0917 - a row
    return Kind(group, version, plural, kind, False, tuple(short.split()), tuple(subs.split()))  # noqa: FBT003


def _review(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Kind:
    return Kind(group, "v1", plural, kind, namespaced, verbs=("create",))


_RBAC, _AUTH = "rbac.authorization.k8s.io", "authorization.k8s.io"

BUILTIN: tuple[Kind, ...] = (
    _k("", "v1", "pods", "Pod", "po", "status log eviction binding ephemeralcontainers resize", "all"),
    _c("", "v1", "nodes", "Node", "no", "status"),
    _c("", "v1", "namespaces", "Namespace", "ns", "status finalize"),
    _k("", "v1", "services", "Service", "svc", "status", "all"),
    _k("", "v1", "endpoints", "Endpoints", "ep"),
    _k("", "v1", "configmaps", "ConfigMap", "cm"),
    _k("", "v1", "secrets", "Secret"),
    _k("", "v1", "serviceaccounts", "ServiceAccount", "sa", "token"),
    _k("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "status"),
    _c("", "v1", "persistentvolumes", "PersistentVolume", "pv", "status"),
    _k("", "v1", "resourcequotas", "ResourceQuota", "quota", "status"),
    _k("", "v1", "limitranges", "LimitRange", "limits"),
    _k("", "v1", "replicationcontrollers", "ReplicationController", "rc", "status scale", "all"),
    _k("", "v1", "podtemplates", "PodTemplate"),
    _k("", "v1", "events", "Event", "ev"),
    Kind("events.k8s.io", "v1", "events", "Event", short=("ev",), storage="events"),
    _k("apps", "v1", "deployments", "Deployment", "deploy", "status scale", "all"),
    _k("apps", "v1", "replicasets", "ReplicaSet", "rs", "status scale", "all"),
    _k("apps", "v1", "statefulsets", "StatefulSet", "sts", "status scale", "all"),
    _k("apps", "v1", "daemonsets", "DaemonSet", "ds", "status", "all"),
    _k("apps", "v1", "controllerrevisions", "ControllerRevision"),
    _k("batch", "v1", "jobs", "Job", "", "status", "all"),
    _k("batch", "v1", "cronjobs", "CronJob", "cj", "status", "all"),
    _k("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", "status", "all"),
    _k("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", "status"),
    _k("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    _k("coordination.k8s.io", "v1", "leases", "Lease"),
    _k("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "netpol"),
    _k("networking.k8s.io", "v1", "ingresses", "Ingress", "ing", "status"),
    _c("networking.k8s.io", "v1", "ingressclasses", "IngressClass"),
    _c("storage.k8s.io", "v1", "storageclasses", "StorageClass", "sc"),
    _c("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", "", "status"),
    _c("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", "pc"),
    _k(_RBAC, "v1", "roles", "Role"),
    _k(_RBAC, "v1", "rolebindings", "RoleBinding"),
    _c(_RBAC, "v1", "clusterroles", "ClusterRole"),
    _c(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding"),
    _c("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", "crd crds", "status"),
    _c("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
    _c("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    _c("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "", "status"),
    _c("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
    _c("apiregistration.k8s.io", "v1", "apiservices", "APIService", "", "status"),
    _review(_AUTH, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review(_AUTH, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _review(_AUTH, "subjectaccessreviews", "SubjectAccessReview"),
    _review(_AUTH, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
    _review("authentication.k8s.io", "tokenreviews", "TokenReview"),
    _review("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
)

REVIEWS = frozenset(k.kind for k in BUILTIN if k.verbs == ("create",))
SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "v1", "Binding"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}


class KindTable:
    """Which resources are served now: the built-in ones and those of established CustomResourceDefinitions."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {(k.group, k.version, k.plural): k for k in BUILTIN}
        self._by_name: dict[tuple[str, str], Kind] = {}
        for kind in BUILTIN:
            self._by_name.setdefault((kind.group, kind.kind), kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(list(self._by_path.values()))

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """By URL path."""
        return self._by_path.get((group, version, plural))

    def named(self, kind: str, group: str = "") -> Kind:
        """By kind and group.  Raises KeyError when there is none."""
        return self._by_name[group, kind]

    def of(self, manifest: JsonObject) -> Kind | None:
        """The resource of a manifest's `apiVersion` and `kind`."""
        api_version, kind = manifest.get("apiVersion"), manifest.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            return None
        group, _, version = api_version.rpartition("/")
        for candidate in self._by_path.values():
            if candidate.group == group and candidate.version == version and candidate.kind == kind:
                return candidate
        return None

    def by_key(self, key: str) -> Kind:
        """By the store's key."""
        for candidate in self._by_path.values():
            if candidate.resource == key:
                return candidate
        raise KeyError(key)

    def add(self, kind: Kind, *, preferred: bool) -> None:
        """Serve a custom resource."""
        self._by_path[kind.group, kind.version, kind.plural] = kind
        if preferred or (kind.group, kind.kind) not in self._by_name:
            self._by_name[kind.group, kind.kind] = kind

    def remove(self, group: str, plural: str) -> None:
        """Stop serving a custom resource in all its versions."""
        for path in [p for p in self._by_path if p[0] == group and p[2] == plural]:
            gone = self._by_path.pop(path)
            self._by_name.pop((gone.group, gone.kind), None)
