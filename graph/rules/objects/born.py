"""A Service that never led anywhere: the one repair that its namespace allows, if there is exactly one.

It asks only where nothing is declared or remembered; `graph.rules.born_broken` does the thinking.
"""

from __future__ import annotations

from typing import Final

from graph.incident import Reason
from graph.observed import ServiceSummary
from graph.plan import Step
from graph.rules.born_broken import ContainerPort, PortFacts, Repair, ServiceFacts, TemplateFacts, repair
from graph.rules.case import Answer, Remedy
from graph.rules.objects.case import ObjectCase
from graph.rules.words import by_weight, name_of, reasons_of, sentence, trouble
from tools.refs import ObjectRef

_LEADS_NOWHERE: Final = frozenset({Reason.SERVICE_WITHOUT_ENDPOINTS, Reason.SERVICE_PORT_MISSING})


class BornBroken:
    """Propose the only repair of a Service that was never right."""

    name = "born_broken"
    safe_because = (
        "A Service that leads nowhere serves nobody, so nobody loses by the repair; a person agrees unless the policy"
        " trusts this edit, and it is taken back by one step."
    )

    def judge(self, case: ObjectCase) -> Answer | None:
        """The one edit; None where something is known of how it was, or more than one repair would do."""
        service = case.evidence.service
        if case.ways or service is None or not any(s.reason in _LEADS_NOWHERE for s in case.signals):
            return None
        found = only_repair(case.target, service)
        if found is None or case.was_tried(found.action):
            return None
        first = by_weight(case.signals)[0]
        return Remedy(
            cause="service_never_right",
            sentence=sentence(f"{name_of(case.target)} {trouble(first)}.", found.sentence),
            confidence=0.7,
            steps=(Step(action=found.action, why=found.sentence[:400]),),
            reasons=reasons_of(case.signals),
        )


def only_repair(ref: ObjectRef, service: ServiceSummary) -> Repair | None:
    """The repair for this Service; None as well when not all workloads are known."""
    if service.workloads is None:
        return None
    facts = ServiceFacts(
        ref=ref,
        selector=service.selector,
        ports=tuple(PortFacts(p.name, p.port, p.target, p.protocol) for p in service.ports),
        pods=service.pods,
    )
    templates = [
        TemplateFacts(w.ref, w.labels, tuple(ContainerPort(p.name, p.number, p.protocol) for p in w.ports))
        for w in service.workloads
    ]
    return repair(facts, templates)
