"""Puts untrusted text into a prompt as data that cannot leave its block.

A block is one line of JSON between two tags that carry a mark drawn anew for each request.  The rule: inside a block
stands neither an angle bracket nor a line break nor anything outside ASCII (all of them are escaped), so no text can
end the block or show a person one thing and a model another; and the mark cannot be guessed.
Neighbours: `view` makes the values, `prompts` has the holes the blocks go into.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from tools.jsontypes import JsonValue
from tools.redact import redact, visible

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def new_mark() -> str:
    """Sixteen random bytes in hex."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Frame:
    """The tags of one request."""

    mark: str

    @classmethod
    def fresh(cls, marks: Callable[[], str] = new_mark) -> Frame:
        """A frame with a new mark."""
        return cls(marks())

    def wrap(self, value: JsonValue) -> str:
        """`value` as one block.  Strings in it are redacted once more on the way out."""
        text = json.dumps(clean(value), separators=(",", ":"), ensure_ascii=True).translate(_ESCAPES)
        return f"<data-{self.mark}>\n{text}\n</data-{self.mark}>"


def clean(value: JsonValue) -> JsonValue:
    """The value with every string, keys too, redacted and with invisible characters made visible."""
    if isinstance(value, str):
        return visible(redact(value))
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {visible(redact(key)): clean(item) for key, item in value.items()}
    return value
