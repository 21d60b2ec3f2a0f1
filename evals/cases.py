"""Recorded incidents with what is true about them: the cases of `make evals`.

A case is three files of one name: `NAME.json`, as `selfheal incident export` writes it; `truth/NAME.yaml`, what a
person says the cause and the remedy are; and, where a model's answers are replayed too, `replies/NAME.yaml`, a script
for the scripted model.  The rule: a case that cannot be read stops the run; a recording without truth is no case, and
is an error, since nobody would miss it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from evals.scripted_model.script import Script, ScriptError, load_script
from server.export import Attempt, IncidentExport, UnreadableExport, read_export
from tools.refs import ObjectRef

FOLDER: Final = Path(__file__).parent / "incidents"
TARGET: Final = re.compile(r"^[A-Z][A-Za-z]+/([a-z0-9.-]+|\*)$")
STEP: Final = re.compile(r"^(?P<action>[a-z_]+) (?P<kind>[A-Z][A-Za-z]+)/(?P<name>[a-z0-9.-]+|\*)$")

StepText = Annotated[str, StringConstraints(pattern=STEP.pattern)]
"""`rollback_workload Deployment/web`; `*` is any name, for objects whose names are made by controllers."""


class CaseError(Exception):
    """A case cannot be used.  The message names the file and the remedy."""


class Truth(BaseModel):
    """What is true of one recorded incident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    """What happened, in one sentence."""
    target: Annotated[str, StringConstraints(pattern=TARGET.pattern)]
    """The object whose incident this is, such as `Deployment/web`; `*` is any name."""
    scenario: str = ""
    """The scenario that it was recorded from, where that is not called as the case is."""
    attempt: int = Field(default=1, ge=1)
    """Which of the incident's looks at the world is replayed."""
    cause: tuple[str, ...] = ()
    """Words for the cause (`Diagnosis.cause`), any of which is right; empty when nobody has to know it."""
    plans: tuple[tuple[StepText, ...], ...] = Field(min_length=1)
    """The right plans, each as its steps in order; `[]` is the plan to do nothing and call a person."""
    forbidden: tuple[str, ...] = ()
    """Actions that must not be proposed at all, in no plan that gets past the validator."""
    verdict: Literal["accepted", "needs_approval", "none"] | None = None
    """What the validator should say under the policy of the replays; None when that does not matter."""

    def is_about(self, ref: ObjectRef) -> bool:
        """Whether the incident of this object can be the one that is meant."""
        kind, _, name = self.target.partition("/")
        return kind == ref.kind and name in {ref.name, "*"}


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded incident and its truth."""

    name: str
    export: IncidentExport
    truth: Truth
    replies: Script | None

    @property
    def attempt(self) -> Attempt:
        """The look at the world that is replayed."""
        return self.export.attempts[self.truth.attempt - 1]


def load_cases(folder: Path = FOLDER, names: tuple[str, ...] = ()) -> list[Case]:
    """The cases of a folder by name, or those that are named.  Raises CaseError for the first that cannot be used."""
    found = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if lost := sorted(set(names) - set(found)):
        raise CaseError(f"no such case: {', '.join(lost)}; there are {', '.join(found) or 'none'} in {folder}")
    for path in sorted((folder / "truth").glob("*.yaml")):
        if path.stem not in found:
            raise CaseError(f"{path} belongs to no recording: record {path.stem}.json, or delete it")
    return [_load(path) for name, path in found.items() if not names or name in names]


def load_truths(folder: Path = FOLDER) -> dict[str, Truth]:
    """What is true of each case by its name, recorded or not.  Raises CaseError."""
    return {path.stem: _truth(path, path) for path in sorted((folder / "truth").glob("*.yaml"))}


def _load(path: Path) -> Case:
    beside = path.parent / "truth" / f"{path.stem}.yaml"
    truth = _truth(beside, path)
    try:
        export = read_export(json.loads(path.read_text(encoding="utf-8")))
    except (UnreadableExport, ValueError) as error:
        raise CaseError(f"{path}: {error}") from error
    if not truth.is_about(export.incident.target):
        raise CaseError(f"{beside}: it is about {truth.target}, and the recording about {export.incident.target}")
    if truth.attempt > len(export.attempts):
        raise CaseError(f"{beside}: attempt {truth.attempt}, but the recording has {len(export.attempts)}")
    case = Case(path.stem, export, truth, _replies(path.parent / "replies" / f"{path.stem}.yaml"))
    if case.attempt.world is None:
        remedy = "record it with SELFHEAL_RECORD_INCIDENTS=true, and export it before its documents are pruned"
        raise CaseError(f"{path}: attempt {truth.attempt} has no recorded world: {remedy}")
    return case


def _truth(beside: Path, path: Path) -> Truth:
    try:
        return Truth.model_validate(yaml.safe_load(beside.read_text(encoding="utf-8")))
    except OSError as error:
        raise CaseError(f"{path} has no truth: write {beside} (docs/evals.md says how)") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise CaseError(f"{beside}: {error}") from error


def _replies(path: Path) -> Script | None:
    if not path.exists():
        return None
    try:
        return load_script(path)
    except ScriptError as error:
        raise CaseError(str(error)) from error
