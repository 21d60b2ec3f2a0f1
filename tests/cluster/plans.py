"""Which plan a scenario expects to wait for approval: a family of actions and a target, never the exact wording.

`object Service/web` is met by any action of the family on that object; `any Service/web` by every action on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.cluster.shapes import ScenarioError, object_reference
from tools.jsontypes import JsonObject, dig_list, dig_str

_FAMILY = {
    "rollback_workload": "workload", "restart_workload": "workload", "scale_workload": "workload",
    "resume_rollout": "workload", "set_resources": "edit",
    "evict_pod": "pod", "delete_pod": "pod",
    "revert_fields": "object", "restore_object": "object", "remove_object": "object",
    "set_image": "edit", "set_probe": "edit", "set_env": "edit", "set_command": "edit", "set_placement": "edit",
    "set_security_context": "edit", "set_service": "edit",
    "cordon_node": "node", "uncordon_node": "node", "drain_node": "node", "remove_taint": "node",
    "rerun_job": "batch", "delete_job": "batch", "resume_cronjob": "batch", "suspend_cronjob": "batch",
    "remove_failed_job": "batch", "recreate_failed_job": "batch",
    "expand_pvc": "storage", "remove_unbound_pvc": "storage", "recreate_unbound_pvc": "storage",
    "set_hpa_bounds": "autoscaling",
    "keda_resume": "autoscaling", "keda_pause": "autoscaling", "keda_set_bounds": "autoscaling",
}  # fmt: skip
"""The families of the actions there are; a new action counts only after it was put here."""
FAMILIES = ("any", *sorted(set(_FAMILY.values())))


@dataclass(frozen=True)
class WantedPlan:
    """One plan that would be right: some step of that family on that object."""

    family: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.family} {self.kind}/{self.name}"


def parse_wanted(value: str, where: str) -> WantedPlan:
    """`family Kind/name`; a name of `*` is any object of the kind."""
    family, _, reference = value.partition(" ")
    if family not in FAMILIES:
        raise ScenarioError(f"{where}: {value!r} has no family; write one of {', '.join(FAMILIES)} and Kind/name")
    return WantedPlan(family, *object_reference(reference.strip(), where))


def is_met(wanted: WantedPlan, account: JsonObject, namespace: str) -> bool:
    """Whether some step of the account's plan is what is wanted."""
    return any(_fits(wanted, step, namespace) for step in planned(account))


def planned(account: JsonObject) -> list[tuple[str, str, str]]:
    """(action, kind, name) of each step of the newest plan."""
    return [
        (dig_str(s, "action"), dig_str(s, "target", "kind"), dig_str(s, "target", "name"))
        for s in dig_list(account, "plan", "steps")
    ]


def _fits(wanted: WantedPlan, step: tuple[str, str, str], namespace: str) -> bool:
    action, kind, name = step
    name_wanted = wanted.name.replace("${NS}", namespace)
    same = kind == wanted.kind and name_wanted in ("*", name)
    return same and wanted.family in ("any", _FAMILY.get(action, action))
