"""A Service that never led anywhere, where the namespace shows exactly one way to repair it.

Nothing is known of how it was meant, so the rule is strict: what is proposed follows from what is there, and where two
repairs would do, none is proposed.  Three cases are decided:

- its selector matches nothing, and all its labels but one are those of exactly one workload;
- it leads to a port name that the workload lacks, and one name is a slip of the pen away, or is the only one;
- it leads to a port number that the workload does not declare, and the workload declares one port alone.

Pure, over facts that the caller read.  Neighbours: `rulebook` asks; a person decides unless the policy trusts the edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tools.executors.models.edit import SelectorEntry, ServicePort, SetService
from tools.refs import ObjectRef

MAX_SLIP: Final = 2
"""Letters added, left out or exchanged in a name that was misspelt."""


@dataclass(frozen=True, slots=True)
class PortFacts:
    """One port of a Service.  `name` is empty when it has none."""

    name: str
    port: int
    target: int | str
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """One Service as it stands.  `pods` is how many pods its selector matches, ready or not."""

    ref: ObjectRef
    selector: Mapping[str, str]
    ports: tuple[PortFacts, ...]
    pods: int


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """One port that a container declares.  `name` is empty when it has none."""

    name: str
    number: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """A workload by what its pods bear: the template's labels and all declared ports of its containers."""

    ref: ObjectRef
    labels: Mapping[str, str]
    ports: tuple[ContainerPort, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """The one edit, and why there is no other."""

    action: SetService
    sentence: str


@dataclass(frozen=True, slots=True)
class _Found:
    """One part of the edit with its reason."""

    change: SelectorEntry | ServicePort
    why: str


def repair(service: ServiceFacts, workloads: Iterable[TemplateFacts]) -> Repair | None:
    """The only repair of the Service; None when nothing is broken, or more than one repair would do.

    Before: `workloads` are all of the namespace; one that is left out could have been the other repair.
    """
    near = [w for w in workloads if w.ref.namespace == service.ref.namespace]
    if service.ref.namespace is None or not service.selector:
        return None
    selected = [w for w in near if not _mismatches(service.selector, w)]
    found: list[_Found] = []
    if not selected and not service.pods:
        hit = _selector(service, near)
        if hit is None:
            return None
        workload, entry = hit
        found.append(entry)
    elif len(selected) == 1:
        workload = selected[0]
    else:
        return None
    found += [part for port in service.ports if (part := _port(port, service, workload)) is not None]
    return _joined(service.ref, found)


def slip(left: str, right: str) -> int:
    """How many letters must be added, left out or exchanged to make one word of the other (Levenshtein)."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        above, row = row, [i]
        for j, b in enumerate(right, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def _mismatches(selector: Mapping[str, str], workload: TemplateFacts) -> list[str]:
    """Keys of the selector that the workload's pods do not bear with that value."""
    return [key for key, value in selector.items() if workload.labels.get(key) != value]


def _selector(service: ServiceFacts, workloads: Sequence[TemplateFacts]) -> tuple[TemplateFacts, _Found] | None:
    """The one workload that bears all labels but one, and there is at least one that it bears."""
    if len(service.selector) < 2:
        return None
    close = [(w, keys[0]) for w in workloads if len(keys := _mismatches(service.selector, w)) == 1]
    if len(close) != 1:
        return None
    workload, key = close[0]
    has = workload.labels.get(key)
    there = f"bears {key}={has}" if has is not None else f"has no label {key}"
    why = (
        f"No pod bears {key}={service.selector[key]}, and only {workload.ref} bears all other labels of the selector; "
        f"it {there}."
    )
    return workload, _Found(SelectorEntry(key=key, value=has), why)


def _port(port: PortFacts, service: ServiceFacts, workload: TemplateFacts) -> _Found | None:
    """The one container port that this port of the Service can have meant; None when it is right or it is open."""
    offered = [p for p in workload.ports if p.protocol == port.protocol]
    taken = {other.target for other in service.ports if other is not port and other.protocol == port.protocol}
    free = [p for p in offered if p.name not in taken and p.number not in taken]
    if isinstance(port.target, str):
        if port.target in {p.name for p in offered}:
            return None
        return _by_name(port, port.target, sorted({p.name for p in free if p.name}), workload)
    if port.target in {p.number for p in offered} or len(offered) != 1 or len(free) != 1:
        return None
    number = free[0].number
    why = f"{workload.ref} declares port {number} and no other, and nothing at {port.target}."
    return _Found(ServicePort(port=port.name or port.port, target_port=number), why)


def _by_name(port: PortFacts, wanted: str, names: Sequence[str], workload: TemplateFacts) -> _Found | None:
    near = [name for name in names if slip(wanted, name) <= min(MAX_SLIP, min(len(wanted), len(name)) - 1)]
    if len(near) == 1:
        why = f"{workload.ref} has no port named {wanted}; {near[0]} is its only name that is spelt nearly so."
        return _Found(ServicePort(port=port.name or port.port, target_port=near[0]), why)
    if near or len(names) != 1:
        return None
    why = f"{workload.ref} has no port named {wanted}, and {names[0]} is the only name that is left."
    return _Found(ServicePort(port=port.name or port.port, target_port=names[0]), why)


def _joined(ref: ObjectRef, found: Sequence[_Found]) -> Repair | None:
    """All parts as one edit; None when there is none, or more than one edit holds."""
    entries = tuple(f.change for f in found if isinstance(f.change, SelectorEntry))
    ports = tuple(f.change for f in found if isinstance(f.change, ServicePort))
    if not found or len(ports) > 8 or ref.namespace is None:
        return None
    action = SetService(action="set_service", namespace=ref.namespace, name=ref.name, selector=entries, ports=ports)
    return Repair(action, _told([f.why for f in found]))


def _told(reasons: Sequence[str]) -> str:
    """The first two in full, which say what the rest is like."""
    more = f" (and {len(reasons) - 2} more of the kind)." if len(reasons) > 2 else ""
    return " ".join(reasons[:2]) + more
