"""Whom a Service leads to now, whom it led to when it was good, and whom it may have meant.

The rule: without a memory of who was behind it nobody is called a stranger; it is not guessed.
Neighbours: `services` judges, `wiring` knows the labels, `object_contexts` asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graph.signals.context import Seen, SymptomKey
from graph.signals.knowledge import Knowledge
from graph.signals.missing import root_of
from graph.signals.object_view import ObjectView
from graph.signals.services import Behind, Port, ServiceContext, is_elsewhere, ports_of, selector_of
from graph.signals.wiring import Labels, Wiring, is_living, may_be_meant, selects
from tools.cluster.documents import Service
from tools.cluster.objects import Pod, StatefulSet, Workload
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class _Scene:
    """What every question about one Service needs."""

    service: Service
    selector: Labels
    good: JsonObject | None
    former: Labels
    """The selector it had when it was last good; empty when that is not known."""
    neighbours: Sequence[Pod]
    """All pods of its namespace."""
    view: ObjectView
    wiring: Wiring
    knowledge: Knowledge

    @property
    def workloads(self) -> list[Workload]:
        return self.view.workloads(self.service.namespace)

    @property
    def living(self) -> list[Pod]:
        return [p for p in self.neighbours if is_living(p)]

    def selected_by(self, selector: Labels) -> list[Pod]:
        if not selector:
            return []
        return [p for p in self.neighbours if selects(selector, p.metadata.labels) and is_living(p)]


def service_context(
    service: Service,
    view: ObjectView,
    wiring: Wiring,
    knowledge: Knowledge,
    *,
    suppressed: str,
    seen: Mapping[SymptomKey, Seen],
) -> ServiceContext:
    """The Service's context; that it selects nothing is taken note of in `wiring`."""
    selector, good = selector_of(service.body), knowledge.known_good(service.ref)
    pods_there = view.pods(service.namespace)
    scene = _Scene(service, selector, good, selector_of(good or {}), pods_there, view, wiring, knowledge)
    pods = tuple(scene.selected_by(selector))
    wiring.note(service, is_empty=bool(selector) and not pods)
    return ServiceContext(
        suppressed=suppressed,
        seen=seen,
        pods=pods,
        awaits=() if pods else _awaited(scene),
        strays=() if pods else _strays(scene),
        was_good=good is not None,
        changed_since_good=_is_changed(scene),
        has_lost_selector=bool(scene.former) and not selector and not is_elsewhere(service.body),
        owners=_owners(scene, pods) if pods else (),
    )


def _is_changed(scene: _Scene) -> bool:
    """Whether selector or ports are not those that were good, or not those that are declared."""
    if scene.good is not None and _leads(scene.good) != _leads(scene.service.body):
        return True
    declared = scene.knowledge.differences_from_declared(scene.service)
    return any(path.startswith(("/spec/selector", "/spec/ports")) for path in declared)


def _leads(body: JsonObject) -> tuple[Labels, frozenset[Port]]:
    return selector_of(body), frozenset(ports_of(body))


def _awaited(scene: _Scene) -> tuple[ObjectRef, ...]:
    """Workloads whose pods will be selected once they exist."""
    return tuple(w.ref for w in scene.workloads if _will_be_selected(w, scene))


def _will_be_selected(workload: Workload, scene: _Scene) -> bool:
    if isinstance(workload, StatefulSet) and workload.status.replicas == 0 and _is_named_by(workload, scene.service):
        return True
    return selects(scene.selector, workload.spec.template.metadata.labels)


def _is_named_by(workload: StatefulSet, service: Service) -> bool:
    return workload.spec.service_name == service.name


def _strays(scene: _Scene) -> tuple[Pod, ...]:
    """Pods it may have meant: those it led to before, else those that look like it and that nobody selects."""
    found = scene.selected_by(scene.former)
    if not found and (before := scene.knowledge.owners_when_good(scene.service.ref)):
        found = [p for p in scene.living if root_of(p, scene.view) in before]
    if not found:
        found = [p for p in scene.living if _is_orphan_like(p, scene)]
    return tuple(sorted(found, key=lambda p: p.name))


def _is_orphan_like(pod: Pod, scene: _Scene) -> bool:
    owner, labels = pod.metadata.controller, pod.metadata.labels
    if owner is None or owner.kind == "Job" or not may_be_meant(scene.selector, labels):
        return False
    return next(scene.wiring.services_of(pod.namespace, labels), None) is None


def _owners(scene: _Scene, pods: Sequence[Pod]) -> tuple[Behind, ...]:
    """Who is behind it, each with whether it was before; empty when it is not known who was."""
    before = scene.knowledge.owners_when_good(scene.service.ref) or _owners_by_selector(scene)
    if not before:
        return ()
    members: dict[ObjectRef, list[Pod]] = {}
    roots: dict[str, ObjectRef] = {}
    for pod in pods:
        owner = pod.metadata.controller
        key = owner.uid if owner is not None else pod.uid
        if key not in roots:
            roots[key] = root_of(pod, scene.view)
        members.setdefault(roots[key], []).append(pod)
    ports = _ports_that_count(scene.service, [p for o, held in members.items() if o in before for p in held])
    return tuple(
        Behind(
            owner,
            is_known=owner in before,
            is_alike=not scene.former or bool(scene.former.items() & held[0].metadata.labels.items()),
            offers_port=all(any(port.is_offered_by(p) is not False for p in held) for port in ports),
        )
        for owner, held in sorted(members.items(), key=lambda item: str(item[0]))
    )


def _owners_by_selector(scene: _Scene) -> frozenset[ObjectRef]:
    """Who would be behind it with its former selector; empty when that is the one it has, which tells nothing."""
    if not scene.former or scene.former == scene.selector:
        return frozenset()
    by_pods = frozenset(root_of(p, scene.view) for p in scene.selected_by(scene.former))
    return by_pods or frozenset(
        w.ref for w in scene.workloads if selects(scene.former, w.spec.template.metadata.labels)
    )


def _ports_that_count(service: Service, known: Sequence[Pod]) -> list[Port]:
    """Ports that the pods which belong there offer; all of them when none of those is left."""
    ports = list(ports_of(service.body))
    return [port for port in ports if any(port.is_offered_by(p) for p in known)] if known else ports
