"""A Service and everything in its namespace that it could lead to, from the watch; nothing is judged here.

Neighbours: `subjects` says the rest of a Service for people, `graph.rules.born_broken` decides on these facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from graph.observed import PortSummary, ServicePortSummary, ServiceSummary, TemplateSummary
from graph.ports import Ports
from graph.signals.services import selector_of
from graph.signals.wiring import is_living, selects
from tools.cluster.documents import Service
from tools.cluster.objects import Workload
from tools.jsontypes import JsonValue, dig, dig_int, dig_list, dig_str

MAX_WORKLOADS: Final = 100


def service_summary(service: Service, ports: Ports) -> ServiceSummary:
    """The Service as the watch shows it at this moment; costs no request."""
    selector = selector_of(service.body)
    workloads = ports.mirror.workloads(service.namespace)
    pods = [p for p in ports.mirror.pods(service.namespace) if is_living(p) and selects(selector, p.metadata.labels)]
    return ServiceSummary(
        selector=dict(selector),
        ports=tuple(_ports(dig_list(service.body, "spec", "ports"))),
        pods=len(pods),
        workloads=None if len(workloads) > MAX_WORKLOADS else tuple(_template(w) for w in workloads),
    )


def _ports(found: list[JsonValue]) -> Iterator[ServicePortSummary]:
    for item in found[:100]:
        number, target = dig_int(item, "port"), dig(item, "targetPort")
        if number is not None:
            yield ServicePortSummary(
                name=dig_str(item, "name"),
                port=number,
                target=target if isinstance(target, int | str) else number,
                protocol=dig_str(item, "protocol") or "TCP",
            )


def _template(workload: Workload) -> TemplateSummary:
    template = workload.spec.template
    declared = [port for container in template.spec.containers for port in container.ports]
    return TemplateSummary(
        ref=workload.ref,
        labels=dict(template.metadata.labels),
        ports=tuple(
            PortSummary(name=p.name, number=p.container_port, protocol=p.protocol or "TCP") for p in declared[:60]
        ),
    )
