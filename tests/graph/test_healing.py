"""One incident from signal to last word, over the simulated API server, in virtual time."""

from datetime import timedelta
from pathlib import Path

from graph.plan import Status
from tests.support.healing import bench, end_of, heal_by, set_container


async def test_a_bad_image_is_rolled_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as it:
        await set_container(it, image="registry.invalid/web:2")
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert result.plan is not None
        assert [s.action.action for s in result.plan.steps] == ["rollback_workload"]
        assert it.image() == "registry.example/shop/web:1"
        assert len(it.writes()) == 1
        assert result.resolution.recovered_at is not None
        assert result.resolution.recovered_at - result.opened_at < timedelta(seconds=60)


async def test_observe_mode_writes_nothing_and_says_what_it_would_do(tmp_path: Path) -> None:
    async with bench(tmp_path, policy="version: 1\n") as it:
        await set_container(it, image="registry.invalid/web:2")
        result = await end_of(it)
        assert result.status is Status.OBSERVED, result
        assert "rollback_workload" in result.resolution.sentence
        assert it.writes() == []
        assert it.image() == "registry.invalid/web:2"


async def test_what_was_undone_is_not_taken_for_healed_while_it_is_rolled_back_in(tmp_path: Path) -> None:
    """The first plan does not help; right after the undo no pod has failed yet, and still the incident goes on.

    Revision 2 never worked, but nothing is known of that: a person stepped over it at once.  A plan that goes there is
    verified, fails, and is undone; the next one goes to revision 1.
    """
    async with bench(tmp_path, watch=False) as it:
        await set_container(it, image="registry.invalid/web:2")
        await it.sim.sleep(1)
        await set_container(it, image="registry.invalid/web:3")
        await it.sim.sleep(5)
        incident = await heal_by(it, "web", to_revisions=(2,))
        result = await end_of(it)
        assert result.status is Status.HEALED, result
        assert it.image() == "registry.example/shop/web:1"
        lines = await it.ports.ledger.audit(incident_id=incident)
        phases = [line.phase for line in lines]
        assert "undo" in phases, [line.sentence for line in lines]
        assert phases.index("undo") < len(phases) - 1 - phases[::-1].index("plan"), "planned again after the undo"
        assert len(it.writes()) == 3, "to 2, back, to 1"
