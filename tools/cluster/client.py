"""The Kubernetes API as few typed calls: get, list, watch, logs, write, may-I.

The rule: every call passes the allow-list before anything else, has its own timeouts, is never repeated here, and
fails only with the tree of `tools.errors`.  Objects travel as JSON; whoever reads in bulk takes the raw bytes
(`list_raw`, `watch`) and decodes them into the small structs of `objects`.

Neighbours: `transport` does the HTTP, `faults` the translation, `connect` finds the server; `reflector` and the
executors are the users.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from tools.cluster.allowlist import AllowList
from tools.cluster.connect import Settings, find_settings, from_address, open_transport
from tools.cluster.faults import AlreadyExists, Blocked, NoConfiguration, parse_object
from tools.cluster.reads import Request, kept
from tools.cluster.resources import SELF_SUBJECT_ACCESS_REVIEW, Resource, Verb, WriteRequest
from tools.cluster.transport import CALL_TIMEOUT, LIST_CAP, Gate, Query, Transport
from tools.errors import Expired, Invalid, NotAllowed, Overloaded, Undecodable, Unreachable
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

__all__ = ["AccessQuestion", "AlreadyExists", "Blocked", "Cluster", "NoConfiguration", "WriteResult"]

SILENCE: Final = timedelta(seconds=75)
"""A watch without a byte for this long is dead: the server sends a bookmark about every minute."""

Objects = list[JsonObject]
"""A whole list; the name `list` is the method's inside the class."""

