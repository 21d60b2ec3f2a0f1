"""Types of well-known fields of built-in kinds: a replica count that is a text never gets as far as validation.

The API server decodes into typed structs and answers 400; here the field's name says its type, which is right for the
names below wherever they occur in built-in kinds.
"""

from __future__ import annotations

from evals.simulator.api.errors import ApiError, bad_request
from evals.simulator.api.kinds import Kind
from tools.jsontypes import JsonObject, JsonValue

_INTEGERS = frozenset(
    {
        *(
            "replicas",
            "revisionHistoryLimit",
            "progressDeadlineSeconds",
            "minReadySeconds",
            "backoffLimit",
            "completions",
        ),
        *("terminationGracePeriodSeconds", "parallelism", "activeDeadlineSeconds", "containerPort", "hostPort"),
        *("periodSeconds", "failureThreshold", "timeoutSeconds", "initialDelaySeconds", "successThreshold"),
        *("minReplicas", "maxReplicas", "ttlSecondsAfterFinished", "averageUtilization", "leaseDurationSeconds"),
    }
)
_BOOLEANS = frozenset({"paused", "suspend", "unschedulable", "hostNetwork", "readOnly", "privileged", "immutable"})
_LISTS = frozenset(
    {
        *("containers", "initContainers", "env", "envFrom", "volumes", "volumeMounts", "command", "args", "ports"),
        *("tolerations", "taints", "finalizers", "ownerReferences", "matchExpressions", "rules", "subjects"),
    }
)
_MAPS = frozenset(
    {"labels", "annotations", "matchLabels", "nodeSelector", "metadata", "spec", "template", "stringData"}
)
_FREE = frozenset({"status", "managedFields", "data", "binaryData"})
_JSON_NAMES: dict[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "bool",
    list: "array",
    dict: "object",
}


def check(kind: Kind, obj: JsonObject) -> None:
    """Raise 400 for the first field whose type is wrong; custom kinds have their own schema."""
    if kind.custom is None:
        _walk(kind, obj, "")


def _walk(kind: Kind, value: JsonValue, path: str) -> None:
    if isinstance(value, list):
        for item in value:
            _walk(kind, item, path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            where = f"{path}.{name}".lstrip(".")
            if name in _FREE or inner is None:
                continue
            _expect(kind, name, inner, where)
            if name in {"labels", "annotations", "matchLabels", "nodeSelector", "stringData"}:
                _strings(kind, inner, where)
            elif name not in {"limits", "requests", "parameters", "schema"}:
                _walk(kind, inner, where)


def _expect(kind: Kind, name: str, value: JsonValue, where: str) -> None:
    wanted = ""
    if name in _INTEGERS and (not isinstance(value, int) or isinstance(value, bool)):
        wanted = "int32"
    elif name in _BOOLEANS and not isinstance(value, bool):
        wanted = "bool"
    elif name in _LISTS and not isinstance(value, list):
        wanted = "slice"
    elif name in _MAPS and not isinstance(value, dict):
        wanted = "map"
    if wanted and not (name == "ports" and path_is_policy(where)):
        raise _mismatch(kind, value, where, wanted)


def path_is_policy(where: str) -> bool:
    """NetworkPolicies have fields of the same names with other types."""
    return where.startswith(("spec.ingress", "spec.egress"))


def _strings(kind: Kind, value: JsonValue, where: str) -> None:
    if not isinstance(value, dict):
        return
    for inner in value.values():
        if not isinstance(inner, str):
            raise _mismatch(kind, inner, where, "string")


def _mismatch(kind: Kind, value: JsonValue, where: str, wanted: str) -> ApiError:
    got = next((text for type_, text in _JSON_NAMES.items() if type(value) is type_), "null")
    version = kind.version
    text = f"json: cannot unmarshal {got} into Go struct field .{where} of type {wanted}"
    return bad_request(f'{kind.kind} in version "{version}" cannot be handled as a {kind.kind}: {text}')
