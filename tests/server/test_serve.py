"""`selfheal serve` as people run it: a process of its own, against an API server that shows an empty cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.server.support import TOKEN
from tests.server.test_cli import PROGRAM, restored, run
from tests.support.http import plain

__all__ = ["restored"]

EMPTY = json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}).encode()


@contextlib.asynccontextmanager
async def empty_cluster(folder: Path) -> AsyncGenerator[Path]:
    """An API server that lists nothing and whose watches stay silent; the kubeconfig that leads there."""
    talks: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                query = parse_qs(urlsplit(head.split()[1]).query)
                if query.get("watch", ["0"])[0] in {"1", "true"}:
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                    )
                else:
                    length = f"Content-Length: {len(EMPTY)}\r\n\r\n".encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + length + EMPTY)
                await writer.drain()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    try:
        yield path
    finally:
        server.close()
        for writer in talks:
            writer.close()


@contextlib.asynccontextmanager
async def process(command: str, folder: Path, kubeconfig: Path) -> AsyncGenerator[tuple[Process, dict[str, object]]]:
    """The program, and its first log line that says it is up."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SELFHEAL_")}
    environment |= {
        "SELFHEAL_TOKEN": TOKEN,
        "SELFHEAL_PORT": "0",
        "SELFHEAL_STATE_DIR": str(folder / "state"),
        "SELFHEAL_KUBECONFIG": str(kubeconfig),
        "SELFHEAL_LOG_FORMAT": "json",
    }
    running = await asyncio.create_subprocess_exec(PROGRAM, command, env=environment, stderr=PIPE)
    try:
        yield running, await first_event(running, "service.listening" if command == "serve" else "service.watching")
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def first_event(running: Process, event: str) -> dict[str, object]:
    assert running.stderr is not None
    async with asyncio.timeout(60):
        async for line in running.stderr:
            document: dict[str, object] = json.loads(line)
            if document["event"] == event:
                return document
    raise AssertionError(f"{event} was never logged")


async def test_it_becomes_ready_refuses_a_second_worker_and_stops_cleanly(tmp_path: Path) -> None:
    async with empty_cluster(tmp_path) as kubeconfig, process("serve", tmp_path, kubeconfig) as (running, listening):
        async with plain(f"http://127.0.0.1:{listening['port']}") as http:
            async with asyncio.timeout(30):
                while (await http.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.05)
            assert (await http.get("/incidents")).status_code == 401
            answer = await http.get("/incidents", headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.json() == {"incidents": []}
        arguments = ["watch", "--state-dir", str(tmp_path / "state"), "--kubeconfig", str(kubeconfig)]
        second = await asyncio.to_thread(run, *arguments)
        assert second.exit_code == 2
        assert f"process {running.pid} works on" in second.stderr
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 30) == 0


@pytest.mark.parametrize("command", ["serve", "watch"])
async def test_it_ends_and_says_so_when_its_state_folder_is_taken_away(command: str, tmp_path: Path) -> None:
    async with empty_cluster(tmp_path) as kubeconfig, process(command, tmp_path, kubeconfig) as (running, _):
        (tmp_path / "state").rename(tmp_path / "elsewhere")
        assert await asyncio.wait_for(running.wait(), 30) == 5
        assert running.stderr is not None
        said = (await running.stderr.read()).decode()
    assert '"state.lost"' in said
    assert "was removed or replaced while the service ran" in said
    assert "[STATE_LOST]" in said


async def test_watch_stops_cleanly_too(tmp_path: Path) -> None:
    async with empty_cluster(tmp_path) as kubeconfig, process("watch", tmp_path, kubeconfig) as (running, _):
        running.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(running.wait(), 30) == 0
