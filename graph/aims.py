"""What an autoscaler or a Service aims at, and the earlier revisions of that: the trouble may lie in that template.

Neighbours: `evidence` does the same for a workload that is the target itself, `graph.rules.objects.autoscalers` and
`graph.rules.objects.lost_ports` decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec

from graph.applications import keeper_of
from graph.observed import AimFacts
from graph.ports import Ports
from graph.rules.candidates import candidate_reverts
from graph.signals.missing import root_of
from graph.signals.services import Port, ports_of, selector_of
from graph.signals.wiring import Labels, selects
from graph.ways import pin_of_live
from tools.cluster.documents import Application, Service
from tools.cluster.objects import Pod
from tools.cluster.resources import HPA, KNOWN, SERVICE
from tools.errors import NotFound, ToolError
from tools.journal.revisions import Revision, read_history
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.refs import ObjectRef, Pin

AIMING: Final = frozenset({HPA.kind, SERVICE.kind})
_SCALED: Final = frozenset({"Deployment", "StatefulSet"})
_BEHIND: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})


async def aim_of(live: JsonObject, target: ObjectRef, ports: Ports, unseen: list[str]) -> tuple[AimFacts, Pin] | None:
    """What `target`, an autoscaler or a Service that is `live`, aims at as the API server holds it.

    It comes with the ways back to earlier templates, of a Service with those alone that lead somewhere.  None when
    there is no such thing, or when it is not what changed.
    """
    return await (_scaled(live, ports, unseen) if target.kind == HPA.kind else _behind(target, ports, unseen))


async def _scaled(autoscaler: JsonObject, ports: Ports, unseen: list[str]) -> tuple[AimFacts, Pin] | None:
    aim = dig_object(autoscaler, "spec", "scaleTargetRef")
    kind, namespace = dig_str(aim, "kind"), dig_str(autoscaler, "metadata", "namespace")
    if kind not in _SCALED:
        return None
    return await _history_of(ObjectRef(kind=kind, namespace=namespace, name=dig_str(aim, "name")), ports, unseen)


async def _behind(target: ObjectRef, ports: Ports, unseen: list[str]) -> tuple[AimFacts, Pin] | None:
    """The one workload behind a Service that is as it was when it was good, and whose ports these pods lack."""
    service = ports.mirror.document(target.kind, target.namespace or "", target.name)
    if not isinstance(service, Service):
        return None
    context = ports.objects.for_service(service, ports.clock.now())
    if not context.was_good or context.changed_since_good:
        return None
    lost = [p for p in ports_of(service.body) if isinstance(p.target, str)]
    lost = [p for p in lost if not any(p.is_offered_by(pod) for pod in context.pods)]
    owners = frozenset(root_of(pod, ports.objects.view) for pod in context.pods)
    if len(owners) != 1 or not lost:
        return None
    (owner,) = owners
    knowledge = ports.objects.knowledge
    before = knowledge.owners_when_good(target)
    if owner.kind not in _BEHIND or (before and owner not in before):
        return None
    if keeper_of(owner, ports.mirror.documents(Application)) is not None or knowledge.declared(owner) is not None:
        return None  # whoever declares it would take a rollback for drift; what differs from that shows at the workload
    selector = selector_of(service.body)
    return await _history_of(owner, ports, unseen, serves=lambda revision: _serves(revision, selector, lost))


def _serves(revision: Revision, selector: Labels, lost: list[Port]) -> bool:
    """Whether pods of the revision would be selected and offer all of these ports."""
    made = msgspec.convert(revision.template, Pod, strict=False)
    return selects(selector, made.metadata.labels) and all(port.is_offered_by(made) for port in lost)


async def _history_of(
    ref: ObjectRef, ports: Ports, unseen: list[str], *, serves: Callable[[Revision], bool] | None = None
) -> tuple[AimFacts, Pin] | None:
    """The workload with its earlier revisions; of these only the ones that `serves` says yes to."""
    try:
        live = {"kind": ref.kind, **await ports.cluster.get(KNOWN[ref.kind], ref.name, ref.namespace)}
        history = await read_history(ports.cluster, live)
    except NotFound:
        return None
    except ToolError as error:
        unseen.append(f"{ref} and its revisions ({error.code})")
        return None
    good = await ports.ledger.good_revisions(dig_str(live, "metadata", "uid"))
    if serves is not None:
        kept = (r for r in history.revisions if r is history.current or serves(r))
        history = replace(history, revisions=tuple(kept))
    found = candidate_reverts(history, good=good, failing=())
    return AimFacts(ref=ref, candidates=found[:10]), pin_of_live(ref, live)
