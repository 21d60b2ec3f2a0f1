"""The specification of the detector of Argo CD's Applications.  Documents are as Argo CD 3.2 writes them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from graph.incident import Reason
from tests.graph.signals.object_samples import World, look, said
from tests.graph.signals.samples import stamp
from tests.tools.executors.argocd.documents import app, failed, operation_state, resource
from tools.cluster.documents import Application
from tools.cluster.objects import decode_json
from tools.jsontypes import JsonObject, JsonValue

R = Reason
HANGING = operation_state("Running", message="waiting for completion of hook batch/Job/migrate")
BROKEN: JsonValue = [{"type": "ComparisonError", "message": "path does not exist", "lastTransitionTime": stamp(-10)}]
FAILED = {**failed(), "finishedAt": stamp(-5)}
DIFFERS: list[JsonValue] = [resource(sync="OutOfSync"), resource(kind="Service", group="")]


def sick(kind: str, group: str = "") -> JsonObject:
    return {**resource(kind, group=group), "health": {"status": "Degraded", "message": "no"}}


def silent(kind: str, group: str) -> JsonObject:
    """As Argo CD 3 writes it by default: without health."""
    found = {**resource(kind, group=group)}
    del found["health"]
    return found


def running(seconds: float, message: str = "waiting for completion of hook batch/Job/migrate") -> JsonObject:
    return {**operation_state("Running", message=message), "startedAt": stamp(-seconds)}


def read(document: JsonObject) -> Application:
    return decode_json(document, Application)


@dataclass(frozen=True)
class Expect:
    app: JsonObject
    said: tuple[tuple[Reason, float | None], ...] = ()


CASES = {
    "all is well": Expect(app()),
    "somebody changed a Deployment that it keeps": Expect(
        app(sync="OutOfSync", status={"resources": DIFFERS}), ((R.APPLICATION_DRIFTED, 10),)
    ),
    "the same with self-heal: Argo CD gets a minute to do it": Expect(
        app(sync="OutOfSync", automated={"selfHeal": True}, status={"resources": DIFFERS}),
        ((R.APPLICATION_DRIFTED, 60),),
    ),
    "a revision that nobody has deployed yet": Expect(app(sync="OutOfSync", revision="d4" * 20)),
    "it never was deployed": Expect(app(sync="OutOfSync", status={"history": []})),
    "a sync is under way": Expect(app(sync="OutOfSync", status={"operationState": running(30)})),
    "a sync hangs": Expect(app(sync="OutOfSync", status={"operationState": running(601)}), ((R.OPERATION_HUNG, None),)),
    "a sync waits for its window": Expect(
        app(sync="OutOfSync", status={"operationState": running(601, "operation is blocked by sync window")})
    ),
    "a sync failed": Expect(app(sync="OutOfSync", status={"operationState": FAILED}), ((R.OPERATION_FAILED, 10),)),
    "somebody stopped a sync": Expect(
        app(sync="OutOfSync", status={"operationState": {**FAILED, "message": "Operation terminated"}, "history": []})
    ),
    "a sync failed and somebody has put it right since": Expect(app(status={"operationState": FAILED})),
    "the source cannot be read": Expect(
        app(sync="Unknown", status={"conditions": BROKEN}), ((R.COMPARISON_FAILED, 20),)
    ),
    "a warning is no error": Expect(app(status={"conditions": [{"type": "OrphanedResourceWarning", "message": "x"}]})),
    "a Deployment fails: it has an incident of its own": Expect(
        app(health="Degraded", status={"resources": [sick("Deployment", "apps")]})
    ),
    "a resource fails that nobody else looks at": Expect(
        app(health="Degraded", status={"resources": [sick("Ingress", "networking.k8s.io")]}),
        ((R.APPLICATION_DEGRADED, 60),),
    ),
    "degraded, and health is kept elsewhere: something that nobody looks at may be it": Expect(
        app(health="Degraded", status={"resources": [silent("Deployment", "apps"), silent("Ingress", "n.k8s.io")]}),
        ((R.APPLICATION_DEGRADED, 600),),
    ),
    "the same, and all of it is looked at": Expect(
        app(health="Degraded", status={"resources": [silent("Deployment", "apps")]})
    ),
    "somebody told Argo CD to leave it alone": Expect(
        app(
            sync="OutOfSync",
            metadata={"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}},
            status={"resources": DIFFERS},
        )
    ),
    "it is being deleted": Expect(
        app(sync="OutOfSync", metadata={"deletionTimestamp": stamp(-1)}, status={"resources": DIFFERS})
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_application(case: Expect) -> None:
    found = read(case.app)
    assert said(look(found, World(found))) == list(case.said)


def test_the_signal_names_what_differs() -> None:
    found = read(CASES["somebody changed a Deployment that it keeps"].app)
    signals = look(found, World(found))
    assert signals[0].message == "not as declared: Deployment/web"
