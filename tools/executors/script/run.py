"""Runs one script: decides whether it may, starts the supervisor, and makes an outcome of its report.

The rule: the service hands over nothing but what is listed here (the checked contents, one document on stdin, a small
environment), waits no longer than the limits say, and never runs a script twice by itself.

How far a script is kept from us depends on the machine.  As root we give it another user.  Without root it has ours,
and where user namespaces are permitted it can neither signal us nor read our memory.  Where they are not, its limits
and its end are the same, but it can send us signals; `Outcome.isolated` tells.

Neighbours: `manifest` says what there is, `contents` what is in it, `supervisor` bounds it, `outcome` says how it went.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import pwd
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tools.executors.script import contents, kernel, schema
from tools.executors.script.contents import sealed
from tools.executors.script.job import Job, Report
from tools.executors.script.manifest import Manifest, Program, Purpose, Scripts
from tools.executors.script.outcome import Finished, Lost, Outcome, Refused, ScriptCode, TimedOut, signal_name
from tools.executors.script.output import readable
from tools.jsontypes import JsonObject
from tools.redact import is_secret_name
from tools.refs import ActionId, IncidentId, ObjectRef

log = logging.getLogger(__name__)

MAX_ARGUMENT_BYTES: Final = 16 * 2**10
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ROOT: Final = Path(__file__).parents[3]
_START: Final = (
    "import sys; sys.path.append(sys.argv[1]); from tools.executors.script.supervisor import main; sys.exit(main())"
)
_MARGIN_SECONDS: Final = 40.0
"""What the supervisor may take beyond the limits, for killing and for clearing away, before it is given up."""
_END_SECONDS: Final = 15.0
_KIB: Final = 2**10


class User(NamedTuple):
    """Whom a script runs as."""

    uid: int
    gid: int

    @classmethod
    def named(cls, text: str) -> User:
        """Read `nobody`, `65534` or `65534:65534`.  Raises ValueError with the remedy; root is not accepted."""
        user, _, group = text.partition(":")
        try:
            entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
            found = cls(entry.pw_uid, entry.pw_gid)
        except KeyError as error:
            if not user.isdecimal():
                raise ValueError(
                    f"there is no user {user!r} on this machine; write a uid, as in 65534:65534"
                ) from error
            found = cls(int(user), int(user))
        if group:
            if not group.isdecimal():
                raise ValueError(f"{text!r}: write the group as a number, as in 65534:65534")
            found = cls(found.uid, int(group))
        if found.uid == 0 or found.gid == 0:
            raise ValueError(f"{text!r} is root; name a user that owns nothing, as in nobody or 65534:65534")
        return found


@dataclass(frozen=True, slots=True)
class Subject:
    """What a run is about; the script is told."""

    target: ObjectRef
    incident: IncidentId
    action: ActionId


@dataclass(frozen=True, slots=True)
class _Order:
    """Everything a script is told."""

    manifest: Manifest
    arguments: JsonObject
    subject: Subject
    purpose: Purpose

    def document(self) -> JsonObject:
        """What the script reads from stdin."""
        return {
            "script": self.manifest.name,
            "purpose": self.purpose.value,
            "target": self.subject.target.model_dump(mode="json"),
            "arguments": self.arguments,
            "incident": self.subject.incident,
            "action": self.subject.action,
        }

    def environment(self) -> dict[str, str]:
        """What it finds in its environment, beside the variables of its manifest."""
        plain = {key: value for key, value in self.arguments.items() if isinstance(value, str | int | float)}
        return {
            **{f"SELFHEAL_ARG_{key.upper()}": _as_text(value) for key, value in plain.items()},
            "SELFHEAL_PURPOSE": self.purpose.value,
            "SELFHEAL_SCRIPT": self.manifest.name,
            "SELFHEAL_INCIDENT": self.subject.incident,
            "SELFHEAL_ACTION": self.subject.action,
            "SELFHEAL_TARGET_KIND": self.subject.target.kind,
            "SELFHEAL_TARGET_NAMESPACE": self.subject.target.namespace or "",
            "SELFHEAL_TARGET_NAME": self.subject.target.name,
            "PATH": _PATH,
            "LANG": "C.UTF-8",
        }


class ScriptRunner:
    """Runs scripts on this machine, with one choice of user and working place for all of them."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        user: User | None = None,
        work_dir: Path | None = None,
        use_namespaces: bool = True,
    ) -> None:
        """`environ` is where the variables that manifests list are taken from.

        `user` is needed when the service is root, and can be given only then.  `work_dir` holds the working directories
        of scripts and must be open to that user; the system's place for temporary files by default.  Without
        `use_namespaces` the bounds rest on process groups and the subreaper alone.
        """
        self._environ = environ
        self._user = user
        self._work_dir = work_dir
        self._use_namespaces = use_namespaces

    async def run(
        self, scripts: Scripts, name: str, arguments: JsonObject, subject: Subject, purpose: Purpose = Purpose.RUN
    ) -> Outcome:
        """Run the script once, for `purpose`.

        After Refused nothing was executed.  After anything else no process of it is left.  When cancelled, everything
        is killed before the cancellation goes on.  Raises nothing else.
        """
        found = self._program(scripts, name, arguments, subject, purpose)
        if isinstance(found, Refused):
            return found
        manifest, program = found
        return await self._execute(scripts.folder, program, _Order(manifest, arguments, subject, purpose))

    def hindrance(
        self, scripts: Scripts, name: str, arguments: JsonObject, subject: Subject, purpose: Purpose = Purpose.RUN
    ) -> Refused | None:
        """What `run` would refuse now, as far as it can be told without starting anything; None when nothing."""
        found = self._program(scripts, name, arguments, subject, purpose)
        if isinstance(found, Refused):
            return found
        return contents.check(scripts.folder, found[1].file, found[1].sha256)

    def _program(
        self, scripts: Scripts, name: str, arguments: JsonObject, subject: Subject, purpose: Purpose
    ) -> tuple[Manifest, Program] | Refused:
        manifest = scripts.find(name)
        if isinstance(manifest, Refused):
            return manifest
        refused = self._cannot(manifest) or _unfit(manifest, arguments, subject)
        if refused is not None:
            return refused
        program = manifest.program(purpose)
        if program is None:
            return _no(ScriptCode.PURPOSE, f"{name} has no script to {purpose}: add `{purpose}:` to its manifest")
        return manifest, program

    def _cannot(self, manifest: Manifest) -> Refused | None:
        """What stands against any run of this script here."""
        if not sys.platform.startswith("linux"):
            return _no(ScriptCode.PLATFORM, "Scripts are bounded by means of Linux: run the service there.")
        is_root = os.geteuid() == 0
        if is_root and (self._user is None or self._user.uid == 0):
            return _no(ScriptCode.USER, "The service runs as root: configure another user for scripts, as in nobody.")
        if not is_root and self._user is not None and self._user.uid != os.geteuid():
            return _no(
                ScriptCode.USER, "Only root can run scripts as another user: take that user out, or run as root."
            )
        missing = [variable for variable in manifest.environment if variable not in self._environ]
        if missing:
            names = ", ".join(missing)
            return _no(
                ScriptCode.ENVIRONMENT,
                f"{manifest.name} is promised {names}: set it for the service, or take it out of the manifest.",
            )
        return None

    async def _execute(self, folder: Path, program: Program, order: _Order) -> Outcome:
        with sealed(folder, program.file, program.sha256) as script:
            if isinstance(script, Refused):
                return script
            if self._user is None:
                kernel.hide_memory()  # the script has our uid: it could read our environment from /proc
            report = await _supervise(self._job(script, order))
        if isinstance(report, Report):
            return _outcome(report, order.manifest, self._secrets(order.manifest))
        return report

    def _job(self, script: int, order: _Order) -> Job:
        limits = order.manifest.limits
        return Job(
            script=script,
            name=order.manifest.name,
            stdin=json.dumps(order.document()) + "\n",
            environment={**{name: self._environ[name] for name in order.manifest.environment}, **order.environment()},
            user=None if self._user is None or os.geteuid() != 0 else (self._user.uid, self._user.gid),
            folder=str(self._work_dir or tempfile.gettempdir()),
            namespaces=self._use_namespaces,
            timeout=float(limits.timeout_seconds),
            grace=float(limits.grace_seconds),
            memory_mib=limits.memory_mib,
            address_space_mib=limits.address_space_mib,
            processes=limits.processes,
            file_mib=limits.file_mib,
            output=limits.output_kib * _KIB,
        )

    def _secrets(self, manifest: Manifest) -> tuple[str, ...]:
        """Values that the script was given and must not be seen in what it writes."""
        return tuple(self._environ[name] for name in manifest.environment if is_secret_name(name))


