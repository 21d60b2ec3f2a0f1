"""Starting and stopping daemons by pid files that survive any crash of the harness.

Rule: a process is ours only if the pid file's pid, start time and boot id all match; nothing is ever looked up by
name. The daemon writes its own pid file before it becomes the program (same pid through `exec`), so there is no
moment in which a daemon runs and no file knows it.  Every daemon also lives in one cgroup; `sweep` ends what is left
in a cgroup.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.harness.layout import DAEMON_CGROUP, Layout

LAUNCHER = (
    'echo $$ > "$1"; { cat /proc/sys/kernel/random/boot_id; cat /proc/$$/stat; } > "$2.new" && mv "$2.new" "$2" && '
    'shift 2 && exec "$@"'
)


class HarnessError(Exception):
    """The cluster cannot be brought to the wanted state; the message says why and where to look."""


def run(*argv: str | Path, check: bool = True, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run to the end and return stdout.  With `check`, HarnessError with the program's own words on failure."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, cwd=cwd, env=env)
    if check and done.returncode:
        words = done.stderr.strip() or done.stdout.strip()
        raise HarnessError(f"{' '.join(map(str, argv))} failed ({done.returncode}): {words[-2000:]}")
    return done.stdout


def succeeds(*argv: str | Path) -> bool:
    """Whether the command exits with 0."""
    return subprocess.run([str(a) for a in argv], capture_output=True, check=False).returncode == 0


def wait_for(what: str, holds: Callable[[], bool], seconds: float = 60, every: float = 0.25) -> None:
    """Return once `holds()`; HarnessError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise HarnessError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(every)


# ----------------------------------------------------------------------------------------- cgroups, versions 1 and 2
def cgroup_hierarchies() -> list[Path]:
    """Every place where a cgroup must be made: one on version 2, one per controller on version 1."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root]
    return [p for p in sorted(root.iterdir()) if p.is_dir() and not p.is_symlink() and p.name != "unified"]


def process_hierarchy() -> Path:
    """The hierarchy in which membership is read: version 2's only one, or `pids`, which limits nothing by itself."""
    root = Path("/sys/fs/cgroup")
    return root if (root / "cgroup.controllers").exists() else root / "pids"


def make_cgroup(name: str) -> None:
    """Make the cgroup in every hierarchy, fit to hold processes (a version 1 cpuset is born empty) and children."""
    for hierarchy in cgroup_hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":
            for knob in ("cpuset.cpus", "cpuset.mems"):
                (hierarchy / name / knob).write_text((hierarchy / knob).read_text())
        if (hierarchy / "cgroup.controllers").exists():
            for controller in (hierarchy / "cgroup.controllers").read_text().split():
                _try_write(hierarchy / "cgroup.subtree_control", f"+{controller}")


def cgroup_members(name: str) -> list[int]:
    """Pids in the cgroup and all below it."""
    found: list[int] = []
    for procs in (process_hierarchy() / name).glob("**/cgroup.procs"):
        try:
            found += [int(line) for line in procs.read_text().split()]
        except OSError:
            continue  # removed while we walked
    return [pid for pid in found if pid > 1]


def sweep(name: str, seconds: float = 10) -> int:
    """End everything in the cgroup (SIGKILL) and remove it.  Returns how many processes were ended."""
    ended: set[int] = set()
    end = time.monotonic() + seconds
    while (members := cgroup_members(name)) and time.monotonic() < end:
        for pid in members:
            ended.add(pid)
            _signal(pid, signal.SIGKILL)
        time.sleep(0.1)
    for hierarchy in {*cgroup_hierarchies(), Path("/sys/fs/cgroup/unified")}:  # runc makes one there too
        for directory in sorted((hierarchy / name).glob("**/"), key=lambda p: len(p.parts), reverse=True):
            try:
                directory.rmdir()
            except OSError:
                continue  # the kernel still holds a dying process; the next run removes it
    return len(ended)


def _try_write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError:
        return  # a controller that this kernel will not delegate; the kubelet names the one it misses


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


