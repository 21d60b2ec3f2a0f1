"""What a container does, declared once and translated twice: for the simulated kubelet, and into a busybox command.

The command carries the declaration in its first line, a shell comment.  So the same manifest runs on the
simulator, which
reads the comment, and on a real cluster, whose shell skips it; a patch that replaces the command replaces the
behaviour.
"""

from __future__ import annotations

import shlex

import msgspec

_MARK = "# behaviour: "


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The life of one container, in the order in which it happens.

    It prints `logs`; it ends with code 1 and a line on `FATAL` when a variable of `needs_env` is empty, or one of
    `env_equals` has another value, or a file of `needs_files` is missing, or it must write (`writes`) and the root file
    system is read-only.  Then it takes `memory_mib` (killed when its limit is lower) and fills `disk_mib`.
    After `ready_after` seconds it listens on `listens` and serves `serves`, and the files of `touches` exist.
    It ends with `exit_code` after `exit_after` seconds more, or, with None, never.
    `reads`: resources of its namespace that its service account must be allowed to get; while it is not, no
    probe passes
    (only the simulator knows this one: on a real cluster use a program that reads them).
    `memory_file`: it takes as many MiB more as that file says, and looks again now and then (in the simulator only
    files of ConfigMap volumes count).
    `handles_term`: it ends at once with 143 when asked to; otherwise it is killed (137) after the grace period, as any
    process is that runs as the first of its container without a handler.
    """

    logs: tuple[str, ...] = ()
    needs_env: tuple[str, ...] = ()
    env_equals: dict[str, str] = {}
    needs_files: tuple[str, ...] = ()
    writes: bool = False
    memory_mib: int = 0
    memory_file: str = ""
    disk_mib: int = 0
    ready_after: float = 0.0
    listens: int | None = None
    serves: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    exit_code: int | None = None
    exit_after: float = 0.0
    handles_term: bool = False
    fatal: str = ""

    def command(self) -> list[str]:
        """`sh -c` with the declaration and the real thing: runs in any image that has busybox."""
        told = msgspec.structs.replace(self, writes=True) if self._keeps_files else self
        return ["sh", "-c", f"{_MARK}{msgspec.json.encode(told).decode()}\n{self._script()}"]

    @property
    def _keeps_files(self) -> bool:
        """Whether the command puts files under /tmp/www, which a read-only root file system forbids."""
        return self.writes or bool(self.serves) or self.listens is not None

    def _script(self) -> str:
        lines = [f"echo {shlex.quote(line)}" for line in self.logs]
        for name in self.needs_env:
            text = shlex.quote(self.fatal or f"FATAL: {name} not set")
            lines.append(f'test -n "${name}" || {{ echo {text}; exit 1; }}')
        for name, value in self.env_equals.items():
            text = shlex.quote(self.fatal or f"FATAL: {name} is not {value}")
            lines.append(f'test "${name}" = {shlex.quote(value)} || {{ echo {text}; exit 1; }}')
        lines += [f"cat {shlex.quote(path)} > /dev/null || exit 1" for path in self.needs_files]
        if self._keeps_files:
            lines.append("mkdir -p /tmp/www || exit 1")
        if self.memory_mib:
            lines.append(f"held=$(dd if=/dev/zero bs=1M count={self.memory_mib} 2>/dev/null | tr '\\0' x)")
        if self.disk_mib:
            lines.append(f"dd if=/dev/zero of=/tmp/fill bs=1M count={self.disk_mib} 2>/dev/null")
        if self.handles_term:
            lines.append("trap 'exit 143' TERM")
        if self.ready_after:
            lines.append(f"sleep {self.ready_after:g}")
        lines += [f"echo ok > /tmp/www{path}" for path in self.serves]
        lines += [f"touch {path}" for path in self.touches]
        return "\n".join(lines + self._end())

    def _end(self) -> list[str]:
        wait = self.exit_after if self.exit_code is not None else 1_000_000
        server = f"httpd -f -p {self.listens} -h /tmp/www" if self.listens is not None else ""
        if self.exit_code is None and not self.handles_term:
            return [f"exec {server}" if server else f"exec sleep {wait}"]
        lines = [f"{server} &"] if server else []
        if wait:
            lines.append(f"sleep {wait:g} & wait $!" if self.handles_term else f"sleep {wait:g}")
        return [*lines, f"exit {self.exit_code or 0}"]


def declared(command: list[str]) -> Behaviour | None:
    """The behaviour a command declares; None when it declares none.  Raises ValueError when it cannot be read."""
    for part in command:
        if part.startswith(_MARK):
            try:
                return msgspec.json.decode(part.split("\n", 1)[0].removeprefix(_MARK), type=Behaviour)
            except msgspec.MsgspecError as error:
                raise ValueError(f"behaviour of a command cannot be read: {error}") from error
    return None
