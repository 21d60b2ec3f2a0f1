"""The specification of the detectors of KEDA.  Conditions and messages are those of KEDA 2.21 and Kubernetes 1.34."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.object_contexts import ObjectContexts
from graph.signals.reach import affected
from tests.graph.signals.object_samples import Journal, World, deployed, hpa, look, metadata, owner, said, service
from tests.graph.signals.samples import at, condition_of
from tools.cluster.documents import HorizontalPodAutoscaler, ScaledJob, ScaledObject
from tools.cluster.objects import decode_json
from tools.cluster.store import Delta
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject, JsonValue

WEB = "shop/ScaledObject/web"
PAUSED, AT, OUT = (f"autoscaling.keda.sh/{name}" for name in ("paused", "paused-replicas", "paused-scale-out"))
R = Reason


def said_by(kind: str, value: str, reason: str, message: str = "") -> JsonObject:
    """A condition as KEDA writes it: without a time."""
    return {"type": kind, "status": value, "reason": reason, "message": message}


READY = said_by("Ready", "True", "ScaledObjectReady", "ScaledObject is defined correctly and is ready for scaling")
NO_TARGET = said_by(
    "Ready",
    "False",
    "ScaledObjectCheckFailed",
    'ScaledObject doesn\'t have correct scaleTargetRef specification: deployments.apps "web" not found',
)
NO_AUTHENTICATION = said_by(
    "Ready",
    "False",
    "ScaledObjectCheckFailed",
    "failed to ensure HPA is correctly created for ScaledObject: error getting scaler for trigger #0: "
    'triggerauthentications.keda.sh "queue" not found',
)
BAD_TRIGGER = said_by(
    "Ready",
    "False",
    "ScaledObjectCheckFailed",
    "failed to ensure HPA is correctly created: no scaler found for type: kron",
)
DEAF = said_by("Ready", "False", "TriggerError", "Triggers defined in ScaledObject are not working correctly")
HALF_DEAF = said_by(
    "Ready", "Unknown", "PartialTriggerError", "Some triggers defined in ScaledObject are not working correctly"
)
FALLBACK = said_by("Fallback", "True", "FallbackExists", "At least one trigger is falling back on this scaled object")
NO_METRIC = condition_of(
    "ScalingActive", "False", "FailedGetExternalMetric",
    "the HPA was unable to compute the replica count: unable to get external metric shop/s0-queue/nil: unable to fetch "
    "metrics from external metrics API: rpc error: code = Unknown desc = error when getting metric values",
)  # fmt: skip
NO_METRICS_API = condition_of(
    "ScalingActive", "False", "FailedGetExternalMetric",
    "the HPA was unable to compute the replica count: unable to get external metric shop/s0-queue/nil: unable to fetch "
    "metrics from external metrics API: the server is currently unable to handle the request (get s0-queue.external."
    "metrics.k8s.io)",
)  # fmt: skip
NO_CPU = condition_of("ScalingActive", "False", "FailedGetResourceMetric", "missing request for cpu in container app")
AT_MOST = condition_of("ScalingLimited", "True", "TooManyReplicas", "more than the maximum replica count")
AT_LEAST = condition_of("ScalingLimited", "True", "TooFewReplicas", "less than the minimum replica count")
IDLE = condition_of("ScalingActive", "False", "ScalingDisabled", "the replica count of the target is zero")


def scaled(
    *conditions: JsonObject,
    annotations: Mapping[str, str] | None = None,
    least: int = 2,
    greatest: int = 4,
    health: JsonObject | None = None,
    target: JsonObject | None = None,
    **spec: JsonValue,
) -> ScaledObject:
    wanted: JsonObject = {
        "scaleTargetRef": target or {"name": "web"},
        "minReplicaCount": least,
        "maxReplicaCount": greatest,
        "triggers": [{"type": "rabbitmq", "metadata": {"queueName": "orders"}}],
    }
    state: JsonObject = {"conditions": list(conditions), "hpaName": "keda-hpa-web", "health": health or {}}
    meta = metadata("web", uid="uid-so", annotations=dict(annotations or {}))
    return decode_json({"metadata": meta, "spec": {**wanted, **spec}, "status": state}, ScaledObject)


def job(*conditions: JsonObject, annotations: Mapping[str, str] | None = None) -> ScaledJob:
    body: JsonObject = {
        "metadata": metadata("web", uid="uid-sj", annotations=dict(annotations or {})),
        "spec": {"jobTargetRef": {}, "triggers": [{"type": "rabbitmq", "metadata": {}}]},
        "status": {"conditions": list(conditions)},
    }
    return decode_json(body, ScaledJob)


def behind(*conditions: JsonObject, greatest: int = 4) -> HorizontalPodAutoscaler:
    """The autoscaler that KEDA made."""
    meta = metadata("keda-hpa-web", ownerReferences=[owner("ScaledObject", "web", "uid-so", "keda.sh/v1alpha1")])
    aim: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec: JsonObject = {"scaleTargetRef": aim, "minReplicas": 2, "maxReplicas": greatest}
    return decode_json(
        {"metadata": meta, "spec": spec, "status": {"conditions": [*conditions]}}, HorizontalPodAutoscaler
    )


def failing(times: int) -> JsonObject:
    return {"s0-queue": {"status": "Failing", "numberOfFailures": times}, "s1-cron": {"status": "Happy"}}


RUNS = Journal(good={WEB: scaled().body})
DECLARED = Journal(declared={WEB: scaled().body})
DECLARED_PAUSED = Journal(declared={WEB: scaled(annotations={PAUSED: "true"}).body})
ROOMIER = Journal(good={WEB: scaled(greatest=8).body})
OTHER_TARGET = Journal(good={WEB: scaled(target={"name": "shop"}).body})
WELL = deployed(readyReplicas=2)
UNREADY = deployed(readyReplicas=1)
ROLLING = deployed(generation=3, observedGeneration=2, readyReplicas=1)
EMPTY = deployed(replicas=0)
ONE = deployed(replicas=1, readyReplicas=1)
NOBODYS = {AT: "0"}


@dataclass(frozen=True)
class Expect:
    item: ScaledObject | ScaledJob
    others: tuple[KubeObject, ...] = (WELL,)
    journal: Journal = field(default_factory=Journal)
    reason: Reason | None = None
    due: float = 0


CASES = {
    "ready": Expect(scaled(READY), (WELL, behind())),
    "not looked at yet": Expect(scaled()),
    "no trigger is active: that is its work": Expect(scaled(READY, said_by("Active", "False", "ScalerNotActive"))),
    "its state is unknown, without a word of triggers": Expect(scaled(said_by("Ready", "Unknown", ""))),
    # held
    "held, and nothing is known of how it should be": Expect(scaled(READY, annotations={PAUSED: "true"})),
    "held with a word for no": Expect(scaled(READY, annotations={PAUSED: "false"}), journal=DECLARED),
    "held, and declared so": Expect(
        scaled(READY, annotations={PAUSED: "true"}), (UNREADY,), DECLARED_PAUSED
    ),
    "held, and declared without": Expect(
        scaled(READY, annotations={PAUSED: "true"}), journal=DECLARED, reason=R.AUTOSCALER_PAUSED, due=10
    ),
    "held at none, and a Service leads there": Expect(
        scaled(READY, annotations=NOBODYS, least=0), (EMPTY, service()), reason=R.AUTOSCALER_PAUSED, due=10
    ),
    "held at none, which nobody misses": Expect(scaled(READY, annotations=NOBODYS, least=0), (EMPTY,)),
    "held below its lower bound": Expect(
        scaled(READY, annotations={AT: "1"}), (ONE,), reason=R.AUTOSCALER_PAUSED, due=10
    ),
    "held upwards, and its pods fail": Expect(
        scaled(READY, annotations={OUT: "true"}), (UNREADY,), reason=R.AUTOSCALER_PAUSED, due=60
    ),
    "held, and its pods are being rolled out": Expect(scaled(READY, annotations={PAUSED: "true"}), (ROLLING,)),
    "held downwards only": Expect(
        scaled(READY, annotations={"autoscaling.keda.sh/paused-scale-in": "true"}), (UNREADY,), RUNS
    ),
    "held, was not when all was well, and nothing fails": Expect(
        scaled(READY, annotations={PAUSED: "true"}), journal=RUNS, reason=R.AUTOSCALER_FORGOTTEN, due=3600
    ),
    "the hour runs from the change": Expect(
        scaled(READY, annotations={PAUSED: "true"}),
        journal=Journal(good={WEB: scaled().body}, changed={WEB: at(-1800)}),
        reason=R.AUTOSCALER_FORGOTTEN,
        due=1800,
    ),
    "while it is held its other words are old": Expect(
        scaled(DEAF, annotations={PAUSED: "true"}), (WELL, behind(NO_METRIC))
    ),
    # misconfigured
    "its target is gone": Expect(scaled(NO_TARGET), (), reason=R.AUTOSCALER_UNABLE, due=15),
    "its target is another than when all was well": Expect(
        scaled(NO_TARGET), (), OTHER_TARGET, reason=R.AUTOSCALER_UNABLE, due=5
    ),
    "its target is there again, the condition is old": Expect(scaled(NO_TARGET), reason=R.AUTOSCALER_UNABLE, due=60),
    "its authentication is missing": Expect(scaled(NO_AUTHENTICATION), reason=R.AUTOSCALER_UNABLE, due=15),
    "a trigger of a type that does not exist": Expect(scaled(BAD_TRIGGER), reason=R.AUTOSCALER_UNABLE, due=60),
    "a trigger of no type, since it was changed": Expect(
        scaled(BAD_TRIGGER), journal=OTHER_TARGET, reason=R.AUTOSCALER_UNABLE, due=5
    ),
    # deaf
    "no trigger can be read": Expect(scaled(DEAF), reason=R.SCALER_FAILING, due=60),
    "some triggers cannot be read": Expect(scaled(HALF_DEAF), reason=R.SCALER_FAILING, due=60),
    "no trigger can be read, since it was changed": Expect(
        scaled(DEAF), journal=OTHER_TARGET, reason=R.SCALER_FAILING, due=15
    ),
    "a fallback holds": Expect(
        scaled(READY, FALLBACK, health=failing(4), fallback={"failureThreshold": 3, "replicas": 3}),
        reason=R.SCALER_FAILING,
        due=60,
    ),
    "failures are counted, the fallback is not due yet": Expect(
        scaled(READY, health=failing(1)), reason=R.SCALER_FAILING, due=60
    ),
    "failures that are over": Expect(scaled(READY, health={"s0-queue": {"status": "Happy", "numberOfFailures": 0}})),
    "the autoscaler says it before KEDA does": Expect(
        scaled(READY), (WELL, behind(NO_METRIC)), reason=R.SCALER_FAILING, due=60
    ),
    "nobody answers for external metrics": Expect(
        scaled(READY), (WELL, behind(NO_METRICS_API)), reason=R.AUTOSCALER_UNABLE, due=60
    ),
    "KEDA repeats what an autoscaler says that is not in view": Expect(
        scaled(READY, said_by("HPAActive", "False", "FailedGetExternalMetric", "HPA is not actively scaling: x")),
        reason=R.SCALER_FAILING,
        due=60,
    ),
    "a trigger by cpu without a request": Expect(
        scaled(READY), (WELL, behind(NO_CPU)), reason=R.AUTOSCALER_UNABLE, due=60
    ),
    "idle at zero": Expect(scaled(READY), (EMPTY, behind(IDLE))),
    # at its bound
    "wants more than its bound, as ever": Expect(
        scaled(READY), (WELL, behind(AT_MOST)), RUNS, reason=R.AUTOSCALER_AT_LIMIT, due=600
    ),
    "wants more than its bound, which was lowered": Expect(
        scaled(READY), (WELL, behind(AT_MOST)), ROOMIER, reason=R.AUTOSCALER_AT_LIMIT, due=30
    ),
    "wants less than its lower bound": Expect(scaled(READY), (WELL, behind(AT_LEAST)), ROOMIER),
    # ScaledJobs
    "a job that is held and declared without": Expect(
        job(annotations={PAUSED: "true"}),
        journal=Journal(declared={"shop/ScaledJob/web": job().body}),
        reason=R.AUTOSCALER_PAUSED,
        due=10,
    ),
    "a job that is held": Expect(job(annotations={PAUSED: "true"})),
    "a job whose triggers cannot be read": Expect(
        job(said_by("Ready", "False", "TriggerError", "not working")), reason=R.SCALER_FAILING, due=60
    ),
    "a job that KEDA cannot make": Expect(
        job(said_by("Ready", "False", "ScaledJobCheckFailed", "Failed to ensure ScaledJob is correctly created")),
        reason=R.AUTOSCALER_UNABLE,
        due=60,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_keda(case: Expect) -> None:
    found = look(case.item, World(case.item, *case.others), case.journal)
    assert said(found) == ([] if case.reason is None else [(case.reason, case.due)])


def test_a_trouble_and_a_bound_are_both_told() -> None:
    item = scaled(HALF_DEAF)
    found = look(item, World(item, WELL, behind(AT_MOST)), RUNS, now=700)
    assert {s.reason for s in found} == {R.SCALER_FAILING, R.AUTOSCALER_AT_LIMIT}


@pytest.mark.parametrize(
    ("item", "others", "words"),
    [
        (scaled(READY, annotations=NOBODYS), (EMPTY, service()), "at 0 replicas; its workload has no replicas, and"),
        (scaled(READY, FALLBACK, health=failing(4), fallback={"failureThreshold": 3, "replicas": 3}), (WELL,),
         "s0-queue failed 4 times); its fallback keeps 3 replicas"),
        (scaled(READY), (WELL, behind(AT_MOST)), "its metrics ask for more than its upper bound of 4, which was 8"),
    ],
    ids=["held", "fallback", "bound"],
)  # fmt: skip
def test_the_message_says_what_a_person_needs(item: ScaledObject, others: tuple[KubeObject, ...], words: str) -> None:
    (found,) = look(item, World(item, *others), ROOMIER)
    assert words in found.message


def test_what_its_autoscaler_says_is_said_of_the_scaled_object_alone() -> None:
    item, made = scaled(READY), behind(NO_METRIC)
    assert look(made, World(item, made, WELL), now=3600) == []
    assert [s.reason for s in look(made, World(made, WELL), now=3600)] == [R.AUTOSCALER_UNABLE], (
        "nobody else would say it"
    )


def test_the_replicas_of_its_workload_are_not_judged_without_it() -> None:
    item = scaled(READY, annotations=NOBODYS)
    assert look(EMPTY, World(item, EMPTY, service()), now=3600) == []


@pytest.mark.parametrize(
    ("why", "change"),
    [("its autoscaler", behind(AT_MOST)), ("its workload's specification", deployed(generation=7))],
)
def test_who_reaches_it(why: str, change: KubeObject) -> None:
    item = scaled(READY)
    old = WELL if change.kind == "Deployment" else None
    reached = affected(Delta("modified", change, old), ObjectContexts(World(item, change), Journal()))
    assert WEB in {str(ref) for ref in reached}


def test_an_autoscaler_of_people_is_judged_by_itself() -> None:
    assert look(hpa(NO_CPU), World(hpa(NO_CPU), WELL, scaled(READY, target={"name": "other"})), now=3600) != []
