"""The whitelist: every action there is, each with its executor, as one typed tool.

The rule: what is not in `ALL` cannot be done, whoever asks.  A model is shown `schemas` and answers with proposals;
`parse` makes a typed action of a proposal; only the enforcer takes `tools`, which lead through the guarded door.

Neighbours: `executors.actions` has the models, `guard.door` acts, the deployment takes `permissions` for its role and
the transport takes `allow_rules`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, create_model

from tools.clock import Clock, SystemClock
from tools.cluster.allowlist import Rule
from tools.cluster.catalogue import Catalogue
from tools.executors.actions import ACTIONS, AnyAction
from tools.executors.argocd.actions import (
    ArgocdRefreshExecutor,
    ArgocdRollbackExecutor,
    ArgocdSyncExecutor,
    ArgocdTerminateOperationExecutor,
    Proven,
)
from tools.executors.argocd.auto_sync import ArgocdSetAutoSyncExecutor
from tools.executors.argocd.decisions import HANGS_AFTER
from tools.executors.argocd.form import Questions
from tools.executors.base import Executor, Permission
from tools.executors.crossplane.wake import (
    NOBODY,
    Declared,
    ReconcileNowExecutor,
    ResumeExecutor,
    nothing_declared,
)
from tools.executors.keda.bounds import KedaSetBoundsExecutor
from tools.executors.keda.pause import KedaPauseExecutor, KedaResumeExecutor
from tools.executors.kubernetes.autoscaling import DEFAULT_AUTOSCALER_FACTOR, SetHpaBoundsExecutor
from tools.executors.kubernetes.batch import (
    DeleteJobExecutor,
    RerunJobExecutor,
    ResumeCronJobExecutor,
    SuspendCronJobExecutor,
)
from tools.executors.kubernetes.drain import DrainNodeExecutor
from tools.executors.kubernetes.edit.command import SetCommandExecutor
from tools.executors.kubernetes.edit.env import SetEnvExecutor
from tools.executors.kubernetes.edit.image import SetImageExecutor
from tools.executors.kubernetes.edit.placement import SetPlacementExecutor
from tools.executors.kubernetes.edit.probe import SetProbeExecutor
from tools.executors.kubernetes.edit.security import SetSecurityContextExecutor
from tools.executors.kubernetes.edit.service import SetServiceExecutor
from tools.executors.kubernetes.failed_jobs import RecreateFailedJobExecutor, RemoveFailedJobExecutor
from tools.executors.kubernetes.nodes import CordonNodeExecutor, RemoveTaintExecutor, UncordonNodeExecutor
from tools.executors.kubernetes.objects import RevertFieldsExecutor
from tools.executors.kubernetes.pod import DeletePodExecutor, EvictPodExecutor
from tools.executors.kubernetes.resources import DEFAULT_FACTOR, SetResourcesExecutor
from tools.executors.kubernetes.restore import RemoveObjectExecutor, RestoreObjectExecutor
from tools.executors.kubernetes.rollout import ResumeRolloutExecutor
from tools.executors.kubernetes.storage import (
    DEFAULT_STORAGE_FACTOR,
    ExpandPvcExecutor,
    RecreateUnboundPvcExecutor,
    RemoveUnboundPvcExecutor,
)
from tools.executors.kubernetes.workload import (
    RestartWorkloadExecutor,
    RollbackWorkloadExecutor,
    ScaleWorkloadExecutor,
)
from tools.executors.script.action import RunScriptExecutor
from tools.guard.door import Door
from tools.guard.orders import OrderContext, Outcome
from tools.journal.versions import Versions
from tools.jsontypes import JsonObject

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

AnyExecutor: TypeAlias = Executor[Any]
"""An executor whose action type is known only at run time; this module pairs them."""

ALL: Final[Mapping[str, type[AnyExecutor]]] = {
    "rollback_workload": RollbackWorkloadExecutor,
    "restart_workload": RestartWorkloadExecutor,
    "scale_workload": ScaleWorkloadExecutor,
    "set_resources": SetResourcesExecutor,
    "evict_pod": EvictPodExecutor,
    "delete_pod": DeletePodExecutor,
    "revert_fields": RevertFieldsExecutor,
    "restore_object": RestoreObjectExecutor,
    "remove_object": RemoveObjectExecutor,
    "resume_rollout": ResumeRolloutExecutor,
    "cordon_node": CordonNodeExecutor,
    "drain_node": DrainNodeExecutor,
    "uncordon_node": UncordonNodeExecutor,
    "remove_taint": RemoveTaintExecutor,
    "rerun_job": RerunJobExecutor,
    "delete_job": DeleteJobExecutor,
    "remove_failed_job": RemoveFailedJobExecutor,
    "recreate_failed_job": RecreateFailedJobExecutor,
    "suspend_cronjob": SuspendCronJobExecutor,
    "resume_cronjob": ResumeCronJobExecutor,
    "expand_pvc": ExpandPvcExecutor,
    "remove_unbound_pvc": RemoveUnboundPvcExecutor,
    "recreate_unbound_pvc": RecreateUnboundPvcExecutor,
    "set_hpa_bounds": SetHpaBoundsExecutor,
    "keda_resume": KedaResumeExecutor,
    "keda_pause": KedaPauseExecutor,
    "keda_set_bounds": KedaSetBoundsExecutor,
    "set_image": SetImageExecutor,
    "set_probe": SetProbeExecutor,
    "set_env": SetEnvExecutor,
    "set_command": SetCommandExecutor,
    "set_placement": SetPlacementExecutor,
    "set_security_context": SetSecurityContextExecutor,
    "set_service": SetServiceExecutor,
    "crossplane_reconcile_now": ReconcileNowExecutor,
    "crossplane_resume": ResumeExecutor,
    "argocd_refresh": ArgocdRefreshExecutor,
    "argocd_sync": ArgocdSyncExecutor,
    "argocd_rollback": ArgocdRollbackExecutor,
    "argocd_terminate_operation": ArgocdTerminateOperationExecutor,
    "argocd_set_auto_sync": ArgocdSetAutoSyncExecutor,
    "run_script": RunScriptExecutor,
}


OF_ARGOCD: Final = tuple(name for name in ALL if name.startswith("argocd_"))
"""The actions that need a connection to Argo CD."""
OF_CROSSPLANE: Final = tuple(name for name in ALL if name.startswith("crossplane_"))
"""The actions that need a list of resources."""


def without(*, argocd: bool, scripts: bool, crossplane: bool = False) -> tuple[str, ...]:
    """All actions but those of what is not connected: Argo CD, a folder of scripts, listed resources of Crossplane."""
    closed = {*(() if argocd else OF_ARGOCD), *(() if scripts else ("run_script",))}
    closed |= set(() if crossplane else OF_CROSSPLANE)
    return tuple(name for name in ALL if name not in closed)


def executors(
    enabled: Iterable[str] | None = None,
    *,
    resources_factor: int = DEFAULT_FACTOR,
    storage_factor: int = DEFAULT_STORAGE_FACTOR,
    autoscaler_factor: int = DEFAULT_AUTOSCALER_FACTOR,
    image_registries: Iterable[str] = (),
    versions: Versions | None = None,
    argocd: Questions | None = None,
    proven: Proven | None = None,
    hangs_after: timedelta = HANGS_AFTER,
    scripts: Path | None = None,
    clock: Clock | None = None,
    catalogue: Catalogue = NOBODY,
    declared: Declared = nothing_declared,
) -> dict[str, AnyExecutor]:
    """The enabled actions (None: all) with their executors.  Raises ValueError for a name that is no action.

    Without `versions` the actions that put objects back refuse every order; so do those of Argo CD without `argocd`,
    which answers questions about it, scripts without the folder `scripts`, and those of Crossplane without a
    `catalogue` of listed resources; `declared` tells these what people wrote down.
    """
    ticking = clock or SystemClock()
    with_arguments: dict[str, Callable[[], AnyExecutor]] = {
        "set_resources": partial(SetResourcesExecutor, resources_factor),
        "expand_pvc": partial(ExpandPvcExecutor, storage_factor),
        "set_hpa_bounds": partial(SetHpaBoundsExecutor, autoscaler_factor),
        "keda_resume": partial(KedaResumeExecutor, declared),
        "keda_set_bounds": partial(KedaSetBoundsExecutor, autoscaler_factor),
        "set_image": partial(SetImageExecutor, image_registries),
        "revert_fields": partial(RevertFieldsExecutor, versions),
        "restore_object": partial(RestoreObjectExecutor, versions),
        "run_script": partial(RunScriptExecutor, scripts),
        "crossplane_reconcile_now": partial(ReconcileNowExecutor, catalogue),
        "crossplane_resume": partial(ResumeExecutor, catalogue, declared),
        "argocd_refresh": partial(ArgocdRefreshExecutor, argocd, ticking),
        "argocd_sync": partial(ArgocdSyncExecutor, argocd, ticking),
        "argocd_rollback": partial(ArgocdRollbackExecutor, argocd, ticking, proven),
        "argocd_terminate_operation": partial(ArgocdTerminateOperationExecutor, argocd, ticking, hangs_after),
    }
    return {name: with_arguments.get(name, ALL[name])() for name in _checked(enabled)}


def parse(name: str, arguments: Mapping[str, object]) -> AnyAction:
    """A proposal as a typed action.  Raises `pydantic.ValidationError` for a name or argument that is not permitted."""
    return ACTIONS.validate_python({**arguments, "action": name})


@cache
def arguments_of(name: str) -> type[BaseModel]:
    """The arguments of an action as a model without the tag; nothing else gets in.

    Made once for each name: it takes milliseconds, and each step of a plan asks for all of them.
    """
    fields = {key: field for key, field in ALL[name].action_type.model_fields.items() if key != "action"}
    definitions: dict[str, Any] = {key: (field.annotation, field) for key, field in fields.items()}
    config = ConfigDict(extra="forbid", frozen=True)
    made: type[BaseModel] = create_model(f"{ALL[name].action_type.__name__}Arguments", __config__=config, **definitions)
    return made


def schemas(enabled: Iterable[str] | None = None) -> list[JsonObject]:
    """The enabled actions as tool specifications for a chat model.  A call of one is a proposal and nothing more."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": ALL[name].description,
                "parameters": arguments_of(name).model_json_schema(),
            },
        }
        for name in _checked(enabled)
    ]


