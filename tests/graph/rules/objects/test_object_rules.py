"""Rules about objects that are no workloads: what is put back, what a person is asked, what nobody can mend."""

from __future__ import annotations

from datetime import datetime

import pytest

from graph.incident import Reason
from graph.observed import (
    AimFacts,
    ClaimSummary,
    ClassSummary,
    Evidence,
    FieldChange,
    ObjectCandidate,
    Operation,
    ServicePortSummary,
    ServiceSummary,
    SubjectFacts,
    TemplateSummary,
    VersionSource,
)
from graph.plan import NoPlan, Plan, Planned, action_digest
from graph.rules.objects.case import way_back
from graph.rules.objects.claims import only_class
from graph.rules.rulebook import diagnose
from tests.graph.rules.samples import NOW, candidate, ref, signal
from tools.executors.models.batch import reruns
from tools.guard.verdict import ReasonCode
from tools.refs import ObjectRef, Pin

SERVICE, JOB, CRON = ref("Service", "web"), ref("Job", "nightly"), ref("CronJob", "tick")
CLAIM, BUDGET = ref("PersistentVolumeClaim", "data"), ref("PodDisruptionBudget", "web")
NODE = ObjectRef(kind="Node", namespace=None, name="node1")
HPA, POLICY = ref("HorizontalPodAutoscaler", "web"), ref("NetworkPolicy", "lockdown")


GOOD = VersionSource.LAST_KNOWN_GOOD
CONF, WANTS_CONF = ref("ConfigMap", "night"), 'CreateContainerConfigError: configmap "night" not found'
WANTS_MODE = "CreateContainerConfigError: couldn't find key mode in ConfigMap shop/night"


def way(
    target: ObjectRef,
    operation: Operation = Operation.REVERT,
    *,
    source: VersionSource = VersionSource.DESIRED,
    changes: tuple[FieldChange, ...] = (FieldChange(path="/spec/selector/app", now="webb", then="web"),),
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


def about(
    target: ObjectRef,
    reason: Reason,
    *ways: ObjectCandidate,
    lines: tuple[str, ...] = (),
    message: str = "said",
    gone: bool = False,
    service: ServiceSummary | None = None,
    claim: ClaimSummary | None = None,
    aim: AimFacts | None = None,
) -> Evidence:
    pin = Pin.absent(target) if gone else Pin(ref=target, uid="u", resource_version="1", generation=None)
    others = [
        Pin.absent(w.ref) if w.uid is None else Pin(ref=w.ref, uid=w.uid, resource_version="1", generation=None)
        for w in ways
        if w.ref != target
    ]
    again = [Pin.absent(ref("Job", name)) for name in reruns(target.name)] if target.kind == "Job" else []
    return Evidence(
        observed_at=NOW,
        workload=None,
        subject=None if gone else SubjectFacts(ref=target, uid="u", generation=None, lines=lines),
        signals=(signal(reason, message, about=target, container=None, revision=None),),
        objects=ways,
        service=service,
        claim=claim,
        aim=aim,
        scope=(pin, *others, *again, *([Pin(ref=aim.ref, uid="w", resource_version="1", generation=1)] if aim else [])),
    )


LOST = "ScalingActive=False/FailedGetResourceMetric: missing request for cpu in container app of Pod web-1"


def changed(*paths: str) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(path=path, now="b", then="a") for path in paths)


IMAGE, SCHEDULE = "spec.jobTemplate.spec.template.spec.containers[work].image", "spec.schedule"


def aim(*paths: str) -> AimFacts:
    return AimFacts(ref=ref("Deployment", "web"), candidates=(candidate(3, *paths),))


def plan_of(evidence: Evidence, tried: frozenset[str] = frozenset()) -> Plan:
    found = diagnose(evidence, now=NOW, tried=tried)
    assert isinstance(found, Planned), found
    return found.plan


