"""Validation of what people get wrong: names, selectors, containers, probes, ports, and what may not change."""

from __future__ import annotations

import re
from collections.abc import Callable

from evals.simulator import quantity
from evals.simulator.api import pod_validation
from evals.simulator.api.causes import LABEL, LABEL_TEXT, Causes, bad, required, show, unsupported
from evals.simulator.api.errors import invalid
from evals.simulator.api.kinds import Kind
from evals.simulator.api.selectors import selects
from evals.simulator.objects import annotations_of, labels_of, name_of, objects, template_of
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_DNS1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_QUALIFIED = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_DNS1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end "
    "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_ANY_NAME = re.compile(r"^[^/%]+$")
_LABEL_KINDS = {"Namespace", "StatefulSet"}
_FREE_NAMES = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def _immutable(field: str, value: JsonValue) -> tuple[str, str, str]:
    return bad(field, value, "field is immutable")


def _name(kind: Kind, obj: JsonObject) -> Causes:
    name = name_of(obj)
    if not name:
        return [required("metadata.name", "Required value: name or generateName is required")]
    if kind.kind in _FREE_NAMES:
        return [] if _ANY_NAME.match(name) else [bad("metadata.name", name, "may not contain '/'")]
    if kind.kind == "Service":
        return [] if _DNS1035.match(name) and len(name) <= 63 else [bad("metadata.name", name, _DNS1035_TEXT)]
    if kind.kind in _LABEL_KINDS:
        return [] if LABEL.match(name) and len(name) <= 63 else [bad("metadata.name", name, LABEL_TEXT)]
    if len(name) > 253:
        return [bad("metadata.name", name, "must be no more than 253 bytes")]
    return [] if _SUBDOMAIN.match(name) else [bad("metadata.name", name, _SUBDOMAIN_TEXT)]


def _labels(labels: JsonObject, field: str) -> Causes:
    causes: Causes = []
    for key, value in labels.items():
        if not _QUALIFIED.match(key):
            causes.append(bad(field, key, "name part must consist of alphanumeric characters, '-', '_' or '.'"))
        if not isinstance(value, str) or not _LABEL_VALUE.match(value) or len(value) > 63:
            causes.append(
                bad(field, value, "a valid label must be an empty string or consist of alphanumeric characters")
            )
    return causes


def _metadata(kind: Kind, obj: JsonObject) -> Causes:
    causes = _name(kind, obj) + _labels(dig_object(obj, "metadata", "labels"), "metadata.labels")
    if sum(len(k) + len(v) for k, v in annotations_of(obj).items()) > 256 * 1024:
        causes.append(("FieldValueTooLong", "metadata.annotations", "Too long: may not be more than 262144 bytes"))
    return causes


def _replicas(obj: JsonObject) -> Causes:
    value = dig(obj, "spec", "replicas")
    if isinstance(value, int) and value < 0:
        return [bad("spec.replicas", value, "must be greater than or equal to 0")]
    return []


def _workload(obj: JsonObject) -> Causes:
    causes = _replicas(obj)
    selector = dig_object(obj, "spec", "selector")
    template = template_of(obj)
    if not selector:
        causes.append(required("spec.selector"))
    elif not selects(selector, labels_of(template)):
        shown = show(dig_object(template, "metadata", "labels"))
        causes.append(("FieldValueInvalid", "spec.template.metadata.labels",
                       f"Invalid value: {shown}: `selector` does not match template `labels`"))  # fmt: skip
    return causes + pod_validation.pod_spec(dig_object(template, "spec"), "spec.template.spec", policies=("Always",))


def _deployment(obj: JsonObject) -> Causes:
    causes = _workload(obj)
    strategy = dig_object(obj, "spec", "strategy")
    kind = strategy.get("type")
    if kind not in {"RollingUpdate", "Recreate"}:
        causes.append(unsupported("spec.strategy", strategy, ("Recreate", "RollingUpdate")))
    if kind == "Recreate" and strategy.get("rollingUpdate"):
        why = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        causes.append(("FieldValueForbidden", "spec.strategy.rollingUpdate", why))
    rolling = dig_object(strategy, "rollingUpdate")
    if kind == "RollingUpdate" and all(rolling.get(k) in (0, "0%") for k in ("maxSurge", "maxUnavailable")):
        causes.append(bad("spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0"))
    return causes


