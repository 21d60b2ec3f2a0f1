"""The process that stands between the service and one script: it starts it, bounds it, and leaves nothing behind.

`run` starts it as a program of its own with the standard library alone (`python -I -S`).  It reads one `Job` from stdin
and writes one `Report` to stdout.  Its stdin stays open as a lifeline: when it closes, because the run was cancelled or
the service died, everything is killed.

How nothing survives, whatever a script forks:

- Where the kernel permits, the script lives in a PID namespace, and in a user namespace, where its processes are
  counted for it alone.  The first process in there is ours, the keeper; when it ends the kernel kills all others, and
  it ends with the supervisor.
- Elsewhere the supervisor is a subreaper: what a script detaches from itself falls to the supervisor, which stops its
  descendants until no new one appears, and then kills them.

The rule: nothing of the service gets in but what the job names, and every wait has an end.
Neighbours: `child` is the forked side, `kernel` knows namespaces and processes, `scratch` the working directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from tools.executors.script.child import Pipes, turn_into
from tools.executors.script.job import Capture, How, Job, Report
from tools.executors.script.kernel import SUBREAPER, Apart, descendants, enter_namespaces, prctl, tasks_of
from tools.executors.script.scratch import scratch

_CHUNK: Final = 2**18
_PIPE: Final = 2**20
_KILL_SECONDS: Final = 5.0
"""Longest that killing takes; only a process that is stuck in the kernel needs as long."""
_DRAIN_SECONDS: Final = 1.0


def main() -> int:
    """Carry out the one job of stdin."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 1  # the service was gone before it had said what it wants
    job = Job.load(line)
    os.umask(0o077)
    prctl(SUBREAPER, 1)
    with scratch(job.folder, job.user) as folder:
        report = Supervisor(job, folder).run()
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(report.dump())
        sys.stdout.flush()
    return 0


