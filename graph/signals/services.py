"""What is wrong with a Service: it selects nothing, leads to a port nobody offers, or leads to the wrong pods.

The rule: a Service whose pods are unready, or whose workload has none, is not at fault: the workload's own signal
speaks.  Here are only faults of the wiring itself.  An ExternalName selects nothing on purpose, and so does a Service
without a selector, unless it had one when it was last good.
Neighbours: `object_contexts` works out who is selected, `objects` has what all kinds share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from graph.incident import Reason, Signal
from graph.signals.findings import APPLYING, PASSING, PATIENT, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import Service
from tools.cluster.objects import Pod
from tools.jsontypes import JsonObject, dig, dig_int, dig_list, dig_object, dig_str
from tools.refs import ObjectRef

SHOWN: Final = 3
"""As many examples as a message names."""


@dataclass(frozen=True, slots=True)
class Behind:
    """One root owner whose pods a Service leads to."""

    owner: ObjectRef
    is_known: bool
    """Its pods were behind the Service when it was last known good."""
    is_alike: bool = True
    """Its pods bear at least one label of the selector that was good: another version of the same thing."""
    offers_port: bool = True
    """Its pods offer the Service's ports, as far as they say which they offer."""


@dataclass(frozen=True, slots=True)
class ServiceContext(ObjectContext):
    """What a Service leads to, and what it led to."""

    pods: tuple[Pod, ...] = ()
    """Pods it selects that live: not ended, not being deleted."""
    awaits: tuple[ObjectRef, ...] = ()
    """Workloads whose pods it will select once there are any, by template or because they name it."""
    strays: tuple[Pod, ...] = ()
    """Living pods that it could have meant: the known good selector matches them or, of a Service that was never
    known good, they bear part of its selector and no other Service selects them."""
    was_good: bool = False
    changed_since_good: bool = False
    """Its selector or ports are not what was known good, or not what is declared."""
    has_lost_selector: bool = False
    """It selects nothing now and names no other host, and it selected pods when it was known good."""
    owners: tuple[Behind, ...] = ()
    """Who is behind it; empty when it is not known who was."""


def detect_service(service: Service, context: ServiceContext, now: datetime) -> list[Signal]:
    """Every fault of the Service's wiring at `now`; empty when it is as it should be."""
    if not selector_of(service.body) and not context.has_lost_selector:
        return []
    return judge(service, context, _findings(service, context), now)


def selector_of(body: JsonObject) -> Mapping[str, str]:
    """What a Service selects by; empty for one that selects nothing by itself (ExternalName, no selector)."""
    if is_elsewhere(body):
        return {}
    return {key: value for key, value in dig_object(body, "spec", "selector").items() if isinstance(value, str)}


def is_elsewhere(body: JsonObject) -> bool:
    """Whether it is another host's name (ExternalName)."""
    return dig_str(body, "spec", "type") == "ExternalName"


def is_headless(body: JsonObject) -> bool:
    """Whether it has no address of its own: its name leads to the pods themselves, and port numbers mean nothing."""
    return dig_str(body, "spec", "clusterIP") == "None"


@dataclass(frozen=True, slots=True)
class Port:
    """One port of a Service, as far as it leads somewhere."""

    name: str
    target: str | int
    protocol: str

    def is_offered_by(self, pod: Pod) -> bool | None:
        """Whether a container of the pod offers it; None when the pod names no port at all, which says nothing."""
        ports = [p for c in pod.spec.containers for p in c.ports]
        ports += [p for c in pod.spec.init_containers if c.restart_policy == "Always" for p in c.ports]
        if isinstance(self.target, str):
            return any((p.name, p.protocol) == (self.target, self.protocol) for p in ports)
        if not ports:
            return None
        return any((p.container_port, p.protocol) == (self.target, self.protocol) for p in ports)


def ports_of(body: JsonObject) -> Iterator[Port]:
    """The ports of a Service; a target that is left out is the port itself."""
    for port in dig_list(body, "spec", "ports"):
        target = dig(port, "targetPort")
        if not isinstance(target, str | int) or isinstance(target, bool):
            target = dig_int(port, "port") or 0
        if isinstance(target, str) and target.isdigit():
            target = int(target)
        name = dig_str(port, "name") or str(dig_int(port, "port") or "")
        yield Port(name, target, dig_str(port, "protocol") or "TCP")


def _findings(service: Service, context: ServiceContext) -> Iterator[Finding]:
    if context.has_lost_selector:
        yield from _lost_selector(context)
    elif context.pods:
        yield from _missing_ports(service, context)
        yield from _wrong_pods(context)
    elif context.strays and not context.awaits:
        yield _without_endpoints(service, context)


def _lost_selector(context: ServiceContext) -> Iterator[Finding]:
    """What it led to still lives, and nothing leads there any more; with nothing left there, it may well be meant."""
    if context.strays:
        text = f"it has no selector, and had one when it was last good; pod {context.strays[0].name} still lives"
        yield Finding(Reason.SERVICE_WITHOUT_ENDPOINTS, text, _grace(context, unknown=PASSING))


def _without_endpoints(service: Service, context: ServiceContext) -> Finding:
    selector = selector_of(service.body)
    stray = context.strays[0]
    shared = {key: stray.metadata.labels[key] for key in selector if key in stray.metadata.labels}
    text = f"the selector {_said(selector)} matches no pod; pod {stray.name} bears {_said(shared) or 'none of it'}"
    return Finding(Reason.SERVICE_WITHOUT_ENDPOINTS, text, _grace(context, unknown=PASSING))


def _missing_ports(service: Service, context: ServiceContext) -> Iterator[Finding]:
    missing = [p for p in ports_of(service.body) if _is_missing(p, service.body, context)]
    if missing:
        listed = ", ".join(f"{p.target} ({p.name}, {p.protocol})" for p in missing[:SHOWN])
        text = f"none of the {len(context.pods)} pods it selects offers the port it leads to: {listed}"
        yield Finding(Reason.SERVICE_PORT_MISSING, text, _grace(context, unknown=PATIENT))


def _is_missing(port: Port, body: JsonObject, context: ServiceContext) -> bool:
    """A number proves little, since pods need not say where they listen: it counts only after a change."""
    if isinstance(port.target, int) and (is_headless(body) or not context.changed_since_good):
        return False
    return all(port.is_offered_by(pod) is False for pod in context.pods)


def _wrong_pods(context: ServiceContext) -> Iterator[Finding]:
    """A stranger that offers the port and bears part of the old selector is another version: a switch or a canary."""
    strangers = [o for o in context.owners if not o.is_known and not (o.is_alike and o.offers_port)]
    if strangers:
        known = [o for o in context.owners if o.is_known]
        listed = ", ".join(str(o.owner) for o in strangers[:SHOWN])
        kept = f"beside {', '.join(str(o.owner) for o in known[:SHOWN])}" if known else "and to none that it led to"
        text = f"it leads to pods of {listed}, which it did not when it was last good, {kept}"
        yield Finding(Reason.SERVICE_WRONG_PODS, text, _grace(context, unknown=PATIENT))


def _grace(context: ServiceContext, *, unknown: timedelta) -> timedelta:
    """Shortest for what followed a change of the Service itself; longest for what was never good."""
    if context.changed_since_good:
        return APPLYING
    return PATIENT if context.was_good else unknown


def _said(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
