"""What a workload depends on: settings, names of Secrets, Services, autoscaler, budgets, claims, account, limits.

Pure over manifests.  The rule: an edge is there because a field of one of the two objects says so, never because names
look alike; of a Secret only the name is known.  Neighbours: `keeper` snapshots what a healthy workload is wired to,
`candidates` looks there for what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tools.cluster.structs import LabelSelector, LabelSelectorRequirement
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str
from tools.refs import ObjectRef

_TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
LIMITING: Final = frozenset({"NetworkPolicy", "ResourceQuota", "LimitRange"})
"""Kinds that stand in a workload's way by being there."""

AUTOSCALERS: Final = frozenset({"HorizontalPodAutoscaler", "ScaledObject"})
"""Kinds that choose a workload's replicas."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One object that a workload depends on, and how, in words.

    `required`: without it the pods do not start.  The object need not exist.
    """

    ref: ObjectRef
    relation: str
    required: bool = False


def template_of(manifest: JsonObject) -> JsonObject:
    """The pod template of a workload, `{}` for what has none; a pod is its own."""
    path = _TEMPLATES.get(dig_str(manifest, "kind"))
    return {} if path is None else dig_object(manifest, *path)


def wiring(manifest: JsonObject, documents: Iterable[JsonObject]) -> tuple[Edge, ...]:
    """All that `manifest`, a workload, depends on, each object once.

    `documents` are the objects of its namespace, each with its kind; those of no interest are passed over.
    """
    template = template_of(manifest)
    namespace = dig_str(manifest, "metadata", "namespace")
    if not template or not namespace:
        return ()
    found: dict[ObjectRef, Edge] = {}
    for kind, name, relation, required in (
        *_referred(template),
        *_claims_of(manifest),
        *_around(manifest, template, namespace, list(documents)),
    ):
        ref = _ref(kind, namespace, name)
        if ref is not None:
            found.setdefault(ref, Edge(ref, relation, required))
    return tuple(found.values())


def selects(selector: JsonObject, labels: JsonObject) -> bool:
    """Whether a label selector (`matchLabels`, `matchExpressions`) selects these labels; an empty one selects all."""
    texts = {key: value for key, value in labels.items() if isinstance(value, str)}
    wanted = {key: str(value) for key, value in dig_object(selector, "matchLabels").items()}
    terms = tuple(
        LabelSelectorRequirement(
            key=dig_str(term, "key"),
            operator=dig_str(term, "operator"),
            values=tuple(str(v) for v in dig_list(term, "values")),
        )
        for term in dig_list(selector, "matchExpressions")
    )
    return LabelSelector(match_labels=wanted, match_expressions=terms).matches(texts)


_Found = tuple[str, str, str, bool]
"""Kind, name, relation, required."""


def _referred(template: JsonObject) -> Iterator[_Found]:
    """What the template names."""
    spec = dig_object(template, "spec")
    for container in (*dig_list(spec, "initContainers"), *dig_list(spec, "containers")):
        yield from _of_container(container)
    for volume in dig_list(spec, "volumes"):
        yield from _of_volume(volume)
    for secret in dig_list(spec, "imagePullSecrets"):
        yield "Secret", dig_str(secret, "name"), "Secret for pulling images", False
    account = dig_str(spec, "serviceAccountName") or "default"
    yield "ServiceAccount", account, "account of the pods", True


def _of_container(container: JsonValue) -> Iterator[_Found]:
    name = dig_str(container, "name")
    for source in dig_list(container, "envFrom"):
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            yield kind, dig_str(source, key, "name"), f"{kind} of container {name}", _must(dig(source, key))
    for variable in dig_list(container, "env"):
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            source = dig(variable, "valueFrom", key)
            yield kind, dig_str(source, "name"), f"{kind} of container {name}", _must(source)


