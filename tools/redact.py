"""Takes secrets out of text and makes invisible characters visible, before text is kept, shown or given to a model.

Logs, kubelet messages and environment values are written by others: they may hold credentials, and characters that
show one thing to a person and another to a program.  The rule: whatever leaves the process as text went through
`excerpt` (or `redact` and `visible`) first.  Redaction works by pattern and errs on the side of hiding; it cannot know
a secret that looks like a plain word and stands behind a harmless name.

All patterns are bounded, so the cost is linear in the text.  Neighbours: `graph.signals` and `tools.journal.diffs`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

REDACTED = "[REDACTED]"

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", re.DOTALL)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?")
_SCHEME = re.compile(r"(?i)\b(bearer|basic|negotiate)(\s{1,3})(?!\[REDACTED)[A-Za-z0-9+/_.=~-]{8,}")
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)(\s{0,3}:\s{0,3})[^\r\n]+"
)
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)([^\s/@:]{0,100}):([^\s/]{1,300})@")
_URL_TOKEN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)(?!\[REDACTED)[^\s/@:]{16,300}@")
_KNOWN = re.compile(
    r"\b(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}"  # AWS identifiers
    r"|AIza[0-9A-Za-z_-]{35}"  # Google API key
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|sk-[A-Za-z0-9_-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}"
    r"|hv[sb]\.[A-Za-z0-9_-]{20,}|dop_v1_[0-9a-f]{40,}"  # Vault, DigitalOcean
    r")"
)

_WORD = (
    r"(?:pass(?:word|wd|phrase|code)|passwd|[_.-]pass(?![a-z])|[_.-]pwd(?![a-z])|secret|token|credentials?"
    r"|api[ _.-]?key|access[ _.-]?key|private[ _.-]?key|[_-]key(?![a-z])|[_.-]auth(?![a-z])|cookie|signature)"
)
_PAIR = re.compile(
    rf"(?i)(?P<name>{_WORD}[\w.-]{{0,60}})(?P<middle>\\?[\"']?\s{{0,4}}(?:=>|:=|[:=])\s{{0,4}})"
    r"(?P<value>\\?\"[^\"\\\r\n]{0,2000}\\?\"|'[^'\r\n]{0,2000}'|[\"']?[^\s,;&\"'{}()]{1,2000})"
)
_NEAR = re.compile(
    rf"(?i)(?P<name>{_WORD})(?P<middle>(?:\s{{1,3}}(?:is|was))?[\s\"':=]{{1,4}})(?P<value>[A-Za-z0-9+/_=-]{{8,2000}})"
)
_FLAG = re.compile(
    rf"(?i)(?<![\w-])(?P<name>--?[\w-]{{0,40}}{_WORD})(?P<middle>\s{{1,3}})(?P<value>(?!-)[^\s\"']{{1,2000}})"
)

_HARMLESS_NAME = re.compile(r"(?i)(?:names?|refs?|files?|path|dir|seconds|ttl|count|enabled|optional)$|namespace")
_HARMLESS_VALUES = (
    "a an and any are be but cannot configmap error expected expired failed false for found has in invalid is",
    "missing must nil no none not null object of on optional or references required secret the this to true",
    "undefined unset was",
)
_HARMLESS_VALUE = frozenset(word for line in _HARMLESS_VALUES for word in line.split())
_SHORT = 4096
"""Characters of a text whose excerpt is remembered."""
_LONG = 20
"""A word of this length after a secret's name is no word of prose."""
_REFERENCE = re.compile(r"^[a-z0-9./-]+$")
_HEX = re.compile(r"^[0-9a-f]{32,}$")

_SECRET_NAME = re.compile(rf"(?i){_WORD}|^(?:pass|auth|pwd)$|(?:^|[_.-])(?:dsn|salt|otp|pin)(?:$|[_.-])")

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show as nothing, though Unicode does not class them as format characters."""


def redact(text: str) -> str:
    """The text without what looks like a secret; terminal colours go too, since they break words apart.

    After: `redact(redact(t)) == redact(t)`.  Names of things (`Secret shop/web`, `secretName: web`) stay.
    """
    text = _COLOUR.sub("", text)
    text = _PEM.sub(REDACTED, text)
    text = _HEADER.sub(rf"\1\2{REDACTED}", text)
    text = _URL.sub(rf"\1\2:{REDACTED}@", text)
    text = _URL_TOKEN.sub(rf"\1{REDACTED}@", text)
    text = _SCHEME.sub(rf"\1\2{REDACTED}", text)
    text = _JWT.sub(REDACTED, text)
    text = _KNOWN.sub(REDACTED, text)
    text = _PAIR.sub(_hide_pair, text)
    text = _FLAG.sub(_hide_pair, text)
    return _NEAR.sub(_hide_near, text)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def redact_value(name: str, value: str) -> str:
    """A named value (an environment variable): hidden altogether when its name says that it is secret."""
    if value and is_secret_name(name):
        return REDACTED
    return redact(value)


def visible(text: str) -> str:
    r"""The text with every control, format, bidi, zero-width, tag, private and unassigned character as ``\u{hex}``.

    Newline and tab stay.  After: applying it again changes nothing.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if _is_hidden(c) else c for c in text)


def excerpt(text: str, limit: int) -> str:
    """Redacted, visible, and at most `limit` characters; a longer text loses its middle: causes stand at the end."""
    if limit < 1:
        raise ValueError(f"an excerpt of {limit} characters holds nothing: ask for at least one")
    return _remembered(text, limit) if len(text) <= _SHORT else _cut(text, limit)


def _cut(text: str, limit: int) -> str:
    clean = visible(redact(text))
    if len(clean) <= limit:
        return clean
    mark = " … "
    if limit <= len(mark) + 2:
        return clean[:limit]
    room = limit - len(mark)
    head = room - room * 2 // 5
    return clean[:head] + mark + clean[len(clean) - (room - head) :]


_remembered = lru_cache(maxsize=2048)(_cut)
"""The same messages and Events are shown at every look while a recovery is watched; long texts are logs, read once."""


def _hide_pair(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    bare = value.strip("\\\"'")
    if not bare or REDACTED in value or bare.rstrip(".").lower() in _HARMLESS_VALUE or _HARMLESS_NAME.search(name):
        return match[0]
    quote = value[: len(value) - len(value.lstrip("\\\"'"))]
    return f"{name}{match['middle']}{quote}{REDACTED}{value[len(value.rstrip(chr(92) + chr(34) + chr(39))) :]}"


def _hide_near(match: re.Match[str]) -> str:
    value, has_digit = match["value"], any(c.isdigit() for c in match["value"])
    if match["name"].lower() == "secret":
        # Often the name of an object, as in "couldn't find key X in Secret production/web-settings".
        is_value = len(value) >= _LONG and (not _REFERENCE.match(value) or _HEX.match(value) is not None)
    else:
        is_value = has_digit or (len(value) >= _LONG and not _REFERENCE.match(value))
    return f"{match['name']}{match['middle']}{REDACTED}" if is_value else match[0]


def _is_hidden(char: str) -> bool:
    if char in "\n\t":
        return False
    if unicodedata.category(char) in _HIDDEN_CATEGORIES or char in _BLANK:
        return True
    return (
        "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    )  # variation selectors carry hidden bytes


def _escape(char: str) -> str:
    return f"\\u{{{ord(char):x}}}"
