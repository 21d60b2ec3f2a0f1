"""What a workload depends on changed, or the workload was set to something: which object is put back, by table."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from graph.incident import Reason
from graph.observed import Evidence, FieldChange, ObjectCandidate, Operation, VersionSource
from graph.plan import NoPlan, Planned
from graph.rules.rulebook import diagnose
from tests.graph.rules.samples import NOW, candidate, evidence, ref, signal
from tools.refs import ObjectRef, Pin

SETTINGS, OTHER = ref("ConfigMap", "settings"), ref("ConfigMap", "other")
QUOTA, LIMITS, ACCOUNT = ref("ResourceQuota", "q"), ref("LimitRange", "l"), ref("ServiceAccount", "web")
WEB, POLICY = ref("Deployment", "web"), ref("NetworkPolicy", "lockdown")
GONE = 'configmap "settings" not found'
NO_KEY = "couldn't find key MODE in ConfigMap shop/settings"
MODE = FieldChange(path="/data/MODE", now="", then="prod")


def way(
    target: ObjectRef,
    operation: Operation = Operation.REVERT,
    *,
    changes: tuple[FieldChange, ...] = (MODE,),
    source: VersionSource = VersionSource.DESIRED,
    changed_at: datetime | None = NOW,
) -> ObjectCandidate:
    return ObjectCandidate(
        ref=target,
        uid=None if operation is Operation.RESTORE else "u",
        operation=operation,
        version="" if operation is Operation.REMOVE else "a" * 64,
        source=source,
        changes=changes,
        changed_at=changed_at,
    )


def case(reason: Reason, message: str, *ways: ObjectCandidate, recent: bool = False) -> Evidence:
    found = evidence(signal(reason, message), recent=recent)
    pins = tuple(
        Pin.absent(w.ref) if w.uid is None else Pin(ref=w.ref, uid="u", resource_version="1", generation=None)
        for w in ways
    )
    return found.model_copy(update={"objects": ways, "scope": (*found.scope, *pins)})


BACK, ANEW = ["revert_fields", "restart_workload"], ["restore_object"]


@pytest.mark.parametrize(
    ("found", "actions"),
    [
        pytest.param(case(Reason.CONFIG_MISSING, GONE, way(SETTINGS, Operation.RESTORE)), ANEW, id="settings-gone"),
        pytest.param(case(Reason.CONFIG_MISSING, GONE, way(OTHER, Operation.RESTORE)), None, id="other-settings-gone"),
        pytest.param(case(Reason.CONFIG_MISSING, NO_KEY, way(SETTINGS)), ["revert_fields"], id="a-key-is-gone"),
        pytest.param(
            case(
                Reason.CONFIG_MISSING, NO_KEY, way(SETTINGS, changes=(FieldChange(path="/data/X", now="a", then="b"),))
            ),
            None,
            id="another-key-changed",
        ),
        pytest.param(case(Reason.CRASH_LOOP, "exit code 1", way(SETTINGS)), BACK, id="settings-changed-and-it-crashes"),
        pytest.param(
            case(Reason.NOT_READY, "503", way(POLICY, Operation.REMOVE, changes=())),
            ["remove_object"],
            id="policy-came",
        ),
        pytest.param(
            case(Reason.PODS_REFUSED, 'pods "web-x" is forbidden: exceeded quota: q, requested: pods=1', way(QUOTA)),
            BACK,
            id="the-quota-was-lowered",
        ),
        pytest.param(
            case(Reason.PODS_REFUSED, 'pods "web-x" is forbidden: exceeded quota: q, requested: pods=1', way(SETTINGS)),
            None,
            id="settings-do-not-explain-a-quota",
        ),
        pytest.param(case(Reason.IMAGE_PULL_FAILED, "not found", way(SETTINGS)), None, id="nor-an-image"),
        pytest.param(
            case(
                Reason.CRASH_LOOP,
                "exit code 1",
                way(SETTINGS, changed_at=NOW - timedelta(hours=2)),
                way(OTHER, changed_at=NOW),
            ),
            BACK,
            id="two-changed-the-newest",
        ),
        pytest.param(
            case(Reason.CRASH_LOOP, "exit code 1", way(SETTINGS, changed_at=None), way(OTHER)),
            None,
            id="none-saw",
        ),
    ],
)
def test_what_is_put_back(found: Evidence, actions: list[str] | None) -> None:
    answer = diagnose(found, now=NOW)
    if actions is None:
        assert isinstance(answer, NoPlan)
        return
    assert isinstance(answer, Planned), answer
    assert [s.action.action for s in answer.plan.steps] == actions


REPLICAS = FieldChange(path="/spec/replicas", now="0", then="2")
LKG = VersionSource.LAST_KNOWN_GOOD


@pytest.mark.parametrize(
    ("reason", "own", "action", "asks"),
    [
        pytest.param(Reason.SCALED_TO_ZERO, way(WEB, changes=(REPLICAS,)), "revert_fields", False, id="declared-more"),
        pytest.param(
            Reason.SCALED_TO_ZERO, way(WEB, changes=(REPLICAS,), source=LKG), "scale_workload", True, id="had-more"
        ),
        pytest.param(Reason.ROLLOUT_PAUSED, None, "resume_rollout", True, id="paused"),
        pytest.param(Reason.DRIFTED, way(WEB), "revert_fields", False, id="drift"),
        pytest.param(Reason.SCALED_TO_ZERO, None, None, False, id="nothing-known"),
    ],
)
def test_what_somebody_may_have_meant(
    reason: Reason, own: ObjectCandidate | None, action: str | None, asks: bool
) -> None:
    found = evidence(signal(reason, about=WEB, container=None, revision=None))
    answer = diagnose(found.model_copy(update={"objects": (own,) if own else ()}), now=NOW)
    if action is None:
        assert isinstance(answer, NoPlan)
        return
    assert isinstance(answer, Planned), answer
    assert [s.action.action for s in answer.plan.steps] == [action]
    assert bool(answer.plan.approval_reasons) is asks


PARKED = signal(Reason.SCALED_TO_ZERO, about=ref("DaemonSet", "web"), container=None, revision=None)


@pytest.mark.parametrize(
    ("path", "actions"),
    [
        pytest.param("nodeSelector[gpu]", ["rollback_workload"], id="it chose its nodes otherwise"),
        pytest.param("containers[app].image", None, id="it chose the same nodes"),
    ],
)
def test_a_daemon_set_that_was_sent_nowhere_waits_for_a_person(path: str, actions: list[str] | None) -> None:
    answer = diagnose(evidence(PARKED, kind="DaemonSet", candidates=(candidate(3, path),), pods=()), now=NOW)
    if actions is None:
        assert isinstance(answer, NoPlan)
        return
    assert isinstance(answer, Planned), answer
    assert [s.action.action for s in answer.plan.steps] == actions
    assert answer.plan.approval_reasons


def test_a_failure_comes_before_what_was_meant() -> None:
    """A declared state that differs does not keep the failing revision from being rolled back."""
    found = evidence(
        signal(Reason.DRIFTED, about=WEB, container=None, revision=None), signal(Reason.CRASH_LOOP, "exit 1")
    )
    answer = diagnose(found.model_copy(update={"objects": (way(WEB),)}), now=NOW)
    assert isinstance(answer, Planned)
    assert answer.plan.steps[0].action.action == "rollback_workload"


def test_what_heals_and_is_not_declared_is_left_to_people() -> None:
    """Putting the declared limit back would bring the failure back: no going to and fro."""
    found = evidence(signal(Reason.DRIFTED, about=WEB, container=None, revision=None))
    ours = way(WEB).model_copy(update={"is_ours": True})
    answer = diagnose(found.model_copy(update={"objects": (ours,)}), now=NOW)
    assert isinstance(answer, NoPlan)
    assert answer.diagnosis is not None
    assert answer.diagnosis.cause == "healing_not_declared"


def test_a_stuck_pod_goes_with_the_template_that_is_not_declared() -> None:
    """A StatefulSet waits for its broken pod for ever, also when the drift was seen before the failure."""
    database = ref("StatefulSet", "web")
    found = evidence(
        signal(Reason.DRIFTED, about=database, container=None, revision=None), kind="StatefulSet", ordered=True
    )
    changed = FieldChange(path="spec.template.spec.containers[app].image", now="bad", then="good")
    answer = diagnose(found.model_copy(update={"objects": (way(database, changes=(changed,)),)}), now=NOW)
    assert isinstance(answer, Planned), answer
    assert [s.action.action for s in answer.plan.steps] == ["revert_fields", "delete_pod"]


def test_a_stateful_set_gets_its_new_limit_to_the_pod_that_is_killed() -> None:
    killed = signal(Reason.OUT_OF_MEMORY, "OOMKilled with exit code 137; 2 restarts")
    answer = diagnose(evidence(killed, kind="StatefulSet", ordered=True, candidates=(), recent=False), now=NOW)
    assert isinstance(answer, Planned), answer
    assert [s.action.action for s in answer.plan.steps] == ["set_resources", "delete_pod"]