def _of_volume(volume: JsonValue) -> Iterator[_Found]:
    name = dig_str(volume, "name")
    config, secret = dig(volume, "configMap"), dig(volume, "secret")
    yield "ConfigMap", dig_str(config, "name"), f"ConfigMap of volume {name}", _must(config)
    yield "Secret", dig_str(secret, "secretName"), f"Secret of volume {name}", _must(secret)
    claim = dig_str(volume, "persistentVolumeClaim", "claimName")
    yield "PersistentVolumeClaim", claim, f"claim of volume {name}", True
    for source in dig_list(volume, "projected", "sources"):
        for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
            found = dig(source, key)
            yield kind, dig_str(found, "name"), f"{kind} of volume {name}", _must(found)


def _claims_of(manifest: JsonObject) -> Iterator[_Found]:
    """The claims of a StatefulSet's pods, which its controller makes by name."""
    if dig_str(manifest, "kind") != "StatefulSet":
        return
    owner, first = dig_str(manifest, "metadata", "name"), dig_int(manifest, "spec", "ordinals", "start") or 0
    for claim in dig_list(manifest, "spec", "volumeClaimTemplates"):
        name = dig_str(claim, "metadata", "name")
        for ordinal in range(first, first + (dig_int(manifest, "spec", "replicas") or 0)):
            yield "PersistentVolumeClaim", f"{name}-{owner}-{ordinal}", f"claim {name} of pod {ordinal}", True


def _around(
    manifest: JsonObject, template: JsonObject, namespace: str, documents: list[JsonObject]
) -> Iterator[_Found]:
    """What names or selects the workload, or limits its namespace."""
    labels = dig_object(template, "metadata", "labels")
    account = dig_str(template, "spec", "serviceAccountName") or "default"
    services: set[str] = set()
    for document in documents:
        kind, name = dig_str(document, "kind"), dig_str(document, "metadata", "name")
        spec = dig_object(document, "spec")
        match kind:
            case "Service" if (selector := dig_object(spec, "selector")) and _holds(labels, selector):
                services.add(name)
                yield kind, name, "Service that leads to its pods", False
            case "Service" if name == dig_str(manifest, "spec", "serviceName"):
                yield kind, name, "Service that names its pods", False
            case _ if kind in AUTOSCALERS and _aims_at(spec, manifest):
                yield kind, name, "autoscaler of its replicas", False
            case "PodDisruptionBudget" if "selector" in spec and selects(dig_object(spec, "selector"), labels):
                yield kind, name, "disruption budget over its pods", False
            case "NetworkPolicy" if selects(dig_object(spec, "podSelector"), labels):
                yield kind, name, "network policy on its pods", False
            case "ResourceQuota" | "LimitRange":
                yield (
                    kind,
                    name,
                    "quota of its namespace" if kind == "ResourceQuota" else "limits of its namespace",
                    False,
                )
            case "RoleBinding" if _binds(document, account, namespace):
                yield kind, name, f"binding of account {account}", False
                if dig_str(document, "roleRef", "kind") == "Role":
                    yield "Role", dig_str(document, "roleRef", "name"), f"role of account {account}", False
            case _:
                pass
    for document in documents:
        service = dig_str(document, "metadata", "labels", "kubernetes.io/service-name")
        if dig_str(document, "kind") == "EndpointSlice" and service in services:
            yield "EndpointSlice", dig_str(document, "metadata", "name"), f"endpoints of Service {service}", False


def _aims_at(spec: JsonObject, manifest: JsonObject) -> bool:
    """KEDA takes a Deployment where the kind is left out; to anybody else it is required."""
    aim = dig_object(spec, "scaleTargetRef")
    return (dig_str(aim, "kind") or "Deployment") == dig_str(manifest, "kind") and dig_str(aim, "name") == dig_str(
        manifest, "metadata", "name"
    )


def _binds(binding: JsonObject, account: str, namespace: str) -> bool:
    return any(
        dig_str(subject, "kind") == "ServiceAccount"
        and dig_str(subject, "name") == account
        and dig_str(subject, "namespace") in ("", namespace)
        for subject in dig_list(binding, "subjects")
    )


def _holds(labels: JsonObject, selector: JsonObject) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _must(source: JsonValue) -> bool:
    return dig(source, "optional") is not True


def _ref(kind: str, namespace: str, name: str) -> ObjectRef | None:
    try:
        return ObjectRef(kind=kind, namespace=namespace, name=name) if name else None
    except ValueError:
        return None
