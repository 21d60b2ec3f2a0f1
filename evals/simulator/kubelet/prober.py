"""Probing the containers of one pod: counting answers, readiness, restarts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from evals.simulator.kubelet import probes
from evals.simulator.kubelet.container import Container
from evals.simulator.objects import integer
from tools.jsontypes import JsonObject

if TYPE_CHECKING:
    from evals.simulator.kubelet.worker import Worker


class Prober:
    """Runs the probes of one pod."""

    def __init__(self, worker: Worker) -> None:
        self._w = worker
        self._busy: set[tuple[str, str, int]] = set()
        """Probes that have a next try; one that passed is quiet, because a behaviour does not change by itself."""

    def begin(self, container: Container) -> None:
        """A container has started: its probes begin."""
        spec = container.spec
        has_startup = isinstance(spec.get("startupProbe"), dict)
        container.started = not has_startup
        container.ready = not has_startup and not isinstance(spec.get("readinessProbe"), dict)
        for field, _ in probes.KINDS:
            probe = spec.get(field)
            if isinstance(probe, dict):
                delay = probes.number(probe, "initialDelaySeconds", 0)
                self._next(max(delay, 0.3), container, field, probe)

    def _next(self, seconds: float, container: Container, field: str, probe: JsonObject) -> None:
        mark = (container.name, field, container.run)
        if mark not in self._busy:
            self._busy.add(mark)
            self._w.after(seconds, partial(self._probe, container, field, probe, container.run))

    def _probe(self, container: Container, field: str, probe: JsonObject, run: int) -> None:
        self._busy.discard((container.name, field, run))
        if container.run != run or container.phase != "running" or self._w.stopping:
            return
        period = probes.number(probe, "periodSeconds", 10)
        held = field != "startupProbe" and not container.started
        if field == "startupProbe" and container.started:
            return
        again = True
        if not held:
            monotonic = self._w.kubelets.api.clock.monotonic()
            why = (
                self._w.kubelets.probe_override(self._w, field)
                or self._w.kubelets.denial(self._w.pod, container)
                or probes.attempt(probe, container, self._w.mains, self._w.ip, monotonic)
            )
            again = self._judge(container, field, probe, why)
        if again:
            self._next(period, container, field, probe)

    def _judge(self, container: Container, field: str, probe: JsonObject, why: str | None) -> bool:
        """Count one answer; False when the probe need not run again before the container restarts."""
        if why is None:
            container.failures[field] = 0
            container.successes[field] = container.successes.get(field, 0) + 1
            passed = container.successes[field] >= probes.number(probe, "successThreshold", 1)
            if passed:
                self._passed(container, field)
            return not passed or bool(container.behaviour.reads)
        container.successes[field] = 0
        container.failures[field] = container.failures.get(field, 0) + 1
        title = dict(probes.KINDS)[field]
        self._w.event("Warning", "Unhealthy", f"{title} probe failed: {why}", container)
        if container.failures[field] < probes.number(probe, "failureThreshold", 3):
            return True
        if field == "readinessProbe":
            if container.ready:
                container.ready = False
                self._w.publish()
            return True
        kind = "liveness" if field == "livenessProbe" else "startup"
        said = f"Container {container.name} failed {kind} probe, will be restarted"
        self._w.event("Normal", "Killing", said, container)
        self._kill(container)
        return False

    def _passed(self, container: Container, field: str) -> None:
        before = (container.ready, container.started)
        if field == "startupProbe":
            container.started = True
            if not isinstance(container.spec.get("readinessProbe"), dict):
                container.ready = True
        elif field == "readinessProbe":
            container.ready = True
        if before != (container.ready, container.started):
            self._w.publish()

    def _kill(self, container: Container) -> None:
        pod = self._w.pod
        grace = integer(pod, "spec", "terminationGracePeriodSeconds", default=30) if pod else 0
        run, polite = container.run, container.behaviour.handles_term
        code = 143 if polite else 137
        self._w.after(
            self._w.kubelets.timings.termination if polite else grace,
            lambda: self._w.exited(container, run, code, "Error"),
        )

    def again(self) -> None:
        """Something outside the pod changed what probes answer: start the quiet ones again."""
        for container in self._w.mains:
            if container.phase == "running":
                for field, _ in probes.KINDS:
                    probe = container.spec.get(field)
                    if isinstance(probe, dict):
                        self._next(0.1, container, field, probe)
