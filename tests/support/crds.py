"""Definitions of Argo CD, KEDA and Crossplane as their projects publish them, read out of the Go module cache.

They are other people's text, so they are not kept here.  `python -m tests.support.crds` has Go fetch the modules they
are part of; what is not there is skipped by the tests, with that command in the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.jsontypes import JsonObject


@dataclass(frozen=True)
class Source:
    """One definition: the module it is in, and where in it."""

    kind: str
    module: str
    version: str
    path: str

    @property
    def archive(self) -> Path:
        """Where Go keeps the module's archive."""
        return _cache() / "cache" / "download" / self.module / "@v" / f"{self.version}.zip"


SOURCES = (
    Source("Application", "github.com/argoproj/argo-cd/v3", "v3.5.7", "manifests/crds/application-crd.yaml"),
    Source("ScaledObject", "github.com/kedacore/keda/v2", "v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    Source("ScaledJob", "github.com/kedacore/keda/v2", "v2.21.0", "config/crd/bases/keda.sh_scaledjobs.yaml"),
    Source(
        "NopResource",
        "github.com/crossplane-contrib/provider-nop",
        "v0.4.0",
        "package/crds/nop.crossplane.io_nopresources.yaml",
    ),
)


def definition(kind: str) -> JsonObject:
    """The definition of that kind.  Skips the test when it is not on this machine."""
    found = published(kind)
    if found is None:
        source = next(s for s in SOURCES if s.kind == kind)
        pytest.skip(
            f"the definition of {kind} is in no Go module cache here ({source.module}@{source.version});"
            " fetch it with: python -m tests.support.crds"
        )
    return found


@cache
def published(kind: str) -> JsonObject | None:
    """The definition of that kind as its project publishes it, not to be changed; None when it is not here."""
    source = next((s for s in SOURCES if s.kind == kind), None)
    if source is None or not source.archive.is_file():
        return None
    with zipfile.ZipFile(source.archive) as archive:
        found: Any = yaml.load(archive.read(f"{source.module}@{source.version}/{source.path}"), Loader=yaml.CSafeLoader)
    assert found["kind"] == "CustomResourceDefinition"
    return found  # type: ignore[no-any-return]


def _cache() -> Path:
    """Go's module cache, by the rules of `go env GOMODCACHE`."""
    gopath = os.environ.get("GOPATH", "").split(os.pathsep)[0] or str(Path.home() / "go")
    return Path(os.environ.get("GOMODCACHE") or Path(gopath) / "pkg" / "mod")


def fetch() -> int:
    """Have Go fetch what is missing; how many are still missing then."""
    missing = 0
    for source in SOURCES:
        if not source.archive.is_file():
            command = ["go", "mod", "download", f"{source.module}@{source.version}"]
            done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
            if not source.archive.is_file():
                missing += 1
                sys.stderr.write(f"{source.kind}: {done.stderr.strip() or 'no archive came'}\n")
    return missing


if __name__ == "__main__":
    sys.exit(1 if fetch() else 0)
