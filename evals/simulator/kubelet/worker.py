"""One pod on its node: brings its containers up, restarts them with back-off, probes them, takes them down.

Everything happens in callbacks of the clock.  A callback belongs to one run of one container; when the container has
been started again or the pod has gone since, it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from evals.simulator import quantity
from evals.simulator.kubelet import environment, status
from evals.simulator.kubelet.container import Container
from evals.simulator.kubelet.launcher import Launcher
from evals.simulator.kubelet.prober import Prober
from evals.simulator.objects import integer, is_deleting, name_of, namespace_of, objects, uid_of
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

if TYPE_CHECKING:
    from evals.simulator.kubelet.kubelet import Kubelets

_MEBI = 2**20


class NodeView(Protocol):
    """What a worker needs of its node."""

    name: str
    host_ip: str
    present: set[str]

    def next_ip(self) -> str:
        """A pod address nobody has."""
        ...

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back later, when the kubelet is alive."""
        ...


class Worker:
    """The kubelet's care for one pod."""

    def __init__(self, kubelets: Kubelets, node: NodeView, pod: JsonObject) -> None:
        self.kubelets, self.node = kubelets, node
        self.launcher, self.prober = Launcher(self), Prober(self)
        self.uid, self.namespace, self.name = uid_of(pod), namespace_of(pod), name_of(pod)
        self.inits = [Container(c, is_init=True) for c in objects(pod, "spec", "initContainers")]
        self.mains = [Container(c) for c in objects(pod, "spec", "containers")]
        for container in [*self.inits, *self.mains]:
            container.wait("PodInitializing" if self.inits else "ContainerCreating")
        self.ip = ""
        self.begun = kubelets.api.stamp()
        self.closed = self.stopping = False
        self._mounting_failed = False

    # ---- what every step uses

    @property
    def pod(self) -> JsonObject | None:
        """The stored pod, if it is still this one."""
        found = self.kubelets.api.store.get("pods", self.namespace, self.name)
        return found if found is not None and uid_of(found) == self.uid else None

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back later, unless the pod has gone by then."""
        self.node.after(seconds, lambda: None if self.closed else callback())

    def event(self, type_: str, reason: str, message: str, container: Container | None = None) -> None:
        """Record an event of the pod or of one of its containers."""
        pod = self.pod
        if pod is None:
            return
        path = ""
        if container is not None:
            path = f"spec.{'initContainers' if container.is_init else 'containers'}{{{container.name}}}"
        self.kubelets.api.event(pod, type_, reason, message, "kubelet", host=self.node.name, path=path)

    def publish(self) -> None:
        """Write the pod's status, if it changed."""
        pod = self.pod
        if pod is None or self.closed:
            return
        now = self.kubelets.api.clock.now()
        fresh = status.build(
            pod, self.inits, self.mains, ip=self.ip, host_ip=self.node.host_ip, begun=self.begun, now=now
        )
        if dig(pod, "status", "reason") == "Evicted":
            return
        self.kubelets.api.set_status(self.kubelets.pods, pod, fresh)

    # ---- bringing up

    def start(self) -> None:
        """Begin: the sandbox comes first."""
        self.publish()
        self.after(self.kubelets.timings.sandbox, self._sandbox)

    def _sandbox(self) -> None:
        pod = self.pod
        if pod is None or self.stopping:
            return
        missing = environment.missing_volumes(self.kubelets.api.store, pod)
        if missing:
            for volume, why in missing:
                self.event("Warning", "FailedMount", f'MountVolume.SetUp failed for volume "{volume}" : {why}')
            self.after(2.0 if not self._mounting_failed else 8.0, self._sandbox)
            self._mounting_failed = True
            return
        host_network = dig(pod, "spec", "hostNetwork") is True
        self.ip = self.node.host_ip if host_network else self.node.next_ip()
        self._next()

    def _next(self) -> None:
        """Start the next init container, or all main ones."""
        for container in self.inits:
            if not container.done:
                self.launcher.launch(container)
                self.publish()
                return
        for container in self.mains:
            if container.phase == "waiting" and container.reason in {"ContainerCreating", "PodInitializing"}:
                self.launcher.launch(container)
        self.publish()

    # ---- running

    def _print(self, container: Container, text: str) -> None:
        container.logs.append(text)

    def live(self, pod: JsonObject, container: Container, env: dict[str, str]) -> None:
        """Let the behaviour happen: what it prints now, and when and how it ends."""
        behaviour, run = container.behaviour, container.run
        for line in behaviour.logs:
            self._print(container, line)
        fatal = self._fatal(pod, container, env)
        if fatal is not None:
            self._print(container, fatal)
            self.after(0.1, lambda: self.exited(container, run, 1, "Error"))
            return
        limit = environment.memory_limit(container.spec)
        if limit is not None and behaviour.memory_mib * _MEBI > quantity.parse(limit):
            container.is_doomed = True
            self.after(0.6, lambda: self.exited(container, run, 137, "OOMKilled"))
            return
        if behaviour.memory_file:
            self._grow(container, run)
        disk = dig(container.spec, "resources", "limits", "ephemeral-storage")
        if disk is not None and behaviour.disk_mib * _MEBI > quantity.parse(disk):
            self.after(
                10.0,
                lambda: self._evict(
                    f"Pod ephemeral local storage usage exceeds the total limit of containers {disk}. "
                ),
            )
        if behaviour.exit_code is not None:
            code, after = behaviour.exit_code, behaviour.ready_after + behaviour.exit_after
            self.after(max(0.1, after), lambda: self.exited(container, run, code, "Error" if code else "Completed"))

    def _grow(self, container: Container, run: int) -> None:
        """What the file of the behaviour says is held in memory, as soon as the volume has been refreshed."""
        pod = self.pod
        if container.run != run or container.phase != "running" or pod is None:
            return
        behaviour, limit = container.behaviour, environment.memory_limit(container.spec)
        text = environment.file_text(self.kubelets.api.store, pod, container.spec, behaviour.memory_file)
        held = behaviour.memory_mib + (int(text) if text.isdigit() else 0)
        if limit is not None and held * _MEBI > quantity.parse(limit):
            self.exited(container, run, 137, "OOMKilled")
        else:
            self.after(self.kubelets.timings.volume_refresh, lambda: self._grow(container, run))

    def _fatal(self, pod: JsonObject, container: Container, env: dict[str, str]) -> str | None:
        behaviour = container.behaviour
        for name in behaviour.needs_env:
            if not env.get(name):
                return behaviour.fatal or f"FATAL: {name} not set"
        for name, value in behaviour.env_equals.items():
            if env.get(name) != value:
                return behaviour.fatal or f"FATAL: {name} is not {value}"
        if behaviour.needs_files:
            have = environment.files(self.kubelets.api.store, pod, container.spec)
            for path in behaviour.needs_files:
                if path not in have:
                    return f"cat: can't open '{path}': No such file or directory"
        if behaviour.writes and dig(container.spec, "securityContext", "readOnlyRootFilesystem") is True:
            return "mkdir: can't create directory '/tmp/www': Read-only file system"
        taken = [
            c for c in self.mains if c is not container and c.phase == "running" and c.behaviour.listens is not None
        ]
        if any(c.behaviour.listens == behaviour.listens for c in taken):
            return "httpd: bind: Address already in use"
        return None

    def exited(self, container: Container, run: int, code: int, reason: str) -> None:
        """That run of a container has ended."""
        if container.run != run or container.phase != "running":
            return
        pod = self.pod
        container.end(code, reason, self.kubelets.api.stamp())
        if pod is None or self.stopping:
            self.publish()
            return
        policy = dig_str(pod, "spec", "restartPolicy") or "Always"
        if container.is_init:
            policy = "OnFailure" if policy == "Always" else policy
        container.done = policy == "Never" or (policy == "OnFailure" and code == 0)
        self.publish()
        if container.is_init and container.done and code == 0:
            self.after(0.3, self._next)
        elif not container.done:
            ran = self.kubelets.api.clock.monotonic() - container.started_monotonic
            if ran > self.kubelets.timings.crash_backoff_reset:
                container.crashes = 0
            self.after(1.0, lambda: self.restart_or_wait(container))

    def restart_or_wait(self, container: Container) -> None:
        """The first restart is immediate; the next wait 10 s, 20 s ... 300 s since the container ended."""
        if self.stopping or container.phase == "running":
            return
        timings = self.kubelets.timings
        container.crashes += 1
        if container.crashes == 1:
            self._again(container)
            return
        delay = min(timings.crash_backoff_max, timings.crash_backoff * 2 ** (container.crashes - 2))
        where = f"{self.name}_{self.namespace}({self.uid})"
        text = f"back-off {_go_duration(delay)} restarting failed container={container.name} pod={where}"
        container.wait("CrashLoopBackOff", text)
        self._back_off(container, container.run)
        self.publish()
        self.after(delay, lambda: self._again(container))

    def _back_off(self, container: Container, run: int) -> None:
        """The event of a back-off repeats with each look of the kubelet."""
        if container.run != run or container.reason != "CrashLoopBackOff" or self.stopping:
            return
        where = f"{self.name}_{self.namespace}({self.uid})"
        self.event(
            "Warning", "BackOff", f"Back-off restarting failed container {container.name} in pod {where}", container
        )
        self.after(12.0, lambda: self._back_off(container, run))

    def _again(self, container: Container) -> None:
        if self.stopping or container.phase == "running":
            return
        self.launcher.launch(container)
        self.publish()

    def crash(self, name: str, code: int) -> None:
        """End a running container now, whatever its behaviour says."""
        for container in [*self.inits, *self.mains]:
            if container.name == name and container.phase == "running":
                self.exited(container, container.run, code, "Error" if code else "Completed")

    def remove_file(self, name: str, path: str) -> None:
        """Somebody removes a file inside a running container."""
        for container in self.mains:
            if container.name == name and container.phase == "running":
                container.removed.add(path)
                self.prober.again()

    # ---- taking down

    def _evict(self, message: str) -> None:
        pod = self.pod
        if pod is None or self.stopping:
            return
        self.event("Warning", "Evicted", message)
        for container in self.mains:
            if container.phase == "running":
                self.event("Normal", "Killing", f"Stopping container {container.name}", container)
                container.end(137, "Error", self.kubelets.api.stamp())
                container.done = True
        self.publish()
        evicted = {**dig_object(self.pod, "status"), "phase": "Failed", "reason": "Evicted", "message": message}
        current = self.pod
        self.closed = True
        if current is not None:
            self.kubelets.api.set_status(self.kubelets.pods, current, evicted)

    def stop(self, pod: JsonObject) -> None:
        """The pod is to go: ask, wait for the grace period, kill, and tell the API server it is over."""
        if self.stopping and integer(pod, "metadata", "deletionGracePeriodSeconds") != 0:
            return
        self.stopping = True
        running = [c for c in [*self.inits, *self.mains] if c.phase == "running"]
        for container in running:
            self.event("Normal", "Killing", f"Stopping container {container.name}", container)
        grace = integer(pod, "metadata", "deletionGracePeriodSeconds", default=30)
        slow = [c for c in running if not c.behaviour.handles_term]
        wait = float(grace) if slow else self.kubelets.timings.termination if running else 0.1
        self.after(wait, self._finish)

    def _finish(self) -> None:
        now = self.kubelets.api.stamp()
        for container in [*self.inits, *self.mains]:
            if container.phase == "running":
                polite = container.behaviour.handles_term
                container.end(143 if polite else 137, "Error", now)
            container.done = True
        self.publish()
        self.closed = True
        pod = self.pod
        if pod is not None and is_deleting(pod):
            self.kubelets.api.delete(
                self.kubelets.pods,
                self.namespace,
                self.name,
                {"gracePeriodSeconds": 0},
                self.kubelets.write(self.node.name),
            )


def _go_duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
