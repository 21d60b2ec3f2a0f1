"""Which images exist, which commands they have, and how a container behaves."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import msgspec

from evals.simulator.kubelet import phrases
from evals.simulator.kubelet.behaviour import Behaviour, declared
from evals.simulator.objects import annotations_of, objects, texts
from tools.jsontypes import JsonObject, dig_str

ANNOTATION = "sim.selfheal.dev/behaviour"
"""On a pod: JSON, container name to behaviour, for containers whose command says nothing."""

READER = ("/bin/heal-reader",)
READS_CONFIG = Behaviour(reads=("configmaps",), touches=("/tmp/ready",))  # noqa: S108 - a path inside a container
"""The project's small program that reads ConfigMaps with its service account's token, and is ready while it may."""

_REFERENCE = re.compile(
    r"^(?:[\w.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]*)?(?:@sha256:[0-9a-f]{64})?$"
)
_SHELLS = {"sh", "/bin/sh", "ash", "sleep", "/bin/busybox", "busybox", "true", "/bin/true", "false", "/bin/false"}


@dataclass(slots=True)
class Registry:
    """Everything about images.  An image exists unless it is in `missing` or its host does not resolve
    (`missing_hosts`, and whatever ends in `.invalid`).

    `present` are on every node already; `commands` are the programs that exist besides the shell's, per image ("*" for
    all).  `by_image` says what an image does without a command; an image nobody knows listens on the container's ports
    and serves every path.
    """

    missing_hosts: set[str] = field(default_factory=lambda: {"registry.invalid"})
    missing: set[str] = field(default_factory=set[str])
    present: set[str] = field(default_factory=lambda: {"localhost/heal-busybox:1", "localhost/heal-reader:1"})
    commands: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    by_image: dict[str, Behaviour] = field(default_factory=dict[str, Behaviour])
    by_command: dict[tuple[str, ...], Behaviour] = field(default_factory=lambda: {READER: READS_CONFIG})

    def is_valid(self, image: str) -> bool:
        """Whether the name can be parsed as an image reference."""
        return bool(_REFERENCE.match(image))

    def exists(self, image: str) -> bool:
        """Whether it can be pulled."""
        host = image.split("/", 1)[0] if "/" in image else ""
        return image not in self.missing and self.resolves(host)

    def resolves(self, host: str) -> bool:
        """Whether a registry's name can be looked up; one under `.invalid` never can."""
        return host not in self.missing_hosts and not host.endswith(".invalid")

    def has_command(self, image: str, command: list[str]) -> bool:
        """Whether the first word of a command is a program of the image: shells, and whatever was registered."""
        if not command or command[0] in _SHELLS:
            return True
        known = self.commands.get(image, set()) | self.commands.get("*", set())
        return command[0] in known or (tuple(command) in self.by_command)

    def learn(self, command: list[str], behaviour: Behaviour) -> None:
        """A plain command behaves like that."""
        self.by_command[tuple(command)] = behaviour

    def behaviour(self, pod: JsonObject, container: JsonObject) -> Behaviour:
        """How a container of a pod behaves: declared by its command, learnt, read as phrases, annotated, by image, or
        the default."""
        command = [*texts(container, "command"), *texts(container, "args")]
        found = declared(command) or self.by_command.get(tuple(command)) or (phrases.read(command) if command else None)
        return found or self._annotated(pod, container) or self._by_image(container)

    def _annotated(self, pod: JsonObject, container: JsonObject) -> Behaviour | None:
        text = annotations_of(pod).get(ANNOTATION)
        if text is None:
            return None
        raw = json.loads(text).get(dig_str(container, "name"))
        return None if raw is None else msgspec.convert(raw, Behaviour)

    def _by_image(self, container: JsonObject) -> Behaviour:
        known = self.by_image.get(dig_str(container, "image"))
        if known is not None:
            return known
        ports = [p.get("containerPort") for p in objects(container, "ports")]
        first = next((p for p in ports if isinstance(p, int)), None)
        return Behaviour(listens=first, serves=("*",) if first is not None else (), touches=("*",), handles_term=True)
