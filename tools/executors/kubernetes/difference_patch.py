"""From differences to one patch: which places are written, and what stands there afterwards.

The rule: a place is named so that its neighbours cannot shift under it.  A field is its own place; where an item comes
into a list or leaves it, the place is the whole list.  Then each place is tested for what it holds, written once, and
restored once.

Neighbours: `tools.journal.compare` finds the differences, `objects` writes the places.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from tools.executors.patch import find, operation, pointer, split, tested
from tools.journal.compare import Difference
from tools.jsontypes import JsonObject, JsonValue


class CannotApply(ValueError):
    """A difference does not fit the object it was found in."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place, what it holds and what it is to hold.  The `has_` flags tell null from not there."""

    path: str
    has_was: bool
    was: JsonValue
    has_then: bool
    then: JsonValue

    def operations(self) -> list[JsonObject]:
        """Test what it holds, where that can be tested, then write it; the version fences the whole patch besides."""
        change = tested(self.path, self.was) if self.has_was else []
        if self.has_then:
            return [*change, operation("replace" if self.has_was else "add", self.path, self.then)]
        return [*change, operation("remove", self.path)] if self.has_was else change


def applied(live: JsonObject, found: Sequence[Difference]) -> JsonObject:
    """A copy of `live` with the differences carried out in their order.  Raises CannotApply."""
    result = copy.deepcopy(live)
    for one in found:
        *above, last = split(one.path)
        there, holder = find(result, pointer(*above))
        if not there:
            raise CannotApply(f"{one.path} leads nowhere")
        _put(holder, last, one)
    return result


def places(live: JsonObject, wanted: JsonObject, found: Sequence[Difference]) -> tuple[Place, ...]:
    """The places that lead from `live` to `wanted`, which is `applied(live, found)`; none lies within another."""
    paths = sorted({_place_of(live, one) for one in found}, key=lambda path: (len(split(path)), path))
    apart: list[str] = []
    for path in paths:
        if not any(path == other or path.startswith(other + "/") for other in apart):
            apart.append(path)
    return tuple(Place(path, *find(live, path), *find(wanted, path)) for path in sorted(apart))


def _place_of(live: JsonObject, one: Difference) -> str:
    above = pointer(*split(one.path)[:-1])
    is_item = isinstance(find(live, above)[1], list)
    return above if is_item and not (one.has_now and one.has_then) else one.path


def _put(holder: JsonValue, last: str, one: Difference) -> None:
    """Carry one difference out, in place.  Raises CannotApply."""
    if isinstance(holder, dict):
        if one.has_then:
            holder[last] = copy.deepcopy(one.then)
        else:
            holder.pop(last, None)
    elif isinstance(holder, list) and last == "-" and one.has_then:
        holder.append(copy.deepcopy(one.then))
    elif isinstance(holder, list) and last.isdecimal() and int(last) < len(holder):
        if one.has_then:
            holder[int(last)] = copy.deepcopy(one.then)
        else:
            del holder[int(last)]
    else:
        raise CannotApply(f"{one.path} is no place in the object")
