"""The service's image, built from the project's own Dockerfile without a container daemon and without a registry.

buildah runs the Dockerfile's steps by chroot.  What a registry would have brought is made on the machine: the base
image is a minimal Debian with its own Python (debootstrap, from the package mirror that apt uses), the wheels are
fetched with the pip configuration of whoever runs the tests and lie in a folder that the build sees as /wheels.  The
base image's pip.conf says so: the Dockerfile itself is what users build.

Rule: everything is kept in one cache folder and made again only when what it is made of has changed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

from tests.cluster.harness.layout import Layout, Node
from tests.cluster.harness.processes import HarnessError, run

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "localhost/selfheal:pod"
BASE_IMAGE = "localhost/selfheal-base:1"
PIP_CONFIG = "[global]\nno-index = true\nfind-links = /wheels\n"
PACKAGES = "python3,python3-venv,ca-certificates"
"""Of the base image: what `python:3-slim` brings, as Debian calls it."""
REQUIREMENTS = (ROOT / "requirements/base.txt", ROOT / "deploy/build-backend.txt")
TOOLS = ("buildah", "debootstrap", "prometheus", "promtool")


def missing_tools() -> list[str]:
    """What `install-tools.sh` would bring."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


class ImageBuilder:
    """One cache folder and one builder's store in it.  One process at a time: the caller holds the lock."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._store: list[str | Path] = [
            "buildah", "--root", cache / "store", "--runroot", cache / "run", "--storage-driver", "overlay",
        ]  # fmt: skip

    def build(self) -> Path:
        """After it: the image as a docker-archive.  Returns its path."""
        self._cache.mkdir(parents=True, exist_ok=True)
        base = self._base()
        wheels = self._wheels(_python_of(base))
        self._import_base(base)
        self._run_dockerfile(
            wheels, "--target", "build", "--tag", f"{IMAGE}-build"
        )  # a tag saves its layers from pruning
        self._run_dockerfile(wheels, "--tag", IMAGE)
        self._buildah("rmi", "--prune")
        archive = self._cache / "image.tar"
        archive.unlink(missing_ok=True)
        self._buildah("push", "--quiet", IMAGE, f"docker-archive:{archive}:{IMAGE}")
        return archive

    def _run_dockerfile(self, wheels: Path, *options: str) -> None:
        self._buildah(
            "build", "--quiet", "--layers", "--pull-never", "--isolation", "chroot",
            "--build-arg", f"BASE={BASE_IMAGE}", "--volume", f"{wheels}:/wheels:ro",
            "--file", ROOT / "deploy/Dockerfile", *options, ROOT,
        )  # fmt: skip

    def _buildah(self, *argv: str | Path) -> str:
        return run(*self._store, *argv)

    def _base(self) -> Path:
        """A minimal Debian's files."""
        root = self._cache / "base"
        mark = self._cache / "base.made-of"
        mirror, release = _debian()
        made_of = f"{release} {PACKAGES}\n"
        if root.exists() and mark.exists() and mark.read_text() == made_of:
            return root
        _say(f"base image: Debian {release} with {PACKAGES} (about a minute, once)")
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, root, mirror)
        for waste in (
            "var/cache/apt/archives",
            "var/lib/apt/lists",
            "usr/share/doc",
            "usr/share/locale",
            "usr/share/man",
        ):
            shutil.rmtree(root / waste, ignore_errors=True)
        (root / "etc/pip.conf").write_text(PIP_CONFIG)
        mark.write_text(made_of)
        return root

    def _wheels(self, python: str) -> Path:
        """Every wheel that the Dockerfile installs, checked against the hashes of the lock files."""
        folder, mark = self._cache / "wheels", self._cache / "wheels.made-of"
        made_of = python + hashlib.sha256(b"".join(path.read_bytes() for path in REQUIREMENTS)).hexdigest()
        if mark.exists() and mark.read_text() == made_of:
            return folder
        _say(f"wheels for Python {python}")
        shutil.rmtree(folder, ignore_errors=True)
        for path in REQUIREMENTS:
            run(
                sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", python,
                "--no-deps", "--require-hashes", "--requirement", path, "--dest", folder,
            )  # fmt: skip
        mark.write_text(made_of)
        return folder

    def _import_base(self, base: Path) -> None:
        """The base's files as an image of one layer; once for each base."""
        mark = self._cache / "base.image"
        made_of = (self._cache / "base.made-of").read_text()
        if (
            mark.exists()
            and mark.read_text() == made_of
            and BASE_IMAGE in self._buildah("images", "--format", "{{.Name}}:{{.Tag}}")
        ):
            return
        container = self._buildah("from", "scratch").strip()
        self._buildah("add", "--quiet", container, base, "/")
        self._buildah("commit", "--quiet", "--rm", container, BASE_IMAGE)
        mark.write_text(made_of)


def load(layout: Layout, node: Node, archive: Path) -> None:
    """After it: the node's containerd has the image."""
    run("ctr", "-a", layout.node(node) / "containerd.sock", "-n", "k8s.io", "images", "import", archive)


def unload(layout: Layout, node: Node) -> None:
    """After it: the node's containerd has forgotten it."""
    socket = layout.node(node) / "containerd.sock"
    run("ctr", "-a", socket, "-n", "k8s.io", "images", "rm", "--sync", IMAGE, check=False)


def _debian() -> tuple[str, str]:
    """The mirror and the release that this machine's own packages come from."""
    match = re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    if match is None:
        raise HarnessError("/etc/os-release names no release: a Debian is needed to make the base image")
    release = match[1].strip('"')
    found = run("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Identifier: Packages")
    for line in found.splitlines():
        site, *rest = line.split()
        if rest == [release, "main"]:
            return site, release
    raise HarnessError(f"apt knows no mirror of {release}: run apt-get update")


def _python_of(base: Path) -> str:
    return run("chroot", base, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()


def _say(text: str) -> None:
    sys.stderr.write(f"image: {text}\n")
    sys.stderr.flush()
