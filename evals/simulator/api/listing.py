"""Lists: selectors, pages out of a snapshot, and how lists and objects are presented."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from dataclasses import dataclass

from evals.simulator.api.core import Api
from evals.simulator.api.errors import ApiError, bad_request, expired
from evals.simulator.api.kinds import Kind
from evals.simulator.api.selectors import matcher
from tools.jsontypes import JsonObject

_SNAPSHOTS_KEPT = 200


@dataclass(frozen=True, slots=True)
class Query:
    """What a list or watch asks for, read from the query string."""

    labels: str = ""
    fields: str = ""
    version: str = ""
    version_match: str = ""
    limit: int = 0
    token: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: objects as stored, the version of the whole list, and how to go on."""

    items: list[JsonObject]
    version: int
    token: str
    remaining: int


class Lister:
    """Answers lists.  A continued list reads the snapshot its first page was taken from, as the real one does."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._snapshots: OrderedDict[str, tuple[int, list[JsonObject]]] = OrderedDict()

    def page(self, kind: Kind, namespace: str, query: Query) -> Page:
        """One page.  Raises 400 for a bad query, 410 when a token is too old, 504 for a version of the future."""
        store = self._api.store
        if query.token:
            return self._go_on(query)
        if query.version and not query.version.isdigit():
            raise bad_request(f'invalid resource version "{query.version}"')
        if query.version and int(query.version) > store.version:
            message = f"Timeout: Too large resource version: {query.version}, current: {store.version}"
            raise ApiError(
                504, message, details={"causes": [{"reason": "ResourceVersionTooLarge", "message": message}]}
            )
        if query.version_match == "Exact" and store.is_expired(int(query.version or 0)):
            raise expired(f"The provided resource version is too old: {query.version}")
        items = store.select(kind.key, namespace if kind.namespaced else "")
        matches = matcher(query.labels, query.fields, kind.key)
        if matches is not None:
            items = [o for o in items if matches(o)]
        return self._cut(items, 0, store.version, query.limit, "")

    def _cut(self, items: list[JsonObject], start: int, version: int, limit: int, snapshot: str) -> Page:
        end = start + limit if limit else len(items)
        if end >= len(items):
            return Page(items[start:], version, "", 0)
        if not snapshot:
            snapshot = f"s{version}-{len(self._snapshots)}-{id(items)}"
            self._snapshots[snapshot] = (version, items)
            while len(self._snapshots) > _SNAPSHOTS_KEPT:
                self._snapshots.popitem(last=False)
        token = base64.urlsafe_b64encode(json.dumps({"s": snapshot, "o": end}).encode()).decode()
        return Page(items[start:end], version, token, len(items) - end)

    def _go_on(self, query: Query) -> Page:
        try:
            place = json.loads(base64.urlsafe_b64decode(query.token.encode()))
            snapshot, start = str(place["s"]), int(place["o"])
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request(f"continue key is not valid: {error}") from error
        if snapshot not in self._snapshots:
            raise expired("The provided continue parameter is too old to display a consistent list result.")
        version, items = self._snapshots[snapshot]
        return self._cut(items, start, version, query.limit, snapshot)

    def forget(self) -> None:
        """Every continue token has expired now."""
        self._snapshots.clear()
