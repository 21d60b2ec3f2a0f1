"""The specification of the autoscaler detector.  Messages are those of the controller of Kubernetes 1.34."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from tests.graph.signals.object_samples import Journal, World, deployed, hpa, look, said
from tests.graph.signals.samples import condition_of
from tools.cluster.documents import HorizontalPodAutoscaler
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject

HPA = "shop/HorizontalPodAutoscaler/web"
NO_TARGET = condition_of(
    "AbleToScale",
    "False",
    "FailedGetScale",
    'the HPA controller was unable to get the target\'s current scale: deployments.apps "web-v2" not found',
)
NO_REQUEST = condition_of(
    "ScalingActive",
    "False",
    "FailedGetResourceMetric",
    "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in "
    "container app of Pod web-1",
)
NO_API = condition_of(
    "ScalingActive",
    "False",
    "FailedGetResourceMetric",
    "the HPA was unable to compute the replica count: unable to fetch metrics from resource metrics API: the server "
    "could not find the requested resource (get pods.metrics.k8s.io)",
)
YOUNG_PODS = condition_of(
    "ScalingActive",
    "False",
    "FailedGetResourceMetric",
    "the HPA was unable to compute the replica count: failed to get cpu utilization: did not receive metrics for "
    "targeted pods (pods might be unready)",
)
GOOD = Journal(good={HPA: hpa().body})
ROLLING = deployed(generation=3, observedGeneration=2)


def no(reason: str, kind: str = "ScalingActive") -> JsonObject:
    return condition_of(kind, "False", reason, "x")


@dataclass(frozen=True)
class Expect:
    hpa: HorizontalPodAutoscaler
    others: tuple[KubeObject, ...] = (deployed(),)
    journal: Journal = field(default_factory=Journal)
    due: float | None = None


CASES = {
    "target missing, since its name was changed": Expect(hpa(NO_TARGET, target="web-v2"), journal=GOOD, due=5),
    "target missing, the autoscaler is as it was: the target may come back": Expect(hpa(NO_TARGET), (), GOOD, due=15),
    "target missing, born so": Expect(hpa(NO_TARGET, target="web-v2"), due=15),
    "target not as declared": Expect(
        hpa(NO_TARGET, target="web-v2"), journal=Journal(differs={HPA: ("/spec/scaleTargetRef/name",)}), due=5
    ),
    "target there again, the condition is old": Expect(hpa(NO_TARGET), due=60),
    "no request to measure by": Expect(hpa(NO_REQUEST), due=5),
    "no request to measure by, in a rollout that may bring it": Expect(hpa(NO_REQUEST), (ROLLING,), due=15),
    "metrics API away: it comes back": Expect(hpa(NO_API), due=60),
    "pods too young for metrics": Expect(hpa(YOUNG_PODS), due=180),
    "metrics missing in a rollout": Expect(hpa(NO_API), (ROLLING,), due=180),
    "scale could not be written": Expect(hpa(no("FailedUpdateScale", "AbleToScale")), due=60),
    "switched off by zero replicas": Expect(hpa(no("ScalingDisabled"))),
    "at its bound": Expect(hpa(condition_of("ScalingLimited", "True", "TooManyReplicas"))),
    "working": Expect(hpa(condition_of("ScalingActive", "True", "ValidMetricFound"))),
    "not looked at yet": Expect(hpa()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_autoscaler(case: Expect) -> None:
    found = [s for s in look(case.hpa, World(case.hpa, *case.others), case.journal) if s.reason is not Reason.DRIFTED]
    assert said(found) == ([] if case.due is None else [(Reason.AUTOSCALER_UNABLE, case.due)])


def test_it_is_confirmed_when_the_condition_has_stood_long_enough() -> None:
    broken = hpa(NO_API)
    found = look(broken, World(broken, deployed()), now=60)
    assert said(found) == [(Reason.AUTOSCALER_UNABLE, None)]
    assert found[0].message.startswith("ScalingActive=False/FailedGetResourceMetric: the HPA was unable")


def test_an_autoscaler_whose_target_is_being_deleted_is_left_alone() -> None:
    broken = hpa(NO_API)
    leaving = deployed()
    gone = type(leaving)(
        metadata=type(leaving.metadata)(
            name="web", namespace="shop", uid="uid-web", deletion_timestamp=leaving.metadata.creation_timestamp
        ),
        spec=leaving.spec,
        status=leaving.status,
    )
    assert look(broken, World(broken, gone)) == []
