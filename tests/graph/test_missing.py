"""What the kubelet calls missing is looked for before it is believed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from graph.incident import Reason, Signal
from graph.missing import NEXT_TRY, TAKEN_IN, recheck
from tests.graph.rules.samples import NOW, signal
from tools.cluster.resources import Resource
from tools.errors import Denied, NotFound, ToolError, Transient
from tools.jsontypes import JsonObject

NO_MAP = 'CreateContainerConfigError: configmap "settings" not found'
NO_KEY = "CreateContainerConfigError: couldn't find key MODE in ConfigMap shop/settings"
NO_SECRET = 'CreateContainerConfigError: secret "settings" not found'


def stamp(ago: timedelta) -> str:
    return (NOW - ago).isoformat().replace("+00:00", "Z")


def config(*keys: str, binary: str = "", made: timedelta, written: timedelta | None = None) -> JsonObject:
    metadata: JsonObject = {"name": "settings", "namespace": "shop", "creationTimestamp": stamp(made)}
    if written is not None:
        metadata["managedFields"] = [{"manager": "kubectl", "time": stamp(made)}, {"time": stamp(written)}]
    return {"metadata": metadata, "data": dict.fromkeys(keys, "x"), "binaryData": {binary: "eA=="} if binary else {}}


class Held:
    """A cluster that holds at most one ConfigMap, and counts."""

    def __init__(self, answer: JsonObject | ToolError) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> JsonObject:
        self.asked.append(f"{resource.plural} {namespace}/{name}")
        if isinstance(self.answer, ToolError):
            raise self.answer
        return self.answer

    async def list(self, resource: Resource, namespace: str | None = None, **_: object) -> list[JsonObject]:
        raise AssertionError("nothing is listed")


YOUNG, OLD = timedelta(seconds=3), TAKEN_IN + timedelta(seconds=1)
GONE = NotFound("configmaps settings")

STANDS: dict[str, tuple[str, JsonObject | ToolError, bool]] = {
    "not there": (NO_MAP, GONE, True),
    "has come": (NO_MAP, config(made=YOUNG), False),
    "has come without the key": (NO_KEY, config("OTHER", made=YOUNG), True),
    "has come with the key": (NO_KEY, config("MODE", made=YOUNG), False),
    "has come with the key, as bytes": (NO_KEY, config(binary="MODE", made=YOUNG), False),
    "was there, and the key was written just now": (NO_KEY, config("MODE", made=OLD, written=YOUNG), False),
    "was there for long with the key: the kubelet means something else": (NO_KEY, config("MODE", made=OLD), True),
    "says no time: young as far as we know": (NO_MAP, {"metadata": {"name": "settings"}}, False),
    "may not be read": (NO_MAP, Denied("configmaps"), True),
}


@pytest.mark.parametrize(("message", "answer", "stands"), STANDS.values(), ids=STANDS)
async def test_a_configmap(message: str, answer: JsonObject | ToolError, stands: bool) -> None:
    held = Held(answer)
    ((found,), unseen) = await recheck([signal(Reason.CONFIG_MISSING, message)], held, NOW)
    assert held.asked == ["configmaps shop/settings"]
    assert (found.confirmed, found.due_at) == ((True, None) if stands else (False, NOW + NEXT_TRY))
    assert bool(unseen) is isinstance(answer, Denied)


UNASKED: dict[str, Signal] = {
    "Secrets are never read": signal(Reason.CONFIG_MISSING, NO_SECRET),
    "within its grace: it is due anyway": signal(Reason.CONFIG_MISSING, NO_MAP, confirmed=False),
    "a mount that does not name its object": signal(
        Reason.CONFIG_MISSING, "ContainerCreating: configmap references non-existent config key: app.yaml"
    ),
    "another trouble": signal(Reason.CRASH_LOOP, NO_MAP),
}


@pytest.mark.parametrize("subject", UNASKED.values(), ids=UNASKED)
async def test_what_is_not_asked_about_stays(subject: Signal) -> None:
    held = Held(config(made=YOUNG))
    assert await recheck([subject], held, NOW) == ((subject,), ())
    assert held.asked == []


async def test_each_configmap_is_read_once_for_all_pods() -> None:
    held = Held(config("MODE", made=YOUNG))
    both = [signal(Reason.CONFIG_MISSING, NO_KEY, pod=f"web-{n}") for n in range(5)]
    found, _ = await recheck([*both, signal(Reason.CONFIG_MISSING, NO_MAP)], held, NOW)
    assert held.asked == ["configmaps shop/settings"]
    assert not any(s.confirmed for s in found)


async def test_an_api_server_that_does_not_answer_is_no_answer() -> None:
    with pytest.raises(Transient):
        await recheck([signal(Reason.CONFIG_MISSING, NO_MAP)], Held(Transient("busy")), NOW)
