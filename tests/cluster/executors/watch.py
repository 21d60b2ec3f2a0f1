"""The real service beside the real controllers, and what it did: its incidents, and its writes by the audit log.

Rule: that nothing was written is read from the API server's audit log alone, over the whole life of the service.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cluster.argocd import manifests
from tests.cluster.argocd.system import ArgoCD
from tests.cluster.audit import AuditTail, Write
from tests.cluster.client import Incident
from tests.cluster.executors.desk import LOOK_S, ArgoDesk, Desk
from tests.cluster.harness.certificates import forget_run_identity, mint_run_identity, run_group
from tests.cluster.harness.layout import Layout
from tests.cluster.real import grant_healer
from tests.cluster.service import DEFAULT_POLICY, ServiceHealer, policy
from tools.jsontypes import JsonObject, dig_list, dig_str


class Watch:
    """One running service and its trail."""

    def __init__(self, healer: ServiceHealer, trail: AuditTail, desk: Desk) -> None:
        self._healer = healer
        self._trail = trail
        self._desk = desk

    def writes(self) -> list[Write]:
        """Every write of it so far, wherever."""
        self._trail.read()
        return list(self._trail.writes)

    async def incidents(self) -> list[Incident]:
        """Those in the desk's namespace, and those on its Application."""
        found = {i.id: i for place in self._places() for i in await self._healer.incidents(place)}
        return [i for i in found.values() if dig_str(i.document, "target", "name") in self._names(i.namespace)]

    async def until(self, what: str, holds: Callable[[Incident], bool], seconds: float) -> Incident:
        """The first incident for which it `holds`; fails with all there are after `seconds`."""
        end = time.monotonic() + seconds
        found: list[Incident] = []
        while time.monotonic() < end:
            found = await self.incidents()
            for incident in found:
                if holds(incident):
                    return incident
            await asyncio.sleep(LOOK_S)
        told = "\n".join(f"{i.state} {i.document.get('headline')} {done(i)} {i.document.get('why_not')}" for i in found)
        raise AssertionError(f"waited {seconds:.0f} s in vain for {what}; there are:\n{told or 'no incidents'}")

    async def approve(self, incident: Incident) -> None:
        """Agree to the plan that waits."""
        await self._healer.approve(incident)

    async def undo(self, incident: Incident) -> None:
        """Have its writes taken back."""
        await self._healer.undo(incident)

    def declare(self, *documents: JsonObject) -> None:
        """From now on this is what should be in the namespace."""
        assert self._healer.desired is not None
        self._healer.desired.put(self._desk.namespace, documents)

    def patches(self) -> list[Path]:
        """Reverts that it prepared."""
        return sorted((self._healer.home / "state" / "reverts").glob("*.patch"))

    def _places(self) -> tuple[str, ...]:
        return (self._desk.namespace, manifests.NAMESPACE)

    def _names(self, namespace: str) -> set[str]:
        """In Argo CD's namespace only our Application; in ours everything that a test makes."""
        return {self._desk.namespace} if namespace == manifests.NAMESPACE else {"web", "migrate"}


def done(incident: Incident) -> list[str]:
    """The actions that were carried out, in order."""
    return [dig_str(a, "tool") for a in dig_list(incident.document, "actions") if dig_str(a, "state") == "applied"]


def said(incident: Incident) -> str:
    """All that it says of itself, in one text."""
    return str(incident.document)


@asynccontextmanager
async def watching(
    layout: Layout, desk: Desk, *, argocd: ArgoCD | None = None, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[Watch]:
    """The service, connected to Argo CD when it is given, free to act on the desk's namespace and its Application."""
    run = f"x{secrets.token_hex(3)}"
    await grant_healer(desk.human)
    trail = AuditTail(layout.audit_log, "healer", run_group(run))
    modes = {desk.namespace: "auto", manifests.NAMESPACE: "auto"}
    connection = {} if argocd is None else connected(argocd)
    healer = ServiceHealer(
        layout,
        mint_run_identity(layout, run),
        policy(DEFAULT_POLICY, modes if isinstance(desk, ArgoDesk) else {desk.namespace: "auto"}),
        settings={"SELFHEAL_NAMESPACES": ",".join(modes), **connection, **(settings or {})},
        home=f"service-{run}",
    )
    try:
        await healer.start()
        yield Watch(healer, trail, desk)
    finally:
        await healer.stop()
        forget_run_identity(layout, run)
    shutil.rmtree(healer.home)  # after a failure it is kept, to be looked at


def connected(argocd: ArgoCD) -> dict[str, str]:
    """The service's settings for it."""
    config = argocd.config()
    return {
        "SELFHEAL_ARGOCD_URL": config.url,
        "SELFHEAL_ARGOCD_TOKEN_FILE": str(config.token_file),
        "SELFHEAL_ARGOCD_CA_FILE": str(config.ca_file),
        "SELFHEAL_ARGOCD_HANG_SECONDS": "10",
    }
