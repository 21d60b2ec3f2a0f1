"""The client of Argo CD's REST API: few calls, each made once.

The rule: one call of a method is at most one request; nothing is repeated, no redirect is followed, and an answer that
is not what the protocol says is an error and never a guess.  Whether something should be asked is not decided here:
`decisions` says that before.

The token lives in a file and is read again when that changes.  Nothing of the environment counts (no proxies, no
netrc).  Neighbours: `faults` translates what goes wrong, `application` reads what comes back.

API: Argo CD's `assets/swagger.json`; POST and DELETE are refused without `Content-Type: application/json`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

import httpx

from tools.executors.argocd import faults
from tools.executors.argocd.decisions import HANGS_AFTER
from tools.executors.argocd.faults import Misconfigured
from tools.executors.argocd.token import TokenFile
from tools.jsontypes import JsonObject, JsonValue, canonical, dig_object, dig_str
from tools.refs import DNS_NAME

ANSWER_CAP: Final = 16 * 2**20
"""Bytes; an application with thousands of resources has some hundred thousand."""
_ERROR_CAP: Final = 64 * 2**10
_HOST: Final = re.compile(r"(?=.*[a-zA-Z])[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?")
_NAME: Final = re.compile(DNS_NAME)

Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class ArgoConfig:
    """Where Argo CD is and who we are to it."""

    url: str
    """`https://HOST[:PORT][/ROOT]`."""
    token_file: Path
    namespace: str = "argocd"
    """Argo CD's own; RBAC names applications of other namespaces with theirs."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    timeout: timedelta = timedelta(seconds=30)
    """For a whole exchange.  A refresh waits for the controller and needs its time."""
    hangs_after: timedelta = HANGS_AFTER
    """An operation that runs for longer may be stopped; long hooks need a larger value."""
    allow_plain_http: bool = False
    """Whether `http://` is accepted: the token then crosses the network in the clear."""


