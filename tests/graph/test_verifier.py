"""What one look means after a plan was carried out, by table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from graph.incident import Family, Reason, Signal
from graph.nodes.verifier import Behind, Good, Hopeless, NotYet, Purpose, judge
from graph.nodes.vitals import Vitals
from graph.observed import Evidence, SubjectFacts, WorkloadFacts
from tools.refs import ObjectRef

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
CALM = Vitals(missing=0, failing=())


def work(*, ready: int = 2) -> WorkloadFacts:
    return WorkloadFacts(
        ref=WEB,
        uid="u",
        generation=3,
        observed_generation=3,
        desired=2,
        updated=2,
        ready=ready,
        available=ready,
        paused=False,
        revision=3,
        revision_hash="new",
    )


def fails(reason: Reason, *, after: int = 5, confirmed: bool = True, revision: str = "new") -> Signal:
    return Signal(
        reason=reason,
        family=Family.CRASH,
        object=ObjectRef(kind="Pod", namespace="shop", name="web-1"),
        uid="pod-1",
        revision=revision,
        observed_at=NOW + timedelta(seconds=after),
        confirmed=confirmed,
    )


def seen(ready: int, *signals: Signal) -> Evidence:
    return Evidence(observed_at=NOW, workload=work(ready=ready), signals=signals)


def purpose(*, elsewhere: bool) -> Purpose:
    return Purpose(since=NOW, reasons=frozenset({Reason.PODS_REFUSED}), is_elsewhere=elsewhere, target=WEB)


NEW_FAULT, SAME_FAULT = fails(Reason.IMAGE_PULL_FAILED), fails(Reason.PODS_REFUSED)


@pytest.mark.parametrize(
    ("look", "elsewhere", "means"),
    [
        pytest.param(seen(2), False, Good, id="all ready and silent is good"),
        pytest.param(seen(1), False, NotYet, id="pods missing"),
        pytest.param(
            seen(2, fails(Reason.POD_FAILED, revision="old")), False, Good, id="a failed pod of what is no longer run"
        ),
        pytest.param(seen(2, fails(Reason.POD_FAILED, after=-5)), False, NotYet, id="a failed pod of what is run"),
        pytest.param(seen(2, fails(Reason.CRASH_LOOP, confirmed=False)), False, NotYet, id="a symptom in its grace"),
        pytest.param(seen(1, NEW_FAULT), False, Hopeless, id="the owner was written: its new pods are our doing"),
        pytest.param(seen(1, NEW_FAULT), True, Behind, id="another object was written: the fault was hidden before"),
        pytest.param(seen(1, SAME_FAULT), True, Hopeless, id="what it was done for is still there"),
        pytest.param(seen(1, NEW_FAULT, SAME_FAULT), True, Hopeless, id="both are there"),
        pytest.param(
            seen(1, fails(Reason.IMAGE_PULL_FAILED, after=-5)), True, NotYet, id="an older failure is not of our making"
        ),
        pytest.param(
            seen(1, fails(Reason.IMAGE_PULL_FAILED, revision="old")), True, NotYet, id="a pod that is on its way out"
        ),
    ],
)
def test_what_a_look_means(look: Evidence, elsewhere: bool, means: type) -> None:
    assert type(judge(look, CALM, CALM, purpose(elsewhere=elsewhere))) is means


JOB = ObjectRef(kind="Job", namespace="shop", name="import")


@pytest.mark.parametrize(
    ("subject", "means"),
    [
        pytest.param(SubjectFacts(ref=JOB, uid="another", generation=None), Good, id="it was made anew, and is silent"),
        pytest.param(None, NotYet, id="it is away: it was to be made anew"),
    ],
)
def test_what_was_to_be_made_anew_is_there(subject: SubjectFacts | None, means: type) -> None:
    made = replace(purpose(elsewhere=False), target=JOB, remakes_target=True)
    assert type(judge(Evidence(observed_at=NOW, workload=None, subject=subject), CALM, CALM, made)) is means


NODE = ObjectRef(kind="Node", namespace=None, name="n1")


@pytest.mark.parametrize(
    ("signals", "empties", "means"),
    [
        pytest.param((fails(Reason.NODE_PRESSURE),), False, NotYet, id="it is still short of something"),
        pytest.param((fails(Reason.NODE_PRESSURE),), True, Good, id="it is empty: the machine is somebody else's"),
        pytest.param(
            (fails(Reason.NODE_PRESSURE), fails(Reason.NODE_CLOSED)), True, NotYet, id="its pods find no other place"
        ),
        pytest.param((fails(Reason.NODE_NOT_READY),), True, NotYet, id="it no longer reports"),
    ],
)
def test_a_node_that_was_emptied(signals: tuple[Signal, ...], empties: bool, means: type) -> None:
    there = SubjectFacts(ref=NODE, uid="n", generation=None)
    look = Evidence(observed_at=NOW, workload=None, subject=there, signals=signals)
    wanted = replace(purpose(elsewhere=False), target=NODE, empties_target=empties)
    assert type(judge(look, CALM, CALM, wanted)) is means


def test_trouble_next_door_is_not_good() -> None:
    reading = judge(seen(2), CALM, Vitals(missing=0, failing=("other",), owners=("other",)), purpose(elsewhere=False))
    assert isinstance(reading, NotYet)


SERVICE = ObjectRef(kind="Service", namespace="shop", name="web")
THERE = SubjectFacts(ref=SERVICE, uid="s", generation=None)
LEADS_NOWHERE = fails(Reason.SERVICE_WITHOUT_ENDPOINTS)


@pytest.mark.parametrize(
    ("subject", "signals", "target", "removes", "means"),
    [
        pytest.param(THERE, (), SERVICE, False, Good, id="it is there and silent"),
        pytest.param(THERE, (LEADS_NOWHERE,), SERVICE, False, NotYet, id="it still shows"),
        pytest.param(None, (), SERVICE, False, NotYet, id="it is not there yet"),
        pytest.param(None, (), SERVICE, True, Good, id="it was to be removed"),
        pytest.param(None, (), WEB, False, Hopeless, id="a workload that is gone"),
    ],
)
def test_a_target_that_is_no_workload(
    subject: SubjectFacts | None, signals: tuple[Signal, ...], target: ObjectRef, removes: bool, means: type
) -> None:
    look = Evidence(observed_at=NOW, workload=None, subject=subject, signals=signals)
    wanted = Purpose(since=NOW, reasons=frozenset(), is_elsewhere=False, target=target, removes_target=removes)
    assert type(judge(look, CALM, CALM, wanted)) is means


OTHER_FAILS = Vitals(missing=0, failing=("pod",), owners=("other",))
NODE = ObjectRef(kind="Node", namespace=None, name="node1")
OPEN_NODE = Evidence(observed_at=NOW, workload=None, subject=SubjectFacts(ref=NODE, uid="n", generation=None))
DRIFTED = fails(Reason.DRIFTED)


def made_for(*reasons: Reason, target: ObjectRef = WEB, elsewhere: frozenset[str] = frozenset()) -> Purpose:
    return Purpose(since=NOW, reasons=frozenset(reasons), is_elsewhere=False, target=target, elsewhere=elsewhere)


@pytest.mark.parametrize(
    ("look", "after", "wanted", "means"),
    [
        pytest.param(seen(2), OTHER_FAILS, made_for(), NotYet, id="another workload began to fail"),
        pytest.param(
            seen(2), OTHER_FAILS, made_for(elsewhere=frozenset({"other"})), Good, id="it has an incident of its own"
        ),
        pytest.param(OPEN_NODE, OTHER_FAILS, made_for(target=NODE), Good, id="a node is judged by the node"),
        pytest.param(
            seen(2, DRIFTED),
            CALM,
            made_for(Reason.OUT_OF_MEMORY),
            Good,
            id="a healing nobody declared is no failure",
        ),
        pytest.param(seen(2, DRIFTED), CALM, made_for(Reason.DRIFTED), NotYet, id="drift that was to go and is there"),
    ],
)
def test_what_a_plan_is_not_blamed_for(look: Evidence, after: Vitals, wanted: Purpose, means: type) -> None:
    assert type(judge(look, CALM, after, wanted)) is means