@pytest.mark.parametrize(
    ("evidence", "actions"),
    [
        pytest.param(
            about(SERVICE, Reason.SERVICE_WITHOUT_ENDPOINTS, way(SERVICE)), ["revert_fields"], id="a-changed-selector"
        ),
        pytest.param(
            about(SERVICE, Reason.OBJECT_MISSING, way(SERVICE, Operation.RESTORE), gone=True),
            ["restore_object"],
            id="a-deleted-service",
        ),
        pytest.param(about(SERVICE, Reason.DRIFTED, way(SERVICE)), ["revert_fields"], id="drift"),
        pytest.param(
            about(NODE, Reason.NODE_PROBLEM, message="ReadonlyFilesystem/FilesystemIsReadOnly: remounted read-only"),
            ["drain_node"],
            id="a-node-that-says-that-it-is-broken",
        ),
        pytest.param(about(BUDGET, Reason.EVICTION_BLOCKED, way(BUDGET)), ["revert_fields"], id="a-budget"),
        pytest.param(
            about(
                CLAIM,
                Reason.CLAIM_UNBOUND,
                way(CLAIM, changes=(FieldChange(path="/spec/storageClassName", now='"none"', then='"fast"'),)),
            ),
            ["remove_unbound_pvc", "recreate_unbound_pvc"],
            id="a-claim-with-the-wrong-class",
        ),
        pytest.param(
            about(JOB, Reason.JOB_FAILED, message="DeadlineExceeded", lines=("activeDeadlineSeconds: 30",)),
            ["remove_failed_job", "recreate_failed_job"],
            id="a-deadline-that-was-too-short",
        ),
        pytest.param(
            about(
                JOB,
                Reason.JOB_FAILED,
                message="DeadlineExceeded",
                lines=("controlled by: CronJob tick", "activeDeadlineSeconds: 30"),
            ),
            ["rerun_job"],
            id="the-deadline-of-one-that-a-cronjob-made",
        ),
        pytest.param(
            about(CLAIM, Reason.CLAIM_UNBOUND, claim=ClaimSummary(storage_class="fats", free=("by-hand",))),
            ["remove_unbound_pvc", "recreate_unbound_pvc"],
            id="a-claim-of-a-class-that-never-was",
        ),
        pytest.param(
            about(HPA, Reason.AUTOSCALER_UNABLE, message=LOST, aim=aim("containers[app].resources.requests.cpu")),
            ["rollback_workload"],
            id="a-request-that-an-autoscaler-counts-by",
        ),
        pytest.param(
            about(SERVICE, Reason.SERVICE_PORT_MISSING, aim=aim("containers[app].ports")),
            ["rollback_workload"],
            id="a-port-that-its-workload-gave-up",
        ),
        pytest.param(
            about(SERVICE, Reason.SERVICE_PORT_MISSING, way(SERVICE), aim=aim("containers[app].ports")),
            ["revert_fields"],
            id="a-service-that-changed-itself-goes-back-itself",
        ),
        pytest.param(about(JOB, Reason.JOB_HUNG), ["delete_job"], id="a-hung-job"),
        pytest.param(
            about(JOB, Reason.JOB_HUNG, way(CRON, source=GOOD, changes=changed(IMAGE))),
            ["revert_fields", "delete_job"],
            id="a-hung-job-of-a-changed-template",
        ),
        pytest.param(
            about(JOB, Reason.JOB_HUNG, way(CRON, source=GOOD, changes=changed(IMAGE, SCHEDULE))),
            ["delete_job"],
            id="a-hung-job-of-a-cronjob-of-which-more-was-changed",
        ),
        pytest.param(
            about(CRON, Reason.JOB_STUCK, way(CONF, Operation.RESTORE, source=GOOD), message=WANTS_CONF),
            ["restore_object"],
            id="settings-that-a-cronjob-waits-for",
        ),
        pytest.param(
            about(CRON, Reason.JOB_STUCK, way(CONF, changes=changed("/data/mode")), message=WANTS_MODE),
            ["revert_fields"],
            id="a-key-that-a-cronjob-waits-for",
        ),
        pytest.param(about(CRON, Reason.CRONJOB_SUSPENDED), ["resume_cronjob"], id="a-suspended-cronjob"),
        pytest.param(
            about(NODE, Reason.NODE_CLOSED, lines=("unschedulable: true",)), ["uncordon_node"], id="a-cordoned-node"
        ),
        pytest.param(
            about(NODE, Reason.NODE_CLOSED, lines=("unschedulable: false", "taint team=:NoSchedule")),
            ["remove_taint"],
            id="a-tainted-node",
        ),
    ],
)
def test_the_plan(evidence: Evidence, actions: list[str]) -> None:
    assert [s.action.action for s in plan_of(evidence).steps] == actions


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        pytest.param(about(NODE, Reason.NODE_NOT_READY), ReasonCode.NO_REMEDY, id="a-node-that-is-away"),
        pytest.param(about(NODE, Reason.NODE_PRESSURE), ReasonCode.NO_REMEDY, id="a-node-under-pressure"),
        pytest.param(about(NODE, Reason.NODE_PROBLEM), ReasonCode.NO_REMEDY, id="a-node-with-a-fault-of-its-own"),
        pytest.param(
            about(NODE, Reason.NODE_PROBLEM, message="NetworkUnavailable/NoRouteCreated: not KernelDeadlock/x"),
            ReasonCode.NO_REMEDY,
            id="a-node-whose-network-is-not-there",
        ),
        pytest.param(
            about(NODE, Reason.NODE_NOT_READY, message="KernelDeadlock/x: y"),
            ReasonCode.NO_REMEDY,
            id="a-node-that-does-not-report-is-emptied-by-kubernetes",
        ),
        pytest.param(
            about(
                JOB,
                Reason.JOB_FAILED,
                message="DeadlineExceeded",
                lines=("made anew by selfheal", "activeDeadlineSeconds: 300"),
            ),
            ReasonCode.NO_REMEDY,
            id="a-job-that-was-made-anew-already",
        ),
        pytest.param(
            about(HPA, Reason.AUTOSCALER_UNABLE, message=LOST, aim=aim("containers[app].image")),
            ReasonCode.NO_REMEDY,
            id="a-whole-version-is-not-taken-away-for-an-autoscaler",
        ),
        pytest.param(
            about(
                HPA,
                Reason.AUTOSCALER_UNABLE,
                message=LOST,
                aim=aim("containers[app].resources.requests.cpu", "containers[app].image"),
            ),
            ReasonCode.NO_REMEDY,
            id="nor-one-that-lost-the-request-among-other-things",
        ),
        pytest.param(
            about(HPA, Reason.AUTOSCALER_UNABLE, message=LOST, aim=aim("containers[side].resources.requests.cpu")),
            ReasonCode.NO_REMEDY,
            id="another-container-has-the-request",
        ),
        pytest.param(
            about(SERVICE, Reason.SERVICE_PORT_MISSING, aim=AimFacts(ref=ref("Deployment", "web"), candidates=())),
            ReasonCode.NO_RULE,
            id="no-revision-of-its-workload-has-the-port",
        ),
        pytest.param(about(POLICY, Reason.TRAFFIC_CUT), ReasonCode.NO_REMEDY, id="a-policy-that-may-be-meant"),
        pytest.param(
            about(NODE, Reason.NODE_CLOSED, lines=("taint node.kubernetes.io/not-ready=:NoSchedule",)),
            ReasonCode.NO_RULE,
            id="a-taint-of-the-cluster-itself",
        ),
        pytest.param(
            about(JOB, Reason.JOB_STUCK, message="ImagePullBackOff"), ReasonCode.NO_REMEDY, id="a-job-that-cannot-start"
        ),
        pytest.param(
            about(CRON, Reason.JOB_STUCK, way(CRON, source=GOOD, changes=changed(SCHEDULE))),
            ReasonCode.NO_REMEDY,
            id="a-schedule-that-was-moved-keeps-no-pod-from-starting",
        ),
        pytest.param(
            about(CRON, Reason.JOB_STUCK, way(ref("ConfigMap", "other"), Operation.RESTORE), message=WANTS_CONF),
            ReasonCode.NO_REMEDY,
            id="other-settings-are-gone-than-what-it-waits-for",
        ),
        pytest.param(
            about(CRON, Reason.JOB_STUCK, way(CONF, changes=changed("/data/else")), message=WANTS_MODE),
            ReasonCode.NO_REMEDY,
            id="another-key-changed-than-the-one-it-waits-for",
        ),
        pytest.param(
            about(CRON, Reason.JOB_STUCK, way(CONF, Operation.RESTORE), message="ImagePullBackOff"),
            ReasonCode.NO_REMEDY,
            id="settings-bring-no-image",
        ),
        pytest.param(about(JOB, Reason.JOB_FAILED, message="BackoffLimitExceeded"), ReasonCode.NO_REMEDY, id="a-job"),
        pytest.param(
            about(SERVICE, Reason.DELETION_STUCK, way(SERVICE)), ReasonCode.NO_REMEDY, id="a-finalizer-is-never-removed"
        ),
        pytest.param(about(SERVICE, Reason.SERVICE_WITHOUT_ENDPOINTS), ReasonCode.NO_RULE, id="nothing-is-known"),
        pytest.param(about(SERVICE, Reason.OBJECT_MISSING, gone=True), ReasonCode.NO_REMEDY, id="no-version-is-known"),
    ],
)
def test_no_plan(evidence: Evidence, code: ReasonCode) -> None:
    found = diagnose(evidence, now=NOW)
    assert isinstance(found, NoPlan)
    assert found.refusal.code is code
    assert found.diagnosis is not None


