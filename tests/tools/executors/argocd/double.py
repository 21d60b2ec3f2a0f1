"""An Argo CD API server over a real socket: the calls we make, as its source says they behave, and faults on demand.

It keeps applications as documents, checks the token, the content type and its RBAC, and refuses with the statuses and
messages of the real one.  It carries nothing out: an ordered operation stays ordered.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.tools.cluster.hostile import Answer, HostileServer, Reply, Request
from tests.tools.executors.argocd.documents import app, windows
from tools.executors.argocd.client import AppRef, ArgoClient, ArgoConfig, open_client

TOKEN = "t0ken-of-selfheal"
SHOP = AppRef("shop", "argocd", "default")
_CODES = {"invalid": (400, 3), "state": (400, 9), "denied": (403, 7), "missing": (404, 5), "no token": (401, 16)}


@dataclass
class ArgoDouble:
    """What the server holds; `fault` answers in its place."""

    apps: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    windows: dict[str, Any] = field(default_factory=windows)
    projects: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": {"metadata": {"name": "default"}}})
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    denied: set[str] = field(default_factory=set)
    fault: Answer | None = None

    def put(self, document: Any) -> None:
        self.apps[document["metadata"]["namespace"], document["metadata"]["name"]] = copy.deepcopy(document)

    async def answer(self, request: Request, reply: Reply) -> None:
        if self.fault is not None:
            await self.fault(request, reply)
        elif request.method != "GET" and request.headers.get("content-type") != "application/json":
            await reply.send(415, b"Invalid content type", mime="text/plain")
        elif request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            await refuse(reply, "no token", "no session information")
        else:
            await self._route(request, reply)

    async def _route(self, request: Request, reply: Reply) -> None:
        match request.path.strip("/").split("/")[1:]:
            case ["version"]:
                await reply.json(200, {"Version": "v3.2.11"})
            case ["v1", "projects", name] if name in self.projects:
                await reply.json(200, self.projects[name])
            case ["v1", "account", "can-i", "applications", action, *_]:
                await reply.json(200, {"value": "no" if action in self.denied else "yes"})
            case ["v1", "applications", name, *rest]:
                await self._application(request, reply, name, "/".join(rest))
            case _:
                await refuse(reply, "missing", "Not Found")

    async def _application(self, request: Request, reply: Reply, name: str, rest: str) -> None:
        asked = request.query if request.method in {"GET", "DELETE"} else request.json()
        found = self.apps.get((asked.get("appNamespace", "argocd"), name))
        if found is None:
            await refuse(reply, "missing", f'applications.argoproj.io "{name}" not found')
        elif asked.get("project", found["spec"]["project"]) != found["spec"]["project"]:
            await refuse(reply, "denied", "permission denied")
        elif ("get" if request.method == "GET" else "sync") in self.denied:
            await refuse(reply, "denied", f"permission denied: applications, sync, default/{name}, sub: selfheal")
        else:
            await self._act(request, reply, found, rest)

    async def _act(self, request: Request, reply: Reply, found: dict[str, Any], rest: str) -> None:
        match request.method, rest:
            case "GET", "":
                if "refresh" in request.query:
                    found["status"]["reconciledAt"] = "2026-03-01T13:00:00Z"
                await reply.json(200, found)
            case "GET", "syncwindows":
                await reply.json(200, self.windows)
            case "POST", "sync":
                if not self.windows.get("canSync"):
                    await refuse(reply, "denied", "cannot sync: blocked by sync window")
                else:
                    await self._order(request, reply, found, {"revision": request.json().get("revision", "")})
            case "POST", "rollback":
                await self._rollback(request, reply, found)
            case "DELETE", "operation":
                await self._terminate(reply, found)
            case _:
                await refuse(reply, "missing", "Not Found")

    async def _rollback(self, request: Request, reply: Reply, found: dict[str, Any]) -> None:
        number = request.json()["id"]
        entry = next((e for e in found["status"]["history"] if e["id"] == number), None)
        if found["spec"]["syncPolicy"].get("automated") is not None:
            await refuse(reply, "state", "rollback cannot be initiated when auto-sync is enabled")
        elif entry is None:
            await refuse(reply, "invalid", f"application argocd/shop does not have deployment with id {number}")
        else:
            await self._order(request, reply, found, {"revision": entry["revision"], "source": entry["source"]})

    async def _order(self, request: Request, reply: Reply, found: dict[str, Any], sync: dict[str, Any]) -> None:
        asked = request.json()
        if "operation" in found:
            said = "error setting app operation: another operation is already in progress"
            await refuse(reply, "state", said)
            return
        found["operation"] = {
            "sync": {**sync, "prune": asked["prune"], "dryRun": asked["dryRun"]},
            "initiatedBy": {"username": "selfheal"},
            "info": asked.get("infos", []),
        }
        found["status"].pop("operationState", None)
        await reply.json(200, found)

    async def _terminate(self, reply: Reply, found: dict[str, Any]) -> None:
        if "operation" not in found or "operationState" not in found["status"]:
            await refuse(reply, "invalid", "Unable to terminate operation. No operation is in progress")
            return
        found["status"]["operationState"]["phase"] = "Terminating"
        await reply.json(200, {})


async def refuse(reply: Reply, why: str, message: str) -> None:
    status, code = _CODES[why]
    await reply.json(status, {"error": message, "message": message, "code": code})


@asynccontextmanager
async def argo(
    tmp_path: Path, *, timeout: float = 5, prefix: str = ""
) -> AsyncIterator[tuple[ArgoClient, ArgoDouble, HostileServer]]:
    """A client of a running double that holds one application."""
    double = ArgoDouble()
    double.put(app(sync="OutOfSync"))
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    async with HostileServer(double.answer) as server:
        config = ArgoConfig(server.url + prefix, token, timeout=timedelta(seconds=timeout), allow_plain_http=True)
        async with open_client(config) as client:
            yield client, double, server
