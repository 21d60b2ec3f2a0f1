"""Two manifests of one object: what must be put into the live one so that it says what is wanted.

One comparison serves both the search for drift and the executor that reverts it, so that what was shown is what is
written.  The rule: a difference names the place in the *live* object by JSON pointer, with what stands there and what
should; applied in the order given, each pointer is right at its turn (changes first, then removals from the end of a
list, then additions behind it).  A Secret's content is never looked at.

Neighbours: `fields` has the facts about Kubernetes' fields; `candidates` shows differences, redacted; the executors of
`revert_fields` and `restore_object` write them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from tools.executors.compare import same, without_nulls
from tools.executors.patch import operation, pointer
from tools.journal.fields import (
    SERVER_METADATA,
    filled_in,
    identity,
    is_bookkeeping,
    is_closed,
    is_filled,
    is_of_delivery,
    is_quantity,
    is_word,
    key_of,
    says_nothing,
)
from tools.jsontypes import JsonObject, JsonValue
from tools.quantity import parse_quantity


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the live object says something else than it should.

    `path` points into the live object; its last segment is `-` where an item must be added to a list.  `has_now` and
    `has_then` say whether something stands there, and should; `now` and `then` are None where they do not.  Values are
    not redacted: they are for writing, not for showing.
    """

    path: str
    has_now: bool
    now: JsonValue
    has_then: bool
    then: JsonValue


def normal(manifest: JsonObject) -> JsonObject:
    """The manifest as people would write it: no status, no server-managed metadata, no notes of controllers or ours.

    What people tell us by annotation (`selfheal.dev/mode`) stays, though it never counts as a difference.
    Of a Secret only the metadata and the type are left.  The argument is not changed.
    """
    return _tidy(_stripped(manifest, keeps_words=True))


def differences(live: JsonObject, wanted: JsonObject, *, partial: bool) -> tuple[Difference, ...]:
    """All that must change in `live`, in an order in which it can be applied; empty when it says what is wanted.

    `partial`: `wanted` is a manifest that people wrote.  A struct field it leaves out has the server's default and is
    no difference, unless the live value is one that no server fills in; maps that people fill (labels, data, requests,
    selectors) and lists are closed, an extra entry is a difference.  Otherwise `wanted` is a full earlier state.
    Quantities are compared by value; null says what absence says.  Neither argument is changed.
    """
    kind = live.get("kind")
    walk = _Walk(kind=kind if isinstance(kind, str) else "", partial=partial)
    before, after = _stripped(live), _stripped(wanted)
    if partial:
        after = filled_in(after)
    heads = ("apiVersion", "kind")
    return tuple(
        walk.objects(
            (),
            {k: v for k, v in before.items() if k not in heads},
            {k: v for k, v in after.items() if k not in heads},
        )
    )


