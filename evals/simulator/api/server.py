"""The protocol: HTTP requests in, objects, lists, streams and Status out.

Order of one request, as in the API server: who is it, what does it name, may they, is a fault armed, do it, audit it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from aiohttp import web

from evals.simulator.api import discovery, requests, reviews, subresources, tables
from evals.simulator.api.answers import (
    cut_connection,
    deleted_status,
    form_of,
    json_response,
    manager_of,
    partial_metadata,
    question_of,
    refusal,
    require_kind,
)
from evals.simulator.api.audit import Audit, AuditEntry, Request
from evals.simulator.api.core import Api, Write
from evals.simulator.api.errors import ApiError, bad_request, no_such_path
from evals.simulator.api.events import present
from evals.simulator.api.faults import Call, Fault, Faults
from evals.simulator.api.identity import Tokens, User, service_account
from evals.simulator.api.kinds import REVIEWS, Kind
from evals.simulator.api.listing import Lister
from evals.simulator.api.rbac import Question, Rbac, denied
from evals.simulator.api.requests import Target
from evals.simulator.api.watch import EncodedChanges, Watch
from evals.simulator.objects import name_of
from tools.jsontypes import JsonObject, JsonValue, dig_object, dig_str

_MUTATING = {"create", "update", "patch", "delete", "deletecollection"}
_OPEN_PATHS = {"/healthz", "/livez", "/readyz"}


class Logs(Protocol):
    """Where `pods/log` comes from: the kubelets."""

    def read(self, pod: JsonObject, container: str, *, previous: bool, params: Mapping[str, str]) -> bytes:
        """The log of a container.  Raises ApiError when there is none."""
        ...

    async def follow(self, pod: JsonObject, container: str, seen: int) -> bytes | None:
        """More bytes after `seen`; None when the container has ended."""
        ...


class Server:
    """Handles requests for one `Api`."""

    def __init__(self, api: Api, *, logs: Logs, tokens: Tokens, faults: Faults, audit: Audit) -> None:
        self.api, self._logs, self._tokens = api, logs, tokens
        self.faults, self.audit = faults, audit
        self.rbac = Rbac(api.store)
        self.lister = Lister(api)
        self._cache = EncodedChanges()
        self._watches: set[Watch] = set()
        self.requests = 0

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    def stop_watches(self) -> None:
        """End every watch cleanly."""
        for watch in list(self._watches):
            watch.end()

    def sever_watches(self) -> None:
        """Compact the history and end every watch with 410: what a long partition looks like."""
        self.api.store.compact()
        self.lister.forget()
        for watch in list(self._watches):
            watch.fail()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        try:
            user = self._user(request)
            return await self._route(request, user)
        except ApiError as error:
            return refusal(error)

    def _user(self, request: web.Request) -> User:
        user = self._tokens.authenticate(request.headers)
        wanted = request.headers.get("Impersonate-User")
        if not wanted:
            return user
        groups = tuple(request.headers.getall("Impersonate-Group", []))
        if wanted.startswith("system:serviceaccount:"):
            _, _, namespace, name = wanted.split(":", 3)
            question = Question("impersonate", resource="serviceaccounts", namespace=namespace, name=name)
            other = service_account(namespace, name)
        else:
            question = Question("impersonate", resource="users", name=wanted)
            other = User(wanted, (*groups, "system:authenticated"))
        if not self.rbac.allows(user, question):
            raise denied(user, question)
        return other

    async def _route(self, request: web.Request, user: User) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        found = self._discover(path)
        if found is not None:
            question = Question("get", path=path)
            if not self.rbac.allows(user, question):
                raise denied(user, question)
            return found
        where = requests.target(request.raw_path.partition("?")[0], self.api.kinds)
        verb = requests.verb(request.method, where, request.query)
        dry_run = requests.is_dry_run(request.query)
        kind = where.kind
        if not self.rbac.allows(user, question_of(where, verb)):
            error = denied(user, question_of(where, verb))
            if verb in _MUTATING:
                self._record(request, user, where, verb, b"", error.code, dry_run=dry_run)
            raise error
        self.audit.requests.append(Request(self.api.clock.now(), user.name, verb, kind.resource, where.namespace))
        call = Call(verb, kind.resource, where.subresource, where.namespace, where.name, user.name, dry_run)
        fault = self.faults.take(call, "answer", "hang", "reset", "delay")
        if fault is not None:
            await self._suffer(request, fault, user, where, verb, dry_run=dry_run)
        if verb == "watch":
            return await self._watch(request, where, call)
        if where.subresource == "log":
            return await self._log(request, where)
        return await self._serve(request, user, where, verb, call)

    async def _suffer(
        self, request: web.Request, fault: Fault, user: User, where: Target, verb: str, *, dry_run: bool
    ) -> None:
        if fault.effect == "delay":
            await self.api.clock.sleep(timedelta(seconds=fault.seconds))
        elif fault.effect == "hang":
            await asyncio.Event().wait()
        elif fault.effect == "reset":
            cut_connection(request)
            raise asyncio.CancelledError
        else:
            if verb in _MUTATING:
                self._record(request, user, where, verb, await request.read(), fault.code, dry_run=dry_run)
            raise ApiError(fault.code, fault.message, reason=fault.reason, retry_after=fault.retry_after)

    async def _serve(
        self, request: web.Request, user: User, where: Target, verb: str, call: Call
    ) -> web.StreamResponse:
        raw = await request.read() if request.can_read_body else b""
        if verb not in _MUTATING or where.kind.kind in REVIEWS:
            return self._read(request, user, where, verb, raw)
        code = 0
        try:
            code, answer = self._write(request, user, where, verb, raw, dry_run=call.dry_run)
        except ApiError as error:
            code = error.code
            raise
        finally:
            self._record(request, user, where, verb, raw, code, dry_run=call.dry_run)
        if self.faults.take(call, "lost") is not None:
            cut_connection(request)
            raise asyncio.CancelledError
        return self._respond(request, where.kind, answer, code)

    def _record(  # noqa: PLR0917 - one request, taken apart
        self, request: web.Request, user: User, where: Target, verb: str, raw: bytes, code: int, *, dry_run: bool
    ) -> None:
        if where.kind.kind in REVIEWS or (where.subresource == "token"):
            return
        name = where.name
        if not name and raw:
            try:
                name = dig_str(requests.body(raw, request.content_type), "metadata", "name")
            except ApiError:
                name = ""
        dry_run = dry_run or (b'"dryRun"' in raw and where.subresource == "eviction")
        self.audit.add(
            AuditEntry(
                time=self.api.clock.now(),
                user=user.name,
                verb=verb,
                resource=where.kind.resource,
                subresource=where.subresource,
                namespace=where.namespace,
                name=name,
                dry_run=dry_run,
                code=code,
                body=raw,
                field_manager=manager_of(request),
            )
        )

    # ---- reads

    def _discover(self, path: str) -> web.StreamResponse | None:
        """The answer to a path that names no resource; None for one that may."""
        parts = path.strip("/").split("/")
        if path in _OPEN_PATHS or parts[0] in {"livez", "readyz"}:
            return web.Response(text="ok")
        if parts[0] in {"api", "apis"} and len(parts) > (2 if parts[0] == "api" else 3):
            return None
        answer = discovery.answer(self.api.kinds, path)
        if answer is None:
            raise no_such_path()
        return json_response(answer)

    def _read(self, request: web.Request, user: User, where: Target, verb: str, raw: bytes) -> web.StreamResponse:
        kind = where.kind
        if kind.kind in REVIEWS:
            body = requests.body_object(raw, request.content_type)
            return json_response(reviews.answer(kind, body, user, self.rbac, self._tokens), 201)
        if verb == "get":
            obj = self.api.get(kind, where.namespace, where.name)
            if where.subresource == "scale":
                obj = subresources.scale_of(kind, obj)
            return self._respond(request, kind, obj, 200)
        page = self.lister.page(kind, where.namespace, requests.query(request.query))
        metadata: JsonObject = {"resourceVersion": str(page.version)}
        if page.token:
            metadata["continue"] = page.token
            metadata["remainingItemCount"] = page.remaining
        items = [present(kind, o) for o in page.items]
        form = form_of(request)
        if form == "Table":
            include = request.query.get("includeObject", "Metadata")
            return json_response(tables.table(kind, items, self.api.clock.now(), metadata, include))
        listed: JsonObject = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        if form == "PartialObjectMetadata":
            listed["kind"], listed["apiVersion"] = "PartialObjectMetadataList", "meta.k8s.io/v1"
            listed["items"] = [partial_metadata(o) for o in items]
        else:
            listed["items"] = [{k: v for k, v in o.items() if k not in {"kind", "apiVersion"}} for o in items]
            if kind.custom is not None:
                listed["items"] = [*items]
        return json_response(listed)

    def _respond(self, request: web.Request, kind: Kind, obj: JsonObject, code: int) -> web.StreamResponse:
        shown = present(kind, obj) if obj.get("kind") == kind.kind else obj
        form = form_of(request)
        if obj.get("kind") == kind.kind and form == "Table":
            metadata: JsonObject = {"resourceVersion": dig_object(shown, "metadata").get("resourceVersion")}
            include = request.query.get("includeObject", "Metadata")
            return json_response(tables.table(kind, [shown], self.api.clock.now(), metadata, include), code)
        if obj.get("kind") == kind.kind and form == "PartialObjectMetadata":
            return json_response(partial_metadata(shown), code)
        return json_response(shown, code)

    async def _watch(self, request: web.Request, where: Target, call: Call) -> web.StreamResponse:
        query, options = requests.query(request.query), requests.watch_options(request.query)
        watch = Watch(self.api, where.kind, where.namespace, query, options, self._cache)
        watch.present_as(form_of(request), request.query.get("includeObject", "Metadata"))
        self._watches.add(watch)
        if self.faults.take(call, "gone") is not None:
            watch.fail()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            async for chunk in watch.lines():
                await response.write(chunk)
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            if request.transport is not None and not request.transport.is_closing():
                raise
        finally:
            watch.close()
            self._watches.discard(watch)
        return response

    async def _log(self, request: web.Request, where: Target) -> web.StreamResponse:
        pod = self.api.get(where.kind, where.namespace, where.name)
        container, params = request.query.get("container", ""), request.query
        data = self._logs.read(pod, container, previous=params.get("previous") == "true", params=params)
        if params.get("follow") != "true":
            return web.Response(body=data, content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(data)
        whole = self._logs.read(pod, container, previous=False, params={})
        seen = len(whole)
        while (more := await self._logs.follow(pod, container, seen)) is not None:
            seen += len(more)
            await response.write(more)
        await response.write_eof()
        return response

    # ---- writes

    def _write(
        self, request: web.Request, user: User, where: Target, verb: str, raw: bytes, *, dry_run: bool
    ) -> tuple[int, JsonObject]:
        write = Write(user, manager_of(request), dry_run=dry_run, track_fields=True)
        if verb == "create":
            return self._create(where, requests.body_object(raw, request.content_type), write)
        if verb == "update":
            body = requests.body_object(raw, request.content_type)
            if where.subresource == "scale":
                return 200, subresources.set_scale(self.api, where.kind, where.namespace, where.name, body, write)
            return 200, self.api.update(
                where.kind, where.namespace, where.name, body, write, subresource=where.subresource
            )
        if verb == "patch":
            return self._patch(request, where, requests.body(raw, request.content_type), write)
        options = {**requests.body_object(raw, request.content_type)}
        for name in ("propagationPolicy", "gracePeriodSeconds"):
            if name in request.query:
                value = request.query[name]
                options[name] = int(value) if value.lstrip("-").isdigit() else value
        if verb == "delete":
            last, gone = self.api.delete(where.kind, where.namespace, where.name, options, write)
            return 200, deleted_status(where.kind, last) if gone and where.kind.key != "pods" else last
        return 200, self._delete_all(request, where, options, write)

    def _create(self, where: Target, body: JsonObject, write: Write) -> tuple[int, JsonObject]:
        api = self.api
        if where.subresource == "eviction":
            return 201, subresources.evict(api, where.namespace, where.name, body, write)
        if where.subresource == "binding":
            return 201, subresources.bind(api, where.namespace, where.name, body, write)
        if where.subresource == "token":
            return 201, subresources.issue_token(api, self._tokens, where.namespace, where.name, body)
        require_kind(where.kind, body)
        return 201, api.create(where.kind, where.namespace, body, write)

    def _patch(self, request: web.Request, where: Target, body: JsonValue, write: Write) -> tuple[int, JsonObject]:
        media, force = request.content_type, request.query.get("force") in {"true", "1"}
        if media == "application/apply-patch+yaml" and "fieldManager" not in request.query:
            raise bad_request(
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            )
        if where.subresource == "scale":
            scale = subresources.patch_scale(self.api, where.kind, where.namespace, where.name, body, media, write)
            return 200, scale
        obj, created = self.api.patch(
            where.kind, where.namespace, where.name, body, media, write, subresource=where.subresource, force=force
        )
        return (201 if created else 200), obj

    def _delete_all(self, request: web.Request, where: Target, options: JsonObject, write: Write) -> JsonObject:
        page = self.lister.page(where.kind, where.namespace, requests.query(request.query))
        for obj in page.items:
            self.api.delete(where.kind, dig_str(obj, "metadata", "namespace"), name_of(obj), options, write)
        items: list[JsonValue] = [present(where.kind, o) for o in page.items]
        metadata: JsonObject = {"resourceVersion": str(self.api.store.version)}
        return {
            "kind": f"{where.kind.kind}List",
            "apiVersion": where.kind.api_version,
            "metadata": metadata,
            "items": items,
        }
