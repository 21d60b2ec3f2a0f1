"""`langgraph dev` serves the graph: what LangGraph Studio talks to."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from evals.simulator import Simulator
from tests.support.healing import WEB
from tests.support.http import plain

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port that is free, and below those that the system gives to whoever asks for any."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail("of a hundred ports none is free")


@dataclass(frozen=True)
class Server:
    """The development server, the path where it looks for a kubeconfig, and its log."""

    url: str
    kubeconfig: Path
    log: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The development server on a free port, in a process group of its own."""
    folder = tmp_path_factory.mktemp("studio")
    port = free_port()
    environment = os.environ | {
        "SELFHEAL_STATE_DIR": str(folder / "state"),
        "SELFHEAL_KUBECONFIG": str(folder / "nowhere"),
        "LANGSMITH_TRACING": "false",
        "BROWSER": "none",
    }
    command = [Path(sys.executable).parent / "langgraph", "dev", "--config", ROOT / "langgraph.json"]
    flags = ["--host", "127.0.0.1", "--port", str(port), "--no-browser", "--no-reload", "--allow-blocking"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), *flags], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            if process.poll() is not None:
                break
            try:
                if httpx.get(f"{url}/ok", timeout=1).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        else:
            pytest.fail((folder / "log").read_text()[-4000:])
        if process.poll() is not None:
            pytest.fail((folder / "log").read_text()[-4000:])
        yield Server(url, folder / "nowhere", folder / "log")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def test_the_graph_is_served(server: Server) -> None:
    found = httpx.post(f"{server.url}/assistants/search", json={"graph_id": "heal"}, timeout=20).json()
    assert [a["graph_id"] for a in found] == ["heal"]
    drawn = httpx.get(f"{server.url}/assistants/{found[0]['assistant_id']}/graph", timeout=20).json()
    assert {"analyzer", "reasoner", "validator", "approval", "enforcer", "verifier", "undo", "closer"} <= {
        node["id"] for node in drawn["nodes"]
    }


async def test_a_run_without_a_cluster_says_so_and_one_with_a_cluster_runs(server: Server) -> None:
    """First there is no kubeconfig at the configured path; then there is one, and the same server runs the graph."""
    trigger = {"kind": "reference", "ref": {"kind": "Deployment", "namespace": "shop", "name": "web"}}
    body = {"assistant_id": "heal", "input": {"trigger": trigger}}
    async with plain(server.url, timeout=60) as http:
        answer = (await http.post("/runs/wait", json=body)).json()
        assert answer["__error__"]["error"] == "NoConfiguration", answer
        assert str(server.kubeconfig) in server.log.read_text()
        async with Simulator() as sim:
            await sim.apply(WEB)
            await sim.until(lambda: sim.ready("Deployment", "shop", "web"), seconds=60)
            server.kubeconfig.write_text(sim.kubeconfig().read_text())
            answer = (await http.post("/runs/wait", json=body)).json()
            assert answer["finding"] == "clear", answer
            assert answer["resolution"]["status"] == "cleared"
            assert [w for w in sim.audit.writes(user="admin") if w.namespace == "shop" and w.verb == "patch"] == []
