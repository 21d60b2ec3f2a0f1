"""What the service's HTTP answers look like: incidents and approvals, read leniently.

What is missing in an answer is empty, so that the runner reports rather than breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import httpx

from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object, dig_str

WAITING = "waiting"
"""The status of an incident whose plan waits for a person."""


class ServiceError(Exception):
    """The service did not start or does not answer; the message ends with its log."""


@dataclass(frozen=True)
class Signal:
    """A symptom as the healer reports it; `seen` is when it received it, in seconds since the epoch."""

    reason: str
    seen: float


@dataclass(frozen=True)
class Incident:
    """What the runner needs of an incident; `document` is all of it, for the results."""

    id: str
    namespace: str
    state: str
    opened: float
    detected: float
    """When its watch had the update that confirmed the signal; the opening for incidents that do not say."""
    signals: tuple[Signal, ...]
    document: JsonObject

    @property
    def plan_hash(self) -> str:
        """What an approval must name; "" while nothing waits."""
        return dig_str(self.document, "question", "plan_hash")


class ServiceClient:
    """The runner's connection to the service, with a second token for the person who approves."""

    def __init__(self, url: str, token: str, approver: str) -> None:
        fresh = httpx.Limits(max_keepalive_connections=0)  # the service ends idle connections at any moment
        self._http = httpx.AsyncClient(base_url=url, headers=_bearer(token), limits=fresh, timeout=30, trust_env=False)
        self._approver = _bearer(approver)

    async def close(self) -> None:
        """No more requests."""
        await self._http.aclose()

    async def is_ready(self) -> bool:
        """Whether /readyz says 200."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def incidents(self, namespace: str) -> Sequence[Incident]:
        """The namespace's incidents and those on nodes and other cluster-wide objects, each with its full document."""
        listed = parse_list(await self._get("/incidents?limit=1000"))
        wanted = [i.id for i in listed if i.namespace in (namespace, "")]
        return [parse_incident(await self._get(f"/incidents/{id_}")) for id_ in wanted]

    async def approve(self, incident: Incident) -> None:
        """Agree to the plan as the other identity.  ServiceError when the service does not take it."""
        body = {"plan_hash": incident.plan_hash}
        answer = await self._http.post(f"/incidents/{incident.id}/approve", json=body, headers=self._approver)
        if not answer.is_success:
            raise ServiceError(f"POST /incidents/{incident.id}/approve: {answer.status_code} {answer.text[:300]}")

    async def undo(self, incident: Incident) -> None:
        """Have what the incident wrote taken back, as the other identity.  ServiceError when that is refused."""
        answer = await self._http.post(f"/incidents/{incident.id}/undo", headers=self._approver)
        if not answer.is_success:
            raise ServiceError(f"POST /incidents/{incident.id}/undo: {answer.status_code} {answer.text[:300]}")

    async def _get(self, path: str) -> JsonValue:
        answer = await self._http.get(path)
        answer.raise_for_status()
        return cast("JsonValue", answer.json())


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def parse_list(answer: JsonValue) -> list[Incident]:
    """A bare list, or the first list found under `incidents` or `items`."""
    entries = answer if isinstance(answer, list) else dig_list(answer, "incidents") or dig_list(answer, "items")
    return [parse_incident(e) for e in entries]


def parse_incident(answer: JsonValue) -> Incident:
    """An incident's document."""
    document = answer if isinstance(answer, dict) else {}
    document = dig_object(document, "incident") or document
    opened = dig_str(document, "opened_at")
    return Incident(
        id=dig_str(document, "id"),
        namespace=dig_str(document, "target", "namespace"),
        state=dig_str(document, "status") or dig_str(document, "state"),
        opened=_seconds(opened),
        detected=_seconds(dig_str(document, "detected_at") or opened),
        signals=tuple(_signal(s, opened) for s in dig_list(document, "signals")),
        document=document,
    )


def _signal(value: JsonValue, opened: str) -> Signal:
    """A signal without a time of its own counts from the incident's opening."""
    seen = dig_str(value, "first_seen") or dig_str(value, "observed_at") or opened
    return Signal(dig_str(value, "reason"), _seconds(seen))


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
