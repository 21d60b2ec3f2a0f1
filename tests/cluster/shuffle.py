"""Gives everything a scenario names another name, at random, the same one throughout a run.

Objects, containers, volumes, ports, environment variables, configuration keys and values, labels, images and messages:
what heals a scenario under its own names and not under these knows the scenario and not the fault.

Rule: names are found by where they stand in a manifest, and replaced as whole words wherever they occur; words that
Kubernetes or the cluster itself give a meaning to stay.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.jsontypes import JsonObject, JsonValue

KEPT = {
    "cpu", "memory", "storage", "pods", "default", "data", "spec", "metadata", "status", "name", "labels", "value",
    "key", "path", "type", "port", "ports", "node1", "node2", "Deployment", "Service", "sh", "true", "false",
    "heal-reader", "kubernetes", "linux", "image", "command", "env", "containers", "template", "selector", "replicas",
}  # fmt: skip
"""Words with a meaning of their own where scenarios use them."""
_MAPS = {"labels", "matchLabels", "selector", "annotations", "data", "stringData"}
"""Fields whose keys people choose; values of the same are theirs too."""
_NAMING = {
    "name", "key", "claimName", "serviceAccountName", "serviceName", "schedulerName", "secretName", "container",
    "priorityClassName", "topologyKey",
}  # fmt: skip
"""Fields whose value is a name that people chose."""
_WORD = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*$")
_ECHO = re.compile(r"""(echo\s+)(['"])([^'"]*[ ][^'"]*)(['"])""")
_ATTACK = "SYSTEM:"
"""A message that is the fault itself: without its words nothing would be left of it."""
_CONSONANTS, _VOWELS = "bcdfghklmnprstvz", "aeiou"


@dataclass
class Shuffle:
    """One run's names."""

    seed: int
    aliases: dict[str, str] = field(default_factory=dict[str, str])
    """Images that exist, and the names they must be had under."""
    _names: dict[str, str] = field(default_factory=dict[str, str])
    _taken: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def rewrite(self, document: JsonValue) -> JsonValue:
        """A copy of a scenario with everything renamed."""
        for name in sorted(set(names(document))):
            self._names.setdefault(name, self._fresh(name))
        for image in sorted(set(images(document))):
            if image not in self._names:
                self._names[image] = self._image(image)
        ordered = sorted(self._names, key=len, reverse=True)
        pattern = re.compile(
            r"(?<![A-Za-z0-9_-])("
            + "|".join(map(re.escape, ordered))
            + r")(?![A-Za-z0-9_]|-(?!\d+\b)|\.kubernetes|\.io)"
        )
        return self._changed(document, pattern)

    def _changed(self, value: JsonValue, pattern: re.Pattern[str], inside: str = "") -> JsonValue:
        if isinstance(value, str):
            said = value if _ATTACK in value else _ECHO.sub(self._message, value)
            return pattern.sub(lambda m: self._names[m.group(1)], said)
        if isinstance(value, list):
            return [self._changed(v, pattern) for v in value]
        if isinstance(value, dict):
            own = _is_named_by_people(inside, value)
            return {
                (pattern.sub(lambda m: self._names[m.group(1)], k) if own or "/" in k else k): self._changed(
                    v, pattern, k
                )
                for k, v in value.items()
            }
        return value

    def _fresh(self, name: str) -> str:
        """Upper case stays upper case; nothing is longer than a port's name may be."""
        while True:
            made = "".join(self._random.choice(_CONSONANTS) + self._random.choice(_VOWELS) for _ in range(4))
            if made not in self._taken:
                self._taken.add(made)
                return made.upper() if name.isupper() else made

    def _image(self, image: str) -> str:
        if "::" in image:
            return f"{self._fresh('a').title()}/{self._fresh('A')}::1"
        if ".invalid/" in image:
            return f"{self._fresh('a')}.invalid/{self._fresh('a')}:{self._fresh('a')}"
        self.aliases[image] = f"localhost/{self._fresh('a')}:{self._random.randint(2, 99)}"
        return self.aliases[image]

    def _message(self, found: re.Match[str]) -> str:
        words = " ".join(self._fresh("a") for _ in found.group(3).split())
        return f"{found.group(1)}{found.group(2)}{words}{found.group(4)}"


def names(value: JsonValue, inside: str = "") -> Iterator[str]:
    """What people named, by where it stands."""
    if isinstance(value, list):
        for item in value:
            yield from names(item)
    elif isinstance(value, dict):
        own = _is_named_by_people(inside, value)
        for key, item in value.items():
            if own:
                yield from _word(key)
                yield from _word(item)
            if key in _NAMING:
                yield from _word(item)
            if key == "object" and isinstance(item, str):
                yield from _word(item.partition("/")[2])
            yield from names(item, key)


def _is_named_by_people(field: str, value: JsonObject) -> bool:
    """Whether a mapping's keys are people's: those of labels are, those of `selector: {matchLabels: …}` are not."""
    return field in _MAPS and not any(isinstance(v, dict | list) for v in value.values())


def _word(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str) and _WORD.match(value) and value not in KEPT and len(value) > 1:
        yield value


def images(value: JsonValue) -> Iterator[str]:
    """Every image reference."""
    if isinstance(value, list):
        for item in value:
            yield from images(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "image" and isinstance(item, str):
                yield item
            else:
                yield from images(item)