# ------------------------------------------------------------------------------------------------------------- daemons
@dataclass(frozen=True)
class ProcessIdentity:
    """A process as the kernel knows it; a reused pid has another start time, a reboot another boot id."""

    pid: int
    started: str
    boot: str

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity | None:
        """Boot id on the first line, `/proc/PID/stat` on the second; None for anything else."""
        boot, _, stat = text.partition("\n")
        head, _, tail = stat.rpartition(")")
        fields = tail.split()
        pid = head.partition(" ")[0]
        if not boot or not pid.isdigit() or len(fields) < 20:
            return None
        return cls(int(pid), fields[19], boot.strip())

    def is_running(self) -> bool:
        """Whether this very process is alive (a zombie is not)."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text()
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        now = ProcessIdentity.parse(boot + stat)
        return now == self and stat.rpartition(")")[2].split()[0] != "Z"


class Daemons:
    """The daemons of one state directory, by name."""

    def __init__(self, layout: Layout) -> None:
        self._state = layout.state
        self._logs = layout.logs

    def pid(self, name: str) -> int | None:
        """Pid while it runs, else None; a stale or damaged pid file counts as not running."""
        try:
            identity = ProcessIdentity.parse(self._pid_file(name).read_text())
        except OSError:
            return None
        return identity.pid if identity is not None and identity.is_running() else None

    def start(
        self, name: str, *argv: str | Path, netns: str = "", environment: Mapping[str, str] | None = None
    ) -> bool:
        """Start it in the network namespace ("": the host's) unless it runs already; its environment is ours and what
        is named.  Returns whether it was started now."""
        if self.pid(name) is not None:
            return False
        pid_file = self._pid_file(name)
        pid_file.parent.mkdir(parents=True, exist_ok=True)
        pid_file.unlink(missing_ok=True)
        make_cgroup(DAEMON_CGROUP)
        procs = process_hierarchy() / DAEMON_CGROUP / "cgroup.procs"
        inside = ["nsenter", f"--net=/run/netns/{netns}", "--"] if netns else []
        with self.log(name).open("ab") as log:
            subprocess.run(  # forked once more: the daemon is nobody's child, so nobody has to wait for it
                ["setsid", "--fork", "sh", "-c", LAUNCHER, "sh", str(procs), str(pid_file), *inside, *map(str, argv)],
                cwd=self._state, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
        wait_for(f"{name} to write its pid file", pid_file.exists, 10, 0.01)
        return True

    def wait_ready(self, name: str, holds: Callable[[], bool], seconds: float) -> None:
        """Return once `holds()`; HarnessError with the end of its log when the daemon dies or time runs out."""
        try:
            wait_for(name, lambda: self.pid(name) is None or holds(), seconds)
        except HarnessError as late:
            raise HarnessError(f"{late}; its log {self.log(name)} ends:\n{self.tail(name)}") from late
        if self.pid(name) is None:
            raise HarnessError(f"{name} has exited; its log {self.log(name)} ends:\n{self.tail(name)}")

    def stop(self, name: str, grace: float = 5) -> bool:
        """SIGTERM, after `grace` seconds SIGKILL.  Returns whether something ran."""
        pid = self.pid(name)
        if pid is not None:
            _signal(pid, signal.SIGTERM)
            end = time.monotonic() + grace
            while self.pid(name) is not None and time.monotonic() < end:
                time.sleep(0.05)
            if self.pid(name) is not None:
                _signal(pid, signal.SIGKILL)
                wait_for(f"{name} to be gone", lambda: self.pid(name) is None, 10, 0.05)
        self._pid_file(name).unlink(missing_ok=True)
        return pid is not None

    def names(self) -> Sequence[str]:
        """Every daemon that has a pid file, running or not."""
        return sorted(p.stem for p in (self._state / "run").glob("*.pid"))

    def log(self, name: str) -> Path:
        """Where its output goes."""
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 8) -> str:
        """The last lines of its log."""
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def _pid_file(self, name: str) -> Path:
        return self._state / "run" / f"{name}.pid"
