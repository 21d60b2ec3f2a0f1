"""One container on a node: its states, as `containerStatuses` shows them, and what it printed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

from evals.simulator.kubelet.behaviour import Behaviour
from tools.jsontypes import JsonObject, JsonValue, dig_str

Phase = Literal["waiting", "running", "terminated"]


@dataclass(slots=True)
class Container:
    """State of one container across its restarts."""

    spec: JsonObject
    is_init: bool = False
    phase: Phase = "waiting"
    reason: str = "ContainerCreating"
    message: str = ""
    last: JsonObject = field(default_factory=dict[str, JsonValue])
    restarts: int = 0
    started: bool = False
    ready: bool = False
    started_at: str = ""
    started_monotonic: float = 0.0
    finished_at: str = ""
    exit_code: int = 0
    container_id: str = ""
    behaviour: Behaviour = field(default_factory=Behaviour)
    pulled: bool = False
    pull_tries: int = 0
    crashes: int = 0
    done: bool = False
    """An init container that succeeded, or one that will not run again."""
    run: int = 0
    """Counts starts; timers of an earlier run are ignored."""
    is_doomed: bool = False
    """It takes more memory than it may and is killed before it listens or touches anything."""
    removed: set[str] = field(default_factory=set[str])
    """Files that somebody removed from the running container; a restart has them again."""
    logs: list[str] = field(default_factory=list[str])
    previous_logs: list[str] | None = None
    failures: dict[str, int] = field(default_factory=dict[str, int])
    successes: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def name(self) -> str:
        """Its name in the pod."""
        return dig_str(self.spec, "name")

    @property
    def image(self) -> str:
        """Its image as written."""
        return dig_str(self.spec, "image")

    def wait(self, reason: str, message: str = "") -> None:
        """It waits, for that reason; how it ended is its last state from now on."""
        self._remember_end()
        self.phase, self.reason, self.message, self.ready, self.started = "waiting", reason, message, False, False

    def begin(self, now: str, monotonic: float) -> None:
        """It runs; a run after another one is a restart, and only now is it counted."""
        self._remember_end()
        self.restarts += bool(self.last)
        self.phase, self.reason, self.message, self.exit_code = "running", "", "", 0
        self.started_at, self.started_monotonic, self.run = now, monotonic, self.run + 1
        self.container_id = f"containerd://{secrets.token_hex(32)}"
        self.failures.clear()
        self.successes.clear()
        self.removed.clear()
        self.is_doomed = False

    def _remember_end(self) -> None:
        if self.phase == "terminated":
            self.last = self.terminated()

    def end(self, code: int, reason: str, now: str, message: str = "") -> None:
        """It has ended."""
        self.phase, self.reason, self.message, self.exit_code = "terminated", reason, message, code
        self.finished_at, self.ready, self.started, self.run = now, False, False, self.run + 1

    def terminated(self) -> JsonObject:
        """The `terminated` state."""
        state: JsonObject = {
            "exitCode": self.exit_code,
            "reason": self.reason,
            "startedAt": self.started_at or self.finished_at,
            "finishedAt": self.finished_at,
            "containerID": self.container_id,
        }
        if self.message:
            state["message"] = self.message
        return state

    def status(self) -> JsonObject:
        """One entry of `containerStatuses`."""
        if self.phase == "running":
            state: JsonObject = {"running": {"startedAt": self.started_at}}
        elif self.phase == "terminated":
            state = {"terminated": self.terminated()}
        else:
            waiting: JsonObject = {"reason": self.reason}
            if self.message:
                waiting["message"] = self.message
            state = {"waiting": waiting}
        shown: JsonObject = {
            "name": self.name,
            "image": self.image,
            "imageID": f"sim://{self.image}" if self.pulled else "",
            "ready": self.ready if not self.is_init else self.done and self.exit_code == 0,
            "restartCount": self.restarts,
            "state": state,
            "lastState": {"terminated": self.last} if self.last else {},
            "started": self.started,
        }
        if self.container_id:
            shown["containerID"] = self.container_id
        return shown
