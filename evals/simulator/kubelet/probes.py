"""Probes: what one try answers, given what the containers of the pod do now."""

from __future__ import annotations

from evals.simulator.kubelet.container import Container
from evals.simulator.objects import objects, texts
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

WEB_ROOT = "/tmp/www"  # noqa: S108 - a path inside a container
"""Where the web server of a behaviour keeps the files it serves."""
KINDS = (("startupProbe", "Startup"), ("livenessProbe", "Liveness"), ("readinessProbe", "Readiness"))


def _port(container: Container, value: JsonValue) -> int:
    if isinstance(value, int):
        return value
    for port in objects(container.spec, "ports"):
        if port.get("name") == value:
            number = port.get("containerPort")
            return number if isinstance(number, int) else 0
    return 0


def listening(containers: list[Container], port: int, monotonic: float) -> Container | None:
    """The container of the pod that listens on a port now: they share one network."""
    for container in containers:
        if container.phase == "running" and container.behaviour.listens == port and _has_begun(container, monotonic):
            return container
    return None


def _has_begun(container: Container, monotonic: float) -> bool:
    """Whether it has come to where it listens and touches files."""
    return not container.is_doomed and monotonic - container.started_monotonic >= container.behaviour.ready_after


def serves(container: Container, path: str) -> bool:
    """Whether a path is answered 200."""
    plain = path.partition("?")[0]
    if f"{WEB_ROOT}{plain}" in container.removed:
        return False
    return "*" in container.behaviour.serves or plain in container.behaviour.serves


def attempt(probe: JsonObject, container: Container, pod: list[Container], ip: str, monotonic: float) -> str | None:
    """None when the try succeeds, else what the kubelet reports."""
    if "httpGet" in probe:
        get = dig_object(probe, "httpGet")
        port, path = _port(container, get.get("port")), dig_str(get, "path") or "/"
        listener = listening(pod, port, monotonic)
        if listener is None:
            scheme = (dig_str(get, "scheme") or "HTTP").lower()
            return f'Get "{scheme}://{ip}:{port}{path}": dial tcp {ip}:{port}: connect: connection refused'
        return None if serves(listener, path) else "HTTP probe failed with statuscode: 404"
    if "tcpSocket" in probe:
        port = _port(container, dig(probe, "tcpSocket", "port"))
        if listening(pod, port, monotonic) is None:
            return f"dial tcp {ip}:{port}: connect: connection refused"
        return None
    if "grpc" in probe:  # whatever listens is taken to speak it, and to be well
        port, patience = _port(container, dig(probe, "grpc", "port")), number(probe, "timeoutSeconds", 1)
        if listening(pod, port, monotonic) is None:
            return f'timeout: failed to connect service "{ip}:{port}" within {patience}s: context deadline exceeded'
        return None
    if "exec" in probe:
        return _exec(texts(probe, "exec", "command"), container, monotonic)
    return None


def _exec(command: list[str], container: Container, monotonic: float) -> str | None:
    """`cat FILE`, `test -f FILE`, `true` and `false`; every other command succeeds."""
    words = " ".join(command).replace("/bin/busybox ", "").replace("sh -c ", "").split()
    if words and words[0] in {"false", "/bin/false"}:
        return "command failed"
    if len(words) >= 2 and words[0] in {"cat", "test", "ls"}:
        path = words[-1]
        behaviour = container.behaviour
        there = (path in behaviour.touches or "*" in behaviour.touches) and path not in container.removed
        if not there or not _has_begun(container, monotonic):
            return f"cat: can't open '{path}': No such file or directory\n" if words[0] == "cat" else "command failed"
    return None


def number(probe: JsonObject, name: str, default: int) -> int:
    """A field of a probe."""
    value = probe.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else default
