"""Kubernetes protobuf bodies, as far as kubectl sends them: `auth can-i`, `drain`, `create
configmap|secret|namespace|...`.

A message is a table from field number to (name, type); a type is a scalar, `map`, `bytes-map`, `time`, or another
table.
A leading `*` is a list.  Numbers are those of the `generated.proto` files of k8s.io/api.  What the tables do not
name is
skipped; a kind that has no table is refused with 415.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

from evals.simulator.api.errors import ApiError, bad_request
from evals.simulator.objects import stamp
from tools.jsontypes import JsonObject, JsonValue

MAGIC = b"k8s\x00"
_Table = dict[int, tuple[str, str]]

_TABLES: dict[str, _Table] = {
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "raw")},
    "TypeMeta": {1: ("apiVersion", "str"), 2: ("kind", "str")},
    "ObjectMeta": {
        1: ("name", "str"),
        2: ("generateName", "str"),
        3: ("namespace", "str"),
        5: ("uid", "str"),
        6: ("resourceVersion", "str"),
        11: ("labels", "map"),
        12: ("annotations", "map"),
        13: ("ownerReferences", "*OwnerReference"),
        14: ("finalizers", "*str"),
    },
    "OwnerReference": {
        1: ("kind", "str"),
        3: ("name", "str"),
        4: ("uid", "str"),
        5: ("apiVersion", "str"),
        6: ("controller", "bool"),
        7: ("blockOwnerDeletion", "bool"),
    },
    "SelfSubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "AccessSpec")},
    "AccessSpec": {1: ("resourceAttributes", "ResourceAttributes"), 2: ("nonResourceAttributes", "PathAttributes")},
    "ResourceAttributes": {
        1: ("namespace", "str"),
        2: ("verb", "str"),
        3: ("group", "str"),
        4: ("version", "str"),
        5: ("resource", "str"),
        6: ("subresource", "str"),
        7: ("name", "str"),
    },
    "PathAttributes": {1: ("path", "str"), 2: ("verb", "str")},
    "SelfSubjectRulesReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "RulesSpec")},
    "RulesSpec": {1: ("namespace", "str")},
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
    "Eviction": {1: ("metadata", "ObjectMeta"), 2: ("deleteOptions", "DeleteOptions")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"),
        2: ("preconditions", "Preconditions"),
        4: ("propagationPolicy", "str"),
        5: ("dryRun", "*str"),
    },
    "Preconditions": {1: ("uid", "str"), 2: ("resourceVersion", "str")},
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map"),
        3: ("binaryData", "bytes-map"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "bytes-map"),
        3: ("type", "str"),
        4: ("stringData", "map"),
        5: ("immutable", "bool"),
    },
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "Role": {1: ("metadata", "ObjectMeta"), 2: ("rules", "*PolicyRule")},
    "ClusterRole": {1: ("metadata", "ObjectMeta"), 2: ("rules", "*PolicyRule")},
    "PolicyRule": {
        1: ("verbs", "*str"),
        2: ("apiGroups", "*str"),
        3: ("resources", "*str"),
        4: ("resourceNames", "*str"),
        5: ("nonResourceURLs", "*str"),
    },
    "RoleBinding": {1: ("metadata", "ObjectMeta"), 2: ("subjects", "*Subject"), 3: ("roleRef", "RoleRef")},
    "ClusterRoleBinding": {1: ("metadata", "ObjectMeta"), 2: ("subjects", "*Subject"), 3: ("roleRef", "RoleRef")},
    "Subject": {1: ("kind", "str"), 2: ("apiGroup", "str"), 3: ("name", "str"), 4: ("namespace", "str")},
    "RoleRef": {1: ("apiGroup", "str"), 2: ("kind", "str"), 3: ("name", "str")},
    "TokenRequest": {1: ("metadata", "ObjectMeta"), 2: ("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {1: ("audiences", "*str"), 4: ("expirationSeconds", "int")},
}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        if at >= len(data) or shift > 63:
            raise bad_request("protobuf body is cut off")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value): an integer, or the bytes of anything longer."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise bad_request(f"protobuf wire type {wire} is not used by Kubernetes")
        yield number, data[at : at + size]
        at += size


def _entry(data: bytes, *, encoded: bool) -> tuple[str, str]:
    parts = {n: v for n, v in _fields(data) if isinstance(v, bytes)}
    value = parts.get(2, b"")
    return parts.get(1, b"").decode(), base64.b64encode(value).decode() if encoded else value.decode()


def _value(value: int | bytes, type_: str) -> JsonValue:
    if isinstance(value, int):
        return bool(value) if type_ == "bool" else value - 2**64 if value >= 2**63 else value
    if type_ in {"str", "raw"}:
        return value.decode() if type_ == "str" else base64.b64encode(value).decode()
    if type_ == "time":
        seconds = next((v for n, v in _fields(value) if n == 1 and isinstance(v, int)), 0)
        return stamp(datetime.fromtimestamp(seconds, UTC))
    return _message(value, type_)


def _message(data: bytes, name: str) -> JsonObject:
    table, found = _TABLES[name], dict[str, JsonValue]()
    for number, value in _fields(data):
        if number not in table:
            continue
        field, type_ = table[number]
        if type_ in {"map", "bytes-map"} and isinstance(value, bytes):
            key, text = _entry(value, encoded=type_ == "bytes-map")
            inner = found.setdefault(field, {})
            if isinstance(inner, dict):
                inner[key] = text
        elif type_.startswith("*"):
            listed = found.setdefault(field, [])
            if isinstance(listed, list):
                listed.append(_value(value, type_[1:]))
        elif not (type_ == "str" and value == b""):
            found[field] = _value(value, type_)
    return found


def decode(data: bytes) -> JsonObject:
    """The object of a protobuf body.  Raises 415 for a kind without a table, remedy in the message."""
    if not data.startswith(MAGIC):
        raise bad_request("protobuf body without the Kubernetes prefix")
    envelope = _message(data[4:], "Unknown")
    meta, raw = envelope.get("typeMeta"), envelope.get("raw")
    kind = str(meta.get("kind", "")) if isinstance(meta, dict) else ""
    if kind not in _TABLES or not isinstance(raw, str):
        text = (
            f"{kind} as protobuf is not understood by this simulator: send JSON, for kubectl a manifest "
            f"(`kubectl create -f`)"
        )
        raise ApiError(415, text, details={})
    found = _message(base64.b64decode(raw), kind)
    return {**found, **(meta if isinstance(meta, dict) else {})}
