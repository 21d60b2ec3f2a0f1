"""Bringing one container up: image, configuration, process, and every way in which that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.simulator.kubelet import environment
from evals.simulator.kubelet.container import Container
from evals.simulator.objects import texts
from tools.jsontypes import dig_str

if TYPE_CHECKING:
    from evals.simulator.kubelet.worker import Worker


class Launcher:
    """Starts the containers of one pod."""

    def __init__(self, worker: Worker) -> None:
        self._w = worker

    def launch(self, container: Container) -> None:
        """Image first, then configuration, then the process."""
        if self._w.stopping:
            return
        registry = self._w.kubelets.registry
        if not registry.is_valid(container.image):
            self._invalid_name(container)
            return
        policy = dig_str(container.spec, "imagePullPolicy")
        if policy == "Never" and container.image not in self._w.node.present:
            text = f'Container image "{container.image}" is not present with pull policy of Never'
            self._w.event("Warning", "ErrImageNeverPull", text, container)
            self._w.event("Warning", "Failed", "Error: ErrImageNeverPull", container)
            container.wait("ErrImageNeverPull", text)
            self._w.after(self._w.kubelets.timings.config_retry, lambda: self._relaunch(container))
            return
        if container.image in self._w.node.present and policy != "Always":
            self._w.event(
                "Normal", "Pulled", f'Container image "{container.image}" already present on machine', container
            )
            self._configure(container)
            return
        self._w.event("Normal", "Pulling", f'Pulling image "{container.image}"', container)
        self._w.after(self._w.kubelets.timings.pull, lambda: self._pull(container))

    def _relaunch(self, container: Container) -> None:
        if container.phase == "waiting" and not self._w.stopping:
            self.launch(container)
            self._w.publish()

    def _invalid_name(self, container: Container) -> None:
        problem = "invalid reference format"
        if container.image != container.image.lower():
            name = container.image.split(":", 1)[0].split("/", 1)[-1]
            problem += f": repository name ({name}) must be lowercase"
        text = (
            f'Failed to apply default image tag "{container.image}": couldn\'t parse image name '
            f'"{container.image}": {problem}'
        )
        self._w.event("Warning", "InspectFailed", text, container)
        self._w.event("Warning", "Failed", "Error: InvalidImageName", container)
        container.wait("InvalidImageName", text)
        self._w.after(self._w.kubelets.timings.config_retry, lambda: self._relaunch(container))

    def _pull(self, container: Container) -> None:
        if self._w.stopping:
            return
        image = container.image
        if self._w.kubelets.registry.exists(image):
            self._w.node.present.add(image)
            took = f"{int(self._w.kubelets.timings.pull * 1000)}ms"
            said = (
                f'Successfully pulled image "{image}" in {took} ({took} including waiting). Image size: 1048576 bytes.'
            )
            self._w.event("Normal", "Pulled", said, container)
            container.pull_tries = 0
            self._configure(container)
            self._w.publish()
            return
        container.pull_tries += 1
        host = image.split("/", 1)[0]
        if not self._w.kubelets.registry.resolves(host):
            cause = f'failed to do request: Head "https://{host}/v2/": dial tcp: lookup {host}: no such host'
        else:
            cause = f"{image}: not found"
        text = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {cause}'
        self._w.event("Warning", "Failed", f'Failed to pull image "{image}": {text}', container)
        self._w.event("Warning", "Failed", "Error: ErrImagePull", container)
        container.wait("ErrImagePull", text)
        self._w.publish()
        self._w.after(self._w.kubelets.timings.image_backoff * 1.15, lambda: self._pull_back_off(container, text))

    def _pull_back_off(self, container: Container, cause: str) -> None:
        if container.reason != "ErrImagePull" or self._w.stopping:
            return
        said = f'Back-off pulling image "{container.image}"'
        self._w.event("Normal", "BackOff", said, container)
        self._w.event("Warning", "Failed", "Error: ImagePullBackOff", container)
        container.wait("ImagePullBackOff", f"{said}: ErrImagePull: {cause}")
        self._w.publish()
        timings = self._w.kubelets.timings
        delay = min(timings.image_backoff_max, timings.image_backoff * 2 ** (container.pull_tries - 1))
        self._w.after(max(1.0, delay - 8.0 if container.pull_tries == 1 else delay), lambda: self._relaunch(container))

    def _configure(self, container: Container) -> None:
        pod = self._w.pod
        if pod is None:
            return
        container.pulled = True
        try:
            env = environment.resolve(self._w.kubelets.api.store, pod, container.spec, self._w.ip)
            environment.require_user(pod, container.spec)
        except environment.NotConfiguredError as error:
            self._w.event("Warning", "Failed", f"Error: {error}", container)
            container.wait("CreateContainerConfigError", str(error))
            self._w.after(self._w.kubelets.timings.config_retry, lambda: self._relaunch(container))
            return
        self._w.event("Normal", "Created", f"Created container: {container.name}", container)
        self._w.after(self._w.kubelets.timings.start, lambda: self._run(container, env))

    def _run(self, container: Container, env: dict[str, str]) -> None:
        pod = self._w.pod
        if pod is None or self._w.stopping or container.phase == "running":
            return
        command = [*texts(container.spec, "command"), *texts(container.spec, "args")]
        api = self._w.kubelets.api
        if texts(container.spec, "command") and not self._w.kubelets.registry.has_command(container.image, command):
            self._start_error(container, command[0])
            return
        if container.logs:
            container.previous_logs, container.logs = container.logs, []
        container.behaviour = self._w.kubelets.registry.behaviour(pod, container.spec)
        container.begin(api.stamp(), api.clock.monotonic())
        self._w.event("Normal", "Started", f"Started container {container.name}", container)
        self._w.prober.begin(container)
        self._w.live(pod, container, env)
        self._w.publish()

    def _start_error(self, container: Container, program: str) -> None:
        text = (
            "failed to create containerd task: failed to create shim task: OCI runtime create "
            "failed: runc create failed: "
            f'unable to start container process: exec: "{program}": stat {program}: no such file or directory: unknown'
        )
        self._w.event("Warning", "Failed", f"Error: {text}", container)
        container.restarts += bool(container.last)
        container.started_at = "1970-01-01T00:00:00Z"
        container.end(128, "StartError", self._w.kubelets.api.stamp(), text)
        container.wait("RunContainerError", text)
        self._w.publish()
        self._w.after(1.0, lambda: self._w.restart_or_wait(container))
