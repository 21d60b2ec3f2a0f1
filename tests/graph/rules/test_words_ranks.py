"""Every reason has its place and its words."""

from datetime import UTC, datetime

import pytest

from graph.incident import Family, Reason, Signal
from graph.rules.words import by_weight, trouble
from tools.refs import ObjectRef


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_can_be_ranked_and_said(reason: Reason) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    signal = Signal(
        reason=reason,
        family=Family.DRIFT,
        object=ObjectRef(kind="Service", namespace="shop", name="web"),
        uid="u",
        message="m",
        observed_at=now,
    )
    assert by_weight([signal]) == [signal]
    assert trouble(signal)
