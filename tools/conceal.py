"""Takes secrets out of whole manifests so that they still can be compared with each other.

`tools.redact` hides; two hidden values look alike, and then a changed password is no change any more.  Here each hidden
value is marked with a short keyed hash of what it was: equal values stay equal, different ones different.  The key is
made for one recording and thrown away, so that nobody can try guesses against the hashes.

What is hidden: literal values of environment variables and ConfigMap entries whose names say secret, the argument after
an option whose name does, and whatever `redact` finds in any other text.  What is dropped: kubectl's copy of the
manifest and the field lists of `managedFields` (who wrote and when stays).

Neighbours: `redact` has the patterns; `graph.recording` is the user.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Final

from tools.jsontypes import JsonObject, JsonValue
from tools.redact import REDACTED, is_secret_name, redact

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_NAMED_VALUES: Final = frozenset({"data", "annotations"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./+-]{0,15}|[0-9a-f-]{36}|[0-9T:.-]{19,26}Z?(?:\+00:00)?|sha256:[0-9a-f]{64}")
"""What cannot hold a secret: short words, uids, times, digests.  Most texts of a manifest are of these."""
_MARK: Final = re.compile(r"\[REDACTED:[0-9a-f]{8}\]")


class Concealer:
    """One key for one recording: call `manifest` with everything that shall be comparable."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key if key is not None else secrets.token_bytes(32)
        self._known: dict[str, str] = {}

    def manifest(self, value: JsonObject) -> JsonObject:
        """A copy without secrets.  The argument is not changed."""
        return {key: self._at(key, inner) for key, inner in value.items()}

    def text(self, text: str) -> str:
        """A text in which what looks like a secret is marked by what the whole text was."""
        if _PLAIN.fullmatch(text):
            return text
        known = self._known.get(text)
        if known is None:
            plain = _MARK.sub(REDACTED, text)  # what was marked before is no reason to mark again
            clean = redact(plain)
            known = self._known[text] = text if clean == plain else clean.replace(REDACTED, self.mark(text))
        return known

    def mark(self, secret: str) -> str:
        """What stands in its place: `[REDACTED:1f2e3d4c]`; empty for nothing, and itself for what is hidden already."""
        if not secret or secret == REDACTED or _MARK.fullmatch(secret):
            return secret
        return f"{REDACTED[:-1]}:{hmac.digest(self._key, secret.encode(), 'sha256').hex()[:8]}]"

    def _at(self, key: str, value: JsonValue) -> JsonValue:
        match value:
            case dict() if key in _NAMED_VALUES:
                return {name: self._named(name, inner) for name, inner in value.items() if name != LAST_APPLIED}
            case dict() if key == "binaryData":
                return {name: self._binary(name, inner) for name, inner in value.items()}
            case list() if key == "env":
                return [self._variable(item) for item in value]
            case list() if key in {"command", "args"}:
                return self._words(value)
            case list() if key == "managedFields":
                return [_without_fields(entry) for entry in value]
            case _:
                return self._any(value)

    def _any(self, value: JsonValue) -> JsonValue:
        match value:
            case str():
                return self.text(value)
            case dict():
                return self.manifest(value)
            case list():
                return [self._any(item) for item in value]
            case _:
                return value

    def _named(self, name: str, value: JsonValue) -> JsonValue:
        """One entry of a map from names to texts."""
        if not isinstance(value, str):
            return self._at(name, value)
        return self.mark(value) if is_secret_name(name) else self.text(value)

    def _binary(self, name: str, value: JsonValue) -> JsonValue:
        if not (isinstance(value, str) and is_secret_name(name)):
            return value
        return base64.b64encode(self.mark(value).encode()).decode()

    def _variable(self, item: JsonValue) -> JsonValue:
        """One environment variable: its literal value counts by the variable's name."""
        if not isinstance(item, dict):
            return item
        name, value = item.get("name"), item.get("value")
        if not (isinstance(name, str) and isinstance(value, str)):
            return self.manifest(item)
        return {**self.manifest({k: v for k, v in item.items() if k != "value"}), "value": self._named(name, value)}

    def _words(self, words: Sequence[JsonValue]) -> list[JsonValue]:
        """A command line: `--password x` is two words."""
        found: list[JsonValue] = []
        before: JsonValue = None
        for word in words:
            is_value = isinstance(before, str) and before.startswith("-") and is_secret_name(before.lstrip("-"))
            if isinstance(word, str) and is_value and not word.startswith("-"):
                found.append(self.mark(word))
            else:
                found.append(self._any(word))
            before = word
        return found


def _without_fields(entry: JsonValue) -> JsonValue:
    return {k: v for k, v in entry.items() if k != "fieldsV1"} if isinstance(entry, dict) else entry
