"""A small asynchronous Kubernetes client for the runner: JSON in, JSON out, over the harness's kubeconfigs.

It is not the service's client on purpose: what judges the service must not share its mistakes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import httpx
import yaml

from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_str

FIELD_MANAGER = "cluster-tests"


class KubeError(Exception):
    """The API server refused or did not answer; `status` is 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Resource:
    """Where a kind lives: API path prefix and plural."""

    prefix: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Path of the collection or of one object; without a namespace that of all namespaces."""
        middle = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{self.prefix}{middle}/{self.plural}" + (f"/{name}" if name else "")


KINDS: dict[str, Resource] = {
    "Pod": Resource("/api/v1", "pods"),
    "Service": Resource("/api/v1", "services"),
    "ConfigMap": Resource("/api/v1", "configmaps"),
    "Secret": Resource("/api/v1", "secrets"),
    "ServiceAccount": Resource("/api/v1", "serviceaccounts"),
    "PersistentVolumeClaim": Resource("/api/v1", "persistentvolumeclaims"),
    "ResourceQuota": Resource("/api/v1", "resourcequotas"),
    "LimitRange": Resource("/api/v1", "limitranges"),
    "Deployment": Resource("/apis/apps/v1", "deployments"),
    "StatefulSet": Resource("/apis/apps/v1", "statefulsets"),
    "DaemonSet": Resource("/apis/apps/v1", "daemonsets"),
    "Job": Resource("/apis/batch/v1", "jobs"),
    "CronJob": Resource("/apis/batch/v1", "cronjobs"),
    "HorizontalPodAutoscaler": Resource("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": Resource("/apis/policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": Resource("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Role": Resource("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Resource("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "EndpointSlice": Resource("/apis/discovery.k8s.io/v1", "endpointslices"),
    "Namespace": Resource("/api/v1", "namespaces", namespaced=False),
    "Node": Resource("/api/v1", "nodes", namespaced=False),
    "PersistentVolume": Resource("/api/v1", "persistentvolumes", namespaced=False),
    "PriorityClass": Resource("/apis/scheduling.k8s.io/v1", "priorityclasses", namespaced=False),
    "ValidatingWebhookConfiguration": Resource(
        "/apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", namespaced=False
    ),
}
"""Every kind the runner reads, in the order in which fixtures could be made."""
CUSTOM: dict[str, Resource] = {
    "Application": Resource("/apis/argoproj.io/v1alpha1", "applications"),
    "AppProject": Resource("/apis/argoproj.io/v1alpha1", "appprojects"),
    "ScaledObject": Resource("/apis/keda.sh/v1alpha1", "scaledobjects"),
    "ScaledJob": Resource("/apis/keda.sh/v1alpha1", "scaledjobs"),
}
"""Kinds of the add-ons; they are there only while those are, so the runner does not read them."""
_PATCH_TYPES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


def where(kind: str) -> Resource:
    """Where a kind lives, also one of an add-on.  KeyError for any other."""
    return KINDS.get(kind) or CUSTOM[kind]


class Kube:
    """One identity's connection.  Use as an asynchronous context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        server, tls = _read_kubeconfig(kubeconfig)
        self.kubeconfig = kubeconfig
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=50)
        self._http = httpx.AsyncClient(base_url=server, verify=tls, timeout=15, limits=limits, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: JsonValue = None,
        kind: str = "application/json",
    ) -> JsonObject:
        """One request; the answer as an object.  KubeError for anything but 2xx."""
        text = await self.text(method, path, params=params, body=body, kind=kind)
        return cast("JsonObject", json.loads(text))

    async def text(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: JsonValue = None,
        kind: str = "application/json",
    ) -> str:
        """One request; the answer as text."""
        content = None if body is None else json.dumps(body)
        try:
            answer = await self._http.request(
                method, path, params=params, content=content, headers={"Content-Type": kind}
            )
        except httpx.HTTPError as lost:
            raise KubeError(f"{method} {path}: {type(lost).__name__} {lost}") from lost
        if not answer.is_success:
            raise KubeError(f"{method} {path}: HTTP {answer.status_code} {answer.text[:300]}", answer.status_code)
        return answer.text

    async def list(self, kind: str, namespace: str | None = None) -> JsonObject:
        """The list object of a kind."""
        return await self.request("GET", where(kind).path(namespace))

    async def get(self, kind: str, namespace: str | None, name: str) -> JsonObject:
        """One object."""
        return await self.request("GET", where(kind).path(namespace, name))

    async def patch(
        self, kind: str, namespace: str, name: str, type_: str, body: JsonValue, *, subresource: str = ""
    ) -> None:
        """Patch by one of the three patch types."""
        path = where(kind).path(namespace, name) + (f"/{subresource}" if subresource else "")
        await self.request("PATCH", path, body=body, kind=_PATCH_TYPES[type_])

    async def apply(self, manifest: JsonObject) -> None:
        """Server-side apply; fields that others own are taken over."""
        kind, namespace, name = (
            dig_str(manifest, *p) for p in (("kind",), ("metadata", "namespace"), ("metadata", "name"))
        )
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        await self.request(
            "PATCH", where(kind).path(namespace or None, name), params=params, body=manifest, kind=_PATCH_TYPES["apply"]
        )

    async def delete(self, path: str) -> None:
        """Delete; an object that is gone already is no error."""
        try:
            await self.request("DELETE", path, body={"propagationPolicy": "Background"})
        except KubeError as refused:
            if refused.status != 404:
                raise

    async def watch(self, kind: str, version: str) -> AsyncIterator[tuple[str, JsonObject]]:
        """Events after `version` until the server ends the stream.  KubeError when it breaks."""
        params = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "280"}
        patience = httpx.Timeout(15, read=300)
        try:
            async with self._http.stream("GET", where(kind).path(None), params=params, timeout=patience) as answer:
                if not answer.is_success:
                    raise KubeError(f"watch {kind}: HTTP {answer.status_code}", answer.status_code)
                async for line in answer.aiter_lines():
                    event = cast("JsonObject", json.loads(line))
                    yield dig_str(event, "type"), cast("JsonObject", event["object"])
        except httpx.HTTPError as lost:
            raise KubeError(f"watch {kind}: {type(lost).__name__} {lost}") from lost


