"""Exact differences between two pod templates, as a person reads them, and what going there would loosen.

Paths name list items by what identifies them (`containers[app].env[MODE]`), never by position.  The rule: no value
leaves this module unredacted; an environment variable with a secret-like name shows only that it differs.
Neighbours: `revisions` brings the templates; `graph.rules` decides on the changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tools.jsontypes import JsonObject, JsonValue, canonical, dig, dig_list, dig_object, dig_str
from tools.redact import REDACTED, excerpt, is_secret_name

VALUE_LIMIT: Final = 400
_KEYS: Final = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
}
"""What identifies an item of a list; https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy."""
HASH_LABELS: Final = frozenset({"pod-template-hash", "controller-revision-hash", "pod-template-generation"})
"""Labels that controllers put on pods to tell revisions apart; they are no part of what somebody wrote."""
_PLAIN: Final = re.compile(r"^[A-Za-z0-9_-]+$")
_SECRET_FLAG: Final = re.compile(r"^--?[\w-]+$")
_CONTEXT: Final = 60


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs: what it is now and what it would be then; "" when it is not there.

    Values are redacted and at most `VALUE_LIMIT` characters; long ones are shown around the first difference.
    """

    path: str
    now: str
    then: str


def normal_template(template: JsonObject) -> JsonObject:
    """The template without what controllers and the server add: hash labels, patch directives, empty metadata."""
    labels = {k: v for k, v in dig_object(template, "metadata", "labels").items() if k not in HASH_LABELS}
    annotations = dig_object(template, "metadata", "annotations")
    metadata: JsonObject = {}
    if labels:
        metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": dig_object(template, "spec")}


def same_template(one: JsonObject, other: JsonObject) -> bool:
    """Whether both make the same pods."""
    return canonical(normal_template(one)) == canonical(normal_template(other))


def diff_templates(now: JsonObject, then: JsonObject) -> list[Change]:
    """Every field that differs, each once; fields of the pod's spec first, labels and annotations last."""
    before, after = normal_template(now), normal_template(then)
    changes = [
        *_walk("", before["spec"], after["spec"], ""),
        *_walk("metadata", before["metadata"], after["metadata"], ""),
    ]
    return sorted(changes, key=lambda c: (c.path.startswith("metadata"), c.path))


def loosened(now: JsonObject, then: JsonObject) -> tuple[str, ...]:
    """Rules of the Pod Security Standards that `now` keeps and `then` would break, as phrases; sorted.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    return tuple(sorted(_broken_rules(then) - _broken_rules(now)))


def _walk(path: str, now: JsonValue, then: JsonValue, name: str) -> Iterator[Change]:
    if now == then:
        return
    if isinstance(now, dict) and isinstance(then, dict):
        yield from _walk_object(path, now, then)
    elif (keyed := _keyed(path, now, then)) is not None:
        yield from _walk_object(path, *keyed, is_list=True)
    else:
        yield change(path, hidden(now, name), hidden(then, name))


def _walk_object(path: str, now: JsonObject, then: JsonObject, *, is_list: bool = False) -> Iterator[Change]:
    for key in sorted({*now, *then}):
        below = join(path, key, is_list=is_list)
        one, other = now.get(key), then.get(key)
        if isinstance(one, dict | None) and isinstance(other, dict | None) and key not in _KEYS and not is_list:
            yield from _walk(below, one or {}, other or {}, "")
        else:
            yield from _walk(below, one, other, _variable_of(path, key, now, then))


def _variable_of(path: str, key: str, now: JsonObject, then: JsonObject) -> str:
    """The variable whose value stands under `key`; "" when it is no value of a variable."""
    if key != "value" or ".env[" not in path:
        return ""
    return dig_str(now, "name") or dig_str(then, "name")


def _keyed(path: str, now: JsonValue, then: JsonValue) -> tuple[JsonObject, JsonObject] | None:
    """Both lists as objects by their items' identity; None when they have none, or one occurs twice."""
    key = _KEYS.get(path.rpartition(".")[2])
    if key is None:
        return None
    sides: list[JsonObject] = []
    for value in (now, then):
        items = value if isinstance(value, list) else []
        if value is not None and not isinstance(value, list):
            return None
        side: JsonObject = {str(dig(item, key)): item for item in items if dig(item, key) is not None}
        if len(side) != len(items):
            return None
        sides.append(side)
    return sides[0], sides[1]


