"""How ill a namespace is, as a number that can be compared before and after.

Severity is the weak oracle of a repair (GR-19): missing ready pods and pods that report a confirmed failure, over the
whole namespace, so that a remedy that shifts the trouble next door is seen.
"""

from __future__ import annotations

from graph.facts import counters
from graph.incident import Value
from graph.ports import Ports
from graph.signals.look import look_at_root


class Vitals(Value):
    """One look at a namespace."""

    missing: int
    """Ready pods wanted and not there, over all workloads."""
    failing: tuple[str, ...]
    """Uids of objects with a confirmed signal, sorted."""
    owners: tuple[str, ...] = ()
    """Uids of the workloads they belong to, sorted."""

    @property
    def severity(self) -> int:
        """Larger is worse; a missing pod weighs as much as a failing one."""
        return self.missing + len(self.failing)


def vitals(namespace: str | None, ports: Ports) -> Vitals:
    """Look at the namespace through the watch; costs no request."""
    now = ports.clock.now()
    missing = 0
    failing: set[str] = set()
    owners: set[str] = set()
    for workload in ports.mirror.workloads(namespace):
        desired, _, ready, _, _ = counters(workload)
        missing += max(0, desired - ready)
        confirmed = [s.uid for s in look_at_root(workload, ports.contexts, now) if s.confirmed]
        failing.update(confirmed)
        if confirmed:
            owners.add(workload.uid)
    return Vitals(missing=missing, failing=tuple(sorted(failing)), owners=tuple(sorted(owners)))
