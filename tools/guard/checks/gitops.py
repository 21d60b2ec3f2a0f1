"""Delivery: what Argo CD, Flux or an operator keeps as declared would be reverted; the declaration must change instead.

What a controller makes anew by itself is exempt when it is taken away: nobody declares a pod.
"""

from __future__ import annotations

from typing import Final

from tools.executors.base import InverseKind
from tools.executors.kubernetes.common import controller_of
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import World, no, subject_of
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str

_ANNOTATIONS: Final = {"argocd.argoproj.io/tracking-id": "Argo CD"}
_LABELS: Final = {
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_MANAGERS: Final = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def check(world: World) -> Refused | None:
    """Refuse to write, make or remove what somebody else keeps as declared."""
    target = world.order.action.target
    manifest, executor = subject_of(world), world.executor
    if executor is None or not (executor.declared_fields or executor.inverse_kind is InverseKind.EXACT):
        return None
    owner = delivered_by(manifest)
    if owner is None:
        return None
    return no(ReasonCode.OWNED_BY_GITOPS, f"{owner} keeps {target} as declared and would revert the write.")


def delivered_by(live: JsonObject) -> str | None:
    """Who keeps the object as declared; None when nobody is seen to."""
    annotations, labels = dig_object(live, "metadata", "annotations"), dig_object(live, "metadata", "labels")
    for keys, present in ((_ANNOTATIONS, annotations), (_LABELS, labels)):
        for key, who in keys.items():
            if key in present:
                return who
    for entry in dig_list(live, "metadata", "managedFields"):
        manager = dig_str(entry, "manager")
        if manager in _MANAGERS and dig_str(entry, "subresource") == "":
            return _MANAGERS[manager]
    controller = controller_of(live)
    return f"{dig_str(controller, 'kind')} {dig_str(controller, 'name')}" if controller else None
