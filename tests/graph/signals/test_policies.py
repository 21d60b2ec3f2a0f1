"""The specification of network policies that cut pods off."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.policies import is_plainly_well
from tests.graph.signals.object_samples import Journal, World, look, metadata, said, service, web_pod
from tests.graph.signals.samples import is_ready, stamp
from tools.cluster.documents import NetworkPolicy
from tools.cluster.objects import decode_json
from tools.cluster.structs import KubeObject
from tools.jsontypes import JsonObject, JsonValue

CUT = Reason.TRAFFIC_CUT


def policy(name: str = "lockdown", *, made: float = 60, **spec: JsonValue) -> NetworkPolicy:
    body: JsonObject = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], **spec}
    told = {**metadata(name, f"uid-{name}"), "creationTimestamp": stamp(made)}
    return decode_json(
        {"apiVersion": NetworkPolicy.api_version, "kind": "NetworkPolicy", "metadata": told, "spec": body},
        NetworkPolicy,
    )


ADMITS = policy("open", made=0, ingress=[{"from": [{"podSelector": {}}]}])
SERVED: tuple[KubeObject, ...] = (service(), web_pod(conditions=is_ready(10)))


@dataclass(frozen=True)
class Expect:
    policy: NetworkPolicy
    others: tuple[KubeObject, ...] = SERVED
    journal: Journal = field(default_factory=Journal)
    due: float | None = 75
    is_cut: bool = True


def well(made: NetworkPolicy, others: tuple[KubeObject, ...] = SERVED, journal: Journal | None = None) -> Expect:
    return Expect(made, others, journal or Journal(), is_cut=False)


CASES = {
    "lets nothing in to pods that a Service leads to": Expect(policy()),
    "the same for all pods of the namespace": Expect(policy(podSelector={})),
    "names no type: what comes in is meant": Expect(policy(policyTypes=[])),
    "lets somebody in": well(policy(ingress=[{}])),
    "is about what goes out alone": well(policy(policyTypes=["Egress"])),
    "another one lets somebody in": well(policy(), (*SERVED, ADMITS)),
    "another one lets somebody in, to other pods": Expect(
        policy(), (*SERVED, policy("open", made=0, podSelector={"matchLabels": {"app": "api"}}, ingress=[{}]))
    ),
    "no Service leads to the pods": well(policy(), (web_pod(conditions=is_ready(10)),)),
    "it selects other pods": well(policy(podSelector={"matchLabels": {"app": "api"}})),
    "it was there before the pods were ready: that is how it is here": well(policy(made=5)),
    "the pods are not ready: that has another cause": well(policy(), (service(), web_pod(ready=False))),
    "it is declared": well(policy(), journal=Journal(declared={"shop/NetworkPolicy/lockdown": {"spec": {}}})),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_policy(case: Expect) -> None:
    found = look(case.policy, World(case.policy, *case.others), case.journal, now=60)
    assert said(found) == ([(CUT, case.due)] if case.is_cut else [])
    if found:
        assert not is_plainly_well(case.policy)


def test_the_message_names_the_services() -> None:
    made = policy()
    assert "Service web" in look(made, World(made, *SERVED), now=80)[0].message
