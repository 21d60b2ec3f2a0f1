"""One incident from signal to last word, over the simulated API server, in virtual time."""

from datetime import timedelta
from pathlib import Path

from graph.plan import Status
from tests.support.healing import bench, end_of, set_container


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
