"""What silence and leftovers mean, by table."""

from datetime import UTC, datetime

import pytest

from graph.incident import Family, Reason, Signal
from graph.nodes.analyzer import judge, without_undone
from graph.observed import Evidence, WorkloadFacts
from tools.refs import ObjectRef

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")


def work(*, ready: int, revision: str = "new") -> WorkloadFacts:
    return WorkloadFacts(
        ref=WEB,
        uid="u",
        generation=3,
        observed_generation=3,
        desired=2,
        updated=ready,
        ready=ready,
        available=ready,
        paused=False,
        revision=3,
        revision_hash=revision,
    )


def signal(revision: str, *, confirmed: bool = True) -> Signal:
    return Signal(
        reason=Reason.CRASH_LOOP,
        family=Family.CRASH,
        object=ObjectRef(kind="Pod", namespace="shop", name=f"web-{revision}"),
        uid=f"pod-{revision}",
        revision=revision,
        observed_at=NOW,
        confirmed=confirmed,
    )


def evidence(ready: int, *signals: Signal, unseen: tuple[str, ...] = ()) -> Evidence:
    return Evidence(observed_at=NOW, workload=work(ready=ready), signals=signals, unseen=unseen)


@pytest.mark.parametrize(
    ("seen", "after_undo", "finding"),
    [
        pytest.param(evidence(1, signal("new")), False, "wrong", id="a confirmed signal is wrong"),
        pytest.param(evidence(1, signal("new", confirmed=False)), False, "clear", id="an unconfirmed one is not"),
        pytest.param(evidence(2), False, "clear", id="silence is clear"),
        pytest.param(evidence(2, unseen=("events",)), False, "unreadable", id="silence of the blind is not"),
        pytest.param(evidence(1), True, "wrong", id="silence after an undo is not, while pods are being made"),
        pytest.param(evidence(2), True, "clear", id="silence after an undo is clear once all is ready"),
    ],
)
def test_the_finding(seen: Evidence, after_undo: bool, finding: str) -> None:
    assert judge(seen, after_undo=after_undo) == finding


@pytest.mark.parametrize(
    ("seen", "left"),
    [
        pytest.param(evidence(1, signal("old"), signal("new")), ["new"], id="what was taken back is no evidence"),
        pytest.param(evidence(2, signal("old")), ["old"], id="once nothing moves, every signal counts"),
    ],
)
def test_signals_after_an_undo(seen: Evidence, left: list[str]) -> None:
    assert [s.revision for s in without_undone(seen).signals] == left
