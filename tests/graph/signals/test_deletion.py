"""The specification of deletions that do not end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from graph.incident import Reason
from graph.signals.deletion import is_orphaned
from graph.signals.look import look_at_object
from graph.signals.object_contexts import ObjectContexts
from tests.graph.signals.object_samples import Journal, World, claim, config_map, replica_set, said
from tests.graph.signals.samples import at, stamp
from tests.graph.signals.test_claims import waits
from tools.cluster.objects import Deployment, decode_json
from tools.cluster.structs import KubeObject

GROUPS = frozenset({"apps", "keda.sh", "elbv2.k8s.aws"})


def deleted(*finalizers: str) -> KubeObject:
    return config_map(deletionTimestamp=stamp(0), finalizers=list(finalizers))


PROTECTED = claim("Bound", deletionTimestamp=stamp(0), finalizers=["kubernetes.io/pvc-protection"])
FOREGROUND = decode_json(
    {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "uid-web",
            "deletionTimestamp": stamp(0),
            "finalizers": ["foregroundDeletion"],
        }
    },
    Deployment,
)


@dataclass(frozen=True)
class Expect:
    item: KubeObject
    others: tuple[KubeObject, ...] = ()
    groups: frozenset[str] | None = None
    due: float | None = None
    journal: Journal = field(default_factory=Journal)


CASES = {
    "held by a finalizer": Expect(deleted("example.com/never"), due=300),
    "held by a finalizer whose controller is absent": Expect(deleted("example.com/never"), groups=GROUPS, due=60),
    "held by a finalizer whose controller may be there": Expect(deleted("keda.sh/x"), groups=GROUPS, due=300),
    "held by two, one of them orphaned": Expect(deleted("keda.sh/x", "example.com/y"), groups=GROUPS, due=60),
    "on its way, nothing holds it": Expect(deleted()),
    "not deleted": Expect(config_map(finalizers=["example.com/never"])),
    "claim that a pod still uses": Expect(PROTECTED, (waits("Running"),)),
    "claim that a pod used until it ended": Expect(PROTECTED, (waits("Succeeded"),), due=300),
    "claim that nobody uses": Expect(PROTECTED, due=300),
    "waits for what is below it": Expect(FOREGROUND, (replica_set(),)),
    "nothing is below it any more": Expect(FOREGROUND, due=300),
    "deleted and not as declared: only that it stays counts": Expect(
        deleted("example.com/never"), due=300, journal=Journal(differs={"shop/ConfigMap/settings": ("/data/a",)})
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_deletion(case: Expect) -> None:
    contexts = ObjectContexts(World(case.item, *case.others), case.journal, api_groups=lambda: case.groups)
    found = look_at_object(case.item, contexts, at(1))
    assert said(found) == ([] if case.due is None else [(Reason.DELETION_STUCK, case.due)])


def test_the_message_names_the_finalizers() -> None:
    item = deleted("example.com/never")
    found = look_at_object(item, ObjectContexts(World(item), Journal()), at(301))
    assert said(found) == [(Reason.DELETION_STUCK, None)]
    assert found[0].message == "deleted and still there, held by finalizer example.com/never"


@pytest.mark.parametrize(
    ("finalizer", "groups", "orphaned"),
    [
        ("ingress.k8s.aws/resources", GROUPS, False),
        ("finalizer.keda.sh", GROUPS, False),
        ("finalizer.example.com", GROUPS, True),
        ("kubernetes.io/pvc-protection", GROUPS, False),
        ("service.kubernetes.io/load-balancer-cleanup", GROUPS, False),
        ("foregroundDeletion", GROUPS, False),
        ("example.com/never", None, False),
    ],
    ids=[
        "a sibling domain",
        "domain as a whole",
        "unknown",
        "built in",
        "built in below",
        "no domain",
        "groups unknown",
    ],
)
def test_whose_finalizer(finalizer: str, groups: frozenset[str] | None, orphaned: bool) -> None:
    assert is_orphaned(finalizer, groups) is orphaned
