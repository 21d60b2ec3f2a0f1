"""Claims of what made the object: the controllers of Kubernetes, Crossplane, and operators we do not know."""

from __future__ import annotations

from typing import Final

from tools.claims.claim import BY_HAND, REPOSITORY, SAME, Claims, Effect, Instead, Owner, Ownership, controller_of
from tools.cluster.structs import Reference
from tools.jsontypes import JsonObject, dig_object, dig_str

_BUILT_IN: Final = frozenset(
    {
        "",
        "apps",
        "autoscaling",
        "batch",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
    }
)
"""Groups of Kubernetes itself.  A suffix would not do: projects around it use `.k8s.io` too."""
_MADE_ANEW: Final = frozenset({"Pod", "Job"})
"""Kinds whose controller makes a new one from its template and leaves the one there is as it is."""
_RECONCILE: Final = "crossplane_reconcile_now"


def by_crossplane(live: JsonObject) -> Claims:
    """What a composition made is kept as composed; where there is a claim, people write there."""
    labels = dig_object(live, "metadata", "labels")
    composite, claim = dig_str(labels, "crossplane.io/composite"), dig_str(labels, "crossplane.io/claim-name")
    maker = controller_of(live)
    if claim:
        ref = Reference("", dig_str(labels, "crossplane.io/claim-namespace"), claim)
        sentence = f"Crossplane composed it for the claim {ref.namespace}/{claim} and keeps it so."
    elif composite:
        ref = maker or Reference("", "", composite)
        sentence = f"Crossplane composed it for {composite} and keeps it so."
    elif maker is not None and _is_crossplane(maker.group):
        ref, sentence = maker, f"{maker} of Crossplane keeps it."
    else:
        return
    action = REPOSITORY if ref.group == "pkg.crossplane.io" else _RECONCILE
    yield Ownership(Owner.CROSSPLANE, Effect.REVERTED, sentence, Instead(ref, action))


def by_controller(live: JsonObject) -> Claims:
    """The controller that the object itself names, if it is not one that is known better elsewhere."""
    maker = controller_of(live)
    if maker is None or maker.group == "keda.sh" or _is_crossplane(maker.group):
        return
    if maker.group not in _BUILT_IN:
        sentence = f"{maker} made it, and the operator behind that may take any change back."
        yield Ownership(Owner.OPERATOR, Effect.REVERTED, sentence, Instead(maker, BY_HAND))
    elif dig_str(live, "kind") in _MADE_ANEW:
        sentence = f"{maker} makes the next one from its own template."
        yield Ownership(Owner.CONTROLLER, Effect.DRIFTS, sentence, Instead(maker, SAME))
    else:
        yield Ownership(Owner.CONTROLLER, Effect.REVERTED, f"{maker} keeps it as it says itself.", Instead(maker, SAME))


def _is_crossplane(group: str) -> bool:
    return group == "crossplane.io" or group.endswith(".crossplane.io")
