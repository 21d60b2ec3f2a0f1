"""The few kubectl commands that scenarios use, as API requests: the simulator is played without a kubectl program.

Rule: a command or flag that is not known here is an error that says so; nothing is half done.  On the real cluster the
real kubectl runs the same arguments.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from tests.cluster.kube import KINDS, Kube, KubeError
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str

_SHORT = {
    "deploy": "Deployment",
    "sts": "StatefulSet",
    "ds": "DaemonSet",
    "pvc": "PersistentVolumeClaim",
    "hpa": "HorizontalPodAutoscaler",
    "pdb": "PodDisruptionBudget",
}
_ROLLED = {"Deployment", "StatefulSet", "DaemonSet"}
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_REVISION = "deployment.kubernetes.io/revision"
_FLAGS_WITH_VALUE = {"-l", "-p", "--type", "--replicas", "--from", "--subresource"}


@dataclass(frozen=True)
class Command:
    """A command line, taken apart."""

    words: tuple[str, ...]
    flags: dict[str, str] = field(default_factory=dict[str, str])
    after: tuple[str, ...] = ()
    """What stands after `--`."""


def read(arguments: Sequence[str]) -> Command:
    """Words, flags and what follows `--`."""
    cut = list(arguments).index("--") if "--" in arguments else len(arguments)
    words: list[str] = []
    flags: dict[str, str] = {}
    rest = list(arguments[:cut])
    while rest:
        part = rest.pop(0)
        name, equals, value = part.partition("=")
        if not part.startswith("-"):
            words.append(part)
        elif equals:
            flags[name] = value
        else:
            flags[part] = rest.pop(0) if part in _FLAGS_WITH_VALUE and rest else "true"
    return Command(tuple(words), flags, tuple(arguments[cut + 1 :]))


def kind_named(word: str) -> str:
    """`deployment`, `deployments`, `deploy` → Deployment.  KubeError for a kind that scenarios do not know."""
    lowered = word.lower()
    for kind, resource in KINDS.items():
        if lowered in (kind.lower(), resource.plural):
            return kind
    if lowered in _SHORT:
        return _SHORT[lowered]
    raise KubeError(f"kubectl: no resource type {word!r} here; there are {', '.join(KINDS)}")


class Verbs:
    """kubectl as one identity in one namespace."""

    def __init__(self, kube: Kube, namespace: str, now: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._now = now

    async def run(self, arguments: Sequence[str]) -> None:
        """Do it.  KubeError with the reason when it cannot be done."""
        command = read(arguments)
        doers: dict[str, Callable[[Command], Awaitable[None]]] = {
            "scale": self._scale,
            "rollout": self._rollout,
            "patch": self._patch,
            "delete": self._delete,
            "cordon": self._cordon,
            "uncordon": self._cordon,
            "taint": self._taint,
            "label": self._mark,
            "annotate": self._mark,
            "create": self._create_job,
        }
        verb = command.words[0] if command.words else ""
        if verb not in doers:
            raise KubeError(f"kubectl {' '.join(arguments)}: only {', '.join(doers)} are known without a kubectl")
        await doers[verb](command)

    async def _merge(self, kind: str, name: str, body: JsonValue, subresource: str = "") -> None:
        await self._kube.patch(kind, self._namespace, name, "merge", body, subresource=subresource)

    async def _scale(self, command: Command) -> None:
        kind, name = _reference(command.words[1:])
        replicas = int(command.flags["--replicas"])
        await self._merge(kind, name, {"spec": {"replicas": replicas}}, "scale")

    async def _patch(self, command: Command) -> None:
        kind, name = _reference(command.words[1:])
        body = cast("JsonValue", json.loads(command.flags["-p"]))
        type_, subresource = command.flags.get("--type", "strategic"), command.flags.get("--subresource", "")
        await self._kube.patch(kind, self._namespace, name, type_, body, subresource=subresource)

    async def _delete(self, command: Command) -> None:
        kind = kind_named(command.words[1].partition("/")[0])
        if "-l" in command.flags or "--all" in command.flags:
            wanted = dict(p.split("=", 1) for p in command.flags.get("-l", "").split(",") if p)
            found = await self._all(kind)
            names = [
                dig_str(o, "metadata", "name")
                for o in found
                if wanted.items() <= dig_object(o, "metadata", "labels").items()
            ]
        else:
            names = [_reference(command.words[1:])[1]]
        for name in names:
            await self._kube.delete(KINDS[kind].path(self._namespace, name))

    async def _all(self, kind: str) -> list[JsonObject]:
        listed = await self._kube.list(kind, self._namespace)
        return [o for o in dig_list(listed, "items") if isinstance(o, dict)]

    async def _mark(self, command: Command) -> None:
        """`label` and `annotate`: KEY=VALUE sets, KEY- removes."""
        kind, name = _reference(command.words[1:])
        pairs = [w for w in command.words[1:] if "=" in w or w.endswith("-")]
        marks: JsonObject = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            marks[key if equals else key.removesuffix("-")] = value if equals else None
        holder = "labels" if command.words[0] == "label" else "annotations"
        await self._merge(kind, name, {"metadata": {holder: marks}})

    # ---- nodes
    async def _nodes(self, command: Command) -> list[str]:
        if "-l" in command.flags or "--all" in command.flags:
            return [dig_str(o, "metadata", "name") for o in await self._all("Node")]
        return [w for w in command.words[1:] if "=" not in w and ":" not in w and w not in ("node", "nodes")]

    async def _cordon(self, command: Command) -> None:
        closed = True if command.words[0] == "cordon" else None
        for name in await self._nodes(command):
            await self._merge("Node", name, {"spec": {"unschedulable": closed}})

    async def _taint(self, command: Command) -> None:
        """KEY=VALUE:EFFECT adds, KEY:EFFECT- removes."""
        change = command.words[-1]
        removes = change.endswith("-")
        front, _, effect = change.removesuffix("-").partition(":")
        key, _, value = front.partition("=")
        for node in [n for n in await self._nodes(command) if n != change]:
            there = await self._kube.get("Node", None, node)
            kept = [
                t
                for t in dig_list(there, "spec", "taints")
                if (dig_str(t, "key"), dig_str(t, "effect")) != (key, effect)
            ]
            added: list[JsonValue] = [] if removes else [{"key": key, "value": value, "effect": effect}]
            await self._merge("Node", node, {"spec": {"taints": [*kept, *added] or None}})

    # ---- workloads
    async def _rollout(self, command: Command) -> None:
        what = command.words[1]
        kind, name = _reference(command.words[2:])
        match what:
            case "restart":
                stamp: JsonObject = {_RESTARTED: self._now}
                await self._merge(kind, name, {"spec": {"template": {"metadata": {"annotations": stamp}}}})
            case "pause" | "resume":
                await self._merge(kind, name, {"spec": {"paused": what == "pause" or None}})
            case "undo" if kind in _ROLLED:
                await self._undo(kind, name, int(command.flags.get("--to-revision", "0")))
            case _:
                raise KubeError(f"kubectl rollout {what}: not known without a kubectl")

    async def _undo(self, kind: str, name: str, number: int) -> None:
        """Put back the template of revision `number`, or with 0 that of the one before the newest."""
        if kind == "Deployment":
            template = await self._replica_set(name, number)
        else:
            template = await self._revision_before(kind, name)
        live = await self._kube.get(kind, self._namespace, name)
        spec: JsonObject = {**dig_object(live, "spec"), "template": template}
        await self._kube.request("PUT", KINDS[kind].path(self._namespace, name), body={**live, "spec": spec})

    async def _replica_set(self, name: str, number: int) -> JsonObject:
        listed = await self._kube.request("GET", f"/apis/apps/v1/namespaces/{self._namespace}/replicasets")
        mine = [o for o in dig_list(listed, "items") if dig_str(o, "metadata", "ownerReferences", 0, "name") == name]
        numbered = sorted((int(dig_str(o, "metadata", "annotations", _REVISION) or 0), i) for i, o in enumerate(mine))
        wanted = [i for n, i in numbered if n == number] or ([i for _, i in numbered[-2:-1]] if not number else [])
        if not wanted:
            raise KubeError(f"rollout undo {name}: no rollout history found")
        template = dict(dig_object(mine[wanted[0]], "spec", "template"))
        metadata = dict(dig_object(template, "metadata"))
        labels = {k: v for k, v in dig_object(metadata, "labels").items() if k != "pod-template-hash"}
        return {**template, "metadata": {**metadata, "labels": labels}}

    async def _revision_before(self, kind: str, name: str) -> JsonObject:
        listed = await self._kube.request("GET", f"/apis/apps/v1/namespaces/{self._namespace}/controllerrevisions")
        mine = [
            o
            for o in dig_list(listed, "items")
            if dig_str(o, "metadata", "ownerReferences", 0, "name") == name
            and dig_str(o, "metadata", "ownerReferences", 0, "kind") == kind
        ]
        mine.sort(key=lambda o: dig_int(o, "revision") or 0)
        if len(mine) < 2:
            raise KubeError(f"rollout undo {name}: no rollout history found")
        return {k: v for k, v in dig_object(mine[-2], "data", "spec", "template").items() if k != "$patch"}

    async def _create_job(self, command: Command) -> None:
        """`create job NAME --from=cronjob/NAME`."""
        source = command.flags.get("--from", "").partition("/")[2]
        cronjob = await self._kube.get("CronJob", self._namespace, source)
        owner: JsonObject = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": source,
            "uid": dig(cronjob, "metadata", "uid"),
            "controller": True,
        }
        metadata: JsonObject = {
            "name": command.words[2],
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [owner],
        }
        job: JsonObject = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": dig_object(cronjob, "spec", "jobTemplate", "spec"),
        }
        await self._kube.request("POST", KINDS["Job"].path(self._namespace), body=job)


def _reference(words: Sequence[str]) -> tuple[str, str]:
    """`deployment/web` or `deployment web`."""
    kind, slash, name = words[0].partition("/")
    return kind_named(kind), name if slash else words[1]
