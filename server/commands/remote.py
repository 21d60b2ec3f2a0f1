"""A running service over HTTP, for the commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict

from server.account import Account, AuditLine, IncidentLine, Line
from server.byhand_view import PauseView, UndoReport, Word
from server.commands.exits import CommandError, Exit
from server.commands.source import WAITING, parse_answer
from server.explain_view import ObjectView
from tools.refs import ObjectRef

if TYPE_CHECKING:
    from server.export import IncidentExport

TIMEOUT = httpx.Timeout(30, connect=5)
EVENTS_TIMEOUT = httpx.Timeout(60, connect=5)
"""Longer than the service is ever silent: it sends a comment when nothing happens."""
EXITS = {404: Exit.USAGE, 409: Exit.NOT_DONE, 422: Exit.USAGE}
RECONNECTS = 5
RECONNECT_SECONDS = 1.0


class _Incidents(BaseModel):
    incidents: list[IncidentLine]


class _Audit(BaseModel):
    entries: list[AuditLine]


class _Accepted(BaseModel):
    model_config = ConfigDict(extra="ignore")

    incident_id: str | None


class _Status(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: str


class _Pauses(BaseModel):
    pauses: list[PauseView]


class _Stopped(BaseModel):
    model_config = ConfigDict(extra="ignore")

    report: UndoReport | None = None


class _Problem(BaseModel):
    model_config = ConfigDict(extra="ignore")

    detail: str = ""
    code: str = ""


@contextlib.asynccontextmanager
async def open_remote(server: str, token_file: Path | None) -> AsyncGenerator[RemoteSource]:
    """The service at `server`, with the token of `token_file`, SELFHEAL_TOKEN_FILE or SELFHEAL_TOKEN."""
    if not server.startswith(("http://", "https://")):
        raise CommandError(Exit.USAGE, f"--server {server!r} is no address: write http://HOST:PORT")
    token = find_token(token_file)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=server, headers=headers, timeout=TIMEOUT) as client:
        yield RemoteSource(client, server)


def find_token(token_file: Path | None) -> str | None:
    """The first token of the file, or of the environment; None when there is none."""
    named = token_file or (Path(p).expanduser() if (p := os.environ.get("SELFHEAL_TOKEN_FILE")) else None)
    if named is None:
        text = os.environ.get("SELFHEAL_TOKEN", "").replace(",", " ")
    else:
        try:
            text = named.read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(Exit.USAGE, f"the token file {named} cannot be read: {error.strerror}") from error
    words = text.split()
    return words[0] if words else None


class RemoteSource:
    """Asks the service."""

    def __init__(self, client: httpx.AsyncClient, server: str) -> None:
        self._client = client
        self._server = server

    async def incidents(self, *, namespace: str | None, status: str | None, limit: int) -> list[IncidentLine]:
        """As `Source`."""
        wanted = {"namespace": namespace, "status": status, "limit": str(limit)}
        answer = await self._get("/incidents", {k: v for k, v in wanted.items() if v is not None})
        return parse_answer(_Incidents, answer.content).incidents

    async def account(self, incident_id: str) -> Account | None:
        """As `Source`."""
        answer = await self._get(f"/incidents/{incident_id}", {}, missing_is_none=True)
        return None if answer.status_code == 404 else parse_answer(Account, answer.content)

    async def export(self, incident_id: str) -> IncidentExport | None:
        """As `Source`; a format that this program does not know is refused with the remedy."""
        from server.export import UnreadableExport, read_export

        answer = await self._get(f"/incidents/{quote(incident_id, safe='')}/export", {}, missing_is_none=True)
        if answer.status_code == 404:
            return None
        try:
            return read_export(answer.json())
        except (UnreadableExport, ValueError) as error:
            raise CommandError(Exit.UNREACHABLE, f"{self._server}: {error}") from error

    async def audit(self, *, incident: str | None, after: int, limit: int) -> list[AuditLine]:
        """As `Source`."""
        wanted = {"after": str(after), "limit": str(limit)} | ({"incident": incident} if incident else {})
        return parse_answer(_Audit, (await self._get("/audit", wanted)).content).entries

    async def verify_audit(self) -> int | None:
        """Not over HTTP: the proof is worth something where the file is."""
        raise CommandError(Exit.USAGE, "--verify reads the ledger itself: run it where the state folder is")

    async def view(self, ref: ObjectRef) -> ObjectView:
        """As `Source`."""
        return parse_answer(ObjectView, (await self._get(f"/objects/{ref}", {})).content)

    async def begin(self, ref: ObjectRef) -> str:
        """As `Source`."""
        body = ref.model_dump(exclude_none=True)
        answer = await self._send("POST", "/self-heal", json=body, headers={"Prefer": "respond-async"})
        self._check(answer)
        incident_id = parse_answer(_Accepted, answer.content).incident_id
        if incident_id is None:
            raise CommandError(Exit.WAITING, "the service accepted it and has not begun; look at `selfheal incidents`")
        return incident_id

    async def progress(self, incident_id: str, tell: Callable[[Line], None], *, after: int = 0) -> None:
        """As `Source`, by the service's own events; where the stream breaks it goes on after the last line."""
        for attempt in range(RECONNECTS + 1):
            before = after
            try:
                async with contextlib.aclosing(self._events(incident_id, after)) as events:
                    async for event, data in events:
                        if event == "line":
                            line = parse_answer(AuditLine, data)
                            tell(line)
                            after = line.seq
                        elif event == "status" and parse_answer(_Status, data).status == WAITING:
                            return
                account = await self.account(incident_id)
                if account is None or not account.is_open:
                    return
            except httpx.HTTPError as error:
                if attempt == RECONNECTS:
                    raise CommandError(Exit.UNREACHABLE, f"{self._server} does not answer: {error}") from error
            if after == before:
                await asyncio.sleep(RECONNECT_SECONDS)
        raise CommandError(Exit.WAITING, f"the service ends its events early; look at `selfheal explain {incident_id}`")

    async def _events(self, incident_id: str, after: int) -> AsyncGenerator[tuple[str, bytes]]:
        """The service's events as (kind, data)."""
        headers = {"Last-Event-ID": str(after)} if after else {}
        url = f"/incidents/{quote(incident_id, safe='')}/events"
        async with self._client.stream("GET", url, headers=headers, timeout=EVENTS_TIMEOUT) as answer:
            if answer.status_code != 200:
                await answer.aread()
                self._check(answer)
                return
            event = ""
            async for line in answer.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    event = value
                elif field == "data":
                    yield event, value.encode()

    async def answer(self, incident_id: str, word: Word, *, plan_hash: str, why: str) -> None:
        """As `Source`."""
        verb = "approve" if word == "approved" else "reject"
        body = {"plan_hash": plan_hash} | ({"why": why} if word == "declined" and why else {})
        self._check(await self._send("POST", f"/incidents/{quote(incident_id, safe='')}/{verb}", json=body))

    async def undo(self, incident_id: str) -> UndoReport:
        """As `Source`; a report that stopped is shown, not only its code."""
        answer = await self._send("POST", f"/incidents/{quote(incident_id, safe='')}/undo")
        if answer.status_code == 409:
            stopped = parse_answer(_Stopped, answer.content).report
            if stopped is not None:
                return stopped
        self._check(answer)
        return parse_answer(UndoReport, answer.content)

    async def pause(self, namespace: str, length: str, *, why: str) -> PauseView:
        """As `Source`."""
        answer = await self._send("POST", "/pauses", json={"namespace": namespace, "for": length, "why": why})
        self._check(answer)
        return parse_answer(PauseView, answer.content)

    async def unpause(self, namespace: str) -> None:
        """As `Source`."""
        self._check(await self._send("DELETE", f"/pauses/{quote(namespace, safe='')}"))

    async def pauses(self) -> list[PauseView]:
        """As `Source`."""
        return parse_answer(_Pauses, (await self._get("/pauses", {})).content).pauses

    async def _get(self, path: str, query: dict[str, str], *, missing_is_none: bool = False) -> httpx.Response:
        answer = await self._send("GET", path, params=query)
        if not (missing_is_none and answer.status_code == 404):
            self._check(answer)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        json: object = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return await self._client.request(method, path, params=params, json=json, headers=headers)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise CommandError(Exit.UNREACHABLE, f"{self._server} does not answer: {reason}") from error

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code < 400:
            return
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        problem = parse_answer(_Problem, answer.content) if is_problem else _Problem(detail=answer.text[:200])
        code = EXITS.get(answer.status_code, Exit.UNREACHABLE)
        said = f" [{problem.code}]" if problem.code else ""
        raise CommandError(code, f"{problem.detail or f'the service answered {answer.status_code}'}{said}")