def test_what_was_tried_is_not_proposed_again() -> None:
    back = way(SERVICE)
    tried = frozenset({action_digest(way_back(back))})
    assert isinstance(diagnose(about(SERVICE, Reason.DRIFTED, back), now=NOW, tried=tried), NoPlan)


MADE, BY_HAND = ClassSummary(name="standard", is_default=True, provisions=True), ClassSummary(name="by-hand")
FASTER = ClassSummary(name="faster", provisions=True)


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        pytest.param(ClaimSummary(storage_class="fats", free=("by-hand",)), "by-hand", id="one free volume"),
        pytest.param(ClaimSummary(storage_class="fats", classes=(MADE,)), "standard", id="the default class"),
        pytest.param(ClaimSummary(storage_class="fats", classes=(FASTER,)), "faster", id="the only class that makes"),
        pytest.param(
            ClaimSummary(storage_class="fats", classes=(MADE, FASTER)), "standard", id="the default before any other"
        ),
        pytest.param(
            ClaimSummary(storage_class="fats", classes=(MADE,), free=("by-hand",)),
            "by-hand",
            id="what lies ready",
        ),
        pytest.param(ClaimSummary(storage_class="fats", free=("a", "b")), None, id="two that lie ready: people choose"),
        pytest.param(ClaimSummary(storage_class="fats", classes=(BY_HAND,)), None, id="a class without a volume"),
        pytest.param(ClaimSummary(storage_class="fats", free=("",)), None, id="a volume of no class"),
        pytest.param(ClaimSummary(storage_class="fats"), None, id="there is nothing"),
        pytest.param(
            ClaimSummary(storage_class="faster", classes=(FASTER,), free=("by-hand",)), None, id="its own class exists"
        ),
        pytest.param(
            ClaimSummary(storage_class="by-hand", free=("by-hand", "other")), None, id="its own class has a volume"
        ),
        pytest.param(ClaimSummary(storage_class=None, free=("by-hand",)), None, id="it names no class"),
    ],
)
def test_the_only_class_that_has_something_for_a_claim(claim: ClaimSummary, wanted: str | None) -> None:
    assert only_class(claim) == wanted


