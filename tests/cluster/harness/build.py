"""Builds the cluster's programs from Go modules, once per set of versions, into a cache that other checkouts share.

Rule: what is in the cache under a key is complete and was built by this file; a build that is cut off leaves only files
that the next one overwrites.  Versions are pinned here and nowhere else.

Sharp places: `k8s.io/kubernetes` names its staging modules v0.0.0, so each is replaced by its published version; the
replacements of a module's own go.mod do not count when it is a dependency, so they are repeated; after `go mod tidy`
nothing may raise a version.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tests.cluster.harness.layout import ASSETS, Layout
from tests.cluster.harness.processes import HarnessError, run

KUBERNETES = "1.34.4"
"""The last minor version that still runs on cgroup version 1 without complaint."""
KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
RECIPE = 1
"""Raise it when the way of building changes while no version does."""
_STAMP = "-X k8s.io/component-base/version."
_KUBERNETES_FLAGS = f"-s -w {_STAMP}gitVersion=v{KUBERNETES} {_STAMP}gitMajor=1 {_STAMP}gitMinor=34"


@dataclass(frozen=True)
class Source:
    """One Go module and the programs wanted of it: file name in the cache → package path below the module."""

    module: str
    version: str
    programs: dict[str, str]
    ldflags: str = "-s -w"

    def package(self, program: str) -> str:
        """Import path of one program."""
        return "/".join(p for p in (self.module, self.programs[program]) if p)


SOURCES = (
    Source(
        "k8s.io/kubernetes", f"v{KUBERNETES}",
        {p: f"cmd/{p}" for p in KUBERNETES_PROGRAMS},
        _KUBERNETES_FLAGS,
    ),
    Source("go.etcd.io/etcd/server/v3", "v3.7.3", {"etcd": ""}),
    Source("github.com/coredns/coredns", "v1.12.4", {"coredns": ""}),
    Source("sigs.k8s.io/metrics-server", "v0.9.0", {"metrics-server": "cmd/metrics-server"}),
)  # fmt: skip
READER = "heal-reader"


def version_key() -> str:
    """Name of the cache entry: readable Kubernetes version and a digest of everything that decides the result."""
    recipe = [
        RECIPE,
        [(s.module, s.version, s.programs, s.ldflags) for s in SOURCES],
        (ASSETS / "reader/main.go").read_text(),
    ]
    return f"v{KUBERNETES}-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:10]}"


def binaries(layout: Layout) -> Path:
    """Directory of the programs of the current versions (it may not exist yet)."""
    return layout.cache / version_key() / "bin"


def is_built(layout: Layout) -> bool:
    """Whether every program is in the cache."""
    return not _missing(layout)


def build(layout: Layout) -> Path:
    """Build what is missing and return the directory.  Progress goes to stderr, one line per program and heartbeat."""
    target = binaries(layout)
    target.mkdir(parents=True, exist_ok=True)
    todo = _missing(layout)
    if todo:
        _say(f"building {len(todo)} of {len(_all_programs())} programs into {target}")
        _say("this takes minutes from nothing, seconds when Go's caches are warm")
    for source in SOURCES:
        wanted = [p for p in source.programs if p in todo]
        if wanted:
            work = _prepare_module(layout, source)
            for program in wanted:
                _go_build(work, source.package(program), source.ldflags, target / program)
    if READER in todo:
        _go_build(ASSETS / "reader", "main.go", "-s -w", target / READER, GO111MODULE="off")
    return target


def _all_programs() -> list[str]:
    return [*(p for s in SOURCES for p in s.programs), READER]


def _missing(layout: Layout) -> list[str]:
    return [p for p in _all_programs() if not os.access(binaries(layout) / p, os.X_OK)]


def _say(text: str) -> None:
    print(f"cluster: {text}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------- one Go module
class _Location(TypedDict):
    Path: str
    Version: str


class _Replacement(TypedDict):
    Old: _Location
    New: _Location


class _GoMod(TypedDict):
    """What `go mod edit -json` prints of a go.mod; `Replace` is null when there is none."""

    Go: str
    Replace: list[_Replacement] | None


def _prepare_module(layout: Layout, source: Source) -> Path:
    """A module of our own that requires just `source`, tidied; kept from one build to the next."""
    work = layout.cache / version_key() / "modules" / source.module.replace("/", "_")
    done = work / ".tidied"
    if done.exists():
        return work
    _say(f"resolving {source.module} {source.version}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    described = run("go", "mod", "download", "-json", f"{source.module}@{source.version}", cwd=work, env=_environment())
    origin = Path(json.loads(described)["Dir"])
    (work / "go.mod").write_text(_go_mod(source, origin))
    run("go", "mod", "tidy", cwd=work, env=_environment())
    done.touch()
    return work


def _go_mod(source: Source, origin: Path) -> str:
    described: _GoMod = json.loads(run("go", "mod", "edit", "-json", origin / "go.mod"))
    tools = [f"\t{source.package(p)}" for p in source.programs]
    replaces = [line for r in described["Replace"] or [] if (line := _replace_line(source, r))]
    lines = ["module selfheal.test/build", f"go {described['Go']}", f"require {source.module} {source.version}"]
    return "\n".join([*lines, "tool (", *tools, ")", "replace (", *replaces, ")", ""])


def _replace_line(source: Source, replacement: _Replacement) -> str | None:
    old, new = replacement["Old"], replacement["New"]
    left = " ".join(filter(None, (old["Path"], old.get("Version", ""))))
    if new["Path"].startswith("./staging/"):
        return f"\t{left} => {old['Path']} v0.{source.version.removeprefix('v1.')}"
    if new["Path"].startswith("."):
        return None  # a folder of the module's repository; its published form is what the requirement resolves to
    return f"\t{left} => {new['Path']} {new['Version']}"


def _environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", **extra}


def _go_build(work: Path, package: str, ldflags: str, out: Path, **extra: str) -> None:
    """Compile beside the goal and rename: the cache never holds half a program."""
    half = out.with_name(out.name + ".half")
    begun = time.monotonic()
    argv = ["go", "build", "-trimpath", "-ldflags", ldflags, "-o", str(half), package]
    with subprocess.Popen(argv, cwd=work, env=_environment(**extra), stderr=subprocess.PIPE, text=True) as compiler:
        while True:
            try:
                _, errors = compiler.communicate(timeout=20)
                break
            except subprocess.TimeoutExpired:
                _say(f"  {out.name}: still compiling after {time.monotonic() - begun:.0f} s")
    if compiler.returncode:
        raise HarnessError(f"go build {package} failed: {errors.strip()[-2000:]}")
    half.replace(out)
    _say(f"  {out.name}: {time.monotonic() - begun:.0f} s")
