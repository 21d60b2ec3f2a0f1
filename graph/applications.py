"""What an Argo CD Application says of itself that a rule, a person or a model needs; pure.

It is read for an incident about the Application, and for one about anything that it keeps: then what is to be done goes
through it.  Neighbours: `tools.executors.argocd` reads the document and knows what may be asked, `graph.evidence` asks
here, `graph.rules.delivered` decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from graph.observed import ApplicationFacts
from tools.cluster.documents import Application
from tools.executors.argocd import application as argo
from tools.executors.argocd import decisions, history
from tools.executors.argocd.application import ResourceKey, Sync
from tools.executors.argocd.history import Candidate
from tools.executors.argocd.source import Revertible, revertible
from tools.jsontypes import JsonObject, dig_list, dig_str
from tools.redact import excerpt
from tools.refs import ObjectRef

MAX_LISTED: Final = 10
_GROUPS: Final = {
    "Deployment": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "ReplicaSet": "apps",
    "Job": "batch",
    "CronJob": "batch",
    "HorizontalPodAutoscaler": "autoscaling",
    "PodDisruptionBudget": "policy",
    "NetworkPolicy": "networking.k8s.io",
    "Role": "rbac.authorization.k8s.io",
    "RoleBinding": "rbac.authorization.k8s.io",
    "ScaledObject": "keda.sh",
    "ScaledJob": "keda.sh",
}
"""Groups of the kinds that are not in the core group."""


def keeper_of(target: ObjectRef, applications: Iterable[Application]) -> Application | None:
    """The Application that lists the object among its resources; None when none does."""
    key = ResourceKey(_GROUPS.get(target.kind, ""), target.kind, target.namespace or "", target.name)
    for app in applications:
        found = argo.tracked(app.body, key)
        if found is not None and not found.is_hook:
            return app
    return None


def application_facts(
    app: Application, proven: Collection[str], hangs_after: timedelta, now: datetime
) -> ApplicationFacts:
    """The facts; `proven` are the keys of deployments that were seen healthy."""
    live = app.body
    entries, latest, policy = history.history(live), argo.operation(live), argo.auto_sync(live)
    back = history.last_healthy(live, proven)
    way = back if isinstance(back, Candidate) else None
    return ApplicationFacts(
        ref=app.ref,
        uid=app.uid,
        health=argo.health(live).value,
        sync=argo.sync(live).value,
        phase=latest.phase.value,
        message=excerpt(latest.message, 400),
        syncs_itself=policy.is_on,
        heals_itself=policy.heals,
        is_drift=is_drift(live),
        deployed=", ".join(entries[0].revisions)[:120] if entries else "",
        deployed_at=entries[0].deployed_at if entries else None,
        declared=", ".join(argo.declared_revisions(live))[:120],
        repository=excerpt(dig_str(live, "spec", "source", "repoURL"), 200),
        differing=tuple(
            _named(found.key) for found in argo.resources(live) if found.sync is Sync.OUT_OF_SYNC and not found.is_hook
        )[:MAX_LISTED],
        failures=tuple(excerpt(text, 300) for text in argo.failures(live)[:MAX_LISTED]),
        errors=tuple(excerpt(text, 300) for text in argo.errors(live)[:MAX_LISTED]),
        hangs=excerpt(decisions.hanging(live, now, hangs_after) or "", 300),
        back=None if way is None else way.entry.id,
        back_revision="" if way is None else ", ".join(way.entry.revisions)[:120],
        back_is_proven=way is not None and way.is_proven,
        one_commit=way is None or isinstance(revertible(live, way.entry.id), Revertible),
        declared_by=(argo.parent(live) or "")[:120],
    )


def is_drift(live: JsonObject) -> bool:
    """Whether the cluster differs from the very revision that was deployed last: nobody released anything."""
    entries = history.history(live)
    is_same = bool(entries) and entries[0].revisions == argo.declared_revisions(live) != ()
    return is_same and argo.sync(live) is Sync.OUT_OF_SYNC


def unwatched(live: JsonObject, watched: Collection[str]) -> tuple[str, ...]:
    """Resources that may be what Argo CD finds degraded, and that nobody here looks at for themselves.

    Those it says are; where it keeps the health of resources out of the Application, all of other kinds.
    """
    found = argo.resources(live)
    says = any(resource.health for resource in found)
    bad = (f for f in found if f.key.kind not in watched and (f.health == "Degraded" or not says))
    return tuple(_named(resource.key) for resource in bad)[:MAX_LISTED]


def since_of(live: JsonObject, kind: str) -> datetime | None:
    """When a condition of this type began, as far as it says so."""
    for condition in dig_list(live, "status", "conditions"):
        if dig_str(condition, "type") == kind:
            return argo.moment(dig_str(condition, "lastTransitionTime"))
    return None


def _named(key: ResourceKey) -> str:
    place = f"{key.namespace}/" if key.namespace else ""
    return f"{place}{key.kind}/{key.name}"[:200]
