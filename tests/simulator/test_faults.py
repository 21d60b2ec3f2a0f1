"""Faults on demand, and the audit of what clients did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from evals.simulator import Simulator

MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
PATH = "/api/v1/namespaces/default/configmaps"


class Client:
    """A client of its own connection."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim, self._session = sim, session

    async def call(self, method: str, path: str, body: Any = None, user: str = "admin") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.sim.token(user)}"}
        async with self._session.request(method, self.sim.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Simulator.virtual() as sim, aiohttp.ClientSession() as session:
        yield Client(sim, session)


@pytest.mark.parametrize("code", [403, 409, 429, 500, 503])
async def test_a_refusal_on_demand(client: Client, code: int) -> None:
    fault = client.sim.faults.answer(code, verb="create", resource="configmaps", message="as asked")
    status, body = await client.call("POST", PATH, MAP)
    assert (status, body["message"], fault.hits) == (code, "as asked", 1)
    assert (await client.call("POST", PATH, MAP))[0] == 201


async def test_a_fault_hits_what_it_names_only(client: Client) -> None:
    client.sim.faults.answer(500, verb="create", resource="secrets", times=None)
    assert (await client.call("POST", PATH, MAP))[0] == 201


async def test_a_dry_run_can_be_refused_alone(client: Client) -> None:
    client.sim.faults.answer(422, verb="create", dry_run=True, times=None)
    assert (await client.call("POST", f"{PATH}?dryRun=All", MAP))[0] == 422
    assert (await client.call("POST", PATH, MAP))[0] == 201


async def test_an_answer_that_is_lost_leaves_the_write_done(client: Client) -> None:
    client.sim.faults.lose_answer(verb="create")
    with pytest.raises(aiohttp.ClientError):
        await client.call("POST", PATH, MAP)
    assert client.sim.get("ConfigMap", "default", "c") is not None


async def test_a_reset_leaves_the_write_undone(client: Client) -> None:
    client.sim.faults.reset(verb="create")
    with pytest.raises(aiohttp.ClientError):
        await client.call("POST", PATH, MAP)
    assert client.sim.get("ConfigMap", "default", "c") is None


async def test_an_admission_refusal(client: Client) -> None:
    client.sim.faults.refuse(resource="configmaps", verb="create", message="not here")
    status, body = await client.call("POST", PATH, MAP)
    assert status == 403
    assert body["message"] == 'admission webhook "policy.simulator.local" denied the request: not here'


async def test_an_expired_watch_is_an_error_event(client: Client) -> None:
    client.sim.faults.expire_watches(resource="configmaps")
    _, body = await client.call("GET", f"{PATH}?watch=1&resourceVersion={client.sim.store.version}")
    assert (body["type"], body["object"]["code"], body["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_version_older_than_the_history_has_expired(client: Client) -> None:
    client.sim.server.sever_watches()
    _, body = await client.call("GET", f"{PATH}?watch=1&resourceVersion=5")
    assert (body["type"], body["object"]["code"]) == ("ERROR", 410)


async def test_the_audit_names_who_did_what(client: Client) -> None:
    await client.call("POST", PATH, MAP)
    await client.call("DELETE", f"{PATH}/c?dryRun=All")
    await client.call("DELETE", f"{PATH}/c", user="somebody")
    seen = [(e.user, e.verb, e.resource, e.name, e.dry_run, e.code) for e in client.sim.audit.entries]
    assert seen == [
        ("admin", "create", "configmaps", "c", False, 201),
        ("admin", "delete", "configmaps", "c", True, 200),
        ("somebody", "delete", "configmaps", "c", False, 403),
    ]
    assert [e.verb for e in client.sim.audit.writes()] == ["create"]


async def test_reads_are_not_audited(client: Client) -> None:
    await client.call("GET", PATH)
    assert client.sim.audit.entries == []
