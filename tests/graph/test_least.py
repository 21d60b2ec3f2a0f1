"""Several plans for one trouble: which one is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from graph.least import least, weigh
from graph.nodes.validator import Judged, choose
from graph.plan import Accepted, Diagnosis, NeedsApproval, ObserveOnly, Origin, Plan, Rejected, Step, Verdict
from tools.executors.actions import EvictPod, RestartWorkload, RollbackWorkload, ScaleWorkload
from tools.executors.base import InverseKind
from tools.guard.verdict import ReasonCode, Refused
from tools.refs import PlanId

WEB = {"kind": "Deployment", "namespace": "shop", "name": "web"}
BACK = RollbackWorkload.model_validate({"action": "rollback_workload", **WEB, "to_revision": 1})
AGAIN = RestartWorkload.model_validate({"action": "restart_workload", **WEB})
MORE = ScaleWorkload.model_validate({"action": "scale_workload", **WEB, "replicas": 3})
MOVE = EvictPod(action="evict_pod", namespace="shop", name="web-1")


@dataclass(frozen=True)
class Seen:
    """What the guard saw of a step."""

    diff: tuple[object, ...] = (1,)
    inverse_kind: InverseKind = InverseKind.EXACT
    approval_reasons: tuple[str, ...] = ()


def plan(
    name: str,
    *actions: RollbackWorkload | RestartWorkload | ScaleWorkload | EvictPod,
    confidence: float = 0.9,
    loosens: tuple[str, ...] = (),
) -> Plan:
    diagnosis = Diagnosis(cause="c", sentence="s.", confidence=confidence, origin=Origin.RULE, author="r")
    steps = tuple(Step(action=a, why="w") for a in actions)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Plan(id=PlanId(name), diagnosis=diagnosis, steps=steps, loosens=loosens, created_at=at)


ONE_FIELD, TEN_FIELDS = Seen(diff=(1,)), Seen(diff=tuple(range(10)))
FOR_GOOD = Seen(diff=(), inverse_kind=InverseKind.NONE)


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        pytest.param(
            weigh(plan("a", BACK), [TEN_FIELDS]), weigh(plan("b", AGAIN), [ONE_FIELD]), "b", id="fewer-fields"
        ),
        pytest.param(
            weigh(plan("a", BACK), [ONE_FIELD]), weigh(plan("b", AGAIN), [ONE_FIELD]), "a", id="equal-keeps-the-order"
        ),
        pytest.param(
            weigh(plan("a", BACK, MOVE), [ONE_FIELD, ONE_FIELD]),
            weigh(plan("b", AGAIN), [TEN_FIELDS]),
            "b",
            id="fewer-objects-before-fewer-fields",
        ),
        pytest.param(
            weigh(plan("a", MOVE), [FOR_GOOD]),
            weigh(plan("b", BACK), [TEN_FIELDS]),
            "b",
            id="what-can-be-taken-back-before-what-cannot",
        ),
        pytest.param(
            weigh(plan("a", BACK), [TEN_FIELDS]),
            weigh(plan("b", MORE), [ONE_FIELD]),
            "a",
            id="what-was-once-before-something-new",
        ),
        pytest.param(
            weigh(plan("a", BACK, loosens=("running as root is allowed",)), [ONE_FIELD]),
            weigh(plan("b", AGAIN), [TEN_FIELDS]),
            "b",
            id="security-is-not-given-up-for-a-smaller-change",
        ),
        pytest.param(
            weigh(plan("a", BACK, confidence=0.95), [TEN_FIELDS]),
            weigh(plan("b", AGAIN, confidence=0.5), [ONE_FIELD]),
            "a",
            id="a-guess-is-not-compared-with-a-certainty",
        ),
        pytest.param(
            weigh(plan("a", BACK, confidence=0.95), [TEN_FIELDS]),
            weigh(plan("b", AGAIN, confidence=0.8), [ONE_FIELD]),
            "b",
            id="about-as-certain",
        ),
    ],
)
def test_the_least_change_is_taken(first: object, second: object, wins: str) -> None:
    assert least([first, second]).plan.id == wins  # type: ignore[list-item]


NO = Rejected(refusals=(Refused(code=ReasonCode.COOLDOWN, reason="r"),))
ASK = NeedsApproval(reasons=("why",))


@pytest.mark.parametrize(
    ("verdicts", "wins"),
    [
        pytest.param((NO, Accepted()), "b", id="one-that-is-refused-gives-way"),
        pytest.param((ASK, Accepted()), "b", id="one-that-needs-nobody-comes-first"),
        pytest.param((ObserveOnly(), ASK), "b", id="one-that-may-be-done-before-one-that-may-not"),
        pytest.param((Accepted(), ASK), "a", id="order-kept"),
        pytest.param((NO, NO), "a", id="none-passes"),
    ],
)
def test_the_verdict_comes_before_the_change(verdicts: tuple[Verdict, Verdict], wins: str) -> None:
    judged = [Judged(plan(name, AGAIN), verdict, ()) for name, verdict in zip("ab", verdicts, strict=True)]
    assert choose(judged).plan.id == wins