def _job(obj: JsonObject) -> Causes:
    spec = dig_object(obj, "spec", "template", "spec")
    return pod_validation.pod_spec(spec, "spec.template.spec", policies=("OnFailure", "Never"))


def _cron_job(obj: JsonObject) -> Causes:
    schedule = dig_str(obj, "spec", "schedule")
    causes: Causes = []
    if not schedule:
        causes.append(required("spec.schedule"))
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        why = f"expected exactly 5 fields, found {len(schedule.split())}: [{schedule}]"
        causes.append(bad("spec.schedule", schedule, why))
    spec = dig_object(obj, "spec", "jobTemplate", "spec", "template", "spec")
    return causes + pod_validation.pod_spec(
        spec, "spec.jobTemplate.spec.template.spec", policies=("OnFailure", "Never")
    )


def _service(obj: JsonObject) -> Causes:
    causes: Causes = []
    ports = objects(obj, "spec", "ports")
    if not ports and dig(obj, "spec", "clusterIP") != "None" and dig(obj, "spec", "type") != "ExternalName":
        causes.append(required("spec.ports"))
    for index, port in enumerate(ports):
        value = port.get("port")
        if not isinstance(value, int) or not 0 < value < 65536:
            causes.append(bad(f"spec.ports[{index}].port", value, "must be between 1 and 65535, inclusive"))
        target = port.get("targetPort")
        if isinstance(target, int) and not 0 < target < 65536:
            causes.append(bad(f"spec.ports[{index}].targetPort", target, "must be between 1 and 65535, inclusive"))
        if len(ports) > 1 and not dig_str(port, "name"):
            causes.append(required(f"spec.ports[{index}].name"))
    return causes


def _hpa(obj: JsonObject) -> Causes:
    spec = dig_object(obj, "spec")
    low, high = spec.get("minReplicas"), spec.get("maxReplicas")
    causes: Causes = []
    if not isinstance(high, int) or high < 1:
        causes.append(bad("spec.maxReplicas", high if isinstance(high, int) else 0, "must be greater than 0"))
    elif isinstance(low, int) and low > high:
        why = "must be greater than or equal to `minReplicas`"
        causes.append(bad("spec.maxReplicas", high, why))
    if not dig_str(spec, "scaleTargetRef", "name"):
        causes.append(required("spec.scaleTargetRef.name"))
    return causes


def _pdb(obj: JsonObject) -> Causes:
    spec = dig_object(obj, "spec")
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        return [bad("spec", {}, "minAvailable and maxUnavailable cannot be both set")]
    return []


def _claim(obj: JsonObject) -> Causes:
    causes: Causes = []
    if not dig_list(obj, "spec", "accessModes"):
        causes.append(required("spec.accessModes", "Required value: at least 1 access mode is required"))
    if dig(obj, "spec", "resources", "requests", "storage") is None:
        causes.append(required("spec.resources[storage]"))
    return causes


_CREATE: dict[str, Callable[[JsonObject], Causes]] = {
    "Pod": lambda o: pod_validation.pod_spec(dig_object(o, "spec"), "spec"),
    "Deployment": _deployment,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "HorizontalPodAutoscaler": _hpa,
    "PodDisruptionBudget": _pdb,
    "PersistentVolumeClaim": _claim,
}
_FROZEN: dict[str, tuple[tuple[str, ...], ...]] = {
    "Deployment": (("spec", "selector"),),
    "ReplicaSet": (("spec", "selector"),),
    "DaemonSet": (("spec", "selector"),),
    "Job": (("spec", "template"), ("spec", "selector"), ("spec", "completions")),
    "RoleBinding": (("roleRef",),),
    "ClusterRoleBinding": (("roleRef",),),
    "StorageClass": (("provisioner",), ("parameters",), ("volumeBindingMode",)),
    "PriorityClass": (("value",),),
}
_STS_MAY = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "minReadySeconds",
        "persistentVolumeClaimRetentionPolicy",
    }
)