@dataclass(frozen=True, slots=True)
class AppRef:
    """One application; by namespace and project the server checks that it is the one meant."""

    name: str
    namespace: str
    project: str

    def __str__(self) -> str:
        return f"{self.namespace}/Application/{self.name}"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A sync to what is declared, or to one revision.  It never prunes."""

    revision: str | None = None
    info: Mapping[str, str] | None = None
    """Kept with the operation: by it an operation of ours is known again."""
    is_dry_run: bool = False
    """Even so it is an operation: it takes the place of the latest one in the status."""


class ArgoClient:
    """One Argo CD.  All methods raise `ToolError` and nothing else."""

    def __init__(self, http: httpx.AsyncClient, config: ArgoConfig, token: TokenFile) -> None:
        """Use `open_client`, which makes these."""
        self._http = http
        self._config = config
        self._token = token

    async def application(self, ref: AppRef) -> JsonObject:
        """The application as Argo CD has it."""
        return await self._application("GET", ref)

    async def refresh(self, ref: AppRef, *, is_hard: bool = False) -> JsonObject:
        """Compare anew with the source, and give the application afterwards.  Hard: without the cached manifests."""
        return await self._application("GET", ref, query={"refresh": "hard" if is_hard else "normal"})

    async def sync(self, ref: AppRef, request: SyncRequest) -> JsonObject:
        """Order a sync; the application with the operation in it.  It runs after this has returned."""
        body: JsonObject = {
            **_named(ref),
            "prune": False,
            "dryRun": request.is_dry_run,
            "infos": [{"name": name, "value": value} for name, value in (request.info or {}).items()],
        }
        if request.revision is not None:
            body["revision"] = request.revision
        return await self._application("POST", ref, "sync", body=body)

    async def rollback(self, ref: AppRef, history_id: int, *, is_dry_run: bool = False) -> JsonObject:
        """Order a sync to an entry of the history, without pruning; the application with the operation in it.

        The server refuses with Conflict while auto-sync is on.
        """
        body: JsonObject = {**_named(ref), "id": history_id, "prune": False, "dryRun": is_dry_run}
        return await self._application("POST", ref, "rollback", body=body)

    async def terminate(self, ref: AppRef) -> None:
        """Ask that the running operation be stopped.  Raises Invalid when none runs."""
        path, query = f"applications/{_segment(ref.name)}/operation", _query(ref)
        await self._exchange("DELETE", path, query, what=f"terminate the operation of {ref}")

    async def sync_windows(self, ref: AppRef) -> JsonObject:
        """Active and assigned sync windows, and the server's verdict; `decisions.gate` reads it."""
        path = f"applications/{_segment(ref.name)}/syncwindows"
        return await self._exchange("GET", path, _query(ref), what=f"read the sync windows of {ref}")

    async def project(self, name: str) -> JsonObject:
        """An AppProject: its windows, destinations and roles."""
        what = f"read project {name}"
        found = await self._exchange("GET", f"projects/{_segment(name)}", {}, what=what)
        if dig_str(found, "metadata", "name") != name:
            raise faults.unclear(what, "the answer is about something else", is_write=False)
        return found

    async def can(self, action: Literal["get", "sync"], ref: AppRef) -> bool:
        """Ask Argo CD's RBAC whether our account may do this to the application."""
        what = f"ask whether we may {action} {ref}"
        elsewhere = "" if ref.namespace == self._config.namespace else f"{_segment(ref.namespace)}/"
        path = f"account/can-i/applications/{action}/{_segment(ref.project)}/{elsewhere}{_segment(ref.name)}"
        answer = dig_str(await self._exchange("GET", path, {}, what=what), "value")
        if answer not in {"yes", "no"}:
            raise faults.unclear(what, "the answer is neither yes nor no", is_write=False)
        return answer == "yes"

    async def version(self) -> str:
        """Which Argo CD answers, as `v3.2.11`."""
        what = "read the version"
        found = dig_str(await self._exchange("GET", "version", {}, what=what, root="/api/"), "Version")
        if not found:
            raise faults.unclear(what, "the answer names no version", is_write=False)
        return found

    async def _application(
        self,
        method: Method,
        ref: AppRef,
        verb: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
    ) -> JsonObject:
        """One exchange that ends in the application itself, whole and of the name that was asked for."""
        what = f"{verb or 'read'} {ref}"
        path = f"applications/{_segment(ref.name)}{f'/{verb}' if verb else ''}"
        asked = {**(query or {}), **(_query(ref) if body is None else {})}
        found = await self._exchange(method, path, asked, what=what, body=body)
        metadata = dig_object(found, "metadata")
        is_whole = bool(dig_str(metadata, "uid")) and bool(dig_object(found, "spec"))
        if not is_whole or AppRef(dig_str(metadata, "name"), *_place(found)) != ref:
            raise faults.unclear(what, "the answer is not this application", is_write=method != "GET")
        return found

    async def _exchange(
        self,
        method: Method,
        path: str,
        query: Mapping[str, str],
        *,
        what: str,
        body: JsonValue = None,
        root: str = "/api/v1/",
    ) -> JsonObject:
        """One request and its whole answer."""
        is_write = method != "GET"
        headers = {"Authorization": f"Bearer {self._token.read()}", "Content-Type": "application/json"}
        content = canonical(body) if body is not None else None
        request = self._http.build_request(
            method, self._config.url.rstrip("/") + root + path, params=query, headers=headers, content=content
        )
        try:
            async with asyncio.timeout(self._config.timeout.total_seconds()):
                status, answer_headers, answer = await self._send(request)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise faults.from_transport(error, what, is_write=is_write) from error
        if not 200 <= status < 300:
            raise faults.from_answer(status, answer_headers, answer, what, is_write=is_write)
        if len(answer) > ANSWER_CAP:
            raise faults.unclear(what, f"the answer has more than {ANSWER_CAP} bytes", is_write=is_write)
        if answer_headers.get("content-encoding", "identity") != "identity":
            raise faults.unclear(what, "the answer is compressed, which was not asked for", is_write=is_write)
        return faults.parse_object(answer, what, is_write=is_write)

    async def _send(self, request: httpx.Request) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and at most a byte more than the cap of the body."""
        response = await self._http.send(request, stream=True)
        try:
            cap = ANSWER_CAP if response.is_success else _ERROR_CAP
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > cap:
                    break
            return response.status_code, response.headers, bytes(body[: cap + 1])
        finally:
            await response.aclose()


@asynccontextmanager
async def open_client(config: ArgoConfig) -> AsyncGenerator[ArgoClient]:
    """A client for as long as the block lasts.  Raises Misconfigured when the settings cannot be used."""
    _check_url(config)
    token = TokenFile(config.token_file)
    token.read()
    http = httpx.AsyncClient(
        verify=_trust(config.ca_file),
        timeout=httpx.Timeout(config.timeout.total_seconds()),
        follow_redirects=False,
        trust_env=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "selfheal"},
    )
    async with http:
        yield ArgoClient(http, config, token)


def _check_url(config: ArgoConfig) -> None:
    try:
        url = httpx.URL(config.url)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise Misconfigured(f"{config.url!r} is no address: write https://HOST[:PORT]") from error
    if url.scheme != "https" and not (url.scheme == "http" and config.allow_plain_http):
        raise Misconfigured(f"{config.url!r}: Argo CD is spoken to by https only, for the token's sake")
    has_port = url.port is None or 0 < url.port < 2**16
    if url.userinfo or url.query or url.fragment or not has_port or not _is_host(url.host):
        raise Misconfigured(f"{config.url!r} is no plain address of Argo CD: write https://HOST[:PORT]")


def _is_host(host: str) -> bool:
    """A name, or an address in its usual form that may be a server's."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None and not host.startswith("0x")
    real = getattr(address, "ipv4_mapped", None) or address
    return not (real.is_link_local or real.is_multicast or real.is_unspecified)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"{ca_file}: no certificates can be read from it ({error})") from error


def _segment(name: str) -> str:
    """A name as a part of a path.  Only names of Kubernetes objects get in, which need no escaping."""
    if not _NAME.fullmatch(name):
        raise Misconfigured(f"{name[:80]!r} is no name of an object")
    return name


def _place(found: JsonObject) -> tuple[str, str]:
    """Namespace and project; no project means `default`."""
    return dig_str(found, "metadata", "namespace"), dig_str(found, "spec", "project") or "default"


def _named(ref: AppRef) -> JsonObject:
    return {"name": ref.name, "appNamespace": ref.namespace, "project": ref.project}


def _query(ref: AppRef) -> dict[str, str]:
    return {"appNamespace": ref.namespace, "project": ref.project}
