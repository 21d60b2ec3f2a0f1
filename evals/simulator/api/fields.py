"""Who owns which field: `managedFields`, and server-side apply on top of it.

A field set is a set of paths; a path is a tuple of `f:name`, `k:{"name":"app"}` (item of a keyed list) and `v:"x"`
(member of a set).  Only leaves are listed, which is enough for ownership decisions; lists without keys are leaves.
"""

from __future__ import annotations

import json

from evals.simulator.api.errors import ApiError
from evals.simulator.api.strategic import is_set, merge_key
from evals.simulator.objects import child, clone, objects
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

FieldPath = tuple[str, ...]
_SERVER_SET = {
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "deletionTimestamp",
    "selfLink",
}
_IDENTITY = {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")}


def _item_key(item: JsonValue, key: str) -> str:
    """`k:{...}`; ports carry their protocol too, because 53/TCP and 53/UDP are two ports."""
    if not isinstance(item, dict):
        return "k:null"
    named: JsonObject = {key: item.get(key)}
    if key in {"containerPort", "port"}:
        named["protocol"] = item.get("protocol", "TCP")
    return "k:" + json.dumps(named, separators=(",", ":"), sort_keys=True)


def leaves(value: JsonValue, path: FieldPath = (), names: tuple[str, ...] = ()) -> set[FieldPath]:
    """Every leaf below `value`."""
    if isinstance(value, dict) and value:
        found: set[FieldPath] = set()
        for key, inner in value.items():
            if names == ("metadata",) and key in _SERVER_SET:
                continue
            found |= leaves(inner, (*path, f"f:{key}"), (*names, key))
        return found
    if isinstance(value, list) and names:
        merge = merge_key(names)
        key = merge or ""
        if merge is not None and all(isinstance(i, dict) and key in i for i in value):
            found = set()
            for item in value:
                place = (*path, _item_key(item, key))
                found |= leaves(item, place, names) | {place}
            return found
        if is_set(names):
            return {(*path, "v:" + json.dumps(v)) for v in value}
    return {path}


def changed(before: JsonObject, after: JsonObject) -> set[FieldPath]:
    """Leaves of `after` that `before` does not have with the same value."""
    found: set[FieldPath] = set()
    for path in leaves(after):
        before_value = get(before, path)
        if before_value is None if is_item(path) else before_value != get(after, path):
            found.add(path)
    return found - _IDENTITY


def is_item(path: FieldPath) -> bool:
    """Whether the path names an item of a keyed list itself: to own it is to own that it is there."""
    last = "".join(path[-1:])
    return last.startswith("k:")


def get(obj: JsonValue, path: FieldPath) -> JsonValue:
    """The value at a field path; None when it is not there."""
    for step in path:
        kind, name = step[:2], step[2:]
        if kind == "f:":
            obj = dig(obj, name)
        elif kind == "k:" and isinstance(obj, list):
            obj = next((i for i in obj if _has_key(i, json.loads(name))), None)
        elif kind == "v:" and isinstance(obj, list):
            value = json.loads(name)
            obj = value if value in obj else None
        else:
            return None
    return obj


def _has_key(item: JsonValue, key: JsonObject) -> bool:
    return isinstance(item, dict) and all(item.get(k, "TCP" if k == "protocol" else None) == v for k, v in key.items())


def remove(obj: JsonValue, path: FieldPath) -> None:
    """Take a leaf out of a clone; a keyed item goes when nothing but its key is left."""
    *above, step = path
    parent = get(obj, tuple(above))
    if parent is None:
        return
    if step.startswith("f:") and isinstance(parent, dict):
        parent.pop(step[2:], None)
    elif step.startswith("v:") and isinstance(parent, list):
        value = json.loads(step[2:])
        if value in parent:
            parent.remove(value)
    elif step.startswith("k:") and isinstance(parent, list):
        parent[:] = [i for i in parent if not _has_key(i, json.loads(step[2:]))]
    _prune(obj, path[:-1])


def _prune(obj: JsonValue, path: FieldPath) -> None:
    while path:
        value = get(obj, path)
        if path[-1].startswith("k:"):
            bare = isinstance(value, dict) and not (set(value) - set(json.loads(path[-1][2:])))
            if not bare:
                return
            remove(obj, path)
            return
        if value not in ({}, []) or path in {("f:spec",), ("f:metadata",)}:
            return
        parent = get(obj, path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1][2:], None)
        path = path[:-1]


def encode(paths: set[FieldPath]) -> JsonObject:
    """`fieldsV1`."""
    tree: JsonObject = {}
    for path in sorted(paths):
        node = child(tree, *path)
        if is_item(path):
            node["."] = {}
    return tree


def decode(tree: JsonObject, path: FieldPath = ()) -> set[FieldPath]:
    """The paths of `fieldsV1`; a `.` mark is kept where it means an item of a keyed list."""
    found: set[FieldPath] = set()
    for key, inner in tree.items():
        if key == ".":
            found |= {path} if is_item(path) else set()
            continue
        below = decode(inner, (*path, key)) if isinstance(inner, dict) else set[FieldPath]()
        found |= below or {(*path, key)}
    return found


def owned(obj: JsonObject, manager: str, operation: str, subresource: str = "") -> set[FieldPath]:
    """What a manager owns by that operation."""
    for entry in objects(obj, "metadata", "managedFields"):
        if (dig_str(entry, "manager"), dig_str(entry, "operation"), dig_str(entry, "subresource")) == (
            manager,
            operation,
            subresource,
        ):
            return decode(dig_object(entry, "fieldsV1"))
    return set()


