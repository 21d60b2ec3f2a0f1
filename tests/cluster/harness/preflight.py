"""What must be on the machine before anything is started, checked at once and told in one sentence.

Rule: `up` touches nothing before this has passed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GO_MINIMUM = (1, 26)
"""Asked for by the go.mod of etcd and metrics-server."""
CNI_PLACES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("bridge", "host-local", "portmap", "loopback")


class NotReadyError(Exception):
    """The machine lacks something; the message is one sentence that names it and how to get it."""


@dataclass(frozen=True)
class Tool:
    """A program and the Debian package that brings it."""

    program: str
    package: str


TOOLS = (
    Tool("containerd", "containerd"),
    Tool("ctr", "containerd"),
    Tool("containerd-shim-runc-v2", "containerd"),
    Tool("runc", "runc"),
    Tool("nft", "nftables"),
    Tool("ip", "iproute2"),
    Tool("openssl", "openssl"),
    Tool("nsenter", "util-linux"),
    Tool("setsid", "util-linux"),
    Tool("mount", "mount"),
    Tool("sysctl", "procps"),
)


def cni_directory() -> Path | None:
    """Where the CNI plugins are, if all that are used are there."""
    for place in CNI_PLACES:
        if all((place / plugin).exists() for plugin in CNI_PLUGINS):
            return place
    return None


def missing_packages() -> dict[str, str]:
    """Missing thing → package, for what apt can bring."""
    lacking = {t.program: t.package for t in TOOLS if shutil.which(t.program) is None}
    if cni_directory() is None:
        lacking["the CNI plugins"] = "containernetworking-plugins"
    if not _has_static_busybox():
        lacking["a static busybox"] = "busybox-static"
    return lacking


def check(*, install: bool, needs_go: bool) -> None:
    """Return when all is there.  NotReadyError otherwise; with `install`, apt-get is tried first."""
    if os.geteuid() != 0:
        raise NotReadyError(
            "The cluster needs root (network namespaces, mounts, cgroups): run it as root or with sudo."
        )
    lacking = missing_packages()
    if lacking and install:
        apt_install(sorted(set(lacking.values())))
        lacking = missing_packages()
    if lacking:
        packages = " ".join(sorted(set(lacking.values())))
        raise NotReadyError(
            f"Missing on this machine: {', '.join(sorted(lacking))}; install with: "
            f"apt-get install -y --no-install-recommends {packages}"
        )
    if needs_go:
        check_go()


def check_go() -> None:
    """Go is no apt matter: distributions are too old."""
    if shutil.which("go") is None:
        raise NotReadyError(
            f"Go is missing: install Go {_dotted(GO_MINIMUM)} or newer and put it on PATH (apt's golang-go is too old)."
        )
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    found = go_version(version)
    if found is None or found < GO_MINIMUM:
        raise NotReadyError(
            f"Go {version.strip() or 'of unknown version'} is too old: install Go {_dotted(GO_MINIMUM)} or newer."
        )


def go_version(text: str) -> tuple[int, int] | None:
    """`go1.26.8` → (1, 26); None for anything else."""
    match = re.match(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _has_static_busybox() -> bool:
    """A busybox that is dynamically linked would find no loader inside the images."""
    for place in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if place.exists():
            return b"/lib64/ld-linux" not in place.read_bytes() and b"/lib/ld-linux" not in place.read_bytes()
    return False


def apt_install(packages: list[str]) -> None:
    """Install them.  NotReadyError when apt-get does not."""
    print(f"cluster: apt-get install {' '.join(packages)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]):
        done = subprocess.run(argv, env=environment, stdout=sys.stderr, check=False)
        if done.returncode:
            raise NotReadyError(f"`{' '.join(argv)}` failed ({done.returncode}); install the packages by hand.")
