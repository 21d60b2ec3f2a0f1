"""Up, down, wipe, status.  Each may be called at any time, from any state, and finishes what an earlier call began.

Rule: one call at a time (a lock that the kernel drops when its holder dies), and what `down` ends or removes is known
to be ours: by pid file, by cgroup, by the path of a mount or by the name of a namespace from `layout`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.harness import build, certificates, controlplane, images, network, nodes
from tests.cluster.harness.layout import DAEMON_CGROUP, MANIFESTS, NODES, OWNER_FILE, Layout
from tests.cluster.harness.processes import Daemons, HarnessError, cgroup_members, run, succeeds, sweep, wait_for

ADDON_WORKLOADS = (
    ("kube-system", "deployment/coredns"),
    ("probe", "daemonset/probe"),
    ("kube-system", "deployment/metrics-server"),
)
USER_KUBECONFIGS = ("admin", "healer", "human", "observer")


@dataclass(frozen=True)
class DaemonStatus:
    """One daemon: its pid, or None while it does not run, and its resident memory in MiB."""

    name: str
    pid: int | None
    mebibytes: int


class Cluster:
    """The cluster of one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.daemons = Daemons(layout)

    @property
    def programs(self) -> Path:
        """Where the built programs are."""
        return build.binaries(self.layout)

    def kubectl(self, *argv: str | Path, check: bool = True) -> str:
        """The cluster's own kubectl, as admin."""
        return run(self.programs / "kubectl", f"--kubeconfig={self.layout.kubeconfig('admin')}", *argv, check=check)

    def up(self) -> float:
        """After it: API server and nodes ready, DNS, metrics and probes rolled out.  Returns the seconds it took."""
        begun = time.monotonic()
        with self._locked():
            build.build(self.layout)
            OWNER_FILE.write_text(str(self.layout.state))
            for folder in (self.layout.logs, self.layout.state / "run"):
                folder.mkdir(parents=True, exist_ok=True)
            certificates.make_all(self.layout)
            network.make()
            _say("control plane")
            controlplane.start(self.layout, self.daemons, self.programs)
            _say("nodes")
            for node in NODES:
                nodes.start_resolver(self.layout, self.daemons, self.programs, node)
                nodes.start_runtime(self.layout, self.daemons, node)
            images.load(self.layout)
            for node in NODES:
                nodes.start_kubelet(self.layout, self.daemons, self.programs, node)
                nodes.start_proxy(self.layout, self.daemons, self.programs, node)
            _say("add-ons")
            self._apply_addons()
            self._wait_until_usable()
        return time.monotonic() - begun

    def down(self) -> None:
        """After it: no process, mount, namespace or cgroup of the cluster is left; data stay for the next `up`."""
        with self._locked():
            self._down()

    def wipe(self) -> None:
        """`down`, then remove the state directory too.  The build cache is kept."""
        with self._locked():
            self._down()
            for entry in self.layout.state.iterdir():
                if entry.name != "lock":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def status(self) -> list[DaemonStatus]:
        """Every daemon that should run, in order of start."""
        expected = [
            *controlplane.NAMES,
            *(f"{d}-{n.name}" for n in NODES for d in ("resolver", "containerd", "kubelet", "kube-proxy")),
        ]
        return [DaemonStatus(n, pid := self.daemons.pid(n), resident_mebibytes(pid)) for n in expected]

    def is_ready(self) -> bool:
        """Whether all daemons run and the API server is ready."""
        return all(d.pid is not None for d in self.status()) and controlplane.is_ready(self.layout, self.programs)

    def _down(self) -> None:
        for name in self._stop_order():
            self.daemons.stop(name)
        for cgroup in (*(n.cgroup for n in NODES), DAEMON_CGROUP):
            sweep(cgroup)
        self._unmount()
        network.remove()
        for node in NODES:
            nodes.forget_runtime(self.layout, node)
        OWNER_FILE.unlink(missing_ok=True)

    def _refuse_foreign(self) -> None:
        """A cluster of another state directory has the same names: neither to be joined nor to be ended from here."""
        owner = OWNER_FILE.read_text() if OWNER_FILE.exists() else ""
        if owner and owner != str(self.layout.state) and cgroup_members(DAEMON_CGROUP):
            raise HarnessError(
                f"a cluster with the state directory {owner} runs on this machine; "
                f"end it first: SELFHEAL_CLUSTER_STATE={owner} python -m tests.cluster.harness down"
            )

    def _stop_order(self) -> list[str]:
        """kubelets before containerd before the control plane; what has a pid file but no known name goes first."""
        known = [f"{d}-{n.name}" for d in ("kube-proxy", "kubelet", "containerd", "resolver") for n in NODES] + [
            *reversed(controlplane.NAMES)
        ]
        return [n for n in self.daemons.names() if n not in known] + known

    def _unmount(self) -> None:
        """Deepest first; `-l` because a mount may still be in use by a process that is just dying."""
        prefix = f"{self.layout.state}/"
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in sorted((p for p in points if p.startswith(prefix)), key=len, reverse=True):
            run("umount", "-l", point, check=False)

    def _apply_addons(self) -> None:
        """Server-side apply; repeated, because a new API server is ready a moment before its namespaces are."""
        manifests = sorted(MANIFESTS.glob("addon-*.yaml"))
        files = [f"--filename={m}" for m in manifests]
        admin = f"--kubeconfig={self.layout.kubeconfig('admin')}"
        argv: list[str | Path] = [
            self.programs / "kubectl",
            admin,
            "apply",
            "--server-side",
            "--force-conflicts",
            *files,
        ]
        wait_for("the add-ons to be accepted", lambda: succeeds(*argv), 60, 1)

    def _wait_until_usable(self) -> None:
        for node in NODES:
            self.daemons.wait_ready(f"kubelet-{node.name}", partial(self._is_node_ready, node.name), 120)
        for namespace, workload in ADDON_WORKLOADS:
            self.kubectl("-n", namespace, "rollout", "status", workload, "--timeout=150s")

    def _is_node_ready(self, name: str) -> bool:
        return name in self._ready_nodes()

    def _ready_nodes(self) -> set[str]:
        ready = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
        listed = self.kubectl("get", "nodes", "-o", f"jsonpath={ready}", check=False)
        return {line.removesuffix("=True") for line in listed.split() if line.endswith("=True")}

    @contextmanager
    def _locked(self) -> Generator[None]:
        self.layout.state.mkdir(parents=True, exist_ok=True)
        with (self.layout.state / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as busy:
                raise HarnessError(
                    f"another up, down or wipe works on {self.layout.state}; wait for it to end"
                ) from busy
            self._refuse_foreign()
            yield


def resident_mebibytes(pid: int | None) -> int:
    """Resident memory of a process; 0 when it does not run."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def _say(text: str) -> None:
    print(f"cluster: {text}", file=sys.stderr, flush=True)