def _unfit(manifest: Manifest, arguments: JsonObject, subject: Subject) -> Refused | None:
    """What stands against this very order."""
    if subject.target.kind not in manifest.kinds:
        kinds = ", ".join(manifest.kinds)
        return _no(ScriptCode.KIND, f"{manifest.name} may be used on {kinds}, not on a {subject.target.kind}.")
    if len(json.dumps(arguments)) > MAX_ARGUMENT_BYTES:
        return _no(ScriptCode.ARGUMENTS, f"The arguments take more than {MAX_ARGUMENT_BYTES} bytes: give shorter ones.")
    wrong = schema.mistakes(manifest.arguments, arguments)
    if wrong:
        return _no(ScriptCode.ARGUMENTS, f"{manifest.name}: {'; '.join(wrong[:5])}.")
    return None


def _as_text(value: str | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def _supervise(job: Job) -> Report | Lost | Refused:
    """One supervisor from its start to its end."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-B", "-c", _START, str(_ROOT)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(job.script,),
            env={},
            cwd="/",
            start_new_session=True,  # Ctrl-C in a terminal is for the service, which ends the run in order
        )
    except OSError as error:
        return _no(ScriptCode.NOT_STARTED, f"The machine did not let the script start ({error}): look at its limits.")
    try:
        return await _converse(process, job)
    finally:
        if process.returncode is None:
            await _abandon(process)


async def _converse(process: asyncio.subprocess.Process, job: Job) -> Report | Lost:
    assert process.stdin is not None  # noqa: S101 - asked for above, as are the other two
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    try:
        # Real time, not a clock port: what is waited for is a process of this machine.
        async with asyncio.timeout(job.timeout + job.grace + _MARGIN_SECONDS):
            process.stdin.write(job.dump())
            with suppress(ConnectionError):
                await process.stdin.drain()
            said, complaint = await asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
    except TimeoutError:
        return Lost(
            sentence=f"{job.name} cannot be ended: a process of it may be stuck in the kernel. Look at the machine."
        )
    why = complaint.decode(errors="replace").strip()[-500:] or f"exit code {process.returncode}"
    if complaint:
        log.warning("script.supervisor_complained", extra={"script": job.name, "complaint": why})
    try:
        return Report.load(said)
    except (ValueError, TypeError):
        return Lost(
            sentence=f"The supervisor of {job.name} ended without a report ({why}); what the script did is unknown."
        )


async def _abandon(process: asyncio.subprocess.Process) -> None:
    """Close the lifeline, on which the supervisor kills everything and ends; wait for that."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(asyncio.shield(process.wait()), _END_SECONDS)
    except TimeoutError:
        process.kill()  # what is in its namespace goes with it
        await process.wait()


def _outcome(report: Report, manifest: Manifest, secrets: tuple[str, ...]) -> Outcome:
    if report.how == "not_started":
        return _not_started(manifest, report.errno)
    if report.how == "abandoned":
        return Lost(sentence=f"{manifest.name} was ended because nobody waited for it any more.")
    output = readable(report, secrets, manifest.limits.output_kib * _KIB)
    if report.how == "finished":
        return Finished(
            exit_code=report.code,
            signal=None if report.signal is None else signal_name(report.signal),
            seconds=report.seconds,
            output=output,
            dropped_bytes=report.dropped,
            left_behind=report.left,
            isolated=report.isolated,
        )
    return TimedOut(
        was_killed=report.how == "killed",
        seconds=report.seconds,
        output=output,
        dropped_bytes=report.dropped,
        left_behind=report.left,
        isolated=report.isolated,
    )


_WHY: Final[Mapping[int, str]] = {
    errno.ENOENT: "its interpreter is not on this machine: install it, or correct the first line",
    errno.ENOEXEC: "it is no program of this machine: correct the first line, or build it for this machine",
    errno.EACCES: "its interpreter may not be executed by the script's user: check owner and mode",
    errno.EAGAIN: "its user already runs too many processes: give scripts a user of their own",
    errno.ENOMEM: "there is not enough memory, or the limit on it is too low for the interpreter",
}


def _not_started(manifest: Manifest, number: int) -> Refused:
    why = _WHY.get(number, os.strerror(number))
    return _no(ScriptCode.NOT_STARTED, f"{manifest.name} could not be started: {why}.")


def _no(code: ScriptCode, sentence: str) -> Refused:
    return Refused(code=code, sentence=sentence)
