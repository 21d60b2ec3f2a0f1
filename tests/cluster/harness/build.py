"""Builds the cluster's programs from Go modules, once per set of versions, into a cache that other checkouts share.

Rule: what is in the cache under a key is complete and was built by this file; a build that is cut off leaves only files
that the next one overwrites.  The cluster's versions are pinned here and nowhere else.  Neighbour: `gomodule` compiles.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from tests.cluster.harness import gomodule
from tests.cluster.harness.gomodule import Source, say
from tests.cluster.harness.layout import ASSETS, Layout

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
        say(f"building {len(todo)} of {len(_all_programs())} programs into {target}")
        say("this takes minutes from nothing, seconds when Go's caches are warm")
    for source in SOURCES:
        for program in source.programs:
            if program in todo:
                gomodule.build(source, program, layout.cache / version_key() / "modules", target / program)
    if READER in todo:
        gomodule.compile_package(ASSETS / "reader", "main.go", "-s -w", target / READER, GO111MODULE="off")
    return target


def _all_programs() -> list[str]:
    return [*(p for s in SOURCES for p in s.programs), READER]


def _missing(layout: Layout) -> list[str]:
    return [p for p in _all_programs() if not os.access(binaries(layout) / p, os.X_OK)]
