"""What the scripted model says, as a YAML file: a list of replies, each of one kind.

::

    model: scripted-1
    capabilities: {json_schema: true, tools: true}
    replies:
      - calls: [{name: get_logs, arguments: {pod: web-1, container: app}}]
      - json: {cause: bad_revision, ...}          # the plan, as the content of the message
      - when: {schema: plan}                      # only for requests that this fits
        times: always
        text: "no idea"
      - status: 429
        retry_after: "2"
      - reset: true

The rule: a request takes the first reply that fits it and is not used up; a request that none fits is answered by 500
with the reason, so that a wrong script is seen.  Neighbours: `server` plays it, `completion` words it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from tools.jsontypes import JsonObject, JsonValue


class ScriptError(Exception):
    """The script cannot be played.  The message names the file, the place and what is expected."""


class Part(BaseModel):
    """A piece of a script; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class When(Part):
    """Which requests a reply is for; all conditions given must hold."""

    contains: str | None = None
    """A text that occurs somewhere in the messages, after decoding."""
    tool: str | None = None
    """A tool of this name is offered."""
    schema_name: str | None = Field(default=None, alias="schema")
    """A JSON schema of this name is asked for."""
    plain: bool | None = None
    """True: neither tools nor a schema are offered."""


class Usage(Part):
    """Tokens to report instead of counted ones."""

    prompt: int = Field(ge=0)
    completion: int = Field(ge=0)


class ToolCall(Part):
    """One call.  Arguments that are a string are sent as they are: that is how broken ones are scripted."""

    name: str
    arguments: JsonObject | str = Field(default_factory=dict)
    id: str | None = None


class Reply(Part):
    """One answer.  Exactly one of the fields from `text` to `hang` says what kind it is."""

    when: When = When()
    times: int | Literal["always"] = 1
    usage: Usage | None = None
    delay_seconds: float = Field(default=0, ge=0, le=600)
    """Waited before the first byte."""
    seconds_per_byte: float = Field(default=0, ge=0)
    """Slow bytes: the body drips, one byte at a time."""

    text: str | None = None
    """Plain words."""
    json_: JsonValue = Field(default=None, alias="json")
    """A value, as the JSON content of the message."""
    calls: tuple[ToolCall, ...] | None = None
    """Tool calls, all in one message."""
    refusal: str | None = None
    """The model declines."""
    cut_off: str | None = None
    """The content so far; finish_reason is `length`."""
    content_filter: str | None = None
    """The content so far; finish_reason is `content_filter`."""
    raw: str | None = None
    """The whole body, verbatim, with status 200."""
    status: int | None = Field(default=None, ge=300, le=599)
    """An error answer."""
    message: str = "scripted error"
    code: str | None = None
    retry_after: str | None = None
    """Sent as it is, so that absurd values can be scripted."""
    reset: bool = False
    """The connection is reset without an answer."""
    hang: bool = False
    """No answer; the connection stays open until the client leaves."""

    @property
    def kind(self) -> str:
        """The name of the field that says what this is."""
        return _kinds_of(self)[0]

    @model_validator(mode="after")
    def _one_kind(self) -> Reply:
        kinds = _kinds_of(self)
        if len(kinds) != 1:
            raise ValueError(f"a reply is of one kind, this one is {' and '.join(kinds) or 'of none'}: {_KINDS}")
        return self


_KINDS = "text, json, calls, refusal, cut_off, content_filter, raw, status, reset or hang"


def _kinds_of(reply: Reply) -> list[str]:
    given = reply.model_fields_set
    values = ("text", "calls", "refusal", "cut_off", "content_filter", "raw", "status")
    found = [name for name in values if getattr(reply, name) is not None]
    found += ["json"] if "json_" in given else []
    return found + [name for name in ("reset", "hang") if getattr(reply, name)]


class Capabilities(Part):
    """What the server takes; a request for more is answered by 400, as real servers do."""

    json_schema: bool = True
    tools: bool = True
    key: str | None = None
    """The only key that is let in; None lets everybody in."""


class Script(Part):
    """A whole script."""

    model: str = "scripted-1"
    capabilities: Capabilities = Capabilities()
    replies: Annotated[tuple[Reply, ...], Field(max_length=1000)] = ()


SCRIPTS: TypeAdapter[Script] = TypeAdapter(Script)


def load_script(path: Path) -> Script:
    """Read a script.  Raises ScriptError when the file is missing, is no YAML, or does not fit."""
    try:
        return parse_script(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptError(f"{path}: {error.strerror or error}; name a YAML file with a list `replies`") from error
    except ScriptError as error:
        raise ScriptError(f"{path}: {error}") from error


def parse_script(text: str) -> Script:
    """Read a script from its text.  Raises ScriptError."""
    try:
        return SCRIPTS.validate_python(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise ScriptError(f"no YAML: {error}") from error
    except ValidationError as error:
        places = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ScriptError("; ".join(places)) from error
