"""Edits with only what a test says of them; all else is left as it is."""

from __future__ import annotations

from typing import Any

from tests.tools.executors.objects import container, deployment
from tools import registry
from tools.executors.actions import AnyAction
from tools.executors.base import Situation
from tools.executors.kubernetes.edit.template import EditExecutor
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject, JsonValue

OUT, SAME = ReasonCode.PARAM_OUT_OF_RANGE, ReasonCode.NO_CHANGE
REGISTRIES = ("registry.example/shop", "mirror:5000")
PLAIN: dict[str, dict[str, Any]] = {
    "set_image": {"container": "main"},
    "set_probe": {
        "container": "main", "probe": "liveness", "path": None, "port": None, "scheme": None,
        "initial_delay_seconds": None, "period_seconds": None, "timeout_seconds": None, "failure_threshold": None,
    },
    "set_env": {"container": "main", "variable": "MODE", "operation": "literal",
                "value": None, "config_map": None, "key": None},
    "set_command": {"container": "main", "command": None, "args": None},
    "set_placement": {"node_selector": [], "drop_required": [], "soften_spread": False, "default_scheduler": False},
    "set_security_context": {
        "container": "main", "run_as_non_root": False, "run_as_user": None, "forbid_privilege_escalation": False,
        "drop_all_capabilities": False, "runtime_default_seccomp": False, "read_only_root_filesystem": False,
    },
    "set_service": {"selector": [], "ports": []},
}  # fmt: skip


def ask(tool: str, /, **wanted: Any) -> AnyAction:
    where = {"namespace": "shop", "name": "web"} | ({} if tool == "set_service" else {"kind": "Deployment"})
    return registry.parse(tool, {**where, **PLAIN[tool], **wanted})


def executor(tool: str) -> EditExecutor[Any]:
    made = registry.executors(image_registries=REGISTRIES)[tool]
    assert isinstance(made, EditExecutor)
    return made


def at(*, init: JsonObject | None = None, pod: JsonObject | None = None, **fields: JsonValue) -> Situation:
    """A Deployment whose second container is `main`, with these fields."""
    live = deployment(containers=[container("side"), container(**fields)])
    spec = live["spec"]["template"]["spec"]  # type: ignore[index, call-overload]
    spec |= pod or {}  # type: ignore[operator, assignment]
    if init is not None:
        spec["initContainers"] = [init]  # type: ignore[index, call-overload]
    return Situation(live)


def answer(action: AnyAction, situation: Situation) -> ReasonCode | None:
    refused = executor(action.tool).precondition(action, situation)
    return None if refused is None else refused.code
