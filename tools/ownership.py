"""Who owns an object, what that means for a write to it, and where the write goes instead.  Pure.

Most objects of a cluster are kept by somebody: a delivery controller, an autoscaler, an operator.  What is written
behind their back is reverted, or is drift.  `claims` finds everybody who keeps a part of an object; `ownership` gives
the one claim that decides about a write of given fields.

The rule: what was not read is not nobody.  A list of autoscalers that is None, or an Application that cannot be found,
makes the effect `UNKNOWN`, which is to be treated as reverted.

Neighbours: `tools.claims` knows how each owner shows itself; `tools.executors.argocd.decisions` what Argo CD reverts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tools.claims.autoscalers import of_keda, on_workload
from tools.claims.claim import BY_HAND, REPOSITORY, SAME, Effect, Instead, Known, Owner, Ownership
from tools.claims.controllers import by_controller, by_crossplane
from tools.claims.delivery import by_argo, by_flux, by_helm
from tools.claims.managers import by_manager
from tools.jsontypes import JsonObject

__all__ = [
    "BY_HAND", "REPOSITORY", "SAME", "Effect", "Instead", "Known", "Owner", "Ownership", "claims", "instead",
    "ownership",
]  # fmt: skip

NOBODY: Final = Ownership(Owner.NOBODY, Effect.HOLDS, "Nobody is seen to keep it as declared.")
_STRENGTH: Final = (Effect.REVERTED, Effect.UNKNOWN, Effect.DRIFTS, Effect.HOLDS)


def _anybody(_: Ownership) -> bool:
    return True


def ownership(
    live: JsonObject, known: Known, fields: Sequence[str] = (), *, among: Callable[[Ownership], bool] = _anybody
) -> Ownership:
    """The claim that decides about a write of `fields` to `live`; fields are JSON pointers, and none means any.

    Claims that `among` says no to are left out.  Of several claims the strictest counts; of equally strict ones
    the one on fewer fields, since it says where the write goes more exactly; then the order of `claims`.
    """
    touching = [c for c in claims(live, known, fields) if among(c) and _touches(c, fields)]
    return min(touching, key=lambda claim: (_STRENGTH.index(claim.effect), not claim.fields), default=NOBODY)


def claims(live: JsonObject, known: Known, fields: Sequence[str] = ()) -> tuple[Ownership, ...]:
    """Everybody who keeps a part of the object.  `fields` matter to Argo CD alone, which may ignore some."""
    shown = (
        *by_crossplane(live),
        *by_controller(live),
        *of_keda(live),
        *on_workload(live, known),
        *by_argo(live, known, fields),
        *by_flux(live),
        *by_helm(live),
    )
    return (*shown, *by_manager(live, known, {claim.owner for claim in shown}))


def instead(claim: Ownership) -> str:
    """Where the write goes instead, as a sentence; "" when the claim does not say."""
    if claim.instead is None:
        return ""
    match claim.instead.action:
        case word if word == REPOSITORY:
            return f"Change what is declared for {claim.instead.ref}."
        case word if word == BY_HAND:
            return f"Whoever knows {claim.instead.ref} must decide."
        case word if word == SAME:
            return f"Do it to {claim.instead.ref}."
        case name:
            return f"The place to write is {claim.instead.ref}: {name}."


def _touches(claim: Ownership, fields: Sequence[str]) -> bool:
    return not claim.fields or not fields or any(_overlap(kept, field) for kept in claim.fields for field in fields)


def _overlap(one: str, other: str) -> bool:
    """Whether two pointers are about the same field, or one lies below the other."""
    return all(a == b or "*" in (a, b) for a, b in zip(one.split("/"), other.split("/"), strict=False))
