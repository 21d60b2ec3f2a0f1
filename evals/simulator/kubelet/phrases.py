"""Plain busybox commands of fixtures, read phrase by phrase: enough for manifests that do not declare a behaviour.

This is no shell.  A script is cut at `;`, `&&` and line ends; a phrase that is not in the table means nothing, and a
script none of whose phrases says how it ends runs for ever.
"""

from __future__ import annotations

import re

from evals.simulator.kubelet.behaviour import Behaviour

_CUT = re.compile(r"\s*(?:;|&&|\n)\s*")
_NEEDS = re.compile(r'(?:test -n "\$(\w+)"|\[ -n "\$(\w+)" \])')
_GUARD = re.compile(r"\|\|\s*\{\s*echo \"?([^\";}]*)\"?\s*;\s*exit (\d+)\s*;?\s*\}")
_ECHO = re.compile(r"^echo (.*)$")
_SERVE = re.compile(r"^(?:echo [^>]*|touch )>?\s*/tmp/www(/\S+)$")
_HTTPD = re.compile(r"httpd\b.*-p (\d+)")
_MEMORY = re.compile(r"\$\((?:dd if=/dev/zero bs=1M count=|head -c )(\d+)")
_DISK = re.compile(r"dd if=/dev/zero of=\S+ bs=1M count=(\d+)")
_CAT = re.compile(r"^cat (/\S+)$")
_FOREVER = 100_000
_SHELL_COPIES = 2
"""A shell that reads a command's output into a variable holds it twice for a moment."""


class _Reader:
    """What the phrases said so far."""

    def __init__(self) -> None:
        self.logs: list[str] = []
        self.needs_env: list[str] = []
        self.files: list[str] = []
        self.serves: list[str] = []
        self.fatal = ""
        self.writes = False
        self.memory = self.disk = 0
        self.port: int | None = None
        self.before = self.after = 0.0
        self.polite = False
        self.code: int | None = 0

    def phrase(self, text: str) -> bool:
        """Take in one phrase; True when the script goes no further."""
        text = text.removeprefix("exec ").strip()
        if text.startswith("sleep "):
            return self._sleep(text.split()[1])
        return self._ends(text) or self._goes_on(text)

    def _ends(self, text: str) -> bool:
        """Phrases after which nothing comes."""
        if (found := _HTTPD.search(text)) is not None:
            self.port, self.code = int(found.group(1)), None
        elif text.startswith("exit"):
            self.code = int(text.split()[1]) if len(text.split()) > 1 else 0
        elif text == "false":
            self.code = 1
        elif text.startswith(("while true", "while :", "tail -f")):
            self.code = None
        else:
            return False
        return True

    def _goes_on(self, text: str) -> bool:
        """Phrases that do something on the way."""
        if found := _MEMORY.search(text):
            self.memory = _SHELL_COPIES * int(found.group(1))
        elif found := _DISK.search(text):
            self.disk = int(found.group(1))
        elif text.startswith("mkdir"):
            self.writes = True
        elif text.startswith("trap "):
            self.polite = True
        elif found := _SERVE.match(text):
            self.serves.append(found.group(1))
        elif found := _CAT.match(text):
            self.files.append(found.group(1))
        elif (found := _ECHO.match(text)) and ">" not in text:
            self.logs.append(found.group(1).strip("\"'"))
        return False

    def _sleep(self, amount: str) -> bool:
        seconds = float(amount) if amount.replace(".", "", 1).isdigit() else _FOREVER
        if seconds >= _FOREVER or amount == "infinity":
            self.code = None
            return True
        self.before += seconds
        return False


def read(command: list[str]) -> Behaviour | None:
    """The behaviour of a plain command; None for one that is not of this kind."""
    if command[:1] == ["sleep"] and len(command) == 2:
        command = ["sh", "-c", f"exec sleep {command[1]}"]
    if len(command) != 3 or command[0] not in {"sh", "/bin/sh", "ash"} or command[1] != "-c":
        return None
    script, reader = command[2], _Reader()
    reader.needs_env = [test or bracket for test, bracket in _NEEDS.findall(script)]
    guard = _GUARD.search(script)
    if guard:
        reader.fatal = guard.group(1)
        script = _NEEDS.sub("true", script[: guard.start()]) + "; " + script[guard.end() :]
    for text in _CUT.split(script):
        if reader.phrase(text):
            break
    ends = reader.code is not None
    return Behaviour(
        logs=tuple(reader.logs),
        needs_env=tuple(reader.needs_env),
        needs_files=tuple(reader.files),
        writes=reader.writes,
        memory_mib=reader.memory,
        disk_mib=reader.disk,
        ready_after=0.0 if ends else reader.before,
        listens=reader.port,
        serves=tuple(reader.serves),
        exit_code=reader.code,
        exit_after=reader.before if ends else 0.0,
        handles_term=reader.polite,
        fatal=reader.fatal,
    )
