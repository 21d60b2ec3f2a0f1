"""The real Argo CD and the real KEDA for the tests of this folder; without them each test is skipped and says why.

With `SELFHEAL_REQUIRE_EXECUTORS=1` it fails instead: a run that is to show them must not pass by skipping.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncGenerator
from typing import TypeVar

import pytest

from tests.cluster.argocd.system import ArgoCD
from tests.cluster.executors.desk import ArgoDesk, Desk
from tests.cluster.harness.__main__ import SYSTEM_PATH
from tests.cluster.harness.addon import Addon
from tests.cluster.harness.layout import Layout
from tests.cluster.harness.preflight import NotReadyError
from tests.cluster.keda.system import Keda
from tests.cluster.kube import Kube

REQUIRED = "SELFHEAL_REQUIRE_EXECUTORS"
A = TypeVar("A", bound=Addon)


@pytest.fixture(scope="session")
def layout() -> Layout:
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    return Layout.from_environment()


@pytest.fixture(scope="session")
def argocd(layout: Layout) -> ArgoCD:
    """Up, and left up."""
    return brought_up(ArgoCD(layout))


@pytest.fixture(scope="session")
def keda(layout: Layout) -> Keda:
    """Up, and left up."""
    return brought_up(Keda(layout))


@pytest.fixture
async def argo_desk(layout: Layout, argocd: ArgoCD) -> AsyncGenerator[ArgoDesk]:
    """A new namespace, with an empty repository for its Application."""
    async with Kube(layout.kubeconfig("human")) as human:
        desk = ArgoDesk(human, await new_namespace(human), argocd)
        yield desk
        await desk.clear()


@pytest.fixture
async def keda_desk(layout: Layout, keda: Keda) -> AsyncGenerator[Desk]:
    """A new namespace."""
    async with Kube(layout.kubeconfig("human")) as human:
        desk = Desk(human, await new_namespace(human))
        yield desk
        await desk.remove("ScaledObject", "web")
        await desk.clear()


async def new_namespace(human: Kube) -> str:
    name = f"sh-x-{secrets.token_hex(3)}"
    await human.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def brought_up(addon: A) -> A:
    try:
        addon.up()
    except NotReadyError as lacking:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set: {lacking}")
        pytest.skip(str(lacking))
    return addon
