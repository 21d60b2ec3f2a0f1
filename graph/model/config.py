"""How the model is reached and how much it may use, as one frozen value; and who may reason at all.

Neighbours: the service's settings become a `ModelConfig`; `build` makes the reasoner of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr


class Mode(StrEnum):
    """Who reasons."""

    RULES = "rules"
    """Rules alone; the default without a model."""
    HYBRID = "hybrid"
    """Rules first; the model where no rule has a plan.  The default with a model."""
    MODEL = "model"
    """The model is always asked first; rules stand in when it is down, slow, declines or cannot be read."""


class Planning(StrEnum):
    """In which form a plan is asked for."""

    AUTO = "auto"
    """What the probe finds: the strict schema before tools, tools before plain JSON."""
    SCHEMA = "schema"
    """One strict JSON schema, enforced by the server."""
    TOOLS = "tools"
    """Each action is a tool, and the calls are collected as proposals."""
    JSON = "json"
    """The schema stands in the prompt, and the answer is parsed; for servers that know neither."""


class Investigation(StrEnum):
    """Whether phase one takes place."""

    AUTO = "auto"
    """When the probe finds that the server takes tools."""
    ON = "on"
    """Always."""
    OFF = "off"
    """Never: the model sees the evidence alone."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one incident's proposal may cost.  None of it can be raised by anything a model says."""

    turns: int = 12
    """Requests to the model, retries not counted."""
    reads: int = 25
    """Reads in phase one."""
    seconds: float = 120
    """All of it, waiting included."""
    call_seconds: float = 45
    """One request."""
    tokens: int = 60_000
    """Prompt and answer tokens together, as the server reports them or as we estimate."""
    prompt_tokens: int = 12_000
    """One prompt's data block; evidence is trimmed to fit (see `trim`)."""
    answer_tokens: int = 2_000
    """One answer."""
    tokens_per_day: int = 2_000_000
    """All incidents of one UTC day."""
    tokens_per_namespace_day: int = 500_000
    """All incidents of one namespace: whoever can cause failures there can spend no more than this."""


@dataclass(frozen=True, slots=True)
class Retries:
    """What is tried again, by us alone: the client library's own retries are off."""

    attempts: int = 3
    """Requests in all for one answer."""
    first_seconds: float = 1
    """The first wait; doubled each time, with jitter.  A Retry-After takes its place."""
    longest_seconds: float = 60
    """A server that asks for a longer wait is not waited for."""
    break_after: int = 5
    """So many failures in a row open the circuit: nothing is asked for a while."""
    break_seconds: float = 60


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One OpenAI-compatible endpoint and one model behind it."""

    model: str
    base_url: str | None = None
    """None is the library's default endpoint."""
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    """Read again for each request, so that a rotated key is taken; it goes before `api_key`."""
    proxy: str | None = None
    """Goes between; proxies of the environment are not used."""
    planning: Planning = Planning.AUTO
    investigation: Investigation = Investigation.AUTO
    temperature: float | None = None
    """Not sent when None: some models refuse it."""
    bounds: Bounds = field(default_factory=Bounds)
    retries: Retries = field(default_factory=Retries)
