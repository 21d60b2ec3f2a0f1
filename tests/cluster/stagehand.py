"""Carries out the steps of a scenario in its namespace, as the person who breaks things."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import assert_never, cast

from tests.cluster.ground import Ground
from tests.cluster.kube import KINDS, KubeError
from tests.cluster.shapes import as_object, filled, in_namespace
from tests.cluster.steps import Apply, Delete, Heartbeat, Kubectl, Kubelet, Patch, Reapply, Step
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_str
from tools.quantity import parse_quantity

SPARE_CPU_M = 15
HEARTBEAT_S = 4.0
FIRST_NODE = "node1"


class Stagehand:
    """One namespace's.  `leave` ends what goes on in the background."""

    def __init__(
        self, ground: Ground, namespace: str, fixtures: Sequence[JsonObject] = (), *, as_healer: bool = False
    ) -> None:
        self._ground = ground
        self._namespace = namespace
        self._fixtures = fixtures
        self._as_healer = as_healer
        self._beating: list[asyncio.Task[None]] = []

    async def do(self, steps: Iterable[Step]) -> None:
        """All of them, in order."""
        for step in steps:
            await self._do(step)

    async def leave(self) -> None:
        """No more heartbeats."""
        for task in self._beating:
            task.cancel()
        await asyncio.gather(*self._beating, return_exceptions=True)

    async def _do(self, step: Step) -> None:
        human, namespace = self._ground.human, self._namespace
        match step:
            case Patch(kind, name, type_, body, subresource):
                filled_body = filled(body, await self._words(body))
                await human.patch(kind, namespace, self._named(name), type_, filled_body, subresource=subresource)
            case Apply(manifest):
                whole = as_object(filled(manifest, await self._words(manifest)), "apply")
                await human.apply(in_namespace(whole, namespace))
            case Delete(kind, name):
                await human.delete(KINDS[kind].path(namespace, self._named(name)))
            case Kubectl(arguments):
                words = [self._named(a) for a in arguments]
                await self._ground.kubectl(namespace, words, as_healer=self._as_healer)
            case Reapply(kind, name):
                for manifest in self._fixtures:
                    if (dig_str(manifest, "kind"), dig_str(manifest, "metadata", "name")) == (kind, name):
                        await human.apply(manifest)
            case Kubelet(does, node):
                await self._ground.kubelet(node, runs=does == "start")
            case Heartbeat(node):
                self._beating.append(asyncio.create_task(self._beat(self._named(node))))
            case _:
                assert_never(step)

    def _named(self, text: str) -> str:
        return text.replace("${NS}", self._namespace)

    async def _words(self, value: JsonValue) -> dict[str, str]:
        """What the placeholders of a document mean now."""
        text = str(value)
        words = {"NS": self._namespace, "NOW": self._now()}
        if "${MORE_CPU_THAN_LEFT}" in text:
            words["MORE_CPU_THAN_LEFT"] = f"{await self._free_cpu_m(FIRST_NODE) + SPARE_CPU_M}m"
        return words

    def _now(self) -> str:
        return self._ground.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    async def _free_cpu_m(self, node: str) -> int:
        """Millicores of a node that no running pod has requested."""
        there = await self._ground.human.get("Node", None, node)
        free = parse_quantity(dig_str(there, "status", "allocatable", "cpu"))
        listed = await self._ground.human.list("Pod")
        for pod in dig_list(listed, "items"):
            gone = dig_str(pod, "status", "phase") in ("Succeeded", "Failed")
            if dig_str(pod, "spec", "nodeName") == node and not gone:
                free -= sum(
                    parse_quantity(str(dig(c, "resources", "requests", "cpu") or "0"))
                    for c in dig_list(pod, "spec", "containers")
                )
        return int(free * 1000)

    async def _beat(self, node: str) -> None:
        """Say again what the node's conditions say, with the time of now, as its kubelet would."""
        while True:
            await self._ground.clock.sleep(timedelta(seconds=HEARTBEAT_S))
            try:
                there = await self._ground.human.get("Node", None, node)
                beats: list[JsonValue] = [
                    {**c, "lastHeartbeatTime": self._now()}
                    for c in cast("list[JsonObject]", dig_list(there, "status", "conditions"))
                ]
                body: JsonObject = {"status": {"conditions": beats}}
                await self._ground.human.patch("Node", "", node, "strategic", body, subresource="status")
            except KubeError:
                continue  # written at the same moment by a controller: the next beat is soon
