"""The specification of the workload detector."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from graph.incident import Reason
from graph.signals.context import Hints, WorkloadContext
from graph.signals.workloads import detect_workload, is_plainly_well
from tests.graph.signals.samples import at, condition_of, daemon_set, deployment, stateful_set
from tools.cluster.objects import Workload

ROLLING = WorkloadContext(revision="7f9c", rollout_in_progress=True)
SETTLED = WorkloadContext(revision="7f9c", is_confirmed=True)


def refused(message: str) -> Workload:
    return deployment(condition_of("ReplicaFailure", "True", "FailedCreate", message))


def said(context: WorkloadContext, note: str) -> WorkloadContext:
    return replace(context, hints=Hints(create_failures=(note,)))


ACCOUNT = 'pods "web-" is forbidden: error looking up service account shop/web: serviceaccount "web" not found'
QUOTA = 'pods "web-" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
WEBHOOK = 'Internal error occurred: failed calling webhook "gate.example": service "gate" not found'
LIMITS = 'pods "web-" is forbidden: maximum memory usage per Container is 32Mi, but limit is 64Mi'
LEAVING = 'pods "web-" is forbidden: unable to create new content in namespace shop because it is being terminated'
LATE = condition_of("Progressing", "False", "ProgressDeadlineExceeded", "has timed out progressing", since=60)


@dataclass(frozen=True)
class Expect:
    workload: Workload
    context: WorkloadContext
    reason: Reason | None
    due: float | None = None
    now: float = 0


CASES = {
    "service account missing, in a rollout: it may come a moment later": Expect(
        refused(ACCOUNT), ROLLING, Reason.PODS_REFUSED, due=2
    ),
    "limit range, in a rollout, after its time": Expect(refused(LIMITS), ROLLING, Reason.PODS_REFUSED, now=2),
    "quota, in a rollout: going pods free it": Expect(refused(QUOTA), ROLLING, Reason.PODS_REFUSED, due=15),
    "quota, settled": Expect(refused(QUOTA), SETTLED, Reason.PODS_REFUSED, due=30),
    "webhook away": Expect(refused(WEBHOOK), SETTLED, Reason.PODS_REFUSED, due=30),
    "limit range, settled": Expect(refused(LIMITS), SETTLED, Reason.PODS_REFUSED, due=15),
    "namespace on its way out: intended": Expect(refused(LEAVING), SETTLED, None),
    "refusal that is over": Expect(
        deployment(condition_of("ReplicaFailure", "False", "FailedCreate", QUOTA)), SETTLED, None, now=99
    ),
    "rollout past its deadline": Expect(deployment(LATE), ROLLING, Reason.DEADLINE_EXCEEDED, now=60),
    "rollout past its deadline, paused by somebody": Expect(deployment(LATE, paused=True), ROLLING, None, now=60),
    "rollout under way": Expect(
        deployment(condition_of("Progressing", "True", "ReplicaSetUpdated"), updatedReplicas=1), ROLLING, None, now=60
    ),
    "rollout done": Expect(
        deployment(condition_of("Progressing", "True", "NewReplicaSetAvailable")), SETTLED, None, now=60
    ),
    "no replicas: intended": Expect(deployment(LATE, replicas=0), SETTLED, None, now=60),
    "being deleted": Expect(deployment(LATE, deleting=True), SETTLED, None, now=60),
    "suppressed": Expect(deployment(LATE), replace(SETTLED, suppressed="maintenance"), None, now=60),
    "StatefulSet lacks a pod, and an Event says why": Expect(
        stateful_set(replicas=3, missing=1), said(ROLLING, ACCOUNT), Reason.PODS_REFUSED, due=2
    ),
    "StatefulSet has all its pods, an old Event notwithstanding": Expect(stateful_set(), said(SETTLED, ACCOUNT), None),
    "DaemonSet lacks a pod, and an Event says why": Expect(
        daemon_set(desired=2, currentNumberScheduled=1), said(ROLLING, ACCOUNT), Reason.PODS_REFUSED, due=2
    ),
    "DaemonSet lacks a pod, and nothing says why": Expect(
        daemon_set(desired=2, currentNumberScheduled=1), ROLLING, None
    ),
    "DaemonSet has all its pods, an old Event notwithstanding": Expect(daemon_set(), said(ROLLING, ACCOUNT), None),
    "DaemonSet that no node wants": Expect(
        daemon_set(desired=0, currentNumberScheduled=0), said(ROLLING, ACCOUNT), None
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_workload(case: Expect) -> None:
    found = detect_workload(case.workload, case.context, at(case.now))
    assert [s.reason for s in found] == ([] if case.reason is None else [case.reason])
    for signal in found:
        assert signal.due_at == (None if case.due is None else at(case.due))
        assert signal.revision == "7f9c"
        assert signal.container is None


WELL = {name: case for name, case in CASES.items() if is_plainly_well(case.workload)}


@pytest.mark.parametrize("case", WELL.values(), ids=WELL)
def test_what_is_well_at_first_sight_is_well_in_every_context(case: Expect) -> None:
    contexts = (ROLLING, SETTLED, said(ROLLING, ACCOUNT), said(SETTLED, QUOTA), case.context)
    assert [detect_workload(case.workload, context, at(case.now)) for context in contexts] == [[]] * len(contexts)


def test_a_workload_with_all_its_pods_is_well_at_first_sight() -> None:
    done = deployment(condition_of("Progressing", "True", "NewReplicaSetAvailable"))
    assert all(is_plainly_well(w) for w in (done, stateful_set(), daemon_set()))
    assert not any(is_plainly_well(w) for w in (refused(QUOTA), deployment(LATE), stateful_set(missing=1)))
