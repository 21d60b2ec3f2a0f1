"""A system that runs beside the cluster as processes of its own: built once, brought up, told apart from the cluster.

Rules: nothing is compiled by `up` (that takes minutes; `build` does it, on request); what `up` needs beyond the
programs is kept with them, so a warm cache needs no Go; each add-on is a user of its own to the API server, so the
audit log tells its writes from everybody else's.  The cluster's `down` ends add-ons too: they live in its cgroup.

Neighbours: `tests/cluster/argocd` and `tests/cluster/keda` are the add-ons; `gomodule` compiles.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import ssl
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar

import httpx

from tests.cluster.harness import gomodule
from tests.cluster.harness.certificates import Identity, make_user
from tests.cluster.harness.cluster import Cluster, DaemonStatus, resident_mebibytes
from tests.cluster.harness.gomodule import Source
from tests.cluster.harness.layout import CONTROL, Layout
from tests.cluster.harness.preflight import NotReadyError, apt_install, check_go
from tests.cluster.harness.processes import Daemons, HarnessError, wait_for
from tools.jsontypes import JsonObject

READY_S = 90
"""For one process to serve, on a machine that is busy."""
ESTABLISHED_S = 30
"""For the API server to serve the resources of new definitions."""


class Addon(ABC):
    """One add-on of one cluster.  `up` and `down` may be called at any time and finish what an earlier call began."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[Source]
    definitions: ClassVar[str]
    """Folder of its custom resource definitions below its module."""
    resources: ClassVar[tuple[str, ...]]
    """Resources, as `scaledobjects.keda.sh`, that must be served before it starts."""
    processes: ClassVar[tuple[str, ...]]
    """Names of its daemons in order of start."""
    withdrawn: ClassVar[tuple[str, ...]] = ()
    """Objects, as `apiservice/NAME`, that must not outlive it: the API server would wait for somebody who is gone."""
    needs: ClassVar[Mapping[str, str]] = {}
    """Programs that the distribution brings, each with its package."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.cluster = Cluster(layout)
        self.daemons = Daemons(layout)

    # ------------------------------------------------------------------------------------------------------- building
    @property
    def programs(self) -> Path:
        """Where its programs are once they are built."""
        return self._cached / "bin"

    @property
    def _cached(self) -> Path:
        recipe = json.dumps([self.source.module, self.source.version, self.source.programs, self.source.ldflags])
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:10]
        return self.layout.cache / f"{self.name}-{self.source.version}-{digest}"

    def is_built(self) -> bool:
        """Whether `up` needs no compiler."""
        return not self._missing() and (self._cached / "definitions").is_dir()

    def build(self) -> Path:
        """Compile what is missing (10 minutes and more from nothing) and return the folder of the programs."""
        self.programs.mkdir(parents=True, exist_ok=True)
        modules = self._cached / "modules"
        for program in self._missing():
            gomodule.build(self.source, program, modules, self.programs / program)
        kept = self._cached / "definitions"
        if not kept.is_dir():
            half = self._cached / "definitions.half"
            shutil.rmtree(half, ignore_errors=True)
            origin = gomodule.unpacked(self.source, gomodule.prepare(self.source, modules))
            shutil.copytree(origin / self.definitions, half, copy_function=shutil.copyfile)
            (half / "kustomization.yaml").unlink(missing_ok=True)
            half.rename(kept)
        return self.programs

    def _missing(self) -> list[str]:
        return [p for p in self.source.programs if not os.access(self.programs / p, os.X_OK)]

    # -------------------------------------------------------------------------------------------------------- running
    @property
    def home(self) -> Path:
        """Its folder in the cluster's state."""
        return self.layout.state / self.name

    def up(self) -> float:
        """After it the add-on serves.  Returns the seconds it took.

        NotReadyError when something is not installed or not built, HarnessError when it does not come up.
        """
        begun = time.monotonic()
        self.check_machine(install=False)
        if not self.is_built():
            raise NotReadyError(
                f"{self.title} {self.source.version} is not built; build it (10 minutes and more from nothing) with: "
                f"python -m tests.cluster.{self.name} build"
            )
        if not self.cluster.is_ready():
            raise NotReadyError("The cluster is not up; start it with: python -m tests.cluster.harness up")
        with self._locked():
            user = make_user(self.layout, Identity(self.name, f"/CN={self.name}"), namespace=self.name)
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}}, self._rights())
            self._define()
            self._start(user)
        return time.monotonic() - begun

    def down(self) -> None:
        """After it none of its processes runs, and the API server does not ask for it.  Its objects stay."""
        with self._locked():
            if self.withdrawn and self.cluster.is_ready():
                self.cluster.kubectl("delete", "--ignore-not-found", *self.withdrawn)
            for name in reversed(self.processes):
                self.daemons.stop(name)

    def status(self) -> list[DaemonStatus]:
        """Every process that should run."""
        return [DaemonStatus(n, pid := self.daemons.pid(n), resident_mebibytes(pid)) for n in self.processes]

    def is_up(self) -> bool:
        """Whether every process runs."""
        return all(process.pid is not None for process in self.status())

    def apply(self, *manifests: JsonObject) -> None:
        """Server-side apply as admin; taken over from whoever owned the fields."""
        path = self.home / "apply.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}))
        try:
            self.cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={path}")
        finally:
            path.unlink()  # there may be a key in it

    def run(
        self, name: str, *argv: str | Path, holds: Callable[[], bool], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start one process in the control node's network namespace and return once `holds()`."""
        self.daemons.start(name, *argv, netns=CONTROL.netns, environment=environment)
        self.daemons.wait_ready(name, holds, READY_S)

    @abstractmethod
    def _start(self, kubeconfig: Path) -> None:
        """Start every process as the user of the kubeconfig and return when the add-on serves."""

    def _rights(self) -> JsonObject:
        """It may do anything: such systems are installed like that, and what it does must never fail for want of it."""
        group = "rbac.authorization.k8s.io"
        return {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": self.name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": self.name}],
        }

    def _define(self) -> None:
        """Its custom resources; server-side, since they are too large for the annotation of a client-side apply."""
        folder = f"--filename={self._cached / 'definitions'}"
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", folder)
        wait_for("its definitions to be served", self._is_defined, ESTABLISHED_S, 0.5)

    def _is_defined(self) -> bool:
        """`kubectl wait` would do, but fails on a definition that is too new to have conditions."""
        established = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Established")].status} {end}'
        names = [f"crd/{resource}" for resource in self.resources]
        found = self.cluster.kubectl("get", *names, "-o", f"jsonpath={established}").split()
        return {f"{resource}=True" for resource in self.resources} <= set(found)

    def check_machine(self, *, install: bool) -> None:
        """NotReadyError when the distribution must bring something first; with `install`, apt-get is tried."""
        lacking = sorted({package for program, package in self.needs.items() if shutil.which(program) is None})
        if lacking and install:
            apt_install(lacking)
        elif lacking:
            raise NotReadyError(f"Missing for {self.title}; install: apt-get install -y {' '.join(lacking)}")

    @contextmanager
    def _locked(self) -> Generator[None]:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.home / "lock").open("w") as handle:
            wait_for(f"another up or down in {self.home} to end", lambda: _is_locked(handle), 2 * READY_S, 0.5)
            yield


