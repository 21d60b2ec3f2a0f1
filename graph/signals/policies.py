"""A network policy that lets nothing through to pods that a Service leads to.

Nothing of it shows on the pods: the kubelet's own probes pass, and only whoever asks for the Service waits in vain.
The rule: policies add up, so one that admits anybody makes another's silence harmless; what is declared is meant; and a
policy that was there before the pods became ready is how things are here.  A cluster whose network does not enforce
policies shows the same; then nothing is lost by asking.
Neighbours: `object_contexts` finds the pods and Services, `services` has what is wrong with a Service itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from graph.incident import Reason, Signal
from graph.signals.findings import PATIENT, Finding
from graph.signals.objects import ObjectContext, judge
from tools.cluster.documents import NetworkPolicy
from tools.jsontypes import JsonObject, dig, dig_list


@dataclass(frozen=True, slots=True)
class PolicyContext(ObjectContext):
    """Whom a policy cuts off."""

    services: tuple[str, ...] = ()
    """Services that lead to pods which it isolates and to which no policy admits anybody."""
    is_declared: bool = False
    came_later: bool = False
    """It came after those pods had become ready."""


def detect_policy(policy: NetworkPolicy, context: PolicyContext, now: datetime) -> list[Signal]:
    """TRAFFIC_CUT."""
    return judge(policy, context, _findings(policy, context), now)


def is_plainly_well(policy: NetworkPolicy) -> bool:
    """Whether `detect_policy` finds nothing in any context: it does not isolate, or it admits somebody."""
    return not isolates(policy.body) or bool(dig_list(policy.body, "spec", "ingress"))


def isolates(policy: JsonObject) -> bool:
    """Whether it is about what comes in; a policy that names no type is."""
    types = dig_list(policy, "spec", "policyTypes")
    return not types or "Ingress" in types


def admits(policy: JsonObject) -> bool:
    """Whether it lets anybody in."""
    return isolates(policy) and bool(dig(policy, "spec", "ingress"))


def _findings(policy: NetworkPolicy, context: PolicyContext) -> Iterator[Finding]:
    if not context.services or context.is_declared or not context.came_later:
        return
    since = policy.metadata.creation_timestamp
    text = f"lets nothing in to the pods of Service {', '.join(context.services[:5])}, which were ready before it came"
    yield Finding(Reason.TRAFFIC_CUT, text, PATIENT, since=since)
