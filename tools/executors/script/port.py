"""The port through which scripts are run: from a call of the door to a run, and from its outcome to an answer.

The rule: what was not started is a clear no; what was started and not seen to its end is open; what ended badly has
happened and says so.

Neighbours: `run` bounds and executes, `action` builds the calls, `tools.executors.calls` is the form.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, NamedTuple

from tools.errors import Invalid, Unreachable
from tools.executors.calls import RemoteRequest, Sent
from tools.executors.script.manifest import Manifest, Purpose, Scripts, read_scripts
from tools.executors.script.outcome import Finished, Lost, Outcome, Refused, TimedOut
from tools.executors.script.run import ScriptRunner, Subject
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.redact import excerpt
from tools.refs import ActionId, IncidentId

_SAID: Final = 300
"""Characters of the output that are kept in a sentence."""


class _Run(NamedTuple):
    scripts: Scripts
    manifest: Manifest
    arguments: JsonObject
    subject: Subject


class ScriptPort:
    """One folder of scripts and the runner for them."""

    def __init__(self, folder: Path, runner: ScriptRunner) -> None:
        """Keep both; the folder is read anew for each call."""
        self._folder = folder
        self._runner = runner

    async def show(self, request: RemoteRequest) -> None:
        """Raises Invalid when the script would not be started now; nothing is executed."""
        run = await self._prepare(request)
        refused = self._runner.hindrance(
            run.scripts, run.manifest.name, run.arguments, run.subject, Purpose(request.call)
        )
        if refused is not None:
            raise _no(refused)

    async def send(self, request: RemoteRequest) -> Sent:
        """Run the script to its end, and then its script to verify, if it has one.

        Raises Invalid when nothing was executed, and Unreachable when the end was not seen.
        """
        run = await self._prepare(request)
        purpose = Purpose(request.call)
        answer = _answer(run.manifest, purpose, await self._run(run, purpose))
        if answer.has_failed or purpose is not Purpose.RUN or run.manifest.verify is None:
            return answer
        try:
            verified = _answer(run.manifest, Purpose.VERIFY, await self._run(run, Purpose.VERIFY))
        except (Invalid, Unreachable) as error:  # the script itself has run all the same
            return Sent({}, note=f"{answer.note}; it could not be verified: {error}", has_failed=True)
        return Sent({}, note=f"{answer.note}; {verified.note}", has_failed=verified.has_failed)

    async def _prepare(self, request: RemoteRequest) -> _Run:
        scripts = await asyncio.to_thread(read_scripts, self._folder)
        given = request.arguments
        found = scripts.find(dig_str(given, "script"))
        if isinstance(found, Refused):
            raise _no(found)
        if found.sha256 != dig_str(given, "sha256"):
            raise Invalid(f"{found.name} is another script than the one that was assessed: plan again")
        subject = Subject(request.target, IncidentId(dig_str(given, "incident")), ActionId(dig_str(given, "action")))
        return _Run(scripts, found, dig_object(given, "arguments"), subject)

    async def _run(self, run: _Run, purpose: Purpose) -> Outcome:
        return await self._runner.run(run.scripts, run.manifest.name, run.arguments, run.subject, purpose)


def _answer(manifest: Manifest, purpose: Purpose, outcome: Outcome) -> Sent:
    what = manifest.name if purpose is Purpose.RUN else f"its script to {purpose.value}"
    match outcome:
        case Refused():
            raise _no(outcome)
        case Lost():
            raise Unreachable(outcome.sentence)
        case Finished():
            said = "" if outcome.is_success else _output(outcome.output)
            return Sent({}, note=f"{what} {outcome.sentence}{said}", has_failed=not outcome.is_success)
        case TimedOut():
            return Sent({}, note=f"{what} {outcome.sentence}{_output(outcome.output)}", has_failed=True)


def _output(output: str) -> str:
    """The end of what it wrote; it is redacted already."""
    text = " ".join(output.split())
    return f", saying: {excerpt(text[-_SAID:], _SAID)}" if text else ""


def _no(refused: Refused) -> Invalid:
    return Invalid(f"{refused.sentence.rstrip('.')} ({refused.code.value})")
