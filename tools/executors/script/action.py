"""`run_script`: an operator's own remedy, behind the same door as every other.

The folder is read anew for each order, so a manifest that was added or changed counts at once; the hash that was
assessed is the hash that is run.  A script is known to its author alone: a person agrees to each run unless the policy
trusts it there, and always when it has no script to undo it.

The rule: whether a script ran can be told only by who waited for it.  After a crash in between it is unknown, and that
is said.

Neighbours: `manifest` reads the folder, `port` runs, `tools.executors.remote` is the form.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar, Final

from tools.cluster.resources import KNOWN
from tools.errors import Invalid
from tools.executors.base import Action, Applied, Mark, Reader, Situation
from tools.executors.calls import RemoteRequest
from tools.executors.models.script import RunScript
from tools.executors.remote import RemoteExecutor, RemoteInverse, Stands
from tools.executors.script import schema
from tools.executors.script.manifest import Manifest, Purpose, Scripts, read_scripts
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_str
from tools.refs import ActionId

PORT: Final = "script"


class RunScriptExecutor(RemoteExecutor[RunScript]):
    """`run_script`: one run of one script about one object."""

    action_type: ClassVar[type[Action]] = RunScript
    description: ClassVar[str] = (
        "Run one of the scripts that the operators of this cluster have provided, about one object. Helps when one of "
        "them is made for exactly this trouble. What it does and costs is in its description; a person agrees first."
    )
    disrupts: ClassVar[bool] = True
    port: ClassVar[str] = PORT

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds the manifests; without one every order is refused."""
        self._folder = folder

    def said(self) -> str:
        """The description, and the scripts there are: name, kinds, arguments, what each does."""
        scripts = _read(self._folder)
        offers = [_offer(manifest) for _, manifest in sorted(scripts.usable.items())]
        return " ".join((self.description, *(offers or ["There is none at the moment."])))

    async def read(self, action: RunScript, cluster: Reader) -> Situation:
        """The object, and what the folder says of the script."""
        resource = KNOWN.get(action.kind)
        if resource is None:
            raise Invalid(f"selfheal does not know how to read a {action.kind}: run the script about another object")
        namespace = action.namespace if resource.namespaced else None
        live, scripts = await asyncio.gather(
            cluster.get(resource, action.name, namespace), asyncio.to_thread(_read, self._folder)
        )
        found = scripts.find(action.script)
        if not isinstance(found, Manifest):
            return Situation(live, {"no": f"{found.sentence} ({found.code.value})."})
        return Situation(
            live, {"sha256": found.sha256, "has_undo": found.undo is not None, "no": _unfit(action, found)}
        )

    def precondition(self, action: RunScript, situation: Situation) -> Refused | None:  # noqa: ARG002
        """There is such a script, for such objects, with such arguments."""
        sentence = dig_str(situation.support, "no")
        return Refused(code=ReasonCode.REMOTE_REFUSED, reason=sentence) if sentence else None

    def is_permitted(self, action: RunScript, situation: Situation) -> bool:  # noqa: ARG002
        """Whoever put the script into the folder permitted it."""
        return bool(dig_str(situation.support, "sha256"))

    def request(self, action: RunScript, situation: Situation, mark: Mark) -> RemoteRequest:
        """One run of the contents that were assessed."""
        told = _told(action, situation)
        return RemoteRequest(
            PORT, action.target, Purpose.RUN.value, {**told, "action": mark.action_id, "incident": mark.incident_id}
        )

    def way_back(self, action: RunScript, situation: Situation, mark: Mark) -> RemoteInverse | None:
        """Its script to undo, if it has one."""
        if dig(situation.support, "has_undo") is not True:
            return None
        return RemoteInverse(
            target=action.target,
            uid=dig_str(situation.live, "metadata", "uid"),
            port=PORT,
            call=Purpose.UNDO.value,
            arguments=_told(action, situation),
            sentence=f"{action.script} has undone what it did, as it says itself",
            maker=mark.action_id,
        )

    def default_reasons(self, action: RunScript, situation: Situation) -> tuple[str, ...]:  # noqa: ARG002
        """What a script does is not seen before it is done."""
        return (f"What the script {action.script} changes cannot be shown before it is run.",)

    def needs_failure(self, action: RunScript, situation: Situation) -> bool:  # noqa: ARG002
        """It is for something that fails."""
        return True

    def postcondition(self, action: RunScript, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """How it ended is known from the run itself; nothing of it can be read afterwards."""
        return None

    def was_applied(self, action: RunScript, before: Situation, now: JsonObject | None, mark: Mark) -> Applied:  # noqa: ARG002
        """A run leaves no mark of ours."""
        return Applied.UNKNOWN

    def stands(self, inverse: RemoteInverse, live: JsonObject, undo_id: ActionId, *, was_tried: bool) -> Stands:  # noqa: ARG002
        """Undone by its own script, once; whether one that was begun did its work cannot be told."""
        return Stands.UNTELLABLE if was_tried else Stands.OURS


def _read(folder: Path | None) -> Scripts:
    return read_scripts(folder) if folder is not None else Scripts(Path(), {}, ())


def _told(action: RunScript, situation: Situation) -> JsonObject:
    return {"script": action.script, "sha256": dig_str(situation.support, "sha256"), "arguments": action.given}


def _unfit(action: RunScript, manifest: Manifest) -> str:
    if action.kind not in manifest.kinds:
        return f"{manifest.name} may be used on {', '.join(manifest.kinds)}, not on a {action.kind}."
    wrong = schema.mistakes(manifest.arguments, action.given)
    return f"{manifest.name}: {'; '.join(wrong[:5])}." if wrong else ""


def _offer(manifest: Manifest) -> str:
    properties = dig(manifest.arguments, "properties")
    names = ", ".join(properties) if isinstance(properties, dict) and properties else "none"
    return f"`{manifest.name}` (on {', '.join(manifest.kinds)}; arguments: {names}): {manifest.description}"