def tools(door: Door, context: OrderContext) -> dict[str, StructuredTool]:
    """Each enabled action of the door as a typed tool that carries out one order.

    `await tool.ainvoke(arguments)` gives what `Door.act` gives.  Arguments that do not conform raise before anything
    is read.
    """
    from langchain_core.tools import StructuredTool  # half a second that a rules-only start need not spend

    return {
        name: StructuredTool.from_function(
            coroutine=_through(door, context, name),
            name=name,
            description=ALL[name].description,
            args_schema=arguments_of(name),
        )
        for name in door.enabled
    }


def permissions(enabled: Iterable[str] | None = None) -> tuple[Permission, ...]:
    """What a role must grant for the enabled actions, beyond the reads that every installation has; no duplicates."""
    needed: dict[tuple[str, str, str, str], Permission] = {}
    for name in _checked(enabled):
        for right in (*ALL[name].permissions, *ALL[name].reads):
            needed[right.resource.group, right.resource.plural, right.subresource, right.verb] = right
    return tuple(needed[key] for key in sorted(needed))


def allow_rules(enabled: Iterable[str] | None = None) -> tuple[Rule, ...]:
    """The same for the transport's allow-list."""
    return tuple(
        Rule(right.verb, right.resource.group, right.resource.plural, right.subresource)
        for right in permissions(enabled)
    )


def _through(door: Door, context: OrderContext, name: str) -> Callable[..., Awaitable[Outcome]]:
    async def act(**arguments: object) -> Outcome:
        return await door.act(context.order(parse(name, arguments)))

    return act


def _checked(enabled: Iterable[str] | None) -> tuple[str, ...]:
    wanted = frozenset(ALL if enabled is None else enabled)
    unknown = wanted - frozenset(ALL)
    if unknown:
        raise ValueError(f"no such action: {', '.join(sorted(unknown))}; there are: {', '.join(ALL)}")
    return tuple(name for name in ALL if name in wanted)
