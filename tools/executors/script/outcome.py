"""What becomes of an order to run a script: values tagged by `kind`, each with what it says of the world.

The rule: only `Finished` says that the script ran to an end of its own; nothing here says that it helped.
"""

from __future__ import annotations

import signal as signals
from enum import StrEnum
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict


class ScriptCode(StrEnum):
    """Why a script was not run.  In each case nothing of it was executed."""

    UNKNOWN = "SCRIPT_UNKNOWN"
    """No manifest declares a script of that name, or its manifest is broken."""
    TAMPERED = "SCRIPT_TAMPERED"
    """The file's contents are not those whose hash is in the manifest."""
    UNREADABLE = "SCRIPT_UNREADABLE"
    """The file is missing, not a file, outside of the folder, too large or no program."""
    ARGUMENTS = "SCRIPT_ARGUMENTS"
    """The arguments do not fit the schema of the manifest."""
    KIND = "SCRIPT_KIND"
    """The manifest does not permit the script on an object of this kind."""
    PURPOSE = "SCRIPT_PURPOSE"
    """The manifest has no script for undoing or verifying."""
    ENVIRONMENT = "SCRIPT_ENVIRONMENT"
    """A variable that the script is promised is not set for the service."""
    USER = "SCRIPT_USER"
    """The service runs as root, and no other user is configured for scripts; or another is and it is not root."""
    PLATFORM = "SCRIPT_PLATFORM"
    """The bounds need Linux."""
    NOT_STARTED = "SCRIPT_NOT_STARTED"
    """The kernel or the machine refused to start it."""


class _Outcome(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Refused(_Outcome):
    """Nothing was executed.  `sentence` names the remedy."""

    kind: Literal["refused"] = "refused"
    code: ScriptCode
    sentence: str


class _Ran(_Outcome):
    seconds: float
    output: str
    """Standard output and error together: redacted, and cut in the middle when there was more than the cap."""
    dropped_bytes: int
    """How much of the output was not kept."""
    left_behind: int | None
    """Processes that outlived the script and were killed; None when the kernel ended them uncounted."""
    isolated: bool
    """Whether it ran in a PID namespace of its own."""


class Finished(_Ran):
    """The script ended by itself: with an exit code, or by a signal (a limit of the system is one)."""

    kind: Literal["finished"] = "finished"
    exit_code: int | None
    signal: str | None

    @property
    def is_success(self) -> bool:
        """Whether it said that it did what it is for."""
        return self.exit_code == 0

    @property
    def sentence(self) -> str:
        """How it ended, in words."""
        if self.signal is None:
            return f"ended with exit code {self.exit_code} after {self.seconds:.1f} s"
        return f"was ended by {self.signal} after {self.seconds:.1f} s{_MEANS.get(self.signal, '')}"


class TimedOut(_Ran):
    """The script was still running at its time limit.  How much of its work it did is not known."""

    kind: Literal["timed_out"] = "timed_out"
    was_killed: bool
    """It did not end on SIGTERM either and was ended by SIGKILL."""

    @property
    def sentence(self) -> str:
        """How it ended, in words."""
        how = "did not end on SIGTERM either and was killed" if self.was_killed else "ended on SIGTERM"
        return f"ran into its time limit and {how}, after {self.seconds:.1f} s"


class Lost(_Outcome):
    """The script was started and its end was not seen.  Whether it did its work cannot be told."""

    kind: Literal["lost"] = "lost"
    sentence: str


Outcome: TypeAlias = Finished | TimedOut | Lost | Refused

_MEANS = {
    "SIGXCPU": ", the limit on processor time",
    "SIGXFSZ": ", the limit on the size of a file",
    "SIGKILL": ", by itself, by a limit or by the system for want of memory",
}


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; the number as text for one without a name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return str(number)
