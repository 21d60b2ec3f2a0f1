"""Container images without a registry: docker-archive files written here and imported into each node's containerd.

Rule: an image is a function of its files, so its digest says whether a node already has it.  The programs inside are
busybox (static, from the distribution) and what `build` made.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.harness.build import READER, binaries
from tests.cluster.harness.layout import ASSETS, CONTROL, NODES, Layout, Node
from tests.cluster.harness.processes import HarnessError, run

BUSYBOX_IMAGE = "localhost/heal-busybox:1"
READER_IMAGE = "localhost/heal-reader:1"
PROBE_IMAGE = "localhost/probe:1"
PAUSE_IMAGE = "localhost/heal-pause:1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_READER_APPLETS = ("sh", "cat", "ls")


@dataclass(frozen=True)
class File:
    """A regular file."""

    data: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class Directory:
    """A directory."""

    mode: int = 0o755


Entry = File | Link | Directory


@dataclass(frozen=True)
class Image:
    """A single-layer image and the nodes that need it."""

    name: str
    entries: dict[str, Entry]
    command: tuple[str, ...]
    nodes: tuple[Node, ...] = NODES


def archive(image: Image) -> bytes:
    """The image as a docker-archive.  Same image, same bytes: no times, no owners, fixed order."""
    layer = _tar(image.entries.items())
    config: dict[str, object] = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Cmd": list(image.command), "Env": ["PATH=/bin"]},
        "history": [{}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    config_bytes = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config_bytes).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [image.name], "Layers": ["layer/layer.tar"]}]
    parts: list[tuple[str, Entry]] = [
        (config_name, File(config_bytes)),
        ("layer/layer.tar", File(layer)),
        ("manifest.json", File(json.dumps(manifest).encode())),
    ]
    return _tar(parts)


def _tar(entries: Iterable[tuple[str, Entry]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, entry in entries:
            info = tarfile.TarInfo(path)
            match entry:
                case File(data, mode):
                    info.mode, info.size = mode, len(data)
                    tar.addfile(info, io.BytesIO(data))
                case Link(target):
                    info.type, info.linkname = tarfile.SYMTYPE, target
                    tar.addfile(info)
                case Directory(mode):
                    info.type, info.mode = tarfile.DIRTYPE, mode
                    tar.addfile(info)
    return out.getvalue()


def catalogue(layout: Layout) -> list[Image]:
    """Every image the cluster and the scenarios use."""
    programs = binaries(layout)
    busybox = File(_busybox().read_bytes(), 0o755)
    bare: dict[str, Entry] = {"bin": Directory(), "etc": Directory(), "proc": Directory(), "tmp": Directory(0o1777)}
    applets: dict[str, Entry] = {f"bin/{a}": Link("busybox") for a in _applets()}
    box: dict[str, Entry] = {**bare, "bin/busybox": busybox, **applets}
    script = File((ASSETS / "probe.cgi").read_bytes(), 0o755)
    probe: dict[str, Entry] = {**box, "www": Directory(), "www/cgi-bin": Directory(), "www/cgi-bin/get": script}
    reader_box: dict[str, Entry] = {"bin/busybox": busybox, **{f"bin/{a}": Link("busybox") for a in _READER_APPLETS}}

    def single(program: str) -> dict[str, Entry]:
        return {**bare, f"bin/{program}": File((programs / program).read_bytes(), 0o755)}

    return [
        Image(
            PAUSE_IMAGE,
            {"bin": Directory(), "bin/busybox": busybox, "bin/sleep": Link("busybox")},
            ("/bin/sleep", "2147483647"),
        ),
        Image(BUSYBOX_IMAGE, box, ("sh",)),
        Image(PROBE_IMAGE, probe, ("httpd", "-f", "-p", "8080", "-h", "/www")),
        Image(READER_IMAGE, {**single(READER), **reader_box}, (f"/bin/{READER}",)),
        Image("localhost/coredns:1", single("coredns"), ("/bin/coredns",), (CONTROL,)),
        Image("localhost/metrics-server:1", single("metrics-server"), ("/bin/metrics-server",), (CONTROL,)),
    ]


def load(layout: Layout) -> None:
    """After it: each node's containerd has each of its images.  What a node has already is not imported again."""
    folder = layout.state / "images"
    folder.mkdir(exist_ok=True)
    for image in catalogue(layout):
        data = archive(image)
        digest = hashlib.sha256(data).hexdigest()
        path = folder / (image.name.rpartition("/")[2].replace(":", "-") + ".tar")
        for node in image.nodes:
            marks = layout.node(node) / "images.json"
            have: dict[str, str] = json.loads(marks.read_text()) if marks.exists() else {}
            if have.get(image.name) == digest:
                continue
            path.write_bytes(data)
            run("ctr", "-a", layout.node(node) / "containerd.sock", "-n", "k8s.io", "images", "import", path)
            half = marks.with_suffix(".half")
            half.write_text(json.dumps({**have, image.name: digest}, indent=1))
            half.replace(marks)


def _busybox() -> Path:
    for place in ("/bin/busybox", "/usr/bin/busybox"):
        if Path(place).exists():
            return Path(place)
    raise HarnessError("busybox is missing; install it with: apt-get install -y busybox-static")


def _applets() -> list[str]:
    return [a for a in run(_busybox(), "--list").split() if a != "busybox"]
