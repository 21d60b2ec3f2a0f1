"""One namespace of the real cluster as its people see it: they apply, patch, read, and wait with a deadline.

Rule: health, sync, operation state and conditions come from the real controllers; nothing here writes a status.
Neighbour: `conftest` opens desks and clears them away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from tests.cluster.argocd import manifests
from tests.cluster.argocd.system import ArgoCD
from tests.cluster.kube import Kube, KubeError, where
from tools.executors.argocd.client import AppRef
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_str

IMAGE: Final = "localhost/heal-busybox:1"
SLEEPS: Final = ("sleep", "100000")
CRASHES: Final = ("sh", "-c", "echo FATAL: no; exit 1")
LOOK_S: Final = 0.5
GONE_S: Final = 20.0
Holds = Callable[[JsonObject], bool]


class Desk:
    """One namespace."""

    def __init__(self, human: Kube, namespace: str) -> None:
        self.human = human
        self.namespace = namespace
        self._outside: list[str] = []

    async def apply(self, *documents: JsonObject) -> None:
        """Server-side apply.  What lies outside of the namespace is removed when the desk is cleared."""
        for document in documents:
            kind, namespace = dig_str(document, "kind"), dig_str(document, "metadata", "namespace")
            if namespace != self.namespace:
                self._outside.append(where(kind).path(namespace, dig_str(document, "metadata", "name")))
            await self.human.apply(document)

    async def clear(self) -> None:
        """Everything made here is being deleted when it returns."""
        for path in self._outside:
            await self.human.delete(path)
        await self.human.delete(where("Namespace").path(None, self.namespace))

    async def remove(self, kind: str, name: str) -> None:
        """Delete one object and return when it is gone: KEDA's finalizer needs KEDA."""
        path = where(kind).path(self.namespace, name)
        await self.human.delete(path)
        end = time.monotonic() + GONE_S
        while time.monotonic() < end:
            try:
                await self.human.request("GET", path)
            except KubeError as missing:
                if missing.status == 404:
                    return
                raise
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"{kind} {name} is still there {GONE_S:.0f} s after it was deleted")

    async def read(self, kind: str, name: str, namespace: str = "") -> JsonObject:
        """One object."""
        return await self.human.get(kind, namespace or self.namespace, name)

    async def patch(self, kind: str, name: str, body: JsonObject) -> None:
        """A merge patch, as somebody does it by hand."""
        await self.human.patch(kind, self.namespace, name, "merge", body)

    async def until(self, kind: str, name: str, holds: Holds, seconds: float, namespace: str = "") -> JsonObject:
        """The object once `holds`; fails with its state as it is after `seconds`."""
        end, found = time.monotonic() + seconds, {}
        while time.monotonic() < end:
            try:
                found = await self.read(kind, name, namespace)
            except KubeError as missing:
                if missing.status != 404:
                    raise
            if found and holds(found):
                return found
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"waited {seconds:.0f} s in vain for {kind} {name}; it is {found.get('status')}")

    async def always(self, kind: str, name: str, holds: Holds, seconds: float, namespace: str = "") -> JsonObject:
        """The object after `seconds` in which `holds` was true at every look."""
        end = time.monotonic() + seconds
        while True:
            found = await self.read(kind, name, namespace)
            assert holds(found), f"{kind} {name} has become {found.get('spec')} {found.get('status')}"
            if time.monotonic() > end:
                return found
            await asyncio.sleep(LOOK_S)


class ArgoDesk(Desk):
    """A namespace with one repository and one Application of its own name for it."""

    def __init__(self, human: Kube, namespace: str, argocd: ArgoCD) -> None:
        super().__init__(human, namespace)
        self.argocd = argocd
        self.repository = argocd.repository(namespace)
        self.project = "default"

    @property
    def ref(self) -> AppRef:
        """The application for the client under test."""
        return AppRef(self.namespace, manifests.NAMESPACE, self.project)

    async def windows(self, windows: Sequence[JsonObject]) -> None:
        """Give the Application a project of its own with these sync windows, before it is declared or after."""
        self.project = self.namespace
        await self.apply(manifests.project(self.project, windows))

    async def declare(self, *, automated: JsonObject | None = None, options: Sequence[str] = ()) -> None:
        """Make the Application."""
        url = self.repository.url
        await self.apply(
            manifests.application(
                self.namespace, url, self.namespace, project=self.project, automated=automated, options=options
            )
        )

    async def app(self) -> JsonObject:
        """The Application as it is."""
        return await self.read("Application", self.namespace, manifests.NAMESPACE)

    async def app_until(self, holds: Holds, seconds: float) -> JsonObject:
        """The Application once `holds`."""
        return await self.until("Application", self.namespace, holds, seconds, manifests.NAMESPACE)

    async def app_always(self, holds: Holds, seconds: float) -> JsonObject:
        """The Application after `seconds` in which `holds` was true at every look."""
        return await self.always("Application", self.namespace, holds, seconds, manifests.NAMESPACE)


def web(command: Sequence[str] = SLEEPS, *, name: str = "web", replicas: int = 1, mode: str = "prod") -> JsonObject:
    """A Deployment without a namespace, as a repository holds it.  It gives up on a rollout after 20 s."""
    container: JsonObject = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": [{"name": "MODE", "value": mode}],
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
    }
    pod: JsonObject = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    labels: JsonObject = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 20,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def hook(command: Sequence[str], phase: str = "PreSync") -> JsonObject:
    """A Job that a sync runs and waits for."""
    container: JsonObject = {"name": "hook", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": [*command]}
    pod: JsonObject = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "annotations": {"argocd.argoproj.io/hook": phase}},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }


def env_patch(mode: str) -> JsonObject:
    """A strategic patch that gives that variable another value."""
    container: JsonObject = {"name": "app", "env": [{"name": "MODE", "value": mode}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def mode_of(deployment: JsonObject) -> JsonValue:
    """The value of the variable that `web` sets."""
    [container] = dig_list(deployment, "spec", "template", "spec", "containers")
    return next((e.get("value") for e in dig_list(container, "env") if isinstance(e, dict)), None)


def condition(found: JsonObject, type_: str) -> JsonObject:
    """One condition of an object's status; empty when it has none of that type."""
    for entry in dig_list(found, "status", "conditions"):
        if isinstance(entry, dict) and entry.get("type") == type_:
            return entry
    return {}


def in_namespace(document: JsonObject, namespace: str) -> JsonObject:
    """The document with that namespace."""
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    return {**document, "metadata": {**metadata, "namespace": namespace}}
