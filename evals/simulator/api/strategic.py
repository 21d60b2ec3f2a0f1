"""Strategic merge patch: lists whose items have a key merge item by item; directives delete, replace, retain and order.

Which lists have keys is schema knowledge; `merge_key` is the part of it that occurs in practice, shared with
server-side apply.  Source: the `patchMergeKey` tags of k8s.io/api.
"""

from __future__ import annotations

from collections.abc import Callable

from evals.simulator.api.errors import bad_request
from evals.simulator.objects import clone
from tools.jsontypes import JsonObject, JsonValue

_ANYWHERE = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "conditions": "type",
    "ownerReferences": "uid",
    "addresses": "type",
    "schedulingGates": "name",
    "resourceClaims": "name",
}
_CONTAINER_LISTS = {"containers", "initContainers", "ephemeralContainers"}
_SETS = {"finalizers", "podCIDRs"}

Path = tuple[str, ...]


def merge_key(path: Path) -> str | None:
    """The key of the list at `path` (field names, list positions left out); None when the list is replaced whole."""
    field, parent = path[-1], path[-2] if len(path) > 1 else ""
    if field == "ports":
        return "containerPort" if parent in _CONTAINER_LISTS else "port" if path == ("spec", "ports") else None
    if field == "addresses" and parent != "status":
        return None
    return _ANYWHERE.get(field)


def is_set(path: Path) -> bool:
    """Whether the list at `path` is a set of plain values that merges by union."""
    return path[-1] in _SETS


def strategic_merge(target: JsonObject, patch: JsonValue, path: Path = ()) -> JsonObject:
    """Apply a patch to a copy of `target`.  Raises 400 for an item that lacks its key."""
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: the body must be an object")
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: clone(v) for k, v in patch.items() if not k.startswith("$")}
    if directive == "delete":
        return {}
    result: JsonObject = dict(target)
    retained = patch.get("$retainKeys")
    if isinstance(retained, list):
        result = {k: v for k, v in result.items() if k in retained}
    for field, value in patch.items():
        if not field.startswith("$"):
            _merge_field(result, field, value, (*path, field))
    for field, order in patch.items():
        if field.startswith("$setElementOrder/") and isinstance(order, list):
            name = field.split("/", 1)[1]
            _reorder(result, name, order, merge_key((*path, name)))
        elif field.startswith("$deleteFromPrimitiveList/") and isinstance(order, list):
            name = field.split("/", 1)[1]
            kept = result.get(name)
            result[name] = [v for v in kept if v not in order] if isinstance(kept, list) else []
    return result


def _merge_field(result: JsonObject, field: str, value: JsonValue, path: Path) -> None:
    old = result.get(field)
    if value is None:
        result.pop(field, None)
    elif isinstance(value, dict):
        if value.get("$patch") == "delete" and len(value) == 1:
            result.pop(field, None)
        else:
            result[field] = strategic_merge(old if isinstance(old, dict) else {}, value, path)
    elif isinstance(value, list):
        result[field] = _merge_list(old if isinstance(old, list) else [], value, path)
    else:
        result[field] = value


def _merge_list(old: list[JsonValue], patch: list[JsonValue], path: Path) -> list[JsonValue]:
    if is_set(path):
        return [*old, *(v for v in patch if v not in old)]
    key = merge_key(path)
    if key is None or not all(isinstance(item, dict) for item in patch):
        return clone(patch)
    if any(isinstance(item, dict) and item.get("$patch") == "replace" and key not in item for item in patch):
        return [clone(item) for item in patch if isinstance(item, dict) and "$patch" not in item]
    result = list(old)
    for item in patch:
        assert isinstance(item, dict)  # noqa: S101 - checked above
        _merge_item(result, item, key, path)
    return result


def _merge_item(result: list[JsonValue], item: JsonObject, key: str, path: Path) -> None:
    if key not in item:
        raise bad_request(f"map: {item} does not contain declared merge key: {key}")
    places = [i for i, have in enumerate(result) if isinstance(have, dict) and have.get(key) == item[key]]
    if item.get("$patch") == "delete":
        for place in reversed(places):
            del result[place]
        return
    if not places:
        result.append(strategic_merge({}, item, path))
        return
    have = result[places[0]]
    result[places[0]] = strategic_merge(have if isinstance(have, dict) else {}, item, path)


def _reorder(result: JsonObject, field: str, order: list[JsonValue], key: str | None) -> None:
    have = result.get(field)
    if not isinstance(have, list):
        return
    wanted = [o.get(key) if isinstance(o, dict) and key else o for o in order]

    def rank(item: JsonValue) -> int:
        value = item.get(key) if isinstance(item, dict) and key else item
        return wanted.index(value) if value in wanted else -1

    listed = sorted((i for i in have if rank(i) >= 0), key=rank)
    others = [i for i in have if rank(i) < 0]
    result[field] = [*listed, *others] if not others else _weave(have, listed, rank)


def _weave(have: list[JsonValue], listed: list[JsonValue], rank: Callable[[JsonValue], int]) -> list[JsonValue]:
    """Items the order does not name stay where they were; the named ones fill the other places in order."""
    turn = iter(listed)
    return [next(turn) if rank(item) >= 0 else item for item in have]
