"""What the healer under test may do: the rules of the roles that the project ships, bound for the whole cluster.

Shipped roles are bound namespace by namespace; here one user holds them everywhere, since every scenario has a
namespace of its own.  So a right that an action needs and no shipped role grants shows as a failed scenario.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import yaml

from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_str

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "manifests"
OWN_TRACES: tuple[JsonObject, ...] = (
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch"]},
)


def healer_role() -> JsonObject:
    """ClusterRole `healer`: every rule of every shipped role, and the healer's own traces."""
    rules: list[JsonValue] = [*OWN_TRACES]
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            found = cast("JsonValue", document)
            if dig_str(found, "kind") in ("Role", "ClusterRole"):
                rules += dig_list(found, "rules")
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "healer"},
        "rules": rules,
    }


def healer_binding() -> JsonObject:
    """The role, bound to user `healer`."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "healer"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "healer"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "healer"}],
    }
