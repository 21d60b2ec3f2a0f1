"""The specification of unbound claims and of disruption budgets."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.budgets import is_plainly_well
from tests.graph.signals.object_samples import Journal, World, budget, claim, event, look, node, said, web_pod
from tools.cluster.documents import PersistentVolumeClaim, PodDisruptionBudget
from tools.cluster.objects import Pod, decode_json
from tools.cluster.structs import KubeObject

UNBOUND, BLOCKED = Reason.CLAIM_UNBOUND, Reason.EVICTION_BLOCKED


def waits(phase: str = "Pending", name: str = "data") -> Pod:
    return decode_json(
        {
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "p"},
            "spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": name}}]},
            "status": {"phase": phase},
        },
        Pod,
    )


NO_CLASS = event("uid-data", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found')
NO_VOLUME = event("uid-data", "FailedBinding", "no persistent volumes available for this claim")
LAST_NOTE = event("uid-data", "FailedBinding", "no persistent volumes available", -900)
COMES = event("uid-data", "ExternalProvisioning", "Waiting for a volume to be created")
PLACE = event("uid-data", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")


@dataclass(frozen=True)
class Claim:
    claim: PersistentVolumeClaim
    others: tuple[KubeObject, ...]
    due: float | None = None
    now: float = 0


CLAIMS = {
    "waited for, and nothing says why": Claim(claim(), (waits(),), due=30),
    "waited for, and no volume fits": Claim(claim(), (waits(), NO_VOLUME), due=30),
    "waited for, and its class does not exist": Claim(claim(), (waits(), NO_CLASS), due=15),
    "waited for, and somebody makes the volume": Claim(claim(), (waits(), COMES), due=600),
    "waited for, and it waits for the pod's place": Claim(claim(), (waits(), PLACE)),
    "waited for, and what was said is long ago": Claim(claim(), (waits(), LAST_NOTE), due=30),
    "nobody waits": Claim(claim(age=3600), ()),
    "a pod waits for another claim": Claim(claim(age=3600), (waits(name="other"),)),
    "its pod runs": Claim(claim(age=3600), (waits("Running"),)),
    "bound": Claim(claim("Bound"), (waits(),)),
    "lost": Claim(claim("Lost"), (waits(),), due=1.5),
}


@pytest.mark.parametrize("case", CLAIMS.values(), ids=CLAIMS)
def test_claim(case: Claim) -> None:
    found = look(case.claim, World(case.claim, *case.others), now=case.now)
    assert said(found) == ([] if case.due is None else [(UNBOUND, case.due)])


def test_a_claim_s_message_says_why_and_who_waits() -> None:
    item = claim(age=60)
    found = look(item, World(item, waits(), NO_CLASS))
    assert said(found) == [(UNBOUND, None)]
    assert found[0].message == (
        'Pending; ProvisioningFailed: storageclass.storage.k8s.io "fast" not found; waited for by pod web-1'
    )


GOOD = Journal(good={"shop/PodDisruptionBudget/web": budget(minAvailable=1).body})
SAME = Journal(good={"shop/PodDisruptionBudget/web": budget().body})
CORDONED = (node(unschedulable=True), web_pod())


@dataclass(frozen=True)
class Budget:
    budget: PodDisruptionBudget
    others: tuple[KubeObject, ...] = ()
    journal: Journal = field(default_factory=Journal)
    found: bool = False


BUDGETS = {
    "can never allow one, since it was changed": Budget(budget(), journal=GOOD, found=True),
    "can never allow one, and is not as declared": Budget(
        budget(), journal=Journal(differs={"shop/PodDisruptionBudget/web": ("/spec/maxUnavailable",)}), found=True
    ),
    "can never allow one, and was always so": Budget(budget(), journal=SAME),
    "can never allow one, and nothing is known": Budget(budget()),
    "can never allow one, and holds up a drain": Budget(budget(), CORDONED, SAME, found=True),
    "can never allow one, and the cordoned node has no pod of it": Budget(
        budget(), (node(unschedulable=True), web_pod(labels={"app": "api"})), SAME
    ),
    "allows none, since a pod is unhealthy": Budget(budget(healthy=1), CORDONED, GOOD),
    "allows one": Budget(budget(allowed=1), CORDONED, GOOD),
    "selects no pods": Budget(budget(expected=0, healthy=0), CORDONED, GOOD),
    "not counted anew since it was changed": Budget(budget(observed=1), CORDONED, GOOD),
}


@pytest.mark.parametrize("case", BUDGETS.values(), ids=BUDGETS)
def test_budget(case: Budget) -> None:
    found = [s for s in look(case.budget, World(case.budget, *case.others), case.journal) if s.reason is BLOCKED]
    assert said(found) == ([(BLOCKED, 30)] if case.found else [])
    if found:
        assert not is_plainly_well(case.budget)


def test_a_budget_s_message_says_what_it_demands_and_which_nodes_wait() -> None:
    item = budget(minAvailable="100%")
    found = look(item, World(item, *CORDONED))
    assert found[0].message == (
        "minAvailable 100% allows no eviction, though all 2 pods are healthy; node1 cannot be drained"
    )