_LIST_RESTARTS: Final = 3
_MAX_PAGES: Final = 2000
_METHODS: Final = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What the server answered to a write: the object as it now is (or, for evictions and deletions, a Status).

    `audit_id` finds the call in the server's audit log.
    """

    object: JsonObject
    audit_id: str | None
    status: int


@dataclass(frozen=True, slots=True)
class AccessQuestion:
    """May our identity do this?  Empty `name` asks for all names, `namespace` None for all namespaces."""

    verb: Verb
    group: str
    resource: str
    subresource: str = ""
    namespace: str | None = None
    name: str = ""


class Cluster:
    """One API server as one identity.  Make it with `connect` or `at`; close it, or use it with `async with`."""

    def __init__(self, host: str, transport: Transport, gate: Gate) -> None:
        """Take over `transport`; closing this closes it."""
        self._host = host
        self._transport = transport
        self._gate = gate

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        allowlist: AllowList,
        user_agent: str = "selfheal",
        call_timeout: timedelta = CALL_TIMEOUT,
    ) -> Cluster:
        """Use `kubeconfig`, else the pod's service account, else the default kubeconfig.  Sends nothing yet.

        `call_timeout` bounds every call but a watch.
        Raises NoConfiguration, with what to do, when nothing can be used.
        """
        return await cls._open(await find_settings(kubeconfig, context), allowlist, user_agent, call_timeout)

    @classmethod
    async def at(
        cls,
        url: str,
        *,
        token: str | None = None,
        allowlist: AllowList,
        user_agent: str = "selfheal",
        call_timeout: timedelta = CALL_TIMEOUT,
    ) -> Cluster:
        """Use a plain address: the simulator, `kubectl proxy`, a test server.  Sends nothing yet."""
        return await cls._open(from_address(url, token), allowlist, user_agent, call_timeout)

    @classmethod
    async def _open(cls, settings: Settings, allowlist: AllowList, user_agent: str, timeout: timedelta) -> Cluster:
        transport, gate = await open_transport(settings, allowlist, user_agent, timeout)
        return cls(settings.host, transport, gate)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections.  Safe to repeat."""
        await self._transport.close()

    @property
    def host(self) -> str:
        """The server's address, for people and logs."""
        return self._host

    @property
    def requests(self) -> Counter[str]:
        """How many requests were sent so far, by verb; live, so copy it to measure a difference."""
        return self._gate.requests

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        """Read one object, or one subresource that is JSON (`scale`, `status`)."""
        path = _path(resource, namespace, name, subresource)
        return await kept(Request("get", path), self._get(path))

    async def _get(self, path: str) -> JsonObject:
        answer = await self._transport.exchange("GET", path)
        return parse_object(answer.body, f"GET {path}")

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
    ) -> Objects:
        """All objects, over all pages; namespace None means everywhere.

        Every item carries apiVersion and kind.  When the snapshot expires between two pages the list starts again,
        at most three times; then Expired is raised.
        """
        asked = Request("list", _path(resource, namespace), _query(_selectors(label_selector, field_selector)))
        return await kept(asked, self._list(resource, namespace, label_selector, field_selector, limit))

    async def _list(
        self,
        resource: Resource,
        namespace: str | None,
        label_selector: str | None,
        field_selector: str | None,
        limit: int,
    ) -> Objects:
        for _ in range(_LIST_RESTARTS):
            try:
                return await self._list_once(resource, namespace, label_selector, field_selector, limit)
            except Expired:
                continue
        return await self._list_once(resource, namespace, label_selector, field_selector, limit)

    async def _list_once(
        self, resource: Resource, namespace: str | None, labels: str | None, fields: str | None, limit: int
    ) -> Objects:
        found: Objects = []
        token = ""
        for _ in range(_MAX_PAGES):
            raw = await self.list_raw(
                resource, namespace, label_selector=labels, field_selector=fields, limit=limit, continue_token=token
            )
            page = parse_object(raw, f"list of {resource.plural}")
            if not isinstance(page.get("metadata"), dict) or "items" not in page:
                raise Undecodable(f"list of {resource.plural}: the answer is no list; check what answers there")
            found += [_typed(resource, item) for item in dig_list(page, "items")]
            previous, token = token, dig_str(page, "metadata", "continue")
            if not token:
                return found
            if token == previous:
                break
        raise Undecodable(f"list of {resource.plural}: the pages never end; check what answers at that address")

    async def list_raw(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
        continue_token: str = "",
    ) -> bytes:
        """One page as bytes.  Raises Expired (410) when `continue_token` is too old."""
        query: list[tuple[str, str]] = [("limit", str(limit)), *_selectors(label_selector, field_selector)]
        if continue_token:
            query.append(("continue", continue_token))
        answer = await self._transport.exchange("GET", _path(resource, namespace), query, cap=LIST_CAP)
        return answer.body

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout: timedelta = timedelta(minutes=5),
        silence: timedelta = SILENCE,
    ) -> AsyncGenerator[bytes, None]:
        """Raw lines of a watch with bookmarks; each is one JSON event.

        Ends when the server ends it (after `timeout`, or whenever it likes).  Raises Unreachable when cut off or
        silent for `silence`, Expired for an HTTP 410; an ERROR event is a line like any other.  Close it
        (`contextlib.aclosing`) to stop early.
        """
        query: Query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(max(1, round(timeout.total_seconds())))),
            *_selectors(label_selector, field_selector),
        ]
        return self._transport.lines(_path(resource, namespace), query, silence=silence)

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        tail_lines: int = 50,
        limit_bytes: int = 16384,
    ) -> str:
        """The end of a container's log; `previous` asks for the one before the last restart.

        Raises Invalid when there is no such container or no previous one.  The text is not redacted.
        """
        query = [("container", container), ("tailLines", str(tail_lines)), ("limitBytes", str(limit_bytes))]
        if previous:
            query.append(("previous", "true"))
        path = f"/api/v1/namespaces/{_segment(namespace)}/pods/{_segment(pod)}/log"
        asked = Request("logs", path, _query([("container", container), ("previous", str(previous).lower())]))
        return await kept(asked, self._log(path, query))

    async def _log(self, path: str, query: Query) -> str:
        answer = await self._transport.exchange("GET", path, query, accept="*/*")
        return answer.body.decode(errors="replace")

    async def write(self, request: WriteRequest, *, dry_run: bool) -> WriteResult:
        """Send one mutating call, for real or with dryRun=All; the bytes are the same but for that.

        Never repeated here.  After Blocked nothing happened; after any other Transient read the object back before
        repeating, because it may have happened.
        """
        path = _write_path(request)
        body = _write_body(request, dry_run=dry_run)
        query: list[tuple[str, str]] = [("dryRun", "All")] if dry_run else []
        if request.verb != "delete":
            query.append(("fieldManager", request.field_manager))
        method = _METHODS[request.verb]
        try:
            answer = await self._transport.exchange(method, path, query, body=body, content_type=request.content_type)
            found = parse_object(answer.body, f"{method} {path}")
        except Undecodable as error:
            raise Unreachable(f"{error}; the write may have happened, read the object back") from error
        return WriteResult(found, answer.headers.get("Audit-Id"), answer.status)

    async def can_i(self, review: AccessQuestion) -> bool:
        """Ask the server whether our identity may do this.  Raises Undecodable when it does not say."""
        where = f"{review.namespace or ''}/{review.group}/{review.resource}/{review.subresource}/{review.name}"
        return await kept(Request("may", where, review.verb), self._can_i(review))

    async def _can_i(self, review: AccessQuestion) -> bool:
        attributes: JsonObject = {
            "verb": review.verb,
            "group": review.group,
            "resource": review.resource,
            "subresource": review.subresource,
            "namespace": review.namespace or "",
            "name": review.name,
        }
        resource = SELF_SUBJECT_ACCESS_REVIEW
        body: JsonObject = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self._transport.exchange("POST", resource.path(), body=body)
        allowed = dig(parse_object(answer.body, "access review"), "status", "allowed")
        if not isinstance(allowed, bool):
            raise Undecodable("access review: the answer does not say whether it is allowed")
        return allowed

    async def server_version(self) -> str:
        """The server's version as it names itself: `v1.34.4`."""
        answer = await self._transport.exchange("GET", "/version")
        version = dig_str(parse_object(answer.body, "GET /version"), "gitVersion")
        if not version:
            raise Undecodable("GET /version: no gitVersion; check what answers at that address")
        return version

    async def api_groups(self) -> frozenset[str]:
        """The API groups that the cluster serves, core excepted, those of custom resources among them.

        https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
        """
        answer = await self._transport.exchange("GET", "/apis")
        groups = dig_list(parse_object(answer.body, "GET /apis"), "groups")
        return frozenset(name for group in groups if (name := dig_str(group, "name")))

    async def discover(self, group: str, version: str = "") -> JsonObject:
        """What the cluster says of an API group, or of the resources in a version of it; NotFound for none."""
        path = f"/apis/{_segment(group)}" + (f"/{_segment(version)}" if version else "")
        answer = await self._transport.exchange("GET", path)
        return parse_object(answer.body, f"GET {path}")

    async def is_ready(self) -> bool:
        """Whether the server calls itself ready.  Raises Unreachable or Denied when it does not answer us."""
        try:
            await self._transport.exchange("GET", "/readyz", accept="*/*")
        except Overloaded:
            return False
        return True


