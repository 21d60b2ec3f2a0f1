"""A small API server in memory that obeys the rules a door relies on.

Versions rise with every write, the generation with every change of the spec; a JSON patch is applied as a whole or not
at all; a stale version is a conflict; a dry run changes nothing.  Faults are told to it by the test.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

from tools.cluster.client import AccessQuestion, AlreadyExists, WriteResult
from tools.cluster.resources import Resource, WriteRequest
from tools.errors import Conflict, NotFound
from tools.jsontypes import JsonObject, dig_str

Hook = Callable[[WriteRequest, bool], Awaitable[None]]


@dataclass
class FakeCluster:
    """Objects by kind, namespace and name."""

    objects: dict[tuple[str, str, str], JsonObject] = field(default_factory=dict)
    sent: list[tuple[WriteRequest, bool]] = field(default_factory=list)
    """Every call of write, with whether it was a dry run."""
    journal: list[str] = field(default_factory=list)
    may: bool = True
    before: Hook | None = None
    after: Hook | None = None
    rewrite: Callable[[JsonObject], None] | None = None
    """What an admission webhook would do to the result."""
    broken: dict[str, Any] = field(default_factory=dict)
    """By method, or by `get:KIND`: an exception to raise or a value to answer."""
    _version: Any = field(default_factory=lambda: itertools.count(100))

    @property
    def writes(self) -> list[WriteRequest]:
        return [request for request, dry_run in self.sent if not dry_run]

    def put(self, document: JsonObject) -> JsonObject:
        self.objects[_key(document)] = document
        return document

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        found = self._fault("get", f"get:{resource.kind}")
        if found is not None:
            return found  # type: ignore[no-any-return]
        try:
            return copy.deepcopy(self.objects[resource.kind, namespace or "", name])
        except KeyError:
            raise NotFound(f"{resource.kind} {name}") from None

    async def list(self, resource: Resource, namespace: str | None = None, **_: Any) -> Any:
        found = self._fault("list", f"list:{resource.kind}")
        if found is not None:
            return found
        return [
            copy.deepcopy(o)
            for (kind, space, _name), o in self.objects.items()
            if kind == resource.kind and namespace in {None, space}
        ]

    async def can_i(self, review: AccessQuestion, /) -> bool:
        found = self._fault("can_i")
        return self.may if found is None else found

    async def write(self, request: WriteRequest, *, dry_run: bool) -> WriteResult:
        self.sent.append((request, dry_run))
        if not dry_run:
            self.journal.append("write")
        if self.before is not None:
            await self.before(request, dry_run)
        found = self._fault("dry_run" if dry_run else "write")
        if found is not None:
            return found  # type: ignore[no-any-return]
        result = self._apply(request, dry_run=dry_run)
        if self.after is not None:
            await self.after(request, dry_run)
        return WriteResult(result, "audit-1", 200)

    def change(self, document: JsonObject) -> None:
        """Somebody else writes the object."""
        live = self.objects[_key(document)]
        self._store(live, document)

    def _apply(self, request: WriteRequest, *, dry_run: bool) -> JsonObject:
        key = (request.resource.kind, request.namespace or "", request.name)
        live = self.objects.get(key)
        if request.verb == "create" and request.subresource is None:
            return self._make(key, request, dry_run=dry_run)
        if live is None:
            raise NotFound(request.name)
        if request.verb != "patch":
            return self._remove(key, live, request, dry_run=dry_run)
        for operation in request.body:  # type: ignore[union-attr]
            if operation["path"] == "/metadata/resourceVersion" and operation["value"] != dig_str(
                live, "metadata", "resourceVersion"
            ):  # type: ignore[index, call-overload]
                raise Conflict("the object has been modified")
        try:
            patched: JsonObject = jsonpatch.apply_patch(live, request.body)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise Conflict("the server rejected our request") from error
        if self.rewrite is not None:
            self.rewrite(patched)
        if dry_run:
            return _stamped(live, patched, dig_str(live, "metadata", "resourceVersion"))
        return self._store(live, patched)

    def _make(self, key: tuple[str, str, str], request: WriteRequest, *, dry_run: bool) -> JsonObject:
        """A new life, with a uid of its own each time, dry run or not."""
        if key in self.objects:
            raise AlreadyExists(f"{request.name} already exists")
        made: JsonObject = copy.deepcopy(request.body)  # type: ignore[assignment]
        number = str(next(self._version))
        made["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": number, "namespace": key[1]}  # type: ignore[index, call-overload, operator]
        if self.rewrite is not None:
            self.rewrite(made)
        if not dry_run:
            self.objects[key] = copy.deepcopy(made)
        return made

    def _remove(
        self, key: tuple[str, str, str], live: JsonObject, request: WriteRequest, *, dry_run: bool
    ) -> JsonObject:
        body = request.body
        assert isinstance(body, dict)
        options = body.get("deleteOptions", body)
        assert isinstance(options, dict)
        for name, value in (options.get("preconditions") or {}).items():  # type: ignore[union-attr]
            if dig_str(live, "metadata", name) != value:
                raise Conflict(f"the precondition {name} does not hold")
        if not dry_run:
            del self.objects[key]
        return {"kind": "Status", "status": "Success"}

    def _store(self, live: JsonObject, document: JsonObject) -> JsonObject:
        stored = _stamped(live, copy.deepcopy(document), str(next(self._version)))
        self.objects[_key(stored)] = stored
        return copy.deepcopy(stored)

    def _fault(self, *names: str) -> Any:
        for name in names:
            if name in self.broken:
                fault = self.broken[name]
                if isinstance(fault, BaseException):
                    raise fault
                return fault
        return None


def _stamped(live: JsonObject, document: JsonObject, version: str) -> JsonObject:
    generation = live["metadata"].get("generation")  # type: ignore[index, call-overload, operator]
    document["metadata"]["resourceVersion"] = version  # type: ignore[index, call-overload]
    if generation is not None:
        moved = document.get("spec") != live.get("spec")
        document["metadata"]["generation"] = generation + 1 if moved else generation  # type: ignore[index, call-overload, operator]
    return document


def _key(document: JsonObject) -> tuple[str, str, str]:
    return (
        dig_str(document, "kind"),
        dig_str(document, "metadata", "namespace"),
        dig_str(document, "metadata", "name"),
    )


class WatchedLedger:
    """The real ledger, or parts of it broken: a method named in `broken` raises or answers what stands there."""

    def __init__(self, ledger: Any, journal: list[str]) -> None:
        self._ledger, self._journal = ledger, journal
        self.broken: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._ledger, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name in self.broken:
                fault = self.broken[name]
                if isinstance(fault, BaseException):
                    raise fault
                return fault
            result = await real(*args, **kwargs)
            if name == "intend":
                self._journal.append("intent")
            return result

        return call