async def run_kubectl(kubectl: Path, kubeconfig: Path, namespace: str, arguments: tuple[str, ...]) -> str:
    """kubectl to its end; KubeError with its own words on failure."""
    process = await asyncio.create_subprocess_exec(
        str(kubectl), f"--kubeconfig={kubeconfig}", "-n", namespace, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    if process.returncode:
        raise KubeError(f"kubectl {' '.join(arguments)}: {err.decode().strip() or out.decode().strip()}")
    return out.decode()


def _read_kubeconfig(path: Path) -> tuple[str, ssl.SSLContext | bool]:
    """Server and TLS of one cluster and one user: embedded certificates (the harness's) or, over plain HTTP, whom the
    server's URL names (the simulator's)."""
    config = cast("JsonValue", yaml.safe_load(path.read_text()))
    cluster = dig(dig_list(config, "clusters"), 0, "cluster")
    user = dig(dig_list(config, "users"), 0, "user")
    if dig_str(cluster, "server").startswith("http://"):
        return dig_str(cluster, "server"), False
    tls = ssl.create_default_context(cadata=base64.b64decode(dig_str(cluster, "certificate-authority-data")).decode())
    with tempfile.NamedTemporaryFile() as pair:  # ssl reads client certificates from files only
        pair.write(base64.b64decode(dig_str(user, "client-certificate-data")))
        pair.write(base64.b64decode(dig_str(user, "client-key-data")))
        pair.flush()
        tls.load_cert_chain(pair.name)
    return dig_str(cluster, "server"), tls