def _path(resource: Resource, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    if namespace == "" or name == "" or subresource == "":
        raise NotAllowed(f"{resource.kind}: an empty namespace, name or subresource would address something else")
    return resource.path(namespace, name, subresource)


def _segment(text: str) -> str:
    if not text or "/" in text or "?" in text or "%" in text or "#" in text:
        raise NotAllowed(f"{text!r} is no name of an object")
    return text


def _selectors(labels: str | None, fields: str | None) -> list[tuple[str, str]]:
    return [(key, text) for key, text in (("labelSelector", labels), ("fieldSelector", fields)) if text]


def _query(pairs: Query) -> str:
    return "&".join(f"{key}={text}" for key, text in pairs)


def _typed(resource: Resource, item: JsonValue) -> JsonObject:
    if not isinstance(item, dict):
        raise Undecodable(f"list of {resource.plural}: an item is no object; check what answers at that address")
    return {"apiVersion": resource.api_version, "kind": resource.manifest_kind} | item


def _write_path(request: WriteRequest) -> str:
    if request.resource.namespaced and not request.namespace:
        raise NotAllowed(f"{request.verb} {request.resource.kind} {request.name}: a namespace is needed")
    if request.verb == "create" and request.subresource is None:
        return _path(request.resource, request.namespace)
    return _path(request.resource, request.namespace, request.name, request.subresource)


def _write_body(request: WriteRequest, *, dry_run: bool) -> JsonValue:
    """The body to send, with dryRun where the server looks for it.

    A DELETE with a body ignores the query, and an eviction reads its deleteOptions.
    Raises Invalid for a body that contradicts its content type, which the HTTP library would quietly reinterpret, and
    for one that brings its own dryRun.
    """
    is_json_patch = request.content_type == "application/json-patch+json"
    if request.verb != "delete" and isinstance(request.body, list) != is_json_patch:
        raise Invalid(f"{request.verb} {request.resource.kind} {request.name}: the body is no {request.content_type}")
    is_eviction = request.subresource == "eviction"
    if request.verb != "delete" and not is_eviction:
        return request.body
    body = request.body if isinstance(request.body, dict) else {}
    options: JsonObject = dig_object(body, "deleteOptions") if is_eviction else body
    if "dryRun" in options:
        raise Invalid(f"{request.verb} {request.name}: dryRun is an argument of the call, not of its body")
    if dry_run:
        marked: JsonObject = {**options, "dryRun": ["All"]}
        options = marked
    if not is_eviction:
        return options
    eviction: JsonObject = {**body, "deleteOptions": options}
    return eviction
