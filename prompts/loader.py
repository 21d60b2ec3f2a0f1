"""Renders the prompts, and says which version of them was used.

A prompt is a Jinja template beside this module; it is text with holes and holds no decisions.  The rule: a hole that is
not filled, or a value that fills no hole, is an error and never an empty string, and every record of a model call names
the version of the templates.  Neighbours: `graph.model` gives the values; untrusted text reaches a template only as a
framed data block (`graph.model.framing`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, meta

FOLDER = Path(__file__).parent / "templates"
SUFFIX = ".md.j2"


class Prompt(StrEnum):
    """Each template, and the message it becomes."""

    INVESTIGATE_SYSTEM = "investigate.system"
    """Rules of phase one: read, do not act, stop when the cause is clear."""
    INVESTIGATE_USER = "investigate.user"
    """The case for phase one."""
    PLAN_SYSTEM = "plan.system"
    """Rules of phase two: choose among what code enumerated, or say that there is no plan."""
    PLAN_USER = "plan.user"
    """The case for phase two."""
    ASK_AGAIN = "again.user"
    """Why the last answer cannot be used; sent at most once."""
    PROBE = "probe.user"
    """The question that shows at the start what a server can do."""


class PromptError(Exception):
    """A template and its values do not fit.  Remedy: fill exactly the holes that the message names."""


def render(prompt: Prompt, values: Mapping[str, object]) -> str:
    """The text of `prompt`.  Raises PromptError when a hole stays empty or a value fills none."""
    wanted, given = holes(prompt), frozenset(values)
    if wanted != given:
        missing, unknown = sorted(wanted - given), sorted(given - wanted)
        raise PromptError(f"{prompt.value}: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}")
    return _environment().get_template(prompt.value + SUFFIX).render(values).strip() + "\n"


def holes(prompt: Prompt) -> frozenset[str]:
    """The names a template asks for."""
    return frozenset(meta.find_undeclared_variables(_environment().parse(source(prompt))))


def source(prompt: Prompt) -> str:
    """The template as it is written."""
    return (FOLDER / (prompt.value + SUFFIX)).read_text(encoding="utf-8")


@cache
def version() -> str:
    """Sixteen hex digits over the text of all templates: two records that share it were asked in the same words."""
    whole = hashlib.sha256()
    for prompt in sorted(Prompt):
        whole.update(f"{prompt.value}\0{source(prompt)}\0".encode())
    return whole.hexdigest()[:16]


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is plain text for a model, never HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
