"""The specification of many symptoms with one cause."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from graph.incident import Reason, Signal
from graph.signals.common_cause import Basis, Symptom, group
from graph.signals.findings import FAMILIES
from tests.graph.signals.samples import at
from tools.refs import ObjectRef

NO_MAP = 'configmap "settings" not found'
NO_SECRET = 'secret "token" not found'
QUOTA = 'pods "web-" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4'
MAP, NODE = "shop/ConfigMap/settings", "Node/node1"


def symptom(
    target: str,
    message: str = "",
    reason: Reason = Reason.CONFIG_MISSING,
    *,
    changed: tuple[str, ...] = (),
    node: str = "",
) -> Symptom:
    ref = ObjectRef.parse(target)
    signal = Signal(
        reason=reason, family=FAMILIES[reason], object=ref, uid=f"uid-{target}", message=message, observed_at=at(0)
    )
    return Symptom(ref, f"uid-{target}", signal, tuple(ObjectRef.parse(c) for c in changed), node)


def web(n: int, message: str = NO_MAP, namespace: str = "shop", **more: object) -> Symptom:
    return symptom(f"{namespace}/Deployment/web-{n}", message, **more)  # type: ignore[arg-type]


CRASH = Reason.CRASH_LOOP


@dataclass(frozen=True)
class Expect:
    symptoms: tuple[Symptom, ...]
    causes: tuple[tuple[str, Basis, int], ...] = ()
    """Object, basis, number of symptoms."""
    alone: int = 0


CASES = {
    "twenty workloads lack one ConfigMap": Expect(tuple(web(n) for n in range(20)), ((MAP, Basis.NAMED, 20),)),
    "one workload lacks a ConfigMap": Expect((web(1),), alone=1),
    "one workload lacks a ConfigMap, and it is known to be gone": Expect(
        (web(1), symptom(MAP, "gone", Reason.OBJECT_MISSING)), ((MAP, Basis.NAMED, 2),)
    ),
    "two signals of one workload are one target": Expect((web(1), web(1)), alone=2),
    "ConfigMaps of the same name in two namespaces": Expect((web(1), web(2, namespace="other")), alone=2),
    "two workloads lack different objects": Expect((web(1), web(2, NO_SECRET)), alone=2),
    "two ConfigMaps gone, two workloads each": Expect(
        (web(1), web(2), web(3, NO_SECRET), web(4, NO_SECRET)),
        ((MAP, Basis.NAMED, 2), ("shop/Secret/token", Basis.NAMED, 2)),
    ),
    "two workloads crash since one ConfigMap changed": Expect(
        (web(1, "", reason=CRASH, changed=(MAP,)), web(2, "", reason=CRASH, changed=(MAP,))), ((MAP, Basis.CHANGED, 2),)
    ),
    "two workloads crash at the same time: no cause is named": Expect(
        (web(1, "", reason=CRASH), web(2, "", reason=CRASH)), alone=2
    ),
    "one quota refuses two workloads": Expect(
        (web(1, QUOTA, reason=Reason.PODS_REFUSED), web(2, QUOTA, reason=Reason.PODS_REFUSED)),
        (("shop/ResourceQuota/compute", Basis.NAMED, 2),),
    ),
    "a node in trouble, and what fails on it": Expect(
        (
            symptom(NODE, "", Reason.NODE_PRESSURE),
            web(1, "", reason=CRASH, node="node1"),
            web(2, "", reason=CRASH, node="node2"),
        ),
        ((NODE, Basis.PLACE, 2),),
        alone=1,
    ),
    "two workloads fail on one node that is well": Expect(
        (web(1, "", reason=CRASH, node="node1"), web(2, "", reason=CRASH, node="node1")), alone=2
    ),
    "the cause of more targets goes first": Expect(
        (web(1, changed=("shop/ConfigMap/other",)), web(2, "", changed=("shop/ConfigMap/other",)), web(3), web(4)),
        ((MAP, Basis.NAMED, 3),),
        alone=1,
    ),
    "as many targets: what is named goes before what changed": Expect(
        (web(1, changed=("shop/ConfigMap/a",)), web(2, changed=("shop/ConfigMap/a",))), ((MAP, Basis.NAMED, 2),)
    ),
    "a name that no object can have": Expect(
        (web(1, 'configmap "A_B" not found'), web(2, 'configmap "A_B" not found')), alone=2
    ),
    "priority class, which has no namespace": Expect(
        (
            web(1, "no PriorityClass with name high was found", reason=Reason.PODS_REFUSED),
            web(2, "no PriorityClass with name high was found", "other", reason=Reason.PODS_REFUSED),
        ),
        (("PriorityClass/high", Basis.NAMED, 2),),
    ),
    "only the cause itself shows": Expect((symptom(NODE, "", Reason.NODE_NOT_READY),), alone=1),
    "nothing": Expect(()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_group(case: Expect) -> None:
    found = group(case.symptoms)
    assert [(str(c.object), c.basis, len(c.symptoms)) for c in found.causes] == list(case.causes)
    assert len(found.alone) == case.alone
    kept = [id(s) for c in found.causes for s in c.symptoms] + [id(s) for s in found.alone]
    assert sorted(kept) == sorted(id(s) for s in case.symptoms)


def test_the_order_of_symptoms_does_not_choose_the_cause() -> None:
    symptoms = [web(1, changed=("shop/ConfigMap/a",)), web(2, changed=("shop/ConfigMap/a",)), web(3, QUOTA)]
    forth, back = group(symptoms), group(symptoms[::-1])
    assert [c.object for c in forth.causes] == [c.object for c in back.causes]


def test_the_targets_of_a_cause_are_listed_once_and_without_itself() -> None:
    found = group([symptom(MAP, "gone", Reason.OBJECT_MISSING), web(1), web(1), web(2)])
    assert [str(t) for t in found.causes[0].targets] == ["shop/Deployment/web-1", "shop/Deployment/web-2"]
