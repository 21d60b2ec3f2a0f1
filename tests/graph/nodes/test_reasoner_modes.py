"""Who is asked in each mode, in which order, and that memory speaks first and forgets what did not heal."""

from __future__ import annotations

from typing import Any, cast

import pytest

from graph.incident import Family, Incident, Source
from graph.model.cache import DiagnosisCache
from graph.model.config import Mode
from graph.nodes.reasoner import _forget, _propose
from graph.observed import Evidence
from graph.plan import NoPlan, Origin, Planned
from graph.ports import Ports
from tests.graph.model.bench import NOW, WEB, evidence, revert, signal
from tests.graph.model.test_cache import healed_plan
from tests.tools.cluster.hostile import JumpClock
from tools.guard.verdict import ReasonCode, Refused
from tools.refs import IncidentId

INCIDENT = Incident(
    id=IncidentId("inc-2"),
    fingerprint="f",
    target=WEB,
    target_uid="uid-web",
    family=Family.CRASH,
    source=Source.WATCHER,
    opened_at=NOW,
    signals=(signal(),),
)
DOWN = NoPlan(refusal=Refused(code=ReasonCode.LLM_UNAVAILABLE, reason="down"))
PLANNED = Planned(plan=healed_plan(evidence(), Origin.MODEL))


class Asked:
    """A model that gives one answer and counts."""

    name = "asked"

    def __init__(self, answer: Planned | NoPlan) -> None:
        self.answer = answer
        self.times = 0

    async def propose(self, evidence: Evidence, **_: Any) -> Planned | NoPlan:
        self.times += 1
        return self.answer


def ports(mode: Mode, model: Asked | None, cache: DiagnosisCache | None = None) -> Ports:
    """Ports of which this node uses only these."""
    unused = cast("Any", None)
    return Ports(
        cluster=unused, mirror=unused, objects=unused, journal=unused, contexts=unused, good=unused, door=unused,
        ledger=unused, policy=unused, timing=unused, limits=unused, clock=JumpClock(), model=model, mode=mode,
        cache=cache,
    )  # fmt: skip


RULES_KNOW = evidence()
RULES_DO_NOT = evidence(candidates=(), rollout_is_recent=False)


@pytest.mark.parametrize(
    ("mode", "case", "answer", "asked", "origin"),
    [
        (Mode.RULES, RULES_DO_NOT, PLANNED, 0, None),
        (Mode.HYBRID, RULES_KNOW, PLANNED, 0, Origin.RULE),
        (Mode.HYBRID, RULES_DO_NOT, PLANNED, 1, Origin.MODEL),
        (Mode.HYBRID, RULES_DO_NOT, DOWN, 1, None),
        (Mode.MODEL, RULES_KNOW, PLANNED, 1, Origin.MODEL),
        (Mode.MODEL, RULES_KNOW, DOWN, 1, Origin.RULE),
        (Mode.MODEL, evidence(signals=()), PLANNED, 0, None),
    ],
)
async def test_each_mode(
    mode: Mode, case: Evidence, answer: Planned | NoPlan, asked: int, origin: Origin | None
) -> None:
    model = Asked(answer)
    found = await _propose(case, INCIDENT, {}, ports(mode, model))
    assert model.times == asked
    assert (found.plan.diagnosis.origin if isinstance(found, Planned) else None) is origin


async def test_what_healed_before_is_proposed_first_and_forgotten_when_it_does_not() -> None:
    cache = DiagnosisCache(JumpClock())
    cache.remember(RULES_KNOW, healed_plan(RULES_KNOW), incident_id="inc-1")
    model = Asked(DOWN)
    here = ports(Mode.HYBRID, model, cache)
    found = await _propose(RULES_KNOW, INCIDENT, {}, here)
    assert isinstance(found, Planned)
    assert found.plan.diagnosis.origin is Origin.CACHE
    assert model.times == 0
    _forget({"proposal": found.model_dump(mode="json")}, here)
    assert len(cache) == 0


async def test_rules_mode_remembers_nothing() -> None:
    cache = DiagnosisCache(JumpClock())
    case = evidence(candidates=(revert(3),))
    cache.remember(case, healed_plan(case), incident_id="inc-1")
    found = await _propose(case, INCIDENT, {}, ports(Mode.RULES, None, cache))
    assert not (isinstance(found, Planned) and found.plan.diagnosis.origin is Origin.CACHE)