def _is_locked(handle: IO[str]) -> bool:
    """Whether the lock is ours now; the kernel drops it with the file or the process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def answers(url: str, ca: Path | None = None) -> bool:
    """Whether the address answers 2xx; asked once."""
    try:
        trust = ssl.create_default_context(cafile=ca) if ca is not None else False
        return httpx.get(url, timeout=3, trust_env=False, verify=trust).is_success
    except httpx.HTTPError:
        return False


def main(addon: Addon, argv: Sequence[str] | None = None) -> int:
    """`build|up|down|status` of one add-on.  0 done, 1 failed, 3 something is missing (one sentence says what)."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.cluster.{addon.name}", description=type(addon).__doc__)
    parser.add_argument("command", choices=("build", "up", "down", "status"))
    parser.add_argument("--install", action="store_true", help="for build: let apt-get install what is missing")
    options = parser.parse_args(argv)
    try:
        match options.command:
            case "build":
                check_go()
                addon.check_machine(install=options.install)
                print(addon.build())
            case "up":
                print(f"{addon.title} is up in {addon.up():.0f} s")
            case "down":
                addon.down()
            case _:
                for process in addon.status():
                    state = "down" if process.pid is None else f"pid {process.pid}"
                    print(f"{process.name:28} {state:14} {process.mebibytes:6} MiB")
                return 0 if addon.is_up() else 1
    except NotReadyError as lacking:
        print(f"{addon.name}: {lacking}", file=sys.stderr)
        return 3
    except HarnessError as failed:
        print(f"{addon.name}: {failed}", file=sys.stderr)
        return 1
    return 0
