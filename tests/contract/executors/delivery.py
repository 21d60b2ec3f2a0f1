"""The cases of the one action on Argo CD that is a write to the API server, over a server that has the kind.

Nobody acts on the Application.  The published definition is used where it is on this machine, a small one otherwise;
neither has a status subresource.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.contract.executors.arena import Arena
from tests.contract.executors.cases import APP, Case
from tests.contract.executors.keda import DEFINITION
from tests.contract.executors.platform import here, refused_with
from tests.support import argocd
from tests.support.crds import published
from tools.cluster.resources import APPLICATION, WriteRequest
from tools.errors import NotFound, ToolError
from tools.executors.actions import AnyAction
from tools.executors.argocd.application import TRACKING_ID
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject

TOOL = "argocd_set_auto_sync"
THEIRS: JsonObject = {"spec": {"syncPolicy": {"automated": {"prune": True, "selfHeal": False}}}}


def application(policy: JsonObject | None) -> Callable[[Arena], Awaitable[None]]:
    """One that is delivered nowhere, with this sync policy."""

    async def stage(arena: Arena) -> None:
        body = published("Application") or argocd.DEFINITION
        with suppress(ToolError):  # another test has made it
            request = WriteRequest("create", DEFINITION, None, "applications.argoproj.io", body)
            await arena.cluster.write(request, dry_run=False)

        async def is_served() -> bool:
            try:
                await arena.cluster.list(APPLICATION, arena.namespace)
            except NotFound:
                return False
            return True

        await arena.until("Applications are served", is_served)
        source: JsonObject = {"repoURL": argocd.REPO, "path": "shop", "targetRevision": "main"}
        spec: JsonObject = {"project": "default", "source": source, "destination": {"namespace": arena.namespace}}
        spec |= {} if policy is None else {"syncPolicy": policy}
        await arena.create(APPLICATION, {"metadata": {"name": APP}, "spec": spec})

    return stage


async def declared_by_another(arena: Arena) -> tuple[AnyAction, ReasonCode]:
    mark = f"root:argoproj.io/Application:{arena.namespace}/{APP}"
    await arena.patch(APPLICATION, APP, {"metadata": {"annotations": {TRACKING_ID: mark}}})
    return await here(TOOL, enabled=True)(arena), ReasonCode.OWNED_BY_GITOPS


async def delivered_by_flux(arena: Arena) -> tuple[AnyAction, ReasonCode]:
    labels: JsonObject = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}
    await arena.patch(APPLICATION, APP, {"metadata": {"labels": labels}})
    return await here(TOOL, enabled=True)(arena), ReasonCode.OWNED_BY_GITOPS


DELIVERY_CASES: tuple[Case, ...] = (
    Case(
        f"{TOOL} off", application({"automated": {"prune": True, "selfHeal": True}, "syncOptions": ["Validate=false"]}),
        here(TOOL, enabled=False), refused_with(ReasonCode.NO_CHANGE, here(TOOL, enabled=True)),
        owner="Application", foreign=THEIRS, approved=True,
    ),
    Case(
        f"{TOOL} off where it is all there is", application({"automated": {}}), here(TOOL, enabled=False),
        refused_with(ReasonCode.NO_CHANGE, here(TOOL, enabled=True)),
        owner="Application", foreign=THEIRS, approved=True,
    ),
    Case(
        f"{TOOL} on", application({"syncOptions": ["Validate=false"]}), here(TOOL, enabled=True), declared_by_another,
        owner="Application", foreign=THEIRS, approved=True,
    ),
    Case(
        f"{TOOL} on without any policy", application(None), here(TOOL, enabled=True), delivered_by_flux,
        owner="Application", foreign=THEIRS, approved=True,
    ),
    Case(
        f"{TOOL} on where it is disabled", application({"automated": {"enabled": False, "prune": True}}),
        here(TOOL, enabled=True), refused_with(ReasonCode.NO_CHANGE, here(TOOL, enabled=False)),
        owner="Application", foreign={"spec": {"project": "theirs"}}, approved=True, contested=False,
    ),
)  # fmt: skip
