"""The record of each request stands in the incident's account, in a real ledger."""

from __future__ import annotations

from pathlib import Path

from graph.model.session import ModelRecord
from graph.model.trail import trail
from tests.support.ledgers import ledger_at
from tests.tools.cluster.hostile import JumpClock
from tools.ledger.ledger import Ledger


def record(incident_id: str, outcome: str, reason: str = "") -> ModelRecord:
    return ModelRecord(
        incident_id=incident_id,
        phase="plan",
        turn=2,
        model="scripted-1",
        response_id="chatcmpl-7",
        prompt_version="0" * 16,
        prompt_tokens=700,
        answer_tokens=30,
        incident_tokens=900,
        seconds=0.5,
        outcome=outcome,
        reason=reason,
    )


async def test_answers_and_failures_are_kept_with_prompt_version_and_tokens(tmp_path: Path) -> None:
    ledger = await Ledger.open(await ledger_at(tmp_path / "ledger.db"))
    try:
        write = trail(ledger, JumpClock())
        await write(record("probe", "answered"))
        await write(record("probe", "LLM_UNAVAILABLE", "The model's server refuses our key (401)."))
        kept = await ledger.audit()
    finally:
        await ledger.close()
    assert [(e.incident_id, e.phase, e.actor, e.code) for e in kept] == [
        (None, "diagnosis", "model:scripted-1", ""),
        (None, "diagnosis", "model:scripted-1", "LLM_UNAVAILABLE"),
    ]
    assert kept[0].data["prompt_version"] == "0" * 16
    assert kept[0].data["prompt_tokens"] == 700
    assert kept[1].sentence.endswith("The model's server refuses our key (401).")
