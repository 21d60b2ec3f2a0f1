"""`python -m evals.simulator.transcript`: kubectl against the simulator, as a page of the documentation.

A short story with the commands people use: a workload is applied and watched, breaks, is looked into and undone, a node
is drained, rights are asked.  The rule: what stands on the page is what kubectl printed, word for word; `masked` takes
out what differs between two runs, and a test compares the page with a run of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from evals.simulator.clock import ScaledClock
from evals.simulator.objects import is_deleting, is_ready, name_of, objects
from evals.simulator.simulator import Simulator
from tools.jsontypes import JsonObject, dig_str

PATIENCE: Final = 120.0
"""Real seconds that one command may take, and simulated seconds the cluster may take to get somewhere."""
MANIFEST: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: web
          image: busybox:1.36
          command: [sh, -c, 'test -n "$MODE" || { echo "FATAL: MODE not set"; exit 1; }; exec httpd -f -p 8080']
          env: [{name: MODE, value: production}]
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {tcpSocket: {port: http}, periodSeconds: 2}
          resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {memory: 64Mi}}
"""
INTRODUCTION: Final = """\
# kubectl against the simulator

Made by `python -m evals.simulator.transcript > docs/kubectl.md`; a test plays it again and compares, names, ages and
the like aside.  To type along: `python -m evals.simulator --kubeconfig sim.yaml`, and in a second terminal

```console
$ export KUBECONFIG=sim.yaml
$ kubectl create namespace shop
$ kubectl config set-context --current --namespace=shop
```
"""


class Unexpected(Exception):
    """kubectl ended otherwise than it had to.  The message holds what it said."""


