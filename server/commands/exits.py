"""Exit codes, and how a failure becomes one sentence and a code instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum

from graph.plan import Status


class Exit(IntEnum):
    """What the shell is told; documented in `server.cli`."""

    DONE = 0
    ESCALATED = 1
    USAGE = 2
    NOT_DONE = 3
    WAITING = 4
    UNREACHABLE = 5


class CommandError(Exception):
    """Ends a command with a sentence on stderr and an exit code."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


BY_STATUS = {
    Status.HEALED: Exit.DONE,
    Status.CLEARED: Exit.DONE,
    Status.ESCALATED: Exit.ESCALATED,
    Status.OBSERVED: Exit.NOT_DONE,
    Status.REFUSED: Exit.NOT_DONE,
    Status.WAITING: Exit.WAITING,
    Status.OPEN: Exit.WAITING,
}


def exit_for(status: str) -> Exit:
    """The code for an incident's status."""
    return BY_STATUS[Status(status)]


@contextmanager
def one_sentence(result: list[Exit]) -> Generator[None]:
    """Turn expected failures into a sentence; the code is appended to `result`."""
    from server.settings import SettingsError
    from tools.errors import ToolError

    try:
        yield
    except CommandError as error:
        say(str(error))
        result.append(error.code)
    except SettingsError as error:
        say(str(error))
        result.append(Exit.USAGE)
    except ToolError as error:
        say(f"{error} [{error.code}]")
        result.append(Exit.USAGE if error.code in {"POLICY_INVALID", "MODEL_MISCONFIGURED"} else Exit.UNREACHABLE)
    except KeyboardInterrupt:
        say("stopped; what was begun is in the ledger and goes on with the service")
        result.append(Exit.WAITING)


def say(sentence: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"selfheal: {sentence}\n")
