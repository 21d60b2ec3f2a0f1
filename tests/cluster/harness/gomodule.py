"""Programs from Go modules: a module of our own that requires just one other, tidied, then one `go build` per program.

Rule: a program is compiled beside its goal and renamed, so a build that is cut off leaves only files that the next one
overwrites.

Sharp places: `k8s.io/kubernetes` names its staging modules v0.0.0, so each is replaced by its published version; the
replacements of a module's own go.mod do not count when it is a dependency, so they are repeated; after `go mod tidy`
nothing may raise a version.  Neighbours: `build` names the cluster's programs, `addon` those that run beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tests.cluster.harness.processes import HarnessError, run


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


def build(source: Source, program: str, modules: Path, out: Path) -> None:
    """After it `out` is the program.  `modules` keeps the tidied modules from one build to the next."""
    compile_package(prepare(source, modules), source.package(program), source.ldflags, out)


def prepare(source: Source, modules: Path) -> Path:
    """A module of our own that requires just `source`, tidied."""
    work = modules / source.module.replace("/", "_")
    done = work / ".tidied"
    if done.exists():
        return work
    say(f"resolving {source.module} {source.version}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "go.mod").write_text(_go_mod(source, unpacked(source, work)))
    run("go", "mod", "tidy", cwd=work, env=_environment())
    done.touch()
    return work


def unpacked(source: Source, work: Path) -> Path:
    """The module's own files, read-only, in Go's cache; fetched when they are not there.  `work` is any folder."""
    described = run("go", "mod", "download", "-json", f"{source.module}@{source.version}", cwd=work, env=_environment())
    return Path(json.loads(described)["Dir"])


def compile_package(work: Path, package: str, ldflags: str, out: Path, **extra: str) -> None:
    """Compile and rename, with a line every 20 s, since it may take minutes.  HarnessError in the compiler's words."""
    half = out.with_name(out.name + ".half")
    begun = time.monotonic()
    argv = ["go", "build", "-trimpath", "-ldflags", ldflags, "-o", str(half), package]
    with subprocess.Popen(argv, cwd=work, env=_environment(**extra), stderr=subprocess.PIPE, text=True) as compiler:
        while True:
            try:
                _, errors = compiler.communicate(timeout=20)
                break
            except subprocess.TimeoutExpired:
                say(f"  {out.name}: still compiling after {time.monotonic() - begun:.0f} s")
    if compiler.returncode:
        raise HarnessError(f"go build {package} failed: {errors.strip()[-2000:]}")
    half.replace(out)
    say(f"  {out.name}: {time.monotonic() - begun:.0f} s")


def say(text: str) -> None:
    """Progress, for whoever watches."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


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