def patch_of(found: tuple[Difference, ...]) -> list[JsonObject]:
    """The JSON Patch that carries the differences out, each guarded by a `test` of what stands there now."""
    patch: list[JsonObject] = []
    for one in found:
        if one.has_now:
            patch.append(operation("test", one.path, one.now))
        if not one.has_then:
            patch.append(operation("remove", one.path))
        else:
            patch.append(operation("replace" if one.has_now else "add", one.path, one.then))
    return patch


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk over both manifests; `before` is the live one."""

    kind: str
    partial: bool

    def objects(self, path: tuple[str, ...], before: JsonObject, after: JsonObject) -> Iterator[Difference]:
        for key in sorted({*before, *after}):
            place = (*path, key)
            if place in _ADDRESSES and not _changes_headless(before.get(key), after.get(key)):
                continue
            if key in after and key in before:
                yield from self.values(place, before[key], after[key])
            elif key in before:
                yield from self._surplus(place, before[key])
            elif not says_nothing(after[key], place, self.kind):
                yield Difference(pointer(*place), has_now=False, now=None, has_then=True, then=after[key])

    def _surplus(self, place: tuple[str, ...], live: JsonValue) -> Iterator[Difference]:
        """What the live object alone has: nothing, a whole, or what people put into a struct that the server filled."""
        if says_nothing(live, place, self.kind) or (self.partial and self._is_delivery(place, live)):
            return
        if self.partial and isinstance(live, dict) and self._may_be_filled(place, live):
            yield from self.objects(place, live, {})
        elif not (self.partial and self._may_be_filled(place, live)):
            yield Difference(pointer(*place), has_now=True, now=live, has_then=False, then=None)

    def _may_be_filled(self, place: tuple[str, ...], live: JsonValue) -> bool:
        """Whether others than people may have put this here, in whole or in part."""
        if place[-1] in _NOTED and isinstance(live, dict):
            return True
        is_peoples = is_closed(place[:-1], self.kind) or is_closed(place, self.kind)
        return not is_peoples and is_filled(place, self.kind, live)

    def _is_delivery(self, place: tuple[str, ...], live: JsonValue) -> bool:
        return len(place) > 1 and place[-2] in _NOTED and is_of_delivery(place[-1], live)

    def values(self, place: tuple[str, ...], before: JsonValue, after: JsonValue) -> Iterator[Difference]:
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.objects(place, before, after)
        elif isinstance(before, list) and isinstance(after, list):
            yield from self.lists(place, before, after)
        elif not (same(before, after) or (is_quantity(place) and _same_quantity(before, after))):
            yield Difference(pointer(*place), has_now=True, now=before, has_then=True, then=after)

    def lists(self, place: tuple[str, ...], before: list[JsonValue], after: list[JsonValue]) -> Iterator[Difference]:
        key = key_of(place[-1], (before, after))
        if key is not None:
            yield from self._keyed(place, before, after, key)
        elif len(before) == len(after) and all(isinstance(item, dict) for item in (*before, *after)):
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from self.values((*place, str(index)), one, other)
        elif not same(before, after):
            yield Difference(pointer(*place), has_now=True, now=before, has_then=True, then=after)

    def _keyed(
        self, place: tuple[str, ...], before: list[JsonValue], after: list[JsonValue], key: tuple[str, ...]
    ) -> Iterator[Difference]:
        wanted = {identity(item, key): item for item in after}
        held = {identity(item, key) for item in before}
        surplus: list[int] = []
        for index, item in enumerate(before):
            name = identity(item, key)
            if name in wanted:
                yield from self.values((*place, str(index)), item, wanted[name])
            else:
                surplus.append(index)
        for index in reversed(surplus):
            yield Difference(pointer(*place, index), has_now=True, now=before[index], has_then=False, then=None)
        for name, item in wanted.items():
            if name not in held:
                yield Difference(pointer(*place, "-"), has_now=False, now=None, has_then=True, then=item)


_NOTED: Final = frozenset({"labels", "annotations"})
_ADDRESSES: Final = frozenset({("spec", "clusterIP"), ("spec", "clusterIPs")})
"""Given by the server and fixed for the object's life; only whether there is one at all is a choice."""


def _changes_headless(before: JsonValue, after: JsonValue) -> bool:
    return _is_headless(before) != _is_headless(after) and before is not None and after is not None


def _is_headless(value: JsonValue) -> bool:
    return value in ("None", ["None"])


def _same_quantity(one: JsonValue, other: JsonValue) -> bool:
    left, right = _quantity(one), _quantity(other)
    return left is not None and left == right


def _quantity(value: JsonValue) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return parse_quantity(str(value))
    except ValueError:
        return None


def _stripped(manifest: JsonObject, *, keeps_words: bool = False) -> JsonObject:
    """Without what the server and controllers write.  Emptied maps stay where they are: pointers lead into them."""
    clean = without_nulls({key: value for key, value in manifest.items() if key != "status"})
    if not isinstance(clean, dict):
        return {}
    if clean.get("kind") == "Secret":
        clean = {key: value for key, value in clean.items() if key not in ("data", "stringData")}
    return _without_notes(clean, keeps_words=keeps_words, is_top=True)


def _without_notes(value: JsonObject, *, keeps_words: bool, is_top: bool = False) -> JsonObject:
    """Down the object and the templates in it; below, only labels and annotations are looked at."""
    copy: JsonObject = {}
    for key, item in value.items():
        if key == "metadata" and isinstance(item, dict):
            copy[key] = _metadata(item, keeps_words=keeps_words, is_top=is_top)
        elif key in ("spec", "template", "jobTemplate") and isinstance(item, dict):
            copy[key] = _without_notes(item, keeps_words=keeps_words)
        else:
            copy[key] = item
    return copy


def _metadata(metadata: JsonObject, *, keeps_words: bool, is_top: bool) -> JsonObject:
    dropped = SERVER_METADATA if is_top else frozenset({"creationTimestamp"})
    copy: JsonObject = {key: value for key, value in metadata.items() if key not in dropped}
    for name in ("labels", "annotations"):
        entries = copy.get(name)
        if isinstance(entries, dict):
            copy[name] = {
                k: v
                for k, v in entries.items()
                if not is_bookkeeping(k, label=name == "labels") or (keeps_words and is_word(k, label=name == "labels"))
            }
    return copy


def _tidy(manifest: JsonObject) -> JsonObject:
    """Without the empty labels and annotations that stripping leaves behind."""
    copy: JsonObject = {}
    for key, value in manifest.items():
        if key == "metadata" and isinstance(value, dict):
            copy[key] = {k: v for k, v in value.items() if not (k in ("labels", "annotations") and v == {})}
        elif key in ("spec", "template", "jobTemplate") and isinstance(value, dict):
            copy[key] = _tidy(value)
        else:
            copy[key] = value
    return copy
