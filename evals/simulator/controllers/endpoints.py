"""Endpoints and EndpointSlices of Services with a selector."""

from __future__ import annotations

from evals.simulator.api.selectors import selects_map
from evals.simulator.api.store import Change
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.objects import (
    child,
    clone,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    object_reference,
    objects,
    owner_reference,
    strings,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

_SLICES = "endpointslices.discovery.k8s.io"


class Endpoints(Controller):
    """The endpoints and the endpoint slice controller."""

    name, key = "endpoint-slice-controller", "services"

    def related(self, change: Change) -> list[Key]:
        """Services that select a pod that changed, now or before."""
        if change.key != "pods":
            return []
        labels = [labels_of(o) for o in (change.object, change.before) if o is not None]
        namespace = namespace_of(change.object)
        found = [s for s in self.api.store.select("services", namespace) if strings(s, "spec", "selector")]
        return [
            (namespace, name_of(s))
            for s in found
            if any(selects_map(strings(s, "spec", "selector"), w) for w in labels)
        ]

    def sync(self, namespace: str, name: str) -> None:
        """Write what backs the service now."""
        service = self.api.store.get("services", namespace, name)
        if service is None or is_deleting(service):
            for key in ("endpoints", _SLICES):
                stale = self._slice(namespace, name) if key == _SLICES else self.api.store.get(key, namespace, name)
                if stale is not None:
                    self.api.store.remove(key, stale)
            return
        selector = strings(service, "spec", "selector")
        if not selector:
            return
        pods = [
            p
            for p in self.api.store.select("pods", namespace)
            if selects_map(selector, labels_of(p)) and dig(p, "status", "podIP")
        ]
        pods = [p for p in pods if dig_str(p, "status", "phase") not in {"Succeeded", "Failed"}]
        self._write_slice(service, pods)
        self._write_endpoints(service, pods)

    def _slice(self, namespace: str, service: str) -> JsonObject | None:
        for found in self.api.store.select(_SLICES, namespace):
            if labels_of(found).get("kubernetes.io/service-name") == service:
                return found
        return None

    def _port(self, service_port: JsonObject, pod: JsonObject) -> int | None:
        target = service_port.get("targetPort", service_port.get("port"))
        if isinstance(target, int):
            return target
        for container in objects(pod, "spec", "containers"):
            for port in objects(container, "ports"):
                if port.get("name") == target:
                    number = port.get("containerPort")
                    return number if isinstance(number, int) else None
        return None

    def _ports(self, service: JsonObject, pod: JsonObject | None) -> list[JsonValue]:
        found: list[JsonValue] = []
        for port in objects(service, "spec", "ports"):
            number = self._port(port, pod or {})
            if number is not None and pod is not None:
                found.append(
                    {"name": dig_str(port, "name"), "port": number, "protocol": dig_str(port, "protocol") or "TCP"}
                )
        return found

    def _write_slice(self, service: JsonObject, pods: list[JsonObject]) -> None:
        namespace, name = namespace_of(service), name_of(service)
        publish = dig(service, "spec", "publishNotReadyAddresses") is True
        endpoints: list[JsonValue] = []
        for pod in pods:
            serving, going = is_ready(pod), is_deleting(pod)
            reference = object_reference(pod)
            for field in ("apiVersion", "resourceVersion"):
                reference.pop(field, None)
            endpoints.append(
                {
                    "addresses": [dig_str(pod, "status", "podIP")],
                    "conditions": {
                        "ready": (serving and not going) or publish,
                        "serving": serving,
                        "terminating": going,
                    },
                    "nodeName": dig_str(pod, "spec", "nodeName"),
                    "targetRef": reference,
                }
            )
        ports = self._ports(service, pods[0] if pods else None)
        body: JsonObject = {"addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        old = self._slice(namespace, name)
        if old is None:
            labels: JsonObject = {
                **labels_of(service),
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            }
            meta: JsonObject = {
                "generateName": f"{name}-",
                "labels": labels,
                "ownerReferences": [owner_reference(service)],
            }
            self.api.create(self.api.kinds.by_key(_SLICES), namespace, {"metadata": meta, **body})
        elif any(old.get(k) != v for k, v in body.items()):
            meta = {**dig_object(old, "metadata")}
            self.api.store.put(_SLICES, {**old, "metadata": meta, **body})

    def _write_endpoints(self, service: JsonObject, pods: list[JsonObject]) -> None:
        namespace, name = namespace_of(service), name_of(service)
        publish = dig(service, "spec", "publishNotReadyAddresses") is True
        subset: JsonObject = {}
        for pod in pods:
            if is_deleting(pod):
                continue
            field = "addresses" if is_ready(pod) or publish else "notReadyAddresses"
            reference = object_reference(pod)
            for extra in ("apiVersion", "resourceVersion"):
                reference.pop(extra, None)
            listed = subset.setdefault(field, [])
            if isinstance(listed, list):
                address: JsonObject = {
                    "ip": dig_str(pod, "status", "podIP"),
                    "nodeName": dig_str(pod, "spec", "nodeName"),
                }
                listed.append({**address, "targetRef": reference})
        if subset:
            subset["ports"] = self._ports(service, pods[0])
        subsets: list[JsonValue] = [subset] if subset else []
        old = self.api.store.get("endpoints", namespace, name)
        if old is None:
            body: JsonObject = {"metadata": {"name": name, "labels": {**labels_of(service)}}}
            if subsets:
                body["subsets"] = subsets
            self.api.create(self.api.kinds.named("Endpoints"), namespace, body)
        elif dig(old, "subsets") != (subsets or None):
            changed = clone(old)
            changed.pop("subsets", None)
            if subsets:
                changed["subsets"] = subsets
            child(changed, "metadata")
            self.api.store.put("endpoints", changed)
