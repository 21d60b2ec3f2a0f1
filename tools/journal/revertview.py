"""What a revert changes, as lines for people: which files, and in the manifests which fields.

The rule is that of `show`: no value is shown unredacted, and of whatever may hold a secret (a Secret of any kind, a
file that is no manifest) only the name is.  The patch itself is never shown.

Neighbours: `reverts` brings the two sides of each file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tools.cluster.resources import KNOWN
from tools.journal.compare import differences, normal
from tools.journal.manifestfiles import SUFFIXES, UnreadableError, read_documents
from tools.journal.show import shown
from tools.jsontypes import JsonObject, dig_str
from tools.redact import excerpt

LINE: Final = 300
MOST_FIELDS: Final = 8
"""Fields shown of one object."""

_Key = tuple[str, str, str]
"""Kind, namespace and name; manifests for Argo CD mostly leave out the namespace."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file, as the bad revision has it and as the good one does; None where it is not there, or not readable."""

    name: str
    word: str
    """What becomes of it: changed, restored or removed."""
    now: bytes | None = None
    then: bytes | None = None


def lines_of(file: FileChange) -> tuple[str, ...]:
    """The file, and below it what changes in its manifests."""
    head = excerpt(f"{file.word} {file.name}", LINE)
    if PurePosixPath(file.name).suffix.lower() not in SUFFIXES or file.now is None or file.then is None:
        return (head,)
    now, then = _manifests(file.now), _manifests(file.then)
    if now is None or then is None:
        return (head,)
    return (head, *(excerpt(f"  {line}", LINE) for key in sorted({*now, *then}) for line in _fields(key, now, then)))


def _fields(key: _Key, now: dict[_Key, JsonObject], then: dict[_Key, JsonObject]) -> Iterator[str]:
    kind, namespace, name = key
    who = f"{namespace}/{kind}/{name}" if namespace else f"{kind}/{name}"
    before, after = now.get(key), then.get(key)
    if before is None or after is None:
        yield f"{who} is {'restored' if before is None else 'removed'}"
        return
    if before == after:
        return
    if kind not in KNOWN or "Secret" in kind:
        yield f"{who} changes"
        return
    found, is_more = shown(differences(before, after, partial=False), before, limit=MOST_FIELDS)
    for one in found:
        yield f"{who} {one.path}: {one.now or '(not there)'} → {one.then or '(not there)'}"
    if is_more:
        yield f"{who} changes in more fields"


def _manifests(content: bytes) -> dict[_Key, JsonObject] | None:
    """The objects of a file; None when it cannot be read, or holds something that is no object with a name."""
    found: dict[_Key, JsonObject] = {}
    try:
        for document in read_documents(content.decode("utf-8")):
            kind, name = dig_str(document, "kind"), dig_str(document, "metadata", "name")
            key = (kind, dig_str(document, "metadata", "namespace"), name)
            if not isinstance(document, dict) or not kind or not name or key in found:
                return None
            found[key] = normal(document)
    except (UnreadableError, UnicodeDecodeError):
        return None
    return found
