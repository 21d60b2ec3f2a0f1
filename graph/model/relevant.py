"""Which actions can help in an incident at all, so that a model is not shown the rest.

All actions together cost several times the tokens of those that fit, and what cannot help can only mislead.  The rule:
narrowing is by what kind of trouble it is and by which kinds of objects the incident may touch, never by a guess at the
cause; and an action that this table does not know is shown, so that nothing is withheld by forgetting.

Since the choice depends on families and kinds alone, there are few different sets, and servers that compile schemas
keep them.  Neighbours: `schema` shows what is chosen, `view.Offer` holds it, `proposals` accepts nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from graph.incident import Family

_POD_FAILS: Final = frozenset(
    {Family.IMAGE, Family.START, Family.CRASH, Family.MEMORY, Family.PROBE, Family.SCHEDULING, Family.ADMISSION}
)
_EVERY: Final = frozenset(Family)
_NODES: Final = frozenset({Family.NODE, Family.SCHEDULING, Family.DISRUPTION})
_CLAIMS: Final = frozenset({Family.STORAGE, Family.SCHEDULING, Family.START})

HELPS: Final[Mapping[str, frozenset[Family]]] = {
    "rollback_workload": _POD_FAILS | {Family.SERVICE, Family.DRIFT},
    "restart_workload": frozenset(
        {Family.START, Family.CRASH, Family.PROBE, Family.ADMISSION, Family.SERVICE, Family.DRIFT}
    ),
    "scale_workload": frozenset({Family.SCALING, Family.ADMISSION, Family.SCHEDULING, Family.SERVICE}),
    "resume_rollout": _POD_FAILS | {Family.SERVICE},
    "set_resources": frozenset(
        {Family.MEMORY, Family.CRASH, Family.PROBE, Family.SCHEDULING, Family.ADMISSION, Family.SCALING}
    ),
    "evict_pod": _POD_FAILS | {Family.NODE, Family.DISRUPTION, Family.STORAGE},
    "delete_pod": _POD_FAILS | {Family.LEFTOVER, Family.STORAGE, Family.STUCK},
    "revert_fields": _EVERY,
    "restore_object": _EVERY,
    "remove_object": _POD_FAILS | {Family.SERVICE, Family.DRIFT},
    "set_image": frozenset({Family.IMAGE, Family.START, Family.CRASH}),
    "set_probe": frozenset({Family.PROBE, Family.CRASH}),
    "set_env": frozenset({Family.START, Family.CRASH, Family.PROBE}),
    "set_command": frozenset({Family.START, Family.CRASH, Family.PROBE}),
    "set_placement": frozenset({Family.SCHEDULING}),
    "set_security_context": frozenset({Family.START, Family.CRASH, Family.ADMISSION}),
    "set_service": frozenset({Family.SERVICE}),
    "cordon_node": _NODES,
    "drain_node": frozenset({Family.NODE}),
    "uncordon_node": _NODES,
    "remove_taint": _NODES,
    "rerun_job": frozenset({Family.BATCH}),
    "delete_job": frozenset({Family.BATCH}),
    "remove_failed_job": frozenset({Family.BATCH}),
    "recreate_failed_job": frozenset({Family.BATCH}),
    "suspend_cronjob": frozenset({Family.BATCH}),
    "resume_cronjob": frozenset({Family.BATCH}),
    "expand_pvc": _CLAIMS | {Family.CRASH},
    "remove_unbound_pvc": _CLAIMS,
    "recreate_unbound_pvc": _CLAIMS,
    "set_hpa_bounds": frozenset({Family.SCALING}),
    "argocd_refresh": _EVERY,
    "argocd_sync": _EVERY,
    "argocd_rollback": _EVERY,
    "argocd_terminate_operation": frozenset({Family.DELIVERY}),
    "argocd_set_auto_sync": _EVERY,
    "run_script": _EVERY,
    "keda_resume": frozenset({Family.SCALING, Family.DRIFT}),
    "keda_pause": frozenset({Family.SCALING}),
    "keda_set_bounds": frozenset({Family.SCALING}),
}
"""The families of trouble that an action can do something about."""
OPEN: Final = frozenset({Family.REQUESTED, Family.ROLLOUT})
"""Families that say nothing of the kind of trouble: everything is shown."""


def relevant(
    actions: Mapping[str, frozenset[str]], families: Iterable[Family], kinds: Iterable[str]
) -> tuple[str, ...]:
    """Names of the actions that can help, in the order given; pure.

    `actions` are the enabled ones, each with the kinds of objects it writes (none: not known, any).  `families` are
    those of the incident's signals, none counts as open; `kinds` those of the objects a plan may name.  Where nothing
    fits but what may be about anything, everything is shown: then it is the table that does not fit.
    """
    seen, touchable = frozenset(families), frozenset(kinds)
    is_open = not seen or bool(seen & OPEN)
    fitting = tuple(
        name
        for name, writes in actions.items()
        if (is_open or seen & HELPS.get(name, _EVERY)) and (not writes or writes & touchable)
    )
    return fitting if any(actions[name] for name in fitting) else tuple(actions)
