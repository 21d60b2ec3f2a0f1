"""A folder of scripts as an operator would write it, and an eye on what they leave behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from tools.executors.script.manifest import Purpose, Scripts, read_scripts
from tools.executors.script.outcome import Finished, Outcome, TimedOut
from tools.executors.script.run import ScriptRunner, Subject, User
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ActionId, IncidentId, ObjectRef

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="scripts are bounded by means of Linux")
TARGET = ObjectRef(kind="Deployment", namespace="shop", name="web")
PYTHON = "#!/usr/bin/env python3\n"


def can_count_apart() -> bool:
    """Whether user namespaces are permitted here, in which processes are counted for one script alone."""
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "-U", "true"], check=False, capture_output=True).returncode == 0


def stranger() -> User:
    uid = 300_000 + uuid4().int % 1_000_000
    return User(uid, uid)


@dataclass
class Shelf:
    """Writes scripts with their manifests, and runs them."""

    folder: Path
    limits: Mapping[str, int] = field(default_factory=dict)
    incident: str = field(default_factory=lambda: f"inc-{uuid4()}")
    user: User = field(default_factory=stranger)
    """Whom scripts run as where we are root; nobody else's, since processes are counted by user."""

    def add(self, body: str | bytes, name: str = "job", **more: JsonValue) -> Scripts:
        program = self.program(body, f"{name}.sh")
        manifest: JsonObject = {
            "name": name,
            "description": "Does what the test says it does.",
            **program,
            "kinds": ["Deployment"],
            "limits": {"timeout_seconds": 10, "grace_seconds": 1, **self.limits},
            **more,
        }
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
        return self.read()

    def program(self, body: str | bytes, file: str) -> JsonObject:
        if isinstance(body, str):
            body = (body if body.startswith("#!") else f"#!/bin/sh\n{body}\n").encode()
        (self.folder / file).write_bytes(body)
        return {"file": file, "sha256": hashlib.sha256(body).hexdigest()}

    def read(self) -> Scripts:
        return read_scripts(self.folder)

    async def run(
        self,
        scripts: Scripts,
        name: str = "job",
        *,
        purpose: Purpose = Purpose.RUN,
        environ: Mapping[str, str] | None = None,
        namespaces: bool = True,
        work_dir: Path | None = None,
        target: ObjectRef = TARGET,
        **arguments: JsonValue,
    ) -> Outcome:
        assert not scripts.defects, scripts.defects
        runner = ScriptRunner(
            environ or {}, user=self.user if os.geteuid() == 0 else None, work_dir=work_dir, use_namespaces=namespaces
        )
        return await runner.run(scripts, name, arguments, self.subject(target), purpose)

    def subject(self, target: ObjectRef = TARGET) -> Subject:
        return Subject(target, IncidentId(self.incident), ActionId("act-1"))

    def survivors(self) -> list[str]:
        """Processes of this shelf's scripts that still run: they bear its incident in their environment.

        A look at all processes takes a while.  Who came meanwhile is looked at too, until nobody came: else the child
        of a process that was gone when its turn came would be missed.
        """
        found: list[str] = []
        seen: set[Path] = set()
        while fresh := {entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()} - seen:
            seen |= fresh
            found += [line for entry in fresh if (line := self._line_of(entry)) is not None]
        return found

    def _line_of(self, process: Path) -> str | None:
        """The command line of a process, while it runs and is one of ours."""
        try:
            environ, state = (process / "environ").read_bytes(), (process / "stat").read_text()
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            return None
        is_running = state.rpartition(")")[2].split()[0] not in "ZX"
        return line if is_running and f"SELFHEAL_INCIDENT={self.incident}".encode() in environ else None


def ran(outcome: Outcome) -> Finished | TimedOut:
    assert isinstance(outcome, Finished | TimedOut), outcome
    return outcome


def finished(outcome: Outcome) -> Finished:
    assert isinstance(outcome, Finished), outcome
    return outcome


def timed_out(outcome: Outcome) -> TimedOut:
    assert isinstance(outcome, TimedOut), outcome
    return outcome
