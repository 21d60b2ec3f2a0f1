"""`langgraph dev` serves the graph: what LangGraph Studio talks to."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
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
    flags = ["--host", "127.0.0.1", "--port", str(port), "--no-browser", "--no-reload"]
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
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def test_the_graph_is_served(server: str) -> None:
    found = httpx.post(f"{server}/assistants/search", json={"graph_id": "heal"}, timeout=20).json()
    assert [a["graph_id"] for a in found] == ["heal"]
    drawn = httpx.get(f"{server}/assistants/{found[0]['assistant_id']}/graph", timeout=20).json()
    assert {"analyzer", "reasoner", "validator", "approval", "enforcer", "verifier", "undo", "closer"} <= {
        node["id"] for node in drawn["nodes"]
    }


def test_a_run_without_a_cluster_says_what_to_do(server: str) -> None:
    """No kubeconfig at that path: the run ends in an error that names the remedy, and the server lives on."""
    trigger = {"kind": "reference", "ref": {"kind": "Deployment", "namespace": "shop", "name": "web"}}
    answer = httpx.post(
        f"{server}/runs/wait", json={"assistant_id": "heal", "input": {"trigger": trigger}}, timeout=60
    ).json()
    assert "kubeconfig" in str(answer), answer
    assert httpx.get(f"{server}/ok", timeout=5).status_code == 200