@dataclass(slots=True)
class Page:
    """What has been shown so far, and the shell it is shown in."""

    sim: Simulator
    kubectl: str
    folder: Path
    parts: list[str] = field(default_factory=lambda: [INTRODUCTION])

    @property
    def text(self) -> str:
        """The page."""
        return "\n".join(self.parts)

    def section(self, title: str, text: str = "") -> None:
        """Begin a section."""
        self.parts.append(f"## {title}\n" + (f"\n{text}\n" if text else ""))

    def show(self, command: str, output: str) -> None:
        """A command with what it printed."""
        self.parts.append(f"```console\n$ {command}\n{output.rstrip()}\n```\n")

    async def run(self, command: str, *, code: int = 0) -> None:
        """Run a command and show it.  Raises Unexpected when it ends with another code."""
        async with self.started(command) as process:
            output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        if process.returncode != code:
            raise Unexpected(f"{command} ended with {process.returncode} and not {code}:\n{output.decode()}")
        self.show(command, output.decode())

    @contextlib.asynccontextmanager
    async def started(self, command: str) -> AsyncGenerator[asyncio.subprocess.Process]:
        """A command that runs; what is left of it in the end is ended."""
        process = await asyncio.create_subprocess_exec(
            self.kubectl,
            *shlex.split(command)[1:],
            cwd=self.folder,
            env={**os.environ, "KUBECONFIG": str(self.sim.kubeconfig(namespace="shop"))},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def pod(self, holds: Callable[[JsonObject], bool]) -> JsonObject:
        """Wait until there is exactly one pod of which that holds, and nothing on its way out.  Raises TimeoutError."""

        def found() -> list[JsonObject]:
            pods = self.sim.pods("shop", app="web")
            return [] if any(is_deleting(p) for p in pods) else [p for p in pods if holds(p)]

        await self.sim.until(lambda: len(found()) == 1, seconds=PATIENCE, every=0.1)
        return found()[0]


async def play(sim: Simulator, kubectl: str, folder: Path) -> str:
    """Play the story on a fresh cluster of two nodes; the answer is the page.  `folder` may be written to."""
    page = Page(sim, kubectl, folder)
    await asyncio.to_thread((folder / "web.yaml").write_text, MANIFEST)
    await sim.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    for part in (_apply, _break, _undo, _drain, _rights):
        await part(page)
    return page.text


async def _apply(page: Page) -> None:
    page.section("apply, and get -w", f"`web.yaml`:\n\n```yaml\n{MANIFEST}```")
    requests = page.sim.audit.requests
    async with page.started(watch := "kubectl get pods -w") as watching:
        await page.sim.until(lambda: any((r.verb, r.resource) == ("watch", "pods") for r in requests), PATIENCE)
        await page.run("kubectl apply -f web.yaml")
        rows: list[str] = []
        while not any(re.search(r"\b1/1\b", row) for row in rows):
            assert watching.stdout is not None  # noqa: S101 - it was asked for as a pipe
            row = await asyncio.wait_for(watching.stdout.readline(), PATIENCE)
            if not row:
                raise Unexpected(f"{watch} ended after:\n{''.join(rows)}")
            rows.append(row.decode())
    page.parts.append("Meanwhile, in another terminal:\n")
    page.show(watch, "".join(rows))
    await page.run("kubectl apply -f web.yaml")
    await page.run("kubectl get deployment,replicaset")


async def _break(page: Page) -> None:
    page.section("describe, and logs --previous", "A variable that the program needs is taken away.")
    await page.run("kubectl set env deployment/web MODE-")

    def waits(pod: JsonObject) -> bool:
        status = objects(pod, "status", "containerStatuses")
        again = any(s.get("restartCount") == 2 for s in status)  # the third back-off leaves time to look
        return again and any(dig_str(s, "state", "waiting", "reason") == "CrashLoopBackOff" for s in status)

    name = name_of(await page.pod(waits))
    await page.run("kubectl get pods")
    await page.run(f"kubectl logs {name} --previous")
    await page.run(f"kubectl describe pod {name}")


async def _undo(page: Page) -> None:
    page.section("rollout undo")
    await page.run("kubectl rollout history deployment/web")
    await page.run("kubectl rollout undo deployment/web")
    await page.run("kubectl rollout status deployment/web")
    await page.pod(is_ready)
    await page.run("kubectl get pods")


async def _drain(page: Page) -> None:
    page.section("drain")
    node = dig_str(await page.pod(is_ready), "spec", "nodeName")
    await page.run(f"kubectl drain {node} --ignore-daemonsets")
    await page.pod(is_ready)
    await page.run("kubectl get nodes")
    await page.run("kubectl get pods -o wide")
    await page.run(f"kubectl uncordon {node}")


async def _rights(page: Page) -> None:
    nobody = "--as system:serviceaccount:shop:default"
    page.section("auth can-i")
    await page.run("kubectl auth can-i delete pods")
    await page.run(f"kubectl auth can-i delete pods {nobody}", code=1)
    await page.run(f"kubectl get pods {nobody}", code=1)


_DIFFERS: Final[tuple[tuple[str, str], ...]] = (
    (r"\bweb-[0-9a-z]{6,12}-[0-9a-z]{5}(?![0-9a-z])", "web-HASH-POD"),
    (r"\bweb-[0-9a-z]{6,12}\b", "web-HASH"),
    (r"/TCP \(\w+\)", "/TCP"),
    (r"pod-template-hash=\w+", "pod-template-hash=HASH"),
    (r"\bnode[12]\b", "NODE"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"containerd://[0-9a-f]+", "containerd://ID"),
    (r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS"),
    (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UID"),
    (r"<invalid>|\b(?:\d+(?:ms|[smhd]))+\b", "AGE"),
    (r"AGE \(x\d+ over AGE\)", "AGE"),
    (r"\b\d+ \(AGE ago\)", "RESTARTS"),
    (r"Restart Count:\s+\d+", "Restart Count: N"),
    (r"-{3,}", "---"),
    (r"[ \t]+", " "),
)


def masked(page: str) -> list[str]:
    """The lines without what differs between two runs: names, ages, times, addresses, the width of columns; pure.

    Events of one second come in any order; they are sorted.
    """
    for pattern, word in _DIFFERS:
        page = re.sub(pattern, word, page)
    lines = [line.strip() for line in page.splitlines()]
    blocks = groupby(lines, key=lambda line: line.startswith(("Normal ", "Warning ")))
    return [line for is_events, block in blocks for line in (sorted(block) if is_events else block)]


async def _print(kubectl: str, speed: float) -> None:
    with tempfile.TemporaryDirectory(prefix="selfheal-transcript-") as folder:
        async with Simulator(nodes=2, clock=ScaledClock(speed)) as sim:
            print(await play(sim, kubectl, Path(folder)), end="")


def main() -> int:
    """Print the page."""
    parser = argparse.ArgumentParser(prog="python -m evals.simulator.transcript", description="A page about kubectl.")
    parser.add_argument("--kubectl", default="kubectl", help="the program (default: the one on the path)")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per real second")
    given = parser.parse_args()
    try:
        asyncio.run(_print(given.kubectl, given.speed))
    except (Unexpected, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