def record(
    obj: JsonObject,
    manager: str,
    operation: str,
    paths: set[FieldPath],
    *,
    now: str,
    subresource: str = "",
    steal: bool,
) -> None:
    """Write ownership into a clone.  `steal` takes the paths from the other managers (an update, or a forced apply)."""
    meta = child(obj, "metadata")
    entries: list[JsonValue] = []
    for entry in objects(meta, "managedFields"):
        mine = (dig_str(entry, "manager"), dig_str(entry, "operation"), dig_str(entry, "subresource"))
        if mine == (manager, operation, subresource):
            if operation == "Update":
                paths = paths | {p for p in decode(dig_object(entry, "fieldsV1")) if get(obj, p) is not None}
            continue
        left = decode(dig_object(entry, "fieldsV1"))
        kept = {p for p in left if not (steal and p in paths) and get(obj, p) is not None}
        if kept:
            entries.append({**entry, "fieldsV1": encode(kept)} if kept != left else entry)
    if paths:
        fresh: JsonObject = {
            "manager": manager,
            "operation": operation,
            "apiVersion": dig_str(obj, "apiVersion"),
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(paths),
        }
        if subresource:
            fresh["subresource"] = subresource
        entries.append(fresh)
    meta["managedFields"] = entries


def show(path: FieldPath) -> str:
    """As conflicts print it: `.spec.template.spec.containers[name="app"].image`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            text += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(step[2:]).items()) + "]"
        else:
            text += f"[{step[2:]}]"
    return text


def apply(live: JsonObject, wanted: JsonObject, manager: str, *, force: bool, now: str) -> JsonObject:
    """Server-side apply of `wanted` onto a live object; the answer is a new object with ownership recorded.

    Raises 409 naming every field another manager holds with another value, unless forced.
    Fields this manager applied before and no longer names are removed, unless somebody else owns them too.
    """
    mine = leaves(wanted) - _IDENTITY
    before = owned(live, manager, "Apply")
    others: dict[FieldPath, list[JsonObject]] = {}
    for entry in objects(live, "metadata", "managedFields"):
        if (dig_str(entry, "manager"), dig_str(entry, "operation")) == (manager, "Apply"):
            continue
        for path in decode(dig_object(entry, "fieldsV1")):
            others.setdefault(path, []).append(entry)
    clashes = {p for p in mine if p in others and not is_item(p) and get(live, p) != get(wanted, p)}
    if clashes and not force:
        raise _conflict(clashes, others)
    merged = _overlay(clone(live), wanted, ())
    above = {path[:depth] for path in mine for depth in range(1, len(path))}  # an empty map that has entries now
    for path in sorted(before - mine - above, key=lambda p: (not is_item(p), p)):
        shared = any(o[: len(path)] == path for o in others) if is_item(path) else path in others
        if not shared:
            remove(merged, path)
    record(merged, manager, "Apply", mine, now=now, steal=False)
    if clashes:
        _take(merged, manager, clashes)
    return merged


def _take(obj: JsonObject, manager: str, paths: set[FieldPath]) -> None:
    entries: list[JsonValue] = []
    for entry in objects(obj, "metadata", "managedFields"):
        if dig_str(entry, "manager") != manager or dig_str(entry, "operation") != "Apply":
            kept = decode(dig_object(entry, "fieldsV1")) - paths
            if not kept:
                continue
            entries.append({**entry, "fieldsV1": encode(kept)})
            continue
        entries.append(entry)
    child(obj, "metadata")["managedFields"] = entries


def _conflict(clashes: set[FieldPath], others: dict[FieldPath, list[JsonObject]]) -> ApiError:
    causes: list[JsonValue] = []
    lines: list[str] = []
    for path in sorted(clashes):
        entry = others[path][0]
        who = f'conflict with "{dig_str(entry, "manager")}"'
        if dig_str(entry, "operation") == "Update":
            who += f" using {dig_str(entry, 'apiVersion')}"
        lines.append(f"{who}: {show(path)}")
        causes.append({"reason": "FieldManagerConflict", "message": who, "field": show(path)})
    many = f"{len(lines)} conflict{'s' if len(lines) > 1 else ''}"
    message = (
        f"Apply failed with {many}: {lines[0]}" if len(lines) == 1 else f"Apply failed with {many}: " + "\n".join(lines)
    )
    return ApiError(409, message, details={"causes": causes})


def _overlay(live: JsonValue, wanted: JsonValue, names: tuple[str, ...]) -> JsonObject:
    assert isinstance(live, dict)  # noqa: S101 - both are objects at every level where this is called
    assert isinstance(wanted, dict)  # noqa: S101
    for field, value in wanted.items():
        path = (*names, field)
        if path[:1] == ("metadata",) and len(path) == 2 and field in _SERVER_SET:
            continue
        have = live.get(field)
        if isinstance(value, dict) and isinstance(have, dict):
            _overlay(have, value, path)
        elif isinstance(value, list) and isinstance(have, list) and (key := merge_key(path)) is not None:
            _overlay_list(have, value, key, path)
        elif isinstance(value, list) and isinstance(have, list) and is_set(path):
            have.extend(v for v in value if v not in have)
        else:
            live[field] = clone(value)
    return live


def _overlay_list(have: list[JsonValue], wanted: list[JsonValue], key: str, path: tuple[str, ...]) -> None:
    for item in wanted:
        mark = json.loads(_item_key(item, key)[2:]) if isinstance(item, dict) and key in item else None
        match = next((i for i in have if mark is not None and _has_key(i, mark)), None)
        if isinstance(match, dict):
            _overlay(match, item, path)
        else:
            have.append(clone(item))