@pytest.mark.parametrize(
    ("reason", "source", "asks"),
    [
        pytest.param(Reason.DRIFTED, VersionSource.DESIRED, False, id="declared"),
        pytest.param(Reason.SERVICE_WITHOUT_ENDPOINTS, GOOD, False, id="it-fails-and-did-not-before"),
        pytest.param(Reason.CRONJOB_SUSPENDED, GOOD, True, id="it-may-have-been-meant"),
    ],
)
def test_a_person_is_asked_where_a_change_may_have_been_meant(
    reason: Reason, source: VersionSource, asks: bool
) -> None:
    plan = plan_of(about(SERVICE, reason, way(SERVICE, source=source)))
    assert bool(plan.approval_reasons) is asks


@pytest.mark.parametrize(
    ("paths", "asks"),
    [
        pytest.param((IMAGE,), False, id="only-what-it-makes"),
        pytest.param((IMAGE, SCHEDULE), True, id="its-schedule-too"),
    ],
)
def test_what_was_changed_beside_the_cause_may_have_been_meant(paths: tuple[str, ...], asks: bool) -> None:
    plan = plan_of(about(CRON, Reason.JOB_STUCK, way(CRON, source=GOOD, changes=changed(*paths))))
    assert [s.action.action for s in plan.steps] == ["revert_fields"]
    assert bool(plan.approval_reasons) is asks


def service(workloads: tuple[TemplateSummary, ...] | None) -> ServiceSummary:
    port = ServicePortSummary(name="http", port=80, target=8080)
    return ServiceSummary(selector={"app": "web", "tier": "frnt"}, ports=(port,), pods=0, workloads=workloads)


def template(name: str) -> TemplateSummary:
    return TemplateSummary(ref=ref("Deployment", name), labels={"app": "web", "tier": "front"})


@pytest.mark.parametrize(
    ("workloads", "repairs"),
    [
        pytest.param((template("web"),), True, id="exactly-one-it-can-have-meant"),
        pytest.param((template("web"), template("web2")), False, id="two"),
        pytest.param(None, False, id="not-all-are-known"),
    ],
)
def test_a_service_that_was_never_right(workloads: tuple[TemplateSummary, ...] | None, repairs: bool) -> None:
    found = diagnose(about(SERVICE, Reason.SERVICE_WITHOUT_ENDPOINTS, service=service(workloads)), now=NOW)
    assert isinstance(found, Planned) is repairs
    if isinstance(found, Planned):
        assert [s.action.action for s in found.plan.steps] == ["set_service"]
