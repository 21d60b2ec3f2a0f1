"""Earlier pod templates of a workload: where Kubernetes keeps them, and under which numbers.

A Deployment's are in the ReplicaSets it controls, a StatefulSet's and a DaemonSet's in ControllerRevisions, whose
`data` is a strategic-merge patch that replaces the template (`$patch: replace`).
The rule: ownership is by uid; a revision whose template cannot be read is no revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.cluster.resources import CONTROLLER_REVISION, REPLICA_SET
from tools.executors.base import Reader
from tools.executors.compare import same
from tools.executors.kubernetes.common import controlled_by, selector_of, template_of
from tools.jsontypes import JsonObject, dig_int, dig_object, dig_str

REVISION: Final = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, slots=True)
class Revision:
    """One earlier template; `is_current` when the workload has it now."""

    number: int
    name: str
    template: JsonObject
    is_current: bool


async def read_revisions(workload: JsonObject, cluster: Reader) -> tuple[Revision, ...]:
    """All revisions that Kubernetes still keeps of `workload`, oldest first.  Raises `ToolError`."""
    namespace = dig_str(workload, "metadata", "namespace")
    if dig_str(workload, "kind") == "Deployment":
        items = await cluster.list(REPLICA_SET, namespace, label_selector=selector_of(workload))
        found = [_from_replica_set(item, workload) for item in controlled_by(items, workload)]
    else:
        items = await cluster.list(CONTROLLER_REVISION, namespace, label_selector=selector_of(workload))
        found = [_from_controller_revision(item, workload) for item in controlled_by(items, workload)]
    return tuple(sorted((r for r in found if r is not None), key=lambda r: r.number))


def _from_replica_set(item: JsonObject, workload: JsonObject) -> Revision | None:
    number = dig_str(item, "metadata", "annotations", REVISION)
    template = template_of(item)
    if not number.isdecimal() or not template:
        return None
    current = same(template, template_of(workload))
    return Revision(int(number), dig_str(item, "metadata", "name"), template, current)


def _from_controller_revision(item: JsonObject, workload: JsonObject) -> Revision | None:
    number = dig_int(item, "revision")
    patch = dig_object(item, "data", "spec", "template")
    if number is None or patch.get("$patch") != "replace":
        return None
    template = template_of({"spec": {"template": {k: v for k, v in patch.items() if k != "$patch"}}})
    return Revision(number, dig_str(item, "metadata", "name"), template, same(template, template_of(workload)))
