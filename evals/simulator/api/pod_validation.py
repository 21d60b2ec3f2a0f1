"""Validation of pod specs: containers, probes, resources, volumes."""

from __future__ import annotations

from evals.simulator import quantity
from evals.simulator.api.causes import LABEL, LABEL_TEXT, Causes, bad, required, unsupported
from evals.simulator.objects import objects
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def _probe(probe: JsonObject, field: str) -> Causes:
    causes: Causes = []
    if not any(k in probe for k in ("httpGet", "tcpSocket", "exec", "grpc")):
        causes.append(required(field, "Required value: must specify a handler type"))
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        value = probe.get(name)
        if isinstance(value, int) and value < 0:
            causes.append(bad(f"{field}.{name}", value, "must be greater than or equal to 0"))
    port = dig(probe, "httpGet", "port")
    if isinstance(port, int) and not 0 < port < 65536:
        causes.append(bad(f"{field}.httpGet.port", port, "must be between 1 and 65535, inclusive"))
    return causes


def _resources(container: JsonObject, field: str) -> Causes:
    causes: Causes = []
    requests, limits = dig_object(container, "resources", "requests"), dig_object(container, "resources", "limits")
    for part, values in (("requests", requests), ("limits", limits)):
        for name, value in values.items():
            if not quantity.is_valid(value):
                causes.append(bad(f"{field}.resources.{part}.{name}", value, quantity.SYNTAX))
    if causes:
        return causes
    for name, value in requests.items():
        if name in limits and quantity.parse(value) > quantity.parse(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            causes.append(bad(f"{field}.resources.requests", str(value), why))
    return causes


def _container(container: JsonObject, field: str, volumes: set[str]) -> Causes:
    causes: Causes = []
    name, image = dig_str(container, "name"), dig_str(container, "image")
    if not name:
        causes.append(required(f"{field}.name"))
    elif not LABEL.match(name) or len(name) > 63:
        causes.append(bad(f"{field}.name", name, LABEL_TEXT))
    if not image:
        causes.append(required(f"{field}.image"))
    elif image != image.strip():
        causes.append(bad(f"{field}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("imagePullPolicy")
    if policy not in _PULL_POLICIES:
        causes.append(unsupported(f"{field}.imagePullPolicy", policy, _PULL_POLICIES))
    causes += _parts(container, field, volumes)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        found = container.get(probe)
        if isinstance(found, dict):
            causes += _probe(found, f"{field}.{probe}")
    return causes + _resources(container, field)


def _parts(container: JsonObject, field: str, volumes: set[str]) -> Causes:
    """Variables, ports and mounts."""
    causes: Causes = []
    for index, env in enumerate(objects(container, "env")):
        if not dig_str(env, "name"):
            causes.append(required(f"{field}.env[{index}].name"))
    for index, port in enumerate(objects(container, "ports")):
        value = port.get("containerPort")
        if not isinstance(value, int) or not 0 < value < 65536:
            causes.append(required(f"{field}.ports[{index}].containerPort"))
    for index, mount in enumerate(objects(container, "volumeMounts")):
        if dig_str(mount, "name") not in volumes:
            causes.append(("FieldValueNotFound", f"{field}.volumeMounts[{index}].name",
                           f'Not found: "{dig_str(mount, "name")}"'))  # fmt: skip
        if not dig_str(mount, "mountPath"):
            causes.append(required(f"{field}.volumeMounts[{index}].mountPath"))
    return causes


def _duplicates(names: list[str], field: str) -> Causes:
    return [
        ("FieldValueDuplicate", f"{field}[{i}].name", f'Duplicate value: "{n}"')
        for i, n in enumerate(names)
        if n in names[:i]
    ]


def pod_spec(spec: JsonObject, field: str, *, policies: tuple[str, ...] = ("Always", "OnFailure", "Never")) -> Causes:
    """Causes in a pod's or a template's spec."""
    containers = objects(spec, "containers")
    causes: Causes = [] if containers else [required(f"{field}.containers")]
    volumes = {dig_str(v, "name") for v in objects(spec, "volumes")}
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(objects(spec, kind)):
            causes += _container(container, f"{field}.{kind}[{index}]", volumes)
    names = [dig_str(c, "name") for c in [*containers, *objects(spec, "initContainers")]]
    causes += _duplicates(names, f"{field}.containers")
    if dig_str(spec, "restartPolicy") not in policies:
        causes.append(unsupported(f"{field}.restartPolicy", spec.get("restartPolicy"), policies))
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        causes.append(bad(f"{field}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"))
    if dig(spec, "dnsPolicy") == "None" and not dig_list(spec, "dnsConfig", "nameservers"):
        causes.append(
            required(f"{field}.dnsConfig.nameservers", "Required value: must provide at least one DNS nameserver")
        )
    return causes
