"""The list of controllers, in the order in which they look at a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.simulator.api.core import Api
from evals.simulator.controllers.autoscalers import Autoscalers
from evals.simulator.controllers.base import Controller
from evals.simulator.controllers.budgets import Budgets
from evals.simulator.controllers.cronjobs import CronJobs
from evals.simulator.controllers.daemonsets import DaemonSets
from evals.simulator.controllers.deployments import Deployments
from evals.simulator.controllers.endpoints import Endpoints
from evals.simulator.controllers.housekeeping import Collector, Namespaces, Quotas
from evals.simulator.controllers.jobs import Jobs
from evals.simulator.controllers.nodes import Nodes
from evals.simulator.controllers.replicasets import ReplicaSets
from evals.simulator.controllers.scheduler import Scheduler
from evals.simulator.controllers.statefulsets import StatefulSets
from evals.simulator.controllers.volumes import Claims, Volumes

if TYPE_CHECKING:
    from evals.simulator.controllers.manager import Manager

_ALL: tuple[type[Controller], ...] = (
    Deployments,
    ReplicaSets,
    StatefulSets,
    DaemonSets,
    CronJobs,
    Jobs,
    Nodes,
    Claims,
    Volumes,
    Scheduler,
    Endpoints,
    Budgets,
    Autoscalers,
    Quotas,
    Namespaces,
    Collector,
)


def build(api: Api, manager: Manager) -> list[Controller]:
    """One of each."""
    return [cls(api, manager) for cls in _ALL]
