"""The kinds of KEDA, with the fields that its documentation names and that are used here.

Written from https://keda.sh/docs/latest/reference/scaledobject-spec/ and .../scaledjob-spec/.  They are smaller than
the published definitions and never stricter; where those are at hand, tests use them beside these.
"""

from __future__ import annotations

from tools.cluster.resources import SCALED_JOB, SCALED_OBJECT, Resource
from tools.jsontypes import JsonObject, JsonValue

_ANYTHING: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT: JsonObject = {"type": "string"}
_COUNT: JsonObject = {"type": "integer", "format": "int32", "minimum": 0}
_ONE_OR_MORE: JsonObject = {"type": "integer", "format": "int32", "minimum": 1}
_CONDITIONS: JsonObject = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["status", "type"],
        "properties": {"type": _TEXT, "status": _TEXT, "reason": _TEXT, "message": _TEXT},
    },
}
_TRIGGER: JsonObject = {
    "type": "object",
    "required": ["metadata", "type"],
    "properties": {
        "type": _TEXT,
        "name": _TEXT,
        "metricType": _TEXT,
        "useCachedMetrics": {"type": "boolean"},
        "metadata": {"type": "object", "additionalProperties": _TEXT},
        "authenticationRef": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": _TEXT, "kind": _TEXT},
        },
    },
}
_TRIGGERS: JsonObject = {"type": "array", "minItems": 1, "items": _TRIGGER}
_SCALED_OBJECT: JsonObject = {
    "type": "object",
    "required": ["scaleTargetRef", "triggers"],
    "properties": {
        "scaleTargetRef": {
            "type": "object",
            "required": ["name"],
            "properties": {"apiVersion": _TEXT, "kind": _TEXT, "name": _TEXT, "envSourceContainerName": _TEXT},
        },
        "pollingInterval": _ONE_OR_MORE,
        "cooldownPeriod": _COUNT,
        "initialCooldownPeriod": _COUNT,
        "idleReplicaCount": _COUNT,
        "minReplicaCount": _COUNT,
        "maxReplicaCount": _ONE_OR_MORE,
        "advanced": _ANYTHING,
        "fallback": {
            "type": "object",
            "required": ["failureThreshold", "replicas"],
            "properties": {"failureThreshold": _COUNT, "replicas": _COUNT, "behavior": _TEXT},
        },
        "triggers": _TRIGGERS,
    },
}
_SCALED_JOB: JsonObject = {
    "type": "object",
    "required": ["jobTargetRef", "triggers"],
    "properties": {
        "jobTargetRef": _ANYTHING,
        "pollingInterval": _ONE_OR_MORE,
        "successfulJobsHistoryLimit": _COUNT,
        "failedJobsHistoryLimit": _COUNT,
        "minReplicaCount": _COUNT,
        "maxReplicaCount": _ONE_OR_MORE,
        "rollout": _ANYTHING,
        "scalingStrategy": _ANYTHING,
        "triggers": _TRIGGERS,
    },
}
_STATUS: JsonObject = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {"conditions": _CONDITIONS},
}


def _definition(resource: Resource, short: str, spec: JsonObject) -> JsonObject:
    head: JsonObject = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": {"type": "object"}}
    parts: JsonObject = {**head, "spec": spec, "status": _STATUS}
    schema: JsonObject = {"type": "object", "required": ["spec"], "properties": parts}
    version: JsonObject = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names: JsonObject = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.kind.lower(),
        "shortNames": [short],
    }
    versions: list[JsonValue] = [version]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {"group": resource.group, "scope": "Namespaced", "names": names, "versions": versions},
    }


DEFINITIONS = (_definition(SCALED_OBJECT, "so", _SCALED_OBJECT), _definition(SCALED_JOB, "sj", _SCALED_JOB))
