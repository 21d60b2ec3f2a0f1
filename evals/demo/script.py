"""What the scripted model says in the demo: first the wrong revision, then the right one, as often as it is asked."""

from __future__ import annotations

from evals.demo.shop import CART, NAMESPACE, OLD_CART
from evals.scripted_model.script import Reply, Script
from evals.simulator import Simulator
from tools.jsontypes import JsonObject, dig_str

THINKS_SECONDS = 0.5
"""Real seconds; a real model takes several."""


def script(sim: Simulator) -> Script:
    """The replies, with the revision numbers that cart's history has now.  Before: the shop is set up."""
    wrong = _plan(
        revision_of(sim, OLD_CART),
        "Release 2.1 fails at its start; release 1.9 is smaller and starts quickly.",
        "It ran before.",
    )
    right = _plan(
        revision_of(sim, CART.image),
        "Release 1.9 does not stay up either; release 2.0 was running when the fault began.",
        "It was seen healthy until a minute ago.",
    )
    replies = ({"json": wrong}, {"json": right, "times": "always"})
    return Script(replies=tuple(Reply.model_validate({**r, "delay_seconds": THINKS_SECONDS}) for r in replies))


def revision_of(sim: Simulator, image: str) -> int:
    """The number of cart's newest revision with that image.  LookupError when there is none."""
    for replica_set in sim.all_of("ReplicaSet", NAMESPACE):
        if dig_str(replica_set, "spec", "template", "spec", "containers", 0, "image") == image:
            return int(dig_str(replica_set, "metadata", "annotations", "deployment.kubernetes.io/revision"))
    raise LookupError(f"cart has no revision with {image}")


def _plan(revision: int, sentence: str, safe_because: str) -> JsonObject:
    action: JsonObject = {
        "action": "rollback_workload",
        "kind": CART.kind,
        "namespace": NAMESPACE,
        "name": CART.name,
        "to_revision": revision,
    }
    return {
        "cause": "bad_revision",
        "sentence": sentence,
        "confidence": 0.8,
        "safe_because": safe_because,
        "no_plan_because": None,
        "steps": [{"why": sentence, "action": action}],
    }
