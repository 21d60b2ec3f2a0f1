"""Where kubectl is: on the path, or where the real test cluster was built.

`SELFHEAL_REQUIRE_KUBECTL=1` makes its absence a failure: a machine that builds the cluster must not skip in silence.
"""

from __future__ import annotations

import os
import shutil

import pytest

from tests.cluster.harness.layout import Layout

REQUIRED = "SELFHEAL_REQUIRE_KUBECTL"


def find_kubectl() -> str | None:
    """The program; None when there is none."""
    built = sorted(Layout.from_environment().cache.glob("v*/bin/kubectl"))
    return shutil.which("kubectl") or (str(built[-1]) if built else None)


KUBECTL = find_kubectl()
needs_kubectl = pytest.mark.skipif(
    KUBECTL is None and os.environ.get(REQUIRED) != "1",
    reason="kubectl is not on the path and the test cluster is not built (make cluster-up)",
)


def kubectl() -> str:
    """The program."""
    assert KUBECTL is not None, f"{REQUIRED}=1, and kubectl is neither on the path nor in the test cluster's cache"
    return KUBECTL
