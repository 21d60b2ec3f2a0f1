"""What the ledger remembers of objects: versions by digest, the last five, and what stood beside a workload."""

from __future__ import annotations

from tests.tools.ledger.samples import MINUTE, NODE, NOW, SETTINGS, WEB, surroundings, version
from tools.ledger.ledger import Ledger
from tools.refs import ObjectRef


async def test_the_five_confirmed_last_are_kept_newest_first(ledger: Ledger) -> None:
    for number in range(7):
        assert await ledger.keep_version(version(f"v{number}", confirmed_at=NOW + number * MINUTE))
    assert not await ledger.keep_version(version("v3", confirmed_at=NOW + 9 * MINUTE))
    assert not await ledger.keep_version(version("v6", confirmed_at=NOW))  # an older sighting changes nothing
    held = await ledger.object_versions(SETTINGS)
    assert [one.manifest["data"] for one in held] == [{"MODE": m} for m in ("v3", "v6", "v5", "v4", "v2")]
    assert held[0].first_confirmed_at == NOW + 3 * MINUTE
    assert held[0].confirmed_at == NOW + 9 * MINUTE


async def test_a_version_belongs_to_one_object(ledger: Ledger) -> None:
    one = version()
    await ledger.keep_version(one)
    assert await ledger.object_version(SETTINGS, one.digest) == one
    other = ObjectRef(kind="ConfigMap", namespace="shop", name="other")
    assert await ledger.object_version(other, one.digest) is None
    assert await ledger.object_version(SETTINGS, "0" * 64) is None


async def test_versions_of_a_namespace(ledger: Ledger) -> None:
    await ledger.keep_version(version())
    await ledger.keep_version(version(ref=ObjectRef(kind="ConfigMap", namespace="bank", name="web")))
    await ledger.keep_version(version(ref=NODE))
    assert [one.ref for one in await ledger.versions_in("shop")] == [SETTINGS]
    assert [one.ref for one in await ledger.versions_in("")] == [NODE]


async def test_the_surroundings_are_those_of_the_last_time(ledger: Ledger) -> None:
    assert await ledger.surroundings(WEB) is None
    await ledger.keep_surroundings(surroundings("a", "b"))
    await ledger.keep_surroundings(surroundings("b", confirmed_at=NOW + MINUTE))
    await ledger.keep_surroundings(surroundings("c", owner=NODE))
    assert await ledger.surroundings(WEB) == surroundings("b", confirmed_at=NOW + MINUTE)


async def test_what_nobody_confirmed_for_long_is_forgotten(ledger: Ledger) -> None:
    await ledger.keep_version(version("old"))
    await ledger.keep_version(version("young", confirmed_at=NOW + 2 * MINUTE))
    await ledger.keep_surroundings(surroundings())
    gone = await ledger.prune(NOW + MINUTE)
    assert (gone["object_versions"], gone["good_surroundings"]) == (1, 1)
    assert [one.manifest["data"] for one in await ledger.object_versions(SETTINGS)] == [{"MODE": "young"}]


async def test_the_newest_version_of_every_object(ledger: Ledger) -> None:
    await ledger.keep_version(version("old"))
    await ledger.keep_version(version("new", confirmed_at=NOW + MINUTE))
    await ledger.keep_version(version("same", ref=NODE))
    await ledger.keep_version(version("time", ref=NODE))
    found = {one.ref: one for one in await ledger.newest_versions()}
    assert set(found) == {SETTINGS, NODE}
    assert found[SETTINGS].manifest["data"] == {"MODE": "new"}