def join(path: str, key: str, *, is_list: bool) -> str:
    """One step further down: `.key` where that is plain, `[key]` for list items and odd keys."""
    if is_list or not _PLAIN.match(key):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def hidden(value: JsonValue, variable: str) -> JsonValue:
    """The value with what is secret in it by structure: variables by their names, flags by theirs."""
    if variable and isinstance(value, str) and value and is_secret_name(variable):
        return REDACTED
    if isinstance(value, dict):
        name = dig_str(value, "name") if "value" in value else ""
        return {k: hidden(v, name if k == "value" else "") for k, v in value.items()}
    if isinstance(value, list):
        return [_hide_after_flag(value, i) for i in range(len(value))]
    return value


def _hide_after_flag(items: list[JsonValue], index: int) -> JsonValue:
    before = items[index - 1] if index else None
    item = items[index]
    follows = isinstance(before, str) and _SECRET_FLAG.match(before) and is_secret_name(before)
    if follows and isinstance(item, str) and not item.startswith("-"):
        return REDACTED
    return hidden(item, "")


def change(path: str, now: JsonValue, then: JsonValue) -> Change:
    """A change whose values are redacted by pattern and cut; hide what is secret by structure before (`hidden`)."""
    one, other = _text(now), _text(then)
    if max(len(one), len(other)) > VALUE_LIMIT and one and other:
        start = max(0, _shared(one, other) - _CONTEXT)
        one, other = _from(one, start), _from(other, start)
    if one == other:  # the difference lies in what is hidden
        other = f"{other} (another value)"
    return Change(path=path, now=excerpt(one, VALUE_LIMIT), then=excerpt(other, VALUE_LIMIT))


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _from(text: str, start: int) -> str:
    return f"… {text[start:]}" if start else text


def _text(value: JsonValue) -> str:
    """Redacted as a whole, before anything is cut: half a secret is no longer recognised."""
    if value is None:
        return ""
    if isinstance(value, str):
        return excerpt(value, max(1, 2 * len(value) + 64)) if value else '""'
    text = canonical(value).decode()
    return excerpt(text, 2 * len(text) + 64)


def _broken_rules(template: JsonObject) -> set[str]:
    spec = dig_object(template, "spec")
    broken = {f"{field} is used" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field) is True}
    if any(dig(volume, "hostPath") is not None for volume in dig_list(spec, "volumes")):
        broken.add("a folder of the node is mounted")
    if dig_list(spec, "securityContext", "sysctls"):
        broken.add("kernel parameters are set")
    pod = dig_object(spec, "securityContext")
    for container in (*dig_list(spec, "initContainers"), *dig_list(spec, "containers")):
        broken |= _broken_by(container, pod)
    return broken


def _broken_by(container: JsonValue, pod: JsonObject) -> set[str]:
    own = dig_object(container, "securityContext")
    user = own.get("runAsUser", pod.get("runAsUser"))
    seccomp = dig_str(own, "seccompProfile", "type") or dig_str(pod, "seccompProfile", "type")
    drops = {str(c) for c in dig_list(own, "capabilities", "drop")}
    adds = {str(c) for c in dig_list(own, "capabilities", "add")} - {"NET_BIND_SERVICE"}
    rules = {
        "a container is privileged": own.get("privileged") is True,
        "privilege escalation is allowed": own.get("allowPrivilegeEscalation") is not False,
        "running as root is allowed": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True,
        "a container runs as user 0": user == 0 and not isinstance(user, bool),
        "no seccomp profile is set": seccomp not in ("RuntimeDefault", "Localhost"),
        "seccomp is off": seccomp == "Unconfined",
        "capabilities are not dropped": "ALL" not in drops,
        "a port of the node is used": any(dig(p, "hostPort") for p in dig_list(container, "ports")),
        "the proc mount is unmasked": own.get("procMount") == "Unmasked",
    }
    return {rule for rule, is_broken in rules.items() if is_broken} | {f"capability {c} is added" for c in adds}