class Supervisor:
    """Runs one job to its end."""

    def __init__(self, job: Job, folder: Path) -> None:
        """`folder` is the working directory: empty, and the script's own."""
        self._job = job
        self._folder = folder
        self._capture = Capture(job.output)
        self._wake = _wake_on_children()
        self._apart = Apart.NOT
        self._child = 0
        self._ended: int | None = None
        """The wait status of the child, once it has ended."""

    def run(self) -> Report:
        """Start, watch, end.  After: no process that the script started exists."""
        began = time.monotonic()
        if self._job.namespaces:
            self._apart = enter_namespaces(self._job.user)
        pipes = Pipes()
        self._start(pipes)
        how = self._watch(pipes.output[0], began + self._job.timeout)
        status, left = _last_words(pipes.status[0]) if self._has_keeper else (self._ended, self._sweep())
        self._drain(pipes.output[0])
        failure = os.read(pipes.failure[0], 64)
        if failure:
            return Report("not_started", errno=int(failure))
        head, tail, dropped = self._capture.parts()
        return Report(
            how,
            seconds=round(time.monotonic() - began, 3),
            code=os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
            left=left,
            isolated=self._has_keeper,
            head=head,
            tail=tail,
            dropped=dropped,
        )

    def _start(self, pipes: Pipes) -> None:
        """Fork the script, below a keeper where there is a namespace, and hand it its arguments."""
        with suppress(OSError):
            fcntl.fcntl(pipes.output[0], fcntl.F_SETPIPE_SZ, _PIPE)
        processes = self._job.processes + self._already_counted()
        self._child = os.fork()
        if self._child == 0:
            turn_into(self._job, self._folder, processes, pipes, has_keeper=self._has_keeper)
        for end in (pipes.stdin[0], pipes.output[1], pipes.failure[1], pipes.status[1], pipes.alive[0]):
            os.close(end)
        os.close(self._job.script)
        with suppress(BrokenPipeError):
            os.write(pipes.stdin[1], self._job.stdin.encode())  # `run` keeps it shorter than what a pipe holds
        os.close(pipes.stdin[1])

    @property
    def _has_keeper(self) -> bool:
        return self._apart is not Apart.NOT

    def _already_counted(self) -> int:
        """Tasks that count against the script's limit beside its own: those of us, and of its user where not apart."""
        user = self._job.user
        if self._apart is Apart.BY_USER:
            return 0 if user is not None else 2  # us and the keeper
        return tasks_of(os.getuid() if user is None else user[0])

    def _watch(self, output: int, deadline: float) -> How:
        """Wait for the end, and see to it at the deadline.  After: the child is gone; says how it came to that."""
        poll = select.poll()
        for descriptor in (output, 0, self._wake):
            poll.register(descriptor, select.POLLIN)
        how: How = "finished"
        while self._ended is None:
            left = deadline - time.monotonic()
            if left <= 0:
                how, deadline = self._overdue(how)
                continue
            for descriptor, _ in poll.poll(left * 1000):
                if descriptor == output and not self._take(output):
                    poll.unregister(output)
                elif descriptor == 0 and not os.read(0, 4096):
                    poll.unregister(0)
                    how, deadline = "abandoned", time.monotonic() + _KILL_SECONDS
                    self._kill()
                elif descriptor == self._wake:
                    os.read(self._wake, 4096)
            self._reap()
        return how

    def _overdue(self, how: How) -> tuple[How, float]:
        """What a deadline means: first a request to end, then the end, at last giving up."""
        if how == "finished":
            self._ask()
            return "asked", time.monotonic() + self._job.grace
        if how != "asked":
            _give_up()
        self._kill()
        return "killed", time.monotonic() + _KILL_SECONDS

    def _ask(self) -> None:
        """SIGTERM to the script's process group; the keeper passes it on."""
        with suppress(ProcessLookupError):
            if self._has_keeper:
                os.kill(self._child, signal.SIGTERM)
            else:
                os.killpg(self._child, signal.SIGTERM)

    def _kill(self) -> None:
        """SIGKILL to everything; with a keeper the kernel does the rest."""
        if not self._has_keeper:
            self._sweep()
        else:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)

    def _sweep(self) -> int:
        """Kill all descendants; how many there were beside the script.

        Stopping comes first: what is stopped forks no more, so that a further look finds all of them.
        """
        seen: set[int] = set()
        end = time.monotonic() + _KILL_SECONDS
        while True:
            self._reap()
            below, running = descendants()
            if not below:
                return len(seen - {self._child})
            if time.monotonic() > end:
                _give_up()
            fresh = running - seen
            seen |= fresh
            for pid in fresh or running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP if fresh else signal.SIGKILL)
            time.sleep(0.001)

    def _reap(self) -> None:
        """Collect whatever has ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self._ended = ended[1]

    def _take(self, output: int) -> bool:
        """Take in what there is to read; False at the end."""
        chunk = os.read(output, _CHUNK)
        self._capture.feed(chunk)
        return bool(chunk)

    def _drain(self, output: int) -> None:
        """The rest of the output.  Bounded, since the pipe may have been handed to a process that is not ours."""
        poll = select.poll()
        poll.register(output, select.POLLIN)
        end = time.monotonic() + _DRAIN_SECONDS
        while (left := end - time.monotonic()) > 0 and poll.poll(left * 1000):
            if not self._take(output):
                return


def _last_words(status: int) -> tuple[int | None, int | None]:
    """What the keeper said of the script, and how many it killed; nothing when it was killed itself."""
    said = os.read(status, 256)
    words: dict[str, int] = json.loads(said) if said else {}
    return words.get("status"), words.get("left")


def _wake_on_children() -> int:
    """A descriptor that can be read from when a child has ended."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.signal(signal.SIGCHLD, _ignore)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _ignore(_: int, __: FrameType | None) -> None:
    """The wake-up descriptor says all there is to say."""


def _give_up() -> NoReturn:
    sys.stderr.write("a process of the script cannot be killed\n")
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
