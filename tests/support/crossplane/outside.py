"""The world outside the cluster: things by name, in memory, and ways in which it can be unkind."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field


class OutsideError(Exception):
    """What the outside system answers; its words reach the resource's condition as they are."""


class DiedHalfwayError(Exception):
    """The controller's process ended between creating a thing and writing down its name."""


@dataclass
class Thing:
    """One thing that exists out there."""

    region: str
    healthy: bool = True
    ready: bool = True


@dataclass
class Outside:
    """An outside system that gives its own names, so that one which is not written down is lost.

    `error` is its answer to every call, and `closed` what it says of creating anything in a region; `dies` ends the
    controller once, after the next creation; `slow` makes new things that are not ready.  `calls` is what was asked of
    it, in order.
    """

    things: dict[str, Thing] = field(default_factory=dict[str, Thing])
    error: str = ""
    closed: dict[str, str] = field(default_factory=dict[str, str])
    dies: bool = False
    slow: bool = False
    calls: list[str] = field(default_factory=list[str])
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def observe(self, name: str) -> Thing | None:
        """The thing of that name, if there is one.  Raises OutsideError."""
        self._answer(f"observe {name or '(no name)'}")
        return self.things.get(name)

    def create(self, region: str) -> str:
        """Make a thing and give its name.  Raises OutsideError, or DiedHalfwayError once the thing is there."""
        self._answer("create", self.closed.get(region, ""))
        name = f"thing-{next(self._numbers):04x}"
        self.things[name] = Thing(region, ready=not self.slow)
        if self.dies:
            self.dies = False
            raise DiedHalfwayError
        return name

    def update(self, name: str, region: str) -> None:
        """Bring a thing to what is wanted.  Raises OutsideError."""
        self._answer(f"update {name}")
        self.things[name].region = region

    def _answer(self, call: str, closed: str = "") -> None:
        self.calls.append(call)
        if self.error or closed:
            raise OutsideError(self.error or closed)
