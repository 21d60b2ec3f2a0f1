"""Whether the fixtures of a scenario are complete: what is waited for before anything is broken.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tests.cluster.mirror import View
from tools.jsontypes import JsonObject, dig_int, dig_list, dig_str

WAITED_FOR = ("Deployment", "StatefulSet", "DaemonSet", "HorizontalPodAutoscaler", "CronJob")


def unhealthy(view: View, references: Sequence[str]) -> list[str]:
    """Fixtures (`Kind/name`) that are not complete yet, each with how far it is."""
    reasons: list[str] = []
    for reference in references:
        wanted, ready = _counts(reference.partition("/")[0], view.get(reference) or {})
        if not wanted or ready != wanted:
            reasons.append(f"{reference}: {ready} of {wanted or '?'} ready")
    return reasons


def _counts(kind: str, found: JsonObject) -> tuple[int, int]:
    """How many there should be, and how many are ready.

    An autoscaler counts once it has metrics, a CronJob once it has fired: before that nobody can tell that it works.
    """
    match kind:
        case "HorizontalPodAutoscaler":
            active = [c for c in dig_list(found, "status", "conditions") if dig_str(c, "type") == "ScalingActive"]
            return 1, int(bool(active) and dig_str(active[0], "status") == "True")
        case "CronJob":
            return 1, int(bool(dig_str(found, "status", "lastScheduleTime")))
        case "DaemonSet":
            wanted = dig_int(found, "status", "desiredNumberScheduled") or 0
            return wanted, dig_int(found, "status", "numberReady") or 0
        case _:
            wanted = dig_int(found, "spec", "replicas") or 0
            settled = dig_int(found, "status", "updatedReplicas") == dig_int(found, "status", "replicas") == wanted
            return wanted, (dig_int(found, "status", "availableReplicas") or 0) if settled else 0
