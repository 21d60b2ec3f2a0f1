from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.objects import pod
from tools import registry
from tools.executors.base import Applied, Mark, Situation
from tools.guard.verdict import ReasonCode
from tools.jsontypes import JsonObject
from tools.refs import ActionId, IncidentId

MARK = Mark(ActionId("act-1"), IncidentId("inc-1"))


def parse(name: str) -> Any:
    return registry.parse(name, {"namespace": "shop", "name": "web-1-a"})


def refusal(name: str, live: JsonObject, support: JsonObject | None = None) -> ReasonCode | None:
    refused = registry.executors()[name].precondition(parse(name), Situation(live, support or {}))
    return None if refused is None else refused.code


def waiting(reason: str) -> JsonObject:
    return {"ready": False, "state": {"waiting": {"reason": reason}}}


def ended(code: int, *, running: bool = False) -> JsonObject:
    terminated: JsonObject = {"terminated": {"exitCode": code}}
    if running:
        return {"ready": False, "state": {"running": {}}, "lastState": terminated}
    return {"ready": False, "state": terminated}


NEW, HEALTHY, ALONE = ReasonCode.NO_CHANGE, ReasonCode.POD_HEALTHY, ReasonCode.NO_CONTROLLER


@pytest.mark.parametrize(
    ("why", "live", "code"),
    [
        ("finished", pod(phase="Succeeded"), None),
        ("failed or evicted", pod(phase="Failed"), None),
        ("failed, and nobody would replace it", pod(phase="Failed", controller=None), ALONE),
        ("ready", pod(ready=True), HEALTHY),
        ("ready, with a sidecar that failed once", pod(ready=True, status=ended(1, running=True)), HEALTHY),
        ("not ready, nothing failed", pod(), HEALTHY),
        ("starting", pod(phase="Pending", status=waiting("ContainerCreating")), HEALTHY),
        ("starting behind an init container", pod(phase="Pending", status=waiting("PodInitializing")), HEALTHY),
        ("unscheduled, no status yet", pod(phase="Pending", status={}), HEALTHY),
        ("image not to be had", pod(phase="Pending", status=waiting("ErrImagePull")), None),
        ("backing off from the image", pod(phase="Pending", status=waiting("ImagePullBackOff")), None),
        ("configuration missing", pod(phase="Pending", status=waiting("CreateContainerConfigError")), None),
        ("crash loop", pod(status=waiting("CrashLoopBackOff")), None),
        ("ended in failure", pod(status=ended(3)), None),
        ("ended well and will be restarted", pod(status=ended(0)), HEALTHY),
        ("running again after a failure, not ready", pod(status=ended(3, running=True)), None),
        ("running again after a clean end, not ready", pod(status=ended(0, running=True)), HEALTHY),
        ("on its way out", pod(phase="Failed", deletionTimestamp="2026-01-01T00:00:00Z"), NEW),
        (
            "mirror of a static pod",
            pod(phase="Failed", annotations={"kubernetes.io/config.mirror": "x"}),
            ReasonCode.TARGET_PROTECTED,
        ),
        ("owned by its node", pod(phase="Failed", controller="Node"), ReasonCode.TARGET_PROTECTED),
        ("failed pod of a DaemonSet", pod(phase="Failed", controller="DaemonSet"), None),
        (
            "stuck pod of a StatefulSet",
            pod(phase="Pending", status=waiting("ErrImagePull"), controller="StatefulSet"),
            None,
        ),
    ],
)
def test_delete(why: str, live: JsonObject, code: ReasonCode | None) -> None:
    assert refusal("delete_pod", live) == code


@pytest.mark.parametrize(
    ("why", "revision", "complete", "code"),
    [
        ("of a rollout that never came to its end", "db-2", "db-1", None),
        ("of the revision that runs everywhere", "db-1", "db-1", HEALTHY),
        ("which revision was whole is not known", "db-2", "", HEALTHY),
    ],
)
def test_a_pod_that_a_stateful_set_waits_for(why: str, revision: str, complete: str, code: ReasonCode | None) -> None:
    """It is not ready, and no container of it has failed: it may be pending for ever."""
    live = pod(controller="StatefulSet", labels={"controller-revision-hash": revision})
    assert refusal("delete_pod", live, {"complete_revision": complete}) == code


def test_delete_sees_a_failed_init_container() -> None:
    live = pod(phase="Pending", status=waiting("PodInitializing"))
    live["status"]["initContainerStatuses"] = [waiting("CrashLoopBackOff")]  # type: ignore[index, call-overload]
    assert refusal("delete_pod", live) is None


@pytest.mark.parametrize(
    ("why", "live", "code"),
    [
        ("ready, with a controller", pod(ready=True), None),
        ("not ready, with a controller", pod(), None),
        ("no controller", pod(controller=None), ALONE),
        ("pod of a DaemonSet", pod(controller="DaemonSet"), ReasonCode.TARGET_PROTECTED),
        ("mirror of a static pod", pod(annotations={"kubernetes.io/config.mirror": "x"}), ReasonCode.TARGET_PROTECTED),
        ("on its way out", pod(deletionTimestamp="2026-01-01T00:00:00Z"), NEW),
    ],
)
def test_evict(why: str, live: JsonObject, code: ReasonCode | None) -> None:
    assert refusal("evict_pod", live) == code


def test_an_owner_that_is_no_controller_does_not_count() -> None:
    live = pod(phase="Failed")
    live["metadata"]["ownerReferences"][0]["controller"] = False  # type: ignore[index, call-overload]
    assert refusal("delete_pod", live) is ALONE


def test_deletion_is_fenced_by_uid_and_version_eviction_by_uid_alone() -> None:
    delete = registry.executors()["delete_pod"].request(parse("delete_pod"), Situation(pod()), MARK)
    evict = registry.executors()["evict_pod"].request(parse("evict_pod"), Situation(pod()), MARK)
    assert (delete.verb, delete.subresource) == ("delete", None)
    assert delete.body["preconditions"] == {"uid": "uid-pod", "resourceVersion": "5"}
    assert "gracePeriodSeconds" not in delete.body
    assert (evict.verb, evict.subresource) == ("create", "eviction")
    assert evict.body["deleteOptions"] == {"preconditions": {"uid": "uid-pod"}}


@pytest.mark.parametrize(
    ("why", "now", "answer"),
    [
        ("gone", None, Applied.YES),
        ("another of the same name", pod(uid="uid-next"), Applied.YES),
        ("on its way out", pod(deletionTimestamp="2026-01-01T00:00:00Z"), Applied.YES),
        ("still there", pod(), Applied.NO),
    ],
)
def test_reading_back(why: str, now: JsonObject | None, answer: Applied) -> None:
    executor = registry.executors()["delete_pod"]
    assert executor.was_applied(parse("delete_pod"), Situation(pod()), now, MARK) is answer
