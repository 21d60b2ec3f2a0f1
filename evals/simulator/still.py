"""A cluster that stands still: an API server over given objects, without controllers and kubelets.

It answers reads, watches, access reviews and dry runs about a world that was recorded, as that world was: uids,
versions and statuses are those of the recording, what could not be read then cannot be read now, and logs say what
they said.  Nothing moves, so time has nothing to do.

Neighbours: `simulator` is the living one, `evals.replay` the user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from evals.simulator.api.errors import bad_request
from evals.simulator.api.events import accept
from evals.simulator.api.faults import Fault
from evals.simulator.api.identity import User
from evals.simulator.api.kinds import Kind
from evals.simulator.api.rbac import Question, Rbac
from evals.simulator.api.server import Server
from evals.simulator.clock import SimClock
from evals.simulator.objects import clone, name_of, namespace_of
from evals.simulator.simulator import Simulator
from tools.jsontypes import JsonObject, dig_str

ANYTHING: Final[JsonObject] = {
    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
}
"""The definition of a custom resource of which only objects are known."""


@dataclass(frozen=True, slots=True)
class SavedLog:
    """What one container's log said; `previous` is the life before the last restart."""

    namespace: str
    pod: str
    container: str
    previous: bool
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A read that was not allowed: of one object, or with an empty name of the whole resource."""

    resource: str
    name: str = ""


class StillCluster(Simulator):
    """Use it with `async with`; `load` the world before."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__(nodes=0, clock=clock)
        self._logs = _SavedLogs()
        self._rights = _Rights(self)
        self.server = Server(self.api, logs=self._logs, tokens=self.tokens, faults=self.faults, audit=self.audit)
        self.server.rbac = self._rights

    def load(self, objects: Iterable[JsonObject], *, custom: Collection[Kind] = ()) -> list[str]:
        """Put recorded objects in, each once; gives those that are of no kind served here.

        `custom` are kinds that the recorded cluster served besides the built-in ones.
        """
        for served in custom:
            self.api.kinds.add(served, preferred=True)
        unknown: list[str] = []
        for body in objects:
            kind = self.api.kinds.of(body)
            if kind is None:
                unknown.append(f"{dig_str(body, 'apiVersion')} {dig_str(body, 'kind')} {name_of(body)}")
            elif self.store.get(kind.key, namespace_of(body), name_of(body)) is None:
                self.store.restore(kind.key, accept(kind, clone(body)))
        return unknown

    def say(self, logs: Iterable[SavedLog]) -> None:
        """What the logs say; any other log is not to be had."""
        self._logs.keep(logs)

    def refuse(self, refused: Iterable[Refused]) -> None:
        """These reads are answered 403."""
        for one in refused:
            for verb in ("get",) if one.name else ("get", "list", "watch"):
                self.faults.add(
                    Fault("answer", verb=verb, resource=one.resource, name=one.name, code=403, times=None,
                          reason="Forbidden", message="it was forbidden when this was recorded")
                )  # fmt: skip

    def deny(self, questions: Iterable[Question]) -> None:
        """These rights we did not have; all others we have."""
        self._rights.denied.update(questions)

    def _bootstrap(self) -> None:
        """The recorded world is all there is."""

    def _begin(self) -> None:
        """Nothing moves."""


class _Rights(Rbac):
    """Everything is allowed but what was denied."""

    def __init__(self, cluster: StillCluster) -> None:
        super().__init__(cluster.store)
        self.denied: set[Question] = set()

    def allows(self, user: User, question: Question) -> bool:  # noqa: ARG002 - the base's signature
        return question not in self.denied


class _SavedLogs:
    """The logs of the recording."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str, str, bool], str] = {}

    def keep(self, logs: Iterable[SavedLog]) -> None:
        for log in logs:
            self._texts[log.namespace, log.pod, log.container, log.previous] = log.text

    def read(self, pod: JsonObject, container: str, *, previous: bool, params: Mapping[str, str]) -> bytes:  # noqa: ARG002
        text = self._texts.get((namespace_of(pod), name_of(pod), container, previous))
        if text is None:
            raise bad_request("this log is not in the recording")
        return text.encode()

    async def follow(self, pod: JsonObject, container: str, seen: int) -> bytes | None:  # noqa: ARG002
        return None
