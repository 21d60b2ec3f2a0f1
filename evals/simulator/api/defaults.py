"""Defaulting: what the API server fills in, as far as clients and controllers here look at it."""

from __future__ import annotations

from collections.abc import Callable

from evals.simulator.objects import child, labels_of, objects, strings
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object


def _default(obj: JsonObject, **values: JsonValue) -> None:
    for key, value in values.items():
        if obj.get(key) is None:
            obj[key] = value


def _probe(probe: JsonObject) -> None:
    _default(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    get = probe.get("httpGet")
    if isinstance(get, dict):
        _default(get, path="/", scheme="HTTP")


def pull_policy(image: str) -> str:
    """`Always` for a tag that moves, `IfNotPresent` otherwise."""
    tail = image.rsplit("/", 1)[-1]
    return "Always" if "@" not in image and (":" not in tail or tail.endswith(":latest")) else "IfNotPresent"


def _container(container: JsonObject) -> None:
    image = container.get("image")
    _default(
        container,
        imagePullPolicy=pull_policy(image if isinstance(image, str) else ""),
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for port in objects(container, "ports"):
        _default(port, protocol="TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        found = container.get(probe)
        if isinstance(found, dict):
            _probe(found)
    for env in objects(container, "env"):
        ref = dig(env, "valueFrom", "fieldRef")
        if isinstance(ref, dict):
            _default(ref, apiVersion="v1")


def _volume(volume: JsonObject) -> None:
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        found = volume.get(source)
        if isinstance(found, dict):
            _default(found, defaultMode=420)
    host = volume.get("hostPath")
    if isinstance(host, dict):
        _default(host, type="")


def pod_spec(spec: JsonObject) -> None:
    """Defaults of a pod's or a template's spec, in place."""
    _default(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for kind in ("initContainers", "containers"):
        for container in objects(spec, kind):
            _container(container)
    for volume in objects(spec, "volumes"):
        _volume(volume)
    for constraint in objects(spec, "topologySpreadConstraints"):
        _default(constraint, whenUnsatisfiable="DoNotSchedule")


def _template(obj: JsonObject, *path: str) -> None:
    template = child(obj, *path)
    meta = child(template, "metadata")
    meta.setdefault("creationTimestamp", None)
    pod_spec(child(template, "spec"))


def _rolling(strategy: JsonObject, **bounds: JsonValue) -> None:
    if strategy.get("type") == "RollingUpdate":
        _default(child(strategy, "rollingUpdate"), **bounds)


def _deployment(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    _default(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = child(spec, "strategy")
    _default(strategy, type="RollingUpdate")
    _rolling(strategy, maxUnavailable="25%", maxSurge="25%")
    _template(obj, "spec", "template")


def _replica_set(obj: JsonObject) -> None:
    _default(child(obj, "spec"), replicas=1)
    _template(obj, "spec", "template")


def _stateful_set(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    _default(
        spec,
        replicas=1,
        revisionHistoryLimit=10,
        podManagementPolicy="OrderedReady",
        persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"},
    )
    strategy = child(spec, "updateStrategy")
    _default(strategy, type="RollingUpdate")
    _rolling(strategy, partition=0)
    _template(obj, "spec", "template")


def _daemon_set(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    _default(spec, revisionHistoryLimit=10)
    strategy = child(spec, "updateStrategy")
    _default(strategy, type="RollingUpdate")
    _rolling(strategy, maxUnavailable=1, maxSurge=0)
    _template(obj, "spec", "template")


def job_spec(spec: JsonObject) -> None:
    """Defaults of a Job's spec, in place."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _default(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False, manualSelector=False)
    spec["podReplacementPolicy"] = spec.get("podReplacementPolicy") or "TerminatingOrFailed"
    child(spec, "template", "metadata").setdefault("creationTimestamp", None)
    pod_spec(child(spec, "template", "spec"))


def _job(obj: JsonObject) -> None:
    job_spec(child(obj, "spec"))


def _cron_job(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    _default(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    template = child(spec, "jobTemplate", "spec")
    child(template, "template", "metadata").setdefault("creationTimestamp", None)
    pod_spec(child(template, "template", "spec"))


def _service(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    _default(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    if spec.get("type") != "ExternalName":
        _default(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    for port in objects(spec, "ports"):
        _default(port, protocol="TCP", targetPort=port.get("port"))


def _hpa(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    _default(spec, minReplicas=1)
    if not spec.get("metrics"):
        target: JsonObject = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _claim(obj: JsonObject) -> None:
    _default(child(obj, "spec"), volumeMode="Filesystem")
    _default(child(obj, "status"), phase="Pending")


def _volume_object(obj: JsonObject) -> None:
    _default(child(obj, "spec"), volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")
    _default(child(obj, "status"), phase="Pending")


def _namespace(obj: JsonObject) -> None:
    meta = child(obj, "metadata")
    labels = child(meta, "labels")
    labels["kubernetes.io/metadata.name"] = meta.get("name")
    _default(child(obj, "spec"), finalizers=["kubernetes"])
    _default(child(obj, "status"), phase="Active")


def _pod(obj: JsonObject) -> None:
    pod_spec(child(obj, "spec"))
    for kind in ("initContainers", "containers"):
        for container in objects(obj, "spec", kind):
            limits = dig_object(container, "resources", "limits")
            if limits:
                _default(child(container, "resources", "requests"), **limits)
    _default(child(obj, "spec"), enableServiceLinks=True)
    _default(child(obj, "status"), phase="Pending", qosClass=qos_class(dig_object(obj, "spec")))


def qos_class(spec: JsonObject) -> str:
    """Guaranteed, Burstable or BestEffort."""
    guaranteed, any_set = True, False
    for container in objects(spec, "containers"):
        requests, limits = dig_object(container, "resources", "requests"), dig_object(container, "resources", "limits")
        any_set = any_set or bool(requests or limits)
        for resource in ("cpu", "memory"):
            if limits.get(resource) is None or requests.get(resource, limits.get(resource)) != limits.get(resource):
                guaranteed = False
    return "Guaranteed" if guaranteed and any_set else "Burstable" if any_set else "BestEffort"


def _secret(obj: JsonObject) -> None:
    import base64

    _default(obj, type="Opaque")
    plain = strings(obj, "stringData")
    if plain:
        data = child(obj, "data")
        for key, value in plain.items():
            data[key] = base64.b64encode(value.encode()).decode()
        del obj["stringData"]


def _crd(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    _default(spec, conversion={"strategy": "None"})
    names = child(spec, "names")
    kind = names.get("kind")
    if isinstance(kind, str):
        _default(names, singular=kind.lower(), listKind=f"{kind}List")


def _limit_range(obj: JsonObject) -> None:
    for limit in objects(obj, "spec", "limits"):
        if limit.get("type") != "Container":
            continue
        maximum, minimum = dig_object(limit, "max"), dig_object(limit, "min")
        if maximum:
            _default(child(limit, "default"), **maximum)
        if dig_object(limit, "default") or minimum:
            _default(child(limit, "defaultRequest"), **{**dig_object(limit, "default"), **minimum})


def _priority(obj: JsonObject) -> None:
    _default(obj, preemptionPolicy="PreemptLowerPriority")


def _network_policy(obj: JsonObject) -> None:
    spec = child(obj, "spec")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _storage_class(obj: JsonObject) -> None:
    _default(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


_BY_KIND: dict[str, Callable[[JsonObject], None]] = {
    "pods": _pod,
    "deployments.apps": _deployment,
    "replicasets.apps": _replica_set,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "services": _service,
    "horizontalpodautoscalers.autoscaling": _hpa,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume_object,
    "namespaces": _namespace,
    "secrets": _secret,
    "customresourcedefinitions.apiextensions.k8s.io": _crd,
    "limitranges": _limit_range,
    "priorityclasses.scheduling.k8s.io": _priority,
    "networkpolicies.networking.k8s.io": _network_policy,
    "storageclasses.storage.k8s.io": _storage_class,
}


_FALSE_IS_NOTHING: dict[str, tuple[str, ...]] = {
    "deployments.apps": ("paused",),
    "nodes": ("unschedulable",),
    "pods": ("hostNetwork", "hostPID", "hostIPC"),
}
"""Fields of `spec` that the API server leaves out when they are false."""


def apply_defaults(key: str, obj: JsonObject) -> None:
    """Fill in the defaults of a resource, in place, and leave out what says nothing."""
    spec = obj.get("spec")
    for name in _FALSE_IS_NOTHING.get(key, ()):
        if isinstance(spec, dict) and spec.get(name) is False:
            del spec[name]
    filler = _BY_KIND.get(key)
    if filler is not None:
        filler(obj)
    if key == "jobs.batch" and not labels_of(obj):
        child(obj, "metadata").setdefault("labels", {})
