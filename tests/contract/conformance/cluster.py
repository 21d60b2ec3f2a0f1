"""What a conformance test talks to: an API address, an identity, a namespace of its own, and time.

The same tests run on the simulator (virtual time) and, with SELFHEAL_CONFORMANCE_KUBECONFIG, on a real cluster.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import yaml

from tools.clock import Clock, SystemClock

JSON = "application/json"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
IMAGE = "localhost/heal-busybox:1"

_PLURALS = {
    "Pod": ("api/v1", "pods"),
    "Node": ("api/v1", "nodes"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Secret": ("api/v1", "secrets"),
    "Service": ("api/v1", "services"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Namespace": ("api/v1", "namespaces"),
    "Event": ("api/v1", "events"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
    "LimitRange": ("api/v1", "limitranges"),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "Endpoints": ("api/v1", "endpoints"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "ControllerRevision": ("apis/apps/v1", "controllerrevisions"),
    "Job": ("apis/batch/v1", "jobs"),
    "CronJob": ("apis/batch/v1", "cronjobs"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
_CLUSTER_SCOPED = {"Node", "Namespace", "CustomResourceDefinition"}
Obj = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    code: int
    body: Any
    headers: dict[str, str]

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", "")) if isinstance(self.body, dict) else ""

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""

    @property
    def fields(self) -> list[str]:
        """Fields named by the causes of a refusal."""
        return [c.get("field", "") for c in self.body.get("details", {}).get("causes", [])]


@dataclass
class Cluster:
    """One namespace of one cluster."""

    name: str
    url: str
    session: aiohttp.ClientSession
    namespace: str
    clock: Clock
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_real(self) -> bool:
        return self.name == "real"

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = JSON,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        data = None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        send = {**self.headers, **(headers or {})}
        if data is not None:
            send["Content-Type"] = media
        async with self.session.request(method, self.url + path, data=data, params=params, headers=send) as response:
            raw = await response.read()
            try:
                parsed: Any = json.loads(raw) if raw else None
            except ValueError:
                parsed = raw.decode(errors="replace")
            return Answer(response.status, parsed, dict(response.headers))

    def path(self, kind: str, name: str = "", sub: str = "", *, namespace: str | None = None) -> str:
        root, plural = _PLURALS[kind]
        where = "" if kind in _CLUSTER_SCOPED else f"/namespaces/{namespace or self.namespace}"
        return f"/{root}{where}/{plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")

    async def create(self, manifest: Obj, **params: str) -> Answer:
        return await self.call("POST", self.path(manifest["kind"]), manifest, params=params)

    async def made(self, manifest: Obj) -> Obj:
        """Create, which must succeed."""
        answer = await self.create(manifest)
        assert answer.code == 201, answer.body
        return answer.body

    async def get(self, kind: str, name: str) -> Obj:
        """Read, which must succeed."""
        answer = await self.call("GET", self.path(kind, name))
        assert answer.code == 200, answer.body
        return answer.body

    async def find(self, kind: str, name: str) -> Obj | None:
        answer = await self.call("GET", self.path(kind, name))
        return answer.body if answer.code == 200 else None

    async def list(self, kind: str, **params: str) -> list[Obj]:
        answer = await self.call("GET", self.path(kind), params=params)
        assert answer.code == 200, answer.body
        return answer.body["items"]

    async def patch(self, kind: str, name: str, body: Any, media: str = MERGE, sub: str = "", **params: str) -> Answer:
        return await self.call("PATCH", self.path(kind, name, sub), body, media=media, params=params)

    async def apply(self, manifest: Obj, manager: str = "conformance", **params: str) -> Answer:
        path = self.path(manifest["kind"], manifest["metadata"]["name"])
        return await self.call("PATCH", path, manifest, media=APPLY, params={"fieldManager": manager, **params})

    async def delete(self, kind: str, name: str, options: Obj | None = None) -> Answer:
        return await self.call("DELETE", self.path(kind, name), options)

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(timedelta(seconds=seconds))

    async def until(self, read: Callable[[], Any], seconds: float = 60, every: float = 0.3) -> Any:
        """The first true answer of an async `read`."""
        end = self.clock.monotonic() + seconds
        while True:
            found = await read()
            if found:
                return found
            assert self.clock.monotonic() < end, f"still not so after {seconds} s"
            await self.sleep(every)

    @asynccontextmanager
    async def watch(self, kind: str, **params: str) -> AsyncIterator[Watching]:
        """Watch in the background."""
        watching = Watching()
        ask = {"watch": "1", "timeoutSeconds": "300", **params}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
        async with self.session.get(
            self.url + self.path(kind), params=ask, headers=self.headers, timeout=timeout
        ) as response:
            watching.code = response.status
            task = asyncio.create_task(watching.read(response))
            try:
                yield watching
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class Watching:
    """Events of a watch as they come."""

    def __init__(self) -> None:
        self.code = 0
        self.events: list[Obj] = []
        self.ended = False

    async def read(self, response: aiohttp.ClientResponse) -> None:
        pending = b""
        async for chunk in response.content.iter_any():
            pending += chunk
            *lines, pending = pending.split(b"\n")
            self.events += [json.loads(line) for line in lines if line]
        self.ended = True

    def seen(self, name: str = "") -> list[str]:
        return [e["type"] for e in self.events if not name or e["object"]["metadata"].get("name") == name]


@dataclass(frozen=True)
class Credentials:
    """How to reach a cluster, read from a kubeconfig."""

    url: str
    headers: dict[str, str]
    tls: ssl.SSLContext | bool


def credentials(path: Path) -> Credentials:
    config = yaml.safe_load(path.read_text())
    context = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
    server = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
    user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
    parts = urlsplit(server["server"])
    url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    if parts.scheme != "https":
        return Credentials(url, headers, tls=False)
    authority = server.get("certificate-authority-data")
    tls = ssl.create_default_context(
        cadata=base64.b64decode(authority).decode() if authority else None, cafile=server.get("certificate-authority")
    )
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name in ("client-certificate", "client-key"):
            if f"{name}-data" in user:
                file = Path(folder) / name
                file.write_bytes(base64.b64decode(user[f"{name}-data"]))
                files.append(str(file))
            elif name in user:
                files.append(user[name])
        if len(files) == 2:
            tls.load_cert_chain(*files)
    return Credentials(url, headers, tls)


@asynccontextmanager
async def connected(name: str, access: Credentials, clock: Clock) -> AsyncIterator[Cluster]:
    """A namespace of its own; deleted afterwards, without waiting."""
    connector = aiohttp.TCPConnector(ssl=access.tls) if access.tls else aiohttp.TCPConnector()
    timeout = aiohttp.ClientTimeout(total=600)
    namespace = f"conf-{time.time_ns() % 10**12:x}"
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        cluster = Cluster(name, access.url, session, namespace, clock, access.headers)
        await cluster.made({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        await cluster.until(lambda: cluster.find("ServiceAccount", "default"), every=0.05)
        try:
            yield cluster
        finally:
            await cluster.delete("Namespace", namespace)


def system_clock() -> Clock:
    return SystemClock()
