"""A manifest as an investigation may see it: without bookkeeping, and without values that are secret by their name.

The rule: environment values are hidden or redacted by the variable's name, arguments that follow a secret flag are
hidden, annotations that hold whole manifests are left out.  What pattern can find in the rest is redacted when the
answer is made (`results`).  Neighbour: `reads`.
"""

from __future__ import annotations

import yaml

from tools.jsontypes import JsonObject, JsonValue, dig_str
from tools.redact import REDACTED, is_secret_name, redact_value

_BOOKKEEPING = frozenset({"managedFields", "selfLink", "resourceVersion", "uid", "generateName"})
_LONG_ANNOTATION = 512
_DROPPED_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})


def shown(manifest: JsonObject) -> JsonObject:
    """The manifest without bookkeeping and secret values; a Secret, should one ever come here, shows its keys alone."""
    if dig_str(manifest, "kind") == "Secret":
        return {"kind": "Secret", "note": "the content of Secrets is never read"}
    clean = _clean(manifest, "")
    return clean if isinstance(clean, dict) else {}


def as_yaml(value: JsonValue) -> str:
    """YAML, in the order in which it is given: the shortest form people and models read alike."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)


def _clean(value: JsonValue, key: str) -> JsonValue:
    if isinstance(value, dict):
        return _clean_object(value, key)
    if isinstance(value, list):
        if key in ("command", "args"):
            return _clean_words(value)
        return [_clean(item, key) for item in value]
    if isinstance(value, str):
        return redact_value(key, value)
    return value


def _clean_object(value: JsonObject, key: str) -> JsonObject:
    if key == "env" and isinstance(value.get("value"), str):
        return {**value, "value": redact_value(dig_str(value, "name"), dig_str(value, "value"))}
    kept = {k: v for k, v in value.items() if k not in _BOOKKEEPING or key != "metadata"}
    if key == "annotations":
        kept = {k: v for k, v in kept.items() if k not in _DROPPED_ANNOTATIONS and len(str(v)) <= _LONG_ANNOTATION}
    return {k: _clean(v, k) for k, v in kept.items()}


def _clean_words(words: list[JsonValue]) -> list[JsonValue]:
    """A word after a flag such as `--password` is what the flag names."""
    clean: list[JsonValue] = []
    for index, word in enumerate(words):
        before = words[index - 1] if index else None
        is_secret = isinstance(before, str) and before.startswith("-") and "=" not in before and is_secret_name(before)
        clean.append(REDACTED if is_secret and isinstance(word, str) and not word.startswith("-") else word)
    return clean
