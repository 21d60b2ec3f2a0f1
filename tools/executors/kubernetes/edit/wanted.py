"""Single fields as they should be, and the JSON patch that makes them so.

The rule: what is patched and what is declared are two views of the same list.  A field whose parents are not there is
declared at the topmost one that is missing, and an item that is taken out of a list declares the list, since the ones
behind it move up; so that putting back what is declared restores the object to the byte.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tools.executors.compare import same
from tools.executors.patch import find, operation, pointer
from tools.jsontypes import JsonObject, JsonValue

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """The field should hold this value.  In a list the index is that of an item, or one past the last for a new one."""

    path: Path
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Take:
    """The field should not be there."""

    path: Path


Wanted: TypeAlias = Put | Take


def pending(live: JsonObject, wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """What is not yet as it should be."""
    return tuple(w for w in wanted if not _holds(live, w))


def declared(live: JsonObject, wanted: Iterable[Wanted]) -> tuple[str, ...]:
    """Pointers of what the wanted fields change, each once, in order."""
    return tuple(dict.fromkeys(pointer(*_declared(live, w)) for w in pending(live, wanted)))


def operations(live: JsonObject, wanted: Sequence[Wanted]) -> list[JsonObject]:
    """The patch operations that change exactly what is declared.

    Before: of several items taken out of one list the last stands first, so that no index is stale.
    """
    made: list[JsonObject] = []
    after = applied(live, wanted)
    for w in pending(live, wanted):
        if isinstance(w, Take):
            made.append(operation("remove", pointer(*w.path)))
            continue
        path = pointer(*_declared(live, w))
        op = operation("replace" if _is_there(live, path) else "add", path, find(after, path)[1])
        if op not in made:  # two fields below one missing parent are one operation
            made.append(op)
    return made


def applied(live: JsonObject, wanted: Iterable[Wanted]) -> JsonObject:
    """A copy of the object in which every field is as it should be."""
    result = copy.deepcopy(live)
    for w in pending(live, wanted):
        parent = _parent(result, w.path)
        _write(parent, w.path[-1], w)
    return result


def _holds(live: JsonObject, wanted: Wanted) -> bool:
    path = pointer(*wanted.path)
    if isinstance(wanted, Take):
        return not _is_there(live, path)
    return _is_there(live, path) and same(find(live, path)[1], wanted.value)


def _is_there(live: JsonObject, path: str) -> bool:
    there, value = find(live, path)
    return there and value is not None


def _declared(live: JsonObject, wanted: Wanted) -> Path:
    if isinstance(wanted, Take):
        return wanted.path[:-1] if isinstance(wanted.path[-1], int) else wanted.path
    above = (wanted.path[:depth] for depth in range(1, len(wanted.path)))
    return next((path for path in above if not _is_there(live, pointer(*path))), wanted.path)


def _parent(result: JsonObject, path: Path) -> JsonValue:
    """The container of the last segment; maps and lists that are missing are made."""
    here: JsonValue = result
    for segment, below in itertools.pairwise(path):
        if isinstance(here, dict):
            if here.get(str(segment)) is None:
                here[str(segment)] = [] if isinstance(below, int) else {}
            here = here[str(segment)]
        elif isinstance(here, list) and isinstance(segment, int):
            here = here[segment]
    return here


def _write(parent: JsonValue, last: str | int, wanted: Wanted) -> None:
    if isinstance(parent, dict):
        if isinstance(wanted, Put):
            parent[str(last)] = wanted.value
        else:
            parent.pop(str(last), None)
    elif isinstance(parent, list) and isinstance(last, int):
        if isinstance(wanted, Take):
            del parent[last]
        elif last < len(parent):
            parent[last] = wanted.value
        else:
            parent.append(wanted.value)
