"""The forked side of the supervisor: the keeper of a namespace, and the steps that turn a process into the script.

The order of the steps is the point: descriptors, then limits, then the user, then what a change of user would clear,
and at last the execution of the checked contents by their descriptor.

Standard library alone.  Neighbour: `supervisor`, whose fork ends up here.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import select
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from tools.executors.script.job import Job
from tools.executors.script.kernel import NO_NEW_PRIVS, PDEATHSIG, prctl

_SCRIPT: Final = 3
"""The script's own file, in the script."""
_FAILURE: Final = 4
_MIB: Final = 2**20
_OPEN_FILES: Final = 128
_NOT_THE_SCRIPT: Final = 70


@dataclass(frozen=True)
class Pipes:
    """Both ends of everything between supervisor and script; all are closed when the script is executed."""

    stdin: tuple[int, int] = field(default_factory=os.pipe)
    output: tuple[int, int] = field(default_factory=os.pipe)
    failure: tuple[int, int] = field(default_factory=os.pipe)
    """Says by its errno which step before the script failed."""
    status: tuple[int, int] = field(default_factory=os.pipe)
    """What the keeper says about the script."""
    alive: tuple[int, int] = field(default_factory=os.pipe)
    """Never written to: it ends when the supervisor ends."""


def turn_into(job: Job, folder: Path, processes: int, pipes: Pipes, *, has_keeper: bool) -> NoReturn:
    """Become the script, or its keeper with the script below it.  `processes` is the limit as the kernel counts."""
    failure = pipes.failure[1]
    try:
        signal.set_wakeup_fd(-1)
        parent = os.getppid()
        if has_keeper:
            parent = 1
            _keep(job, pipes)
        os.setsid()
        _arrange_descriptors(job, pipes)
        failure = _FAILURE
        _become(job, folder, processes, parent)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the script did not begin
        os.write(failure, str(getattr(error, "errno", None) or errno.EINVAL).encode())
    finally:
        os._exit(_NOT_THE_SCRIPT)


def _keep(job: Job, pipes: Pipes) -> None:
    """Be the first process of the namespace.  Returns in the script, which is a fork of it, and nowhere else."""
    os.close(pipes.alive[1])
    prctl(PDEATHSIG, signal.SIGKILL)
    if select.select([pipes.alive[0]], [], [], 0)[0]:
        os._exit(_NOT_THE_SCRIPT)  # the supervisor died before the line above
    script = os.fork()
    if script == 0:
        return
    for end in (*pipes.stdin, *pipes.output, job.script):
        os.close(end)

    def pass_on(_: int, __: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(script, signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)
    status = _wait_for(script)
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # in here these are the script's processes and no others
    os.write(pipes.status[1], json.dumps({"status": status, "left": _count_killed()}).encode())
    os._exit(0)


def _wait_for(script: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == script:
            return status


def _count_killed() -> int:
    count = 0
    with suppress(ChildProcessError):
        while ended := os.waitpid(-1, 0):
            count += os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) == signal.SIGKILL
    return count


def _become(job: Job, folder: Path, processes: int, parent: int) -> NoReturn:
    """Turn this process into the script.  Raises OSError with what the kernel refuses."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.chdir(folder)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # when memory runs out, the script goes before the service
    for limit, wanted in _limits(job, processes):
        _, most = resource.getrlimit(limit)
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(limit, (value, value))
    if job.user is not None:
        uid, gid = job.user
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    prctl(NO_NEW_PRIVS, 1)
    prctl(PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
    if os.getppid() != parent:
        os._exit(_NOT_THE_SCRIPT)
    environment = {**job.environment, "HOME": str(folder), "TMPDIR": str(folder)}
    os.execve(f"/proc/self/fd/{_SCRIPT}", [job.name], environment)  # noqa: S606 - no shell, on purpose


def _arrange_descriptors(job: Job, pipes: Pipes) -> None:
    """Arguments on 0, output on 1 and 2, the script on 3, and nothing else once it is executed."""
    wanted = (pipes.stdin[0], pipes.output[1], pipes.output[1], job.script, pipes.failure[1])
    apart = [fcntl.fcntl(end, fcntl.F_DUPFD, 64) for end in wanted]
    for target, source in enumerate(apart):
        os.dup2(source, target, inheritable=target != _FAILURE)
    os.closerange(_FAILURE + 1, os.sysconf("SC_OPEN_MAX"))


def _limits(job: Job, processes: int) -> tuple[tuple[int, int], ...]:
    return (
        (resource.RLIMIT_DATA, job.memory_mib * _MIB),
        (resource.RLIMIT_AS, job.address_space_mib * _MIB),
        (resource.RLIMIT_CPU, int(job.timeout + job.grace) + 1),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, job.file_mib * _MIB),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    )
