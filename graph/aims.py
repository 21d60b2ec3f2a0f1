"""What an autoscaler aims at, and the earlier revisions of that: its trouble may lie in the template it scales.

Neighbours: `evidence` does the same for a workload that is the target itself, `graph.rules.objects.autoscalers`
decides.
"""

from __future__ import annotations

from graph.observed import AimFacts
from graph.ports import Ports
from graph.rules.candidates import candidate_reverts
from graph.ways import pin_of_live
from tools.cluster.resources import KNOWN
from tools.errors import NotFound, ToolError
from tools.journal.revisions import read_history
from tools.jsontypes import JsonObject, dig_object, dig_str
from tools.refs import ObjectRef, Pin

ROLLING = frozenset({"Deployment", "StatefulSet"})


async def aim_of(autoscaler: JsonObject, ports: Ports, unseen: list[str]) -> tuple[AimFacts, Pin] | None:
    """Its target as the API server holds it, with the ways back to earlier templates; None when there is none."""
    aim = dig_object(autoscaler, "spec", "scaleTargetRef")
    kind, namespace = dig_str(aim, "kind"), dig_str(autoscaler, "metadata", "namespace")
    if kind not in ROLLING:
        return None
    ref = ObjectRef(kind=kind, namespace=namespace, name=dig_str(aim, "name"))
    try:
        live = {"kind": kind, **await ports.cluster.get(KNOWN[kind], ref.name, namespace)}
        history = await read_history(ports.cluster, live)
    except NotFound:
        return None
    except ToolError as error:
        unseen.append(f"{ref} and its revisions ({error.code})")
        return None
    good = await ports.ledger.good_revisions(dig_str(live, "metadata", "uid"))
    found = candidate_reverts(history, good=good, failing=())
    return AimFacts(ref=ref, candidates=found[:10]), pin_of_live(ref, live)
