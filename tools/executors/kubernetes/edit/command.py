"""`set_command`: what a container runs, word by word.

The rule: nothing is interpreted here, and nothing hides: no secret and no invisible character in any word.  New words
for an interpreter need a person whatever the policy trusts, since one of them can be any program.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tools.executors.base import Action, Situation
from tools.executors.kubernetes.edit.template import ContainerEditExecutor, container_of, in_containers, out_of_range
from tools.executors.kubernetes.edit.wanted import Path, Put, Take, Wanted
from tools.executors.models.edit import SetCommand
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, JsonValue, dig_list
from tools.redact import redact, visible

MAX_CHARACTERS: Final = 8192
"""Of all words together."""
_SHELLS: Final = frozenset({"sh", "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "zsh", "python", "perl"})


class SetCommandExecutor(ContainerEditExecutor[SetCommand]):
    """`set_command`."""

    action_type: ClassVar[type[Action]] = SetCommand
    description: ClassVar[str] = (
        "Change the command or the arguments of a container. For a program that was named or called wrongly from the "
        "start: it is not found, does not know a flag, or ends at once. An empty list goes back to what the image says."
    )
    declared_fields: ClassVar[tuple[str, ...]] = in_containers("command", "args")

    def of_container(self, action: SetCommand, container: JsonObject, path: Path) -> tuple[Wanted, ...] | Refused:  # noqa: ARG002
        """Each list that is given, as a whole; an empty one is none."""
        given = (("command", action.command), ("args", action.args))
        return tuple(_field((*path, name), words) for name, words in given if words is not None)

    def objection(self, action: SetCommand, situation: Situation) -> Refused | None:  # noqa: ARG002
        """The words are few and plain."""
        words = (*(action.command or ()), *(action.args or ()))
        text = " ".join(words)
        if len(text) > MAX_CHARACTERS:
            return out_of_range(action, f"the command has {len(text)} characters; at most {MAX_CHARACTERS}.")
        if any(redact(part) != part for part in (text, *words)):
            return out_of_range(action, "the command looks as if it had a secret in it; a person must write it.")
        if visible(text) != text:
            return out_of_range(action, "the command has characters that cannot be seen.")
        return None

    def approval_reasons(self, action: SetCommand, situation: Situation) -> tuple[str, ...]:
        """An interpreter that was not there runs whatever its arguments say."""
        container = container_of(situation.live, action.container)
        present = [*dig_list(container, "command"), *dig_list(container, "args")]
        after: list[JsonValue] = [
            *(dig_list(container, "command") if action.command is None else action.command),
            *(dig_list(container, "args") if action.args is None else action.args),
        ]
        if _starts_shell(after) and present != after:
            return (f"Container {action.container} would run an interpreter with other words than now.",)
        return ()


def _field(path: Path, words: tuple[str, ...]) -> Wanted:
    return Put(path, [*words]) if words else Take(path)


def _starts_shell(words: list[JsonValue]) -> bool:
    """Whether one of the first words names an interpreter, by whatever path (`env sh` counts)."""
    names = (word.rpartition("/")[2].rstrip("0123456789.") for word in words[:3] if isinstance(word, str))
    return any(name in _SHELLS for name in names)
