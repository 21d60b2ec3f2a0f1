"""A small Argo CD over the simulator: the API of the double, and a controller that compares, syncs and says how it is.

It keeps one Application of one source whose revisions are lists of manifests.  What it does follows the documented
behaviour: it compares every second of simulated time, an ordered operation becomes an operation state, a completed one
becomes an entry of the history, automated sync goes to the newest revision once, self-heal takes changes back.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.simulator import Simulator
from tests.tools.cluster.hostile import HostileServer, Reply, Request
from tests.tools.executors.argocd.double import TOKEN, ArgoDouble
from tools.executors.argocd.application import TRACKING_ID
from tools.executors.argocd.client import ArgoConfig
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

NAME, NAMESPACE = "shop", "argocd"
REPO = "https://git.example/shop.git"
_ANYTHING: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION: JsonObject = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "applications.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "scope": "Namespaced",
        "names": {"kind": "Application", "listKind": "ApplicationList", "plural": "applications", "singular": "app"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": _ANYTHING, "status": _ANYTHING, "operation": _ANYTHING},
                    }
                },
            }
        ],
    },
}
"""Without a status subresource, as the published one: each write of the status counts as a generation."""


@dataclass
class Delivery:
    """The Application, its repository, and what is asked about it."""

    sim: Simulator
    server: HostileServer
    double: ArgoDouble
    token: Path
    revisions: dict[str, list[JsonObject]] = field(default_factory=dict)
    hangs: bool = False
    """An operation that has begun never comes to its end."""

    def config(self) -> ArgoConfig:
        return ArgoConfig(self.server.url, self.token, allow_plain_http=True)

    def orders(self) -> list[str]:
        """What was ordered over the API, as `METHOD VERB`."""
        return [f"{r.method} {r.path.rpartition('/')[2]}" for r in self.server.requests if r.method != "GET"]

    @property
    def live(self) -> dict[str, Any]:
        found = self.sim.get("Application", NAMESPACE, NAME)
        assert found is not None
        return copy.deepcopy(found)

    @property
    def head(self) -> str:
        return list(self.revisions)[-1]

    async def commit(self, revision: str, *manifests: JsonObject) -> None:
        self.revisions[revision] = [_tracked(manifest) for manifest in manifests]

    async def declare(self, automated: JsonValue = None, source: JsonObject | None = None) -> None:
        """The Application, with this policy and what its source says beside the place."""
        policy: JsonObject = {} if automated is None else {"automated": automated}
        await self.sim.apply(DEFINITION)
        await self.sim.apply(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {"name": NAME, "namespace": NAMESPACE},
                "spec": {
                    "project": "default",
                    "source": {"repoURL": REPO, "path": "shop", "targetRevision": "main", **(source or {})},
                    "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
                    "syncPolicy": policy,
                },
                "status": {"history": []},
            }
        )

    async def sync(self) -> None:
        """A person orders a sync to the newest revision."""
        live = self.live
        live["operation"] = {"sync": {"revision": self.head}, "initiatedBy": {"username": "alice"}}
        await self._store(live)

    async def answer(self, request: Request, reply: Reply) -> None:
        """The double answers about what the cluster holds; what it orders is kept there."""
        self.double.apps[NAMESPACE, NAME] = live = self.live
        before = copy.deepcopy(live)
        await self.double.answer(request, reply)
        if live != before:
            await self._store(live)

    async def run(self) -> None:
        while True:
            await self.sim.sleep(1)
            if self.revisions and self.sim.get("Application", NAMESPACE, NAME) is not None:
                await self.reconcile()

    async def reconcile(self) -> None:
        """One turn of the controller."""
        live = self.live
        before = copy.deepcopy(live)
        status = live.setdefault("status", {})
        if "operation" in live:
            await self._operate(live, status)
        differing = [m for m in self.revisions[self.head] if not self._is_as(m)]
        status["sync"] = {"status": "OutOfSync" if differing else "Synced", "revision": self.head}
        status["resources"] = [self._resource(m, differing) for m in self.revisions[self.head]]
        worst = {dig_str(r, "health", "status") for r in status["resources"]}
        status["health"] = {"status": next((h for h in ("Degraded", "Progressing") if h in worst), "Healthy")}
        self._automate(live, status, is_different=bool(differing))
        if live != before:
            status["reconciledAt"] = self._now()
            await self._store(live)

    def _automate(self, live: dict[str, Any], status: dict[str, Any], *, is_different: bool) -> None:
        policy = dig(live, "spec", "syncPolicy", "automated")
        if policy is None or not is_different or "operation" in live:
            return
        was_tried = dig_str(status.get("operationState"), "operation", "sync", "revision") == self.head
        if not was_tried or dig(policy, "selfHeal") is True:
            live["operation"] = {"sync": {"revision": self.head}, "initiatedBy": {"automated": True}}

    async def _operate(self, live: dict[str, Any], status: dict[str, Any]) -> None:
        operation = live["operation"]
        revision = dig_str(operation, "sync", "revision") or self.head
        state = status.get("operationState") or {}
        if state.get("phase") not in {"Running", "Terminating"} or state.get("operation") != operation:
            state = {"phase": "Running", "startedAt": self._now(), "operation": operation, "message": "one of it hangs"}
            status["operationState"] = state
            if self.hangs:
                return
        if state["phase"] == "Terminating":
            state |= {"phase": "Failed", "message": "Operation terminated", "finishedAt": self._now()}
        elif self.hangs:
            return
        else:
            await self.sim.apply(copy.deepcopy(self.revisions[revision]))
            state |= {"phase": "Succeeded", "message": "successfully synced", "finishedAt": self._now()}
            entries = status.setdefault("history", [])
            number = max((e["id"] for e in entries), default=0) + 1
            source = live["spec"]["source"]
            entries.append({"id": number, "revision": revision, "deployedAt": self._now(), "source": source})
        state["syncResult"] = {"revision": revision, "resources": []}
        del live["operation"]

    def _resource(self, manifest: JsonObject, differing: list[JsonObject]) -> JsonObject:
        kind, name = dig_str(manifest, "kind"), dig_str(manifest, "metadata", "name")
        found: JsonObject = {
            "group": dig_str(manifest, "apiVersion").rpartition("/")[0],
            "version": "v1",
            "kind": kind,
            "namespace": "shop",
            "name": name,
            "status": "OutOfSync" if manifest in differing else "Synced",
        }
        return {**found, "health": {"status": self._health(kind, name)}} if kind == "Deployment" else found

    def _health(self, kind: str, name: str) -> str:
        if self.sim.ready(kind, "shop", name):
            return "Healthy"
        conditions = dig_list(self.sim.get(kind, "shop", name), "status", "conditions")
        is_late = any(dig_str(c, "reason") == "ProgressDeadlineExceeded" for c in conditions)
        return "Degraded" if is_late else "Progressing"

    def _is_as(self, manifest: JsonObject) -> bool:
        live = self.sim.get(dig_str(manifest, "kind"), "shop", dig_str(manifest, "metadata", "name"))
        return live is not None and _holds(live.get("spec"), manifest.get("spec"))

    async def _store(self, document: dict[str, Any]) -> None:
        self.sim.api.update(self.sim.kind("Application"), NAMESPACE, NAME, document)

    def _now(self) -> str:
        return self.sim.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _tracked(manifest: JsonObject) -> JsonObject:
    made = copy.deepcopy(manifest)
    group = dig_str(made, "apiVersion").rpartition("/")[0]
    about = f"{group}/{dig_str(made, 'kind')}:shop/{dig_str(made, 'metadata', 'name')}"
    metadata = dig_object(made, "metadata")
    metadata["annotations"] = {**dig_object(metadata, "annotations"), TRACKING_ID: f"{NAME}:{about}"}
    return made


def _holds(live: JsonValue, declared: JsonValue) -> bool:
    """Whether everything that is declared is so; the server's defaults are no difference."""
    if isinstance(declared, dict):
        return isinstance(live, dict) and all(_holds(live.get(key), value) for key, value in declared.items())
    if isinstance(declared, list):
        return isinstance(live, list) and len(live) == len(declared) and all(map(_holds, live, declared))
    return live == declared


@asynccontextmanager
async def delivery(sim: Simulator, folder: Path) -> AsyncIterator[Delivery]:
    """An Argo CD that runs beside the simulator until the block ends."""
    token = folder / "argocd-token"
    token.write_text(TOKEN)
    double = ArgoDouble()
    made: Delivery | None = None

    async def answer(request: Request, reply: Reply) -> None:
        assert made is not None
        await made.answer(request, reply)

    async with HostileServer(answer) as server:
        made = Delivery(sim, server, double, token)
        await sim.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        running = asyncio.create_task(made.run(), name="argocd")
        try:
            yield made
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