def _pod_update(obj: JsonObject, old: JsonObject) -> Causes:
    def core(pod: JsonObject) -> JsonValue:
        spec = dict(dig_object(pod, "spec"))
        for field in (
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
            "schedulingGates",
            "nodeName",
        ):
            spec.pop(field, None)
        for kind in ("containers", "initContainers"):
            spec[kind] = [{k: v for k, v in c.items() if k != "image"} for c in objects(spec, kind)]
        return spec

    if core(obj) != core(old):
        why = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
            "additions to existing "
            "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        )
        return [("FieldValueForbidden", "spec", why)]
    return []


def _stateful_set_update(obj: JsonObject, old: JsonObject) -> Causes:
    new_spec, old_spec = dig_object(obj, "spec"), dig_object(old, "spec")
    if any(new_spec.get(k) != old_spec.get(k) for k in (set(new_spec) | set(old_spec)) - _STS_MAY):
        why = (
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
            "'minReadySeconds' are forbidden"
        )
        return [("FieldValueForbidden", "spec", why)]
    return []


def _claim_update(obj: JsonObject, old: JsonObject) -> Causes:
    new, before = (
        dig(obj, "spec", "resources", "requests", "storage"),
        dig(old, "spec", "resources", "requests", "storage"),
    )
    if quantity.parse(new) < quantity.parse(before):
        why = "Forbidden: field can not be less than previous value"
        return [("FieldValueForbidden", "spec.resources.requests.storage", why)]
    for field in ("accessModes", "storageClassName", "volumeName", "selector"):
        had = dig(old, "spec", field)
        if had is not None and dig(obj, "spec", field) != had:
            why = (
                "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
                "for bound claims"
            )
            return [("FieldValueForbidden", "spec", why)]
    return []


def _service_update(obj: JsonObject, old: JsonObject) -> Causes:
    had, has = dig(old, "spec", "clusterIP"), dig(obj, "spec", "clusterIP")
    if had and dig(obj, "spec", "type") != "ExternalName" and has != had:
        return [bad("spec.clusterIPs[0]", [has], "may not change once set")]
    return []


_UPDATE: dict[str, Callable[[JsonObject, JsonObject], Causes]] = {
    "Pod": _pod_update,
    "StatefulSet": _stateful_set_update,
    "PersistentVolumeClaim": _claim_update,
    "Service": _service_update,
}


def _config_update(obj: JsonObject, old: JsonObject) -> Causes:
    if old.get("immutable") is True and (obj.get("data") != old.get("data") or obj.get("immutable") is not True):
        return [("FieldValueForbidden", "data", "Forbidden: field is immutable when `immutable` is set")]
    return []


def check(kind: Kind, obj: JsonObject, old: JsonObject | None) -> None:
    """Raise 422 with every cause found.  `old` is given for an update."""
    causes = _metadata(kind, obj)
    if kind.custom is None:
        checker = _CREATE.get(kind.kind)
        if checker is not None and (old is None or kind.kind != "Pod"):
            causes += checker(obj)
        if old is not None:
            causes += _changes(kind, obj, old)
    if causes:
        raise invalid(kind.kind, kind.group, name_of(obj), causes)


def _changes(kind: Kind, obj: JsonObject, old: JsonObject) -> Causes:
    causes: Causes = []
    for path in _FROZEN.get(kind.kind, ()):
        if dig(obj, *path) != dig(old, *path):
            causes.append(_immutable(".".join(path), dig(obj, *path)))
    if kind.kind in _UPDATE:
        causes += _UPDATE[kind.kind](obj, old)
    if kind.kind in {"ConfigMap", "Secret"}:
        causes += _config_update(obj, old)
    return causes
