"""Each check by a table: what is asked, what is true of the world, what is answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.tools.executors.objects import UID, changed, pod, workload
from tests.tools.guard.platform import COMPLETING, REMOTE
from tests.tools.guard.setting import (
    AUTO,
    NOW,
    POD,
    WEB,
    action,
    cluster,
    failed_pod,
    good_world,
    namespace,
    order,
    pin,
    web,
)
from tools import registry
from tools.executors.actions import ScaleWorkload
from tools.executors.base import InverseKind, Mark, Situation
from tools.guard.checks import (
    autoscaler,
    budget,
    cooldown,
    dry_run,
    freshness,
    gitops,
    lock,
    mode,
    paused,
    permission,
    precondition,
    protected,
    quarantine,
    repeat,
    rollout,
    scope,
    whitelist,
)
from tools.guard.diff import Change
from tools.guard.guard import CHECKS, judge
from tools.guard.policy import Mode, Policy
from tools.guard.verdict import ReasonCode, Refused
from tools.guard.world import Check, Counts, Effect, Missing, Unreadable, World
from tools.jsontypes import JsonObject
from tools.ledger.records import ActionRecord, ActionState, Intent, PlanStart
from tools.refs import ActionId, IncidentId, ObjectRef, Pin, PlanId

R = ReasonCode
MARK = Mark(ActionId("act-1"), IncidentId("inc-1"))


def answer(check: Check, world: World) -> ReasonCode | None:
    refused = judge((("it", check),), world)
    assert refused is None or (refused.check == "it" and refused.reason)
    return None if refused is None else refused.code


def effect(*paths: str) -> Effect:
    return Effect({"metadata": {}}, tuple(Change(path, 1, 2) for path in paths))


async def test_the_good_world_passes_every_check() -> None:
    for name in set(registry.ALL) - COMPLETING - REMOTE:
        world = await good_world(name)
        assert world.executor is not None
        assert isinstance(world.situation, Situation)
        shown = effect(*world.executor.fields(world.order.action, world.situation))
        if world.executor.creates:
            request = world.executor.request(world.order.action, world.situation, MARK)
            shown = Effect((await cluster().write(request, dry_run=True)).object, shown.changes)
        world = replace(world, effect=shown)
        assert judge(CHECKS, world) is None, name


# whitelist, schema, length


async def test_whitelist() -> None:
    good = await good_world()
    assert answer(whitelist.check, good) is None
    assert answer(whitelist.check, replace(good, executor=None)) is R.TOOL_UNKNOWN
    other = registry.executors()["restart_workload"]
    assert answer(whitelist.check, replace(good, executor=other)) is R.PLAN_SCHEMA
    forged = ScaleWorkload.model_construct(
        action="scale_workload", kind="Deployment", namespace="shop", name="web", replicas=-5
    )
    assert answer(whitelist.check, replace(good, order=replace(good.order, action=forged))) is R.PLAN_SCHEMA
    traversal = ScaleWorkload.model_construct(
        action="scale_workload", kind="Deployment", namespace="shop", name="../pods/x", replicas=1
    )
    assert answer(whitelist.check, replace(good, order=replace(good.order, action=traversal))) is R.PLAN_SCHEMA


@pytest.mark.parametrize(
    ("step", "code"), [(0, None), (7, None), (8, R.PLAN_TOO_LONG), (1000, R.PLAN_TOO_LONG), (-1, R.PLAN_TOO_LONG)]
)
async def test_length(step: int, code: ReasonCode | None) -> None:
    assert answer(whitelist.check, await good_world(step=step)) == code


# scope

OTHER = ObjectRef(kind="Deployment", namespace="shop", name="other")


@pytest.mark.parametrize(
    ("why", "changes", "code"),
    [
        ("enumerated", {}, None),
        ("enumerated and pinned by the plan", {"pin": pin(WEB, web())}, None),
        ("nothing was enumerated", {"scope": ()}, R.TARGET_OUT_OF_SCOPE),
        ("others were enumerated", {"scope": (pin(POD, failed_pod()),)}, R.TARGET_OUT_OF_SCOPE),
        ("the pin is of another object", {"pin": pin(OTHER, web())}, R.TARGET_OUT_OF_SCOPE),
        (
            "the pin's life was not enumerated",
            {"pin": Pin(ref=WEB, uid="made-up", resource_version="1", generation=3)},
            R.TARGET_OUT_OF_SCOPE,
        ),
        (
            "same name, another namespace",
            {"scope": (pin(ObjectRef(kind="Deployment", namespace="prod", name="web"), web()),)},
            R.TARGET_OUT_OF_SCOPE,
        ),
        (
            "same name, another kind",
            {"scope": (pin(ObjectRef(kind="StatefulSet", namespace="shop", name="web"), web()),)},
            R.TARGET_OUT_OF_SCOPE,
        ),
    ],
)
async def test_scope(why: str, changes: dict[str, Any], code: ReasonCode | None) -> None:
    assert answer(scope.check, await good_world(**changes)) == code


# protection


@pytest.mark.parametrize(
    ("why", "target", "code"),
    [
        ("plain", {}, None),
        ("the cluster's own", {"namespace": "kube-system"}, R.TARGET_PROTECTED),
        ("our own", {"namespace": "selfheal"}, R.TARGET_PROTECTED),
        ("by the policy, as a glob", {"namespace": "vault-1"}, R.TARGET_PROTECTED),
        ("this very object", {"name": "payments"}, R.TARGET_PROTECTED),
    ],
)
async def test_protected_by_name(why: str, target: dict[str, str], code: ReasonCode | None) -> None:
    policy = Policy.model_validate(
        {"default": "auto", "protected": {"namespaces": ["vault-*"], "objects": ["shop/*/payments"]}}
    )
    good = await good_world(policy=policy)
    assert answer(protected.check, replace(good, order=replace(good.order, action=action(**target)))) == code
    owner = ObjectRef(kind="Deployment", namespace=target.get("namespace", "shop"), name=target.get("name", "web"))
    by_owner = replace(await good_world("delete_pod", policy=policy), order=replace(order("delete_pod"), owner=owner))
    assert answer(protected.check, by_owner) == code


@pytest.mark.parametrize(
    ("priority", "code"),
    [
        ("", None),
        ("high", None),
        ("system-node-critical", R.TARGET_PROTECTED),
        ("system-cluster-critical", R.TARGET_PROTECTED),
    ],
)
async def test_protected_by_priority(priority: str, code: ReasonCode | None) -> None:
    live = changed(web(), "spec.template.spec.priorityClassName", priority)
    assert answer(protected.check, replace(await good_world(), situation=Situation(live))) == code
    assert answer(protected.check, replace(await good_world("delete_pod"), owner=live)) == code
    one = changed(failed_pod(), "spec.priorityClassName", priority)
    assert answer(protected.check, replace(await good_world("delete_pod"), situation=Situation(one))) == code


# pause and mode


@pytest.mark.parametrize(("seconds", "code"), [(None, None), (-1, None), (0, None), (1, R.PAUSED)])
async def test_paused(seconds: int | None, code: ReasonCode | None) -> None:
    until = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert answer(paused.check, replace(await good_world(), paused_until=until)) == code


def annotated(document: JsonObject, value: object) -> JsonObject:
    return changed(document, "metadata.annotations", {"selfheal.dev/mode": value})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("why", "file", "target", "owner", "space", "mode_found"),
    [
        ("the file alone", "auto", None, None, None, Mode.AUTO),
        ("an annotation restricts", "auto", "approve", None, None, Mode.APPROVE),
        ("that of the owner", "auto", None, "observe", None, Mode.OBSERVE),
        ("that of the namespace", "auto", None, None, "approve", Mode.APPROVE),
        ("the strictest counts", "approve", "auto", "observe", "off", Mode.OFF),
        ("an annotation never widens", "observe", "auto", "auto", "auto", Mode.OBSERVE),
        ("an unknown word is off", "auto", "enabled", None, None, Mode.OFF),
        ("an empty word is off", "auto", None, None, "", Mode.OFF),
        ("no text at all is off", "auto", 1, None, None, Mode.OFF),
    ],
)
async def test_mode(  # noqa: PLR0917 - one column each
    why: str, file: str, target: object, owner: object, space: object, mode_found: Mode
) -> None:
    def given(document: JsonObject, value: object) -> JsonObject:
        return document if value is None else annotated(document, value)

    world = replace(
        await good_world("delete_pod", policy=Policy.model_validate({"default": file})),
        situation=Situation(given(failed_pod(), target)),
        owner=given(web(), owner),
        namespace=given(namespace(), space),
    )
    assert mode.declared_mode(world) is mode_found
    assert answer(mode.check, world) == (R.MODE_OFF if mode_found is Mode.OFF else None)


# freshness


def record(
    *,
    plan: str = "plan-1",
    step: int = 0,
    generation_after: int | None = 4,
    state: ActionState = ActionState.APPLIED,
    verified: bool | None = None,
    arguments: JsonObject | None = None,
    undoes: str | None = None,
    uid: str = UID,
) -> ActionRecord:
    intent = Intent(
        action_id=ActionId(f"act-{plan}-{step}"),
        incident_id=IncidentId("inc-1"),
        plan_id=PlanId(plan),
        plan_hash="h",
        step=step,
        tool="scale_workload",
        arguments=arguments or action().model_dump(mode="json"),
        target=WEB,
        target_uid=uid,
        owner_uid=UID,
        owner=WEB,
        origin="rule",
        request={},
        before={"generation_after": generation_after},
        inverse=None,
        undoes=None if undoes is None else ActionId(undoes),
        created_at=NOW,
    )
    return ActionRecord(intent=intent, state=state, verified=verified)


def generation(number: int) -> Situation:
    return Situation(changed(web(), "metadata.generation", number))


@pytest.mark.parametrize(
    ("why", "changes", "code"),
    [
        ("as it was diagnosed", {}, None),
        (
            "another life of the name",
            {"situation": Situation(changed(web(), "metadata.uid", "uid-new"))},
            R.TARGET_UID_MISMATCH,
        ),
        ("its owner is another life", {"owner": changed(web(), "metadata.uid", "uid-new")}, R.TARGET_UID_MISMATCH),
        (
            "its owner is being deleted",
            {"owner": changed(web(), "metadata.deletionTimestamp", "2026-01-01T00:00:00Z")},
            R.TARGET_GONE,
        ),
        ("somebody changed the spec", {"situation": generation(4)}, R.TARGET_CHANGED),
        ("this plan changed the spec", {"situation": generation(4), "history": (record(),)}, None),
        ("this plan, and then somebody", {"situation": generation(5), "history": (record(),)}, R.TARGET_CHANGED),
        ("this plan, and somebody put it back", {"history": (record(),)}, R.TARGET_CHANGED),
        (
            "an earlier plan does not excuse it",
            {"situation": generation(4), "history": (record(plan="plan-0"),)},
            R.TARGET_CHANGED,
        ),
        (
            "a write that did not happen does not",
            {"situation": generation(4), "history": (record(state=ActionState.NOT_APPLIED),)},
            R.TARGET_CHANGED,
        ),
        (
            "the newest write counts",
            {"situation": generation(5), "history": (record(), record(step=1, generation_after=5))},
            None,
        ),
        (
            "a write to another object does not",
            {"situation": generation(4), "history": (record(uid="uid-x"),)},
            R.TARGET_CHANGED,
        ),
    ],
)
async def test_freshness(why: str, changes: dict[str, Any], code: ReasonCode | None) -> None:
    assert answer(freshness.check, replace(await good_world(), **changes)) == code


async def test_an_order_without_an_owner_uid_is_refused() -> None:
    assert answer(freshness.check, await good_world(owner_uid="")) is R.TARGET_UID_MISMATCH


# rollout


def status(kind: str, spec: JsonObject | None = None, observed: int = 3, **numbers: Any) -> JsonObject:
    live = workload(kind, **(spec or {}))
    return {**live, "status": {"observedGeneration": observed, **numbers}}


@pytest.mark.parametrize(
    ("why", "owner", "rolls"),
    [
        ("settled", status("Deployment", replicas=3, updatedReplicas=3), False),
        ("old and new pods", status("Deployment", replicas=4, updatedReplicas=1), True),
        ("the new spec was not looked at", status("Deployment", observed=2, replicas=3, updatedReplicas=3), True),
        ("pods are missing and none is old", status("Deployment", replicas=1, updatedReplicas=1), False),
        ("no pod at all", status("Deployment"), False),
        (
            "out of its deadline",
            status(
                "Deployment",
                replicas=4,
                updatedReplicas=1,
                conditions=[{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
            ),
            False,
        ),
        (
            "StatefulSet settled",
            status("StatefulSet", currentRevision="a", updateRevision="a", updatedReplicas=3),
            False,
        ),
        (
            "StatefulSet halfway",
            status("StatefulSet", currentRevision="a", updateRevision="b", updatedReplicas=1),
            True,
        ),
        (
            "StatefulSet up to its partition",
            status(
                "StatefulSet",
                {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
                currentRevision="a",
                updateRevision="b",
                updatedReplicas=1,
            ),
            False,
        ),
        (
            "StatefulSet that waits for a person",
            status(
                "StatefulSet",
                {"updateStrategy": {"type": "OnDelete"}},
                currentRevision="a",
                updateRevision="b",
                updatedReplicas=0,
            ),
            False,
        ),
        ("DaemonSet settled", status("DaemonSet", currentNumberScheduled=2, updatedNumberScheduled=2), False),
        ("DaemonSet halfway", status("DaemonSet", currentNumberScheduled=2, updatedNumberScheduled=1), True),
        ("a Job has none", status("Job", observed=0), False),
    ],
)
def test_rolling(why: str, owner: JsonObject, rolls: bool) -> None:
    assert rollout.is_rolling(str(owner["kind"]), owner) is rolls


ROLLING = status("Deployment", replicas=4, updatedReplicas=1)


async def test_rollout() -> None:
    good = replace(await good_world(), owner=ROLLING)
    assert answer(rollout.check, good) is R.ROLLOUT_IN_PROGRESS
    assert answer(rollout.check, replace(good, order=replace(good.order, reverses_rollout=True))) is None
    assert answer(rollout.check, replace(good, history=(record(generation_after=3),))) is None
    assert answer(rollout.check, replace(good, history=(record(generation_after=2),))) is R.ROLLOUT_IN_PROGRESS
    assert answer(rollout.check, replace(await good_world("delete_pod"), owner=ROLLING)) is None
    assert answer(rollout.check, replace(await good_world("evict_pod"), owner=ROLLING)) is R.ROLLOUT_IN_PROGRESS


# precondition, permission, ownership


async def test_precondition_is_the_executors() -> None:
    good = await good_world()
    assert answer(precondition.check, good) is None
    assert answer(precondition.check, replace(good, situation=Situation(web(replicas=2)))) is R.NO_CHANGE


async def test_permission() -> None:
    good = await good_world()
    assert answer(permission.check, good) is None
    assert answer(permission.check, replace(good, permitted=False)) is R.PERMISSION_DENIED


def scaler(kind: str, target_kind: str | None, name: str) -> JsonObject:
    target: JsonObject = {"name": name}
    if target_kind:
        target["kind"] = target_kind
    return {"kind": kind, "metadata": {"name": "auto", "namespace": "shop"}, "spec": {"scaleTargetRef": target}}


@pytest.mark.parametrize(
    ("why", "found", "code"),
    [
        ("none", (), None),
        ("an HPA of it", (scaler("HorizontalPodAutoscaler", "Deployment", "web"),), R.OWNED_BY_AUTOSCALER),
        ("a ScaledObject of it, kind left out", (scaler("ScaledObject", None, "web"),), R.OWNED_BY_AUTOSCALER),
        ("of another name", (scaler("HorizontalPodAutoscaler", "Deployment", "api"),), None),
        ("of another kind", (scaler("HorizontalPodAutoscaler", "StatefulSet", "web"),), None),
    ],
)
async def test_autoscaler(why: str, found: tuple[JsonObject, ...], code: ReasonCode | None) -> None:
    assert answer(autoscaler.check, replace(await good_world(), autoscalers=found)) == code
    assert answer(autoscaler.check, replace(await good_world("restart_workload"), autoscalers=found)) is None


OPERATOR: JsonObject = {
    "apiVersion": "team.example/v1", "kind": "Postgres", "name": "db", "uid": "u", "controller": True,
}  # fmt: skip
ARGO_WROTE: JsonObject = {"manager": "argocd-controller", "fieldsV1": {"f:spec": {"f:replicas": {}}}}


@pytest.mark.parametrize(
    ("why", "path", "value", "code"),
    [
        ("nobody", "metadata.labels", {"app": "web"}, None),
        (
            "Argo CD by annotation",
            "metadata.annotations",
            {"argocd.argoproj.io/tracking-id": "x:apps/Deployment:shop/web"},
            R.OWNED_BY_GITOPS,
        ),
        (
            "a tracking id that was copied from another object",
            "metadata.annotations",
            {"argocd.argoproj.io/tracking-id": "x:apps/Deployment:bank/web"},
            None,
        ),
        ("Argo CD by label", "metadata.labels", {"argocd.argoproj.io/instance": "shop"}, R.OWNED_BY_GITOPS),
        ("Flux kustomization", "metadata.labels", {"kustomize.toolkit.fluxcd.io/name": "shop"}, R.OWNED_BY_GITOPS),
        ("Flux helm release", "metadata.labels", {"helm.toolkit.fluxcd.io/name": "shop"}, R.OWNED_BY_GITOPS),
        ("Argo CD by managed fields", "metadata.managedFields", [ARGO_WROTE], R.OWNED_BY_GITOPS),
        ("somebody's kubectl", "metadata.managedFields", [{"manager": "kubectl-client-side-apply"}], None),
        ("plain Helm is no controller", "metadata.labels", {"app.kubernetes.io/managed-by": "Helm"}, None),
        ("an operator's custom resource", "metadata.ownerReferences", [OPERATOR], R.OWNED_BY_GITOPS),
        ("an owner that is no controller", "metadata.ownerReferences", [OPERATOR | {"controller": False}], None),
    ],
)
async def test_gitops(why: str, path: str, value: Any, code: ReasonCode | None) -> None:
    live = changed(web(), path, value)
    assert answer(gitops.check, replace(await good_world(), situation=Situation(live))) == code
    one = changed(pod(phase="Failed"), path, value)
    assert answer(gitops.check, replace(await good_world("delete_pod"), situation=Situation(one))) is None


# cooldown, repetition, budgets, lock


def started(seconds_ago: float, incident: str = "inc-0") -> PlanStart:
    return PlanStart(
        plan_id=PlanId("plan-0"),
        incident_id=IncidentId(incident),
        owner_uid=UID,
        owner=WEB,
        namespace="shop",
        started_at=NOW - timedelta(seconds=seconds_ago),
    )


@pytest.mark.parametrize(
    ("why", "last", "code"),
    [
        ("never acted on", None, None),
        ("a moment ago, for another incident", started(0), R.COOLDOWN),
        ("one second too early", started(299), R.COOLDOWN),
        ("exactly over", started(300), None),
        ("long ago", started(9999), None),
        ("a moment ago, for this incident", started(0, "inc-1"), None),
        ("in the future, by a clock that went back", started(-60), R.COOLDOWN),
    ],
)
async def test_cooldown(why: str, last: PlanStart | None, code: ReasonCode | None) -> None:
    assert answer(cooldown.check, replace(await good_world(), last_plan=last)) == code


ASKING = Policy.model_validate({"default": "approve"})


def acted(*minutes_ago: float, own: bool = False) -> tuple[PlanStart, ...]:
    """One incident each, oldest first; the last one is this incident's with `own`."""
    plans = [
        started(minutes * 60, f"inc-{n + 2}").model_copy(update={"plan_id": PlanId(f"plan-{n}")})
        for n, minutes in enumerate(minutes_ago)
    ]
    if own:
        plans[-1] = plans[-1].model_copy(update={"incident_id": IncidentId("inc-1")})
    return tuple(plans)


QUARANTINES: dict[str, tuple[tuple[PlanStart, ...], ReasonCode | None]] = {
    "never acted on": ((), None),
    "twice in half an hour": (acted(20, 1), None),
    "three times in half an hour": (acted(30, 20, 1), R.QUARANTINED),
    "three times in a little more": (acted(31.1, 20, 1), None),
    "three times, two hours ago": (acted(140, 130, 121), None),
    "three times, a little less than two hours ago": (acted(140, 130, 119), R.QUARANTINED),
    "three times long ago and once now": (acted(145, 140, 119, 1), R.QUARANTINED),
    "three plans of one incident": (tuple(p.model_copy(update={"incident_id": "inc-2"}) for p in acted(9, 5, 1)), None),
    "the third is this incident": (acted(20, 10, 1, own=True), None),
}


@pytest.mark.parametrize("case", QUARANTINES.values(), ids=QUARANTINES)
async def test_quarantine(case: tuple[tuple[PlanStart, ...], ReasonCode | None]) -> None:
    plans, code = case
    assert answer(quarantine.check, replace(await good_world(), owner_plans=plans)) == code


async def test_a_quarantine_ends_on_time_and_can_be_switched_off() -> None:
    refused = quarantine.check(replace(await good_world(), owner_plans=acted(20, 10, 1)))
    assert refused is not None
    assert refused.retry_after_seconds == pytest.approx(119 * 60)
    off = Policy.model_validate({"default": "auto", "limits": {"quarantine": {"lasts_seconds": 0}}})
    assert answer(quarantine.check, replace(await good_world(policy=off), owner_plans=acted(20, 10, 1))) is None


async def test_a_quarantine_does_not_stop_what_a_person_agreed_to() -> None:
    world = await good_world(policy=AUTO, approved=True)
    assert answer(quarantine.check, replace(world, owner_plans=acted(20, 10, 1))) is None


@pytest.mark.parametrize(
    ("why", "policy", "changes"),
    [
        ("a person agreed", AUTO, {"approved": True}),
        ("the policy asks a person", ASKING, {}),
        ("the plan asks a person", AUTO, {"asks": True}),
    ],
)
async def test_what_waits_for_a_person_is_not_stopped_by_what_was_begun_before(
    why: str, policy: Policy, changes: dict[str, Any]
) -> None:
    world = replace(await good_world(policy=policy, **changes), last_plan=started(10), counts=Counts(0, 2, 0))
    await _is_let_through(world)


async def test_so_is_an_action_that_always_asks_a_person() -> None:
    world = replace(await good_world(), last_plan=started(10), counts=Counts(0, 2, 0))
    await _is_let_through(replace(world, order=replace(world.order, action=action(replicas=0))))


async def _is_let_through(world: World) -> None:
    assert answer(cooldown.check, world) is None
    if not world.order.approved:
        assert answer(budget.check, world) is None, "only asked: nothing begins now"
        assert world.executor is not None
        reasons = mode.approval_reasons(world, world.executor, Situation(web()), InverseKind.EXACT)
        assert any("was acted on" in reason for reason in reasons), "the person is told"


async def test_an_approved_plan_counts_where_it_begins() -> None:
    world = replace(await good_world(approved=True), counts=Counts(0, 2, 0))
    assert answer(budget.check, world) is R.RATE_LIMITED


@pytest.mark.parametrize(
    ("why", "changes", "code"),
    [
        ("nothing was tried", {}, None),
        ("tried and did not heal", {"history": (record(plan="plan-0", verified=False),)}, R.REPEAT),
        (
            "tried, undone, did not heal",
            {"history": (record(plan="plan-0", state=ActionState.UNDONE, verified=False),)},
            R.REPEAT,
        ),
        ("tried and not judged yet", {"history": (record(plan="plan-0"),)}, None),
        ("tried and healed", {"history": (record(plan="plan-0", verified=True),)}, None),
        ("never happened", {"history": (record(plan="plan-0", state=ActionState.NOT_APPLIED, verified=False),)}, None),
        (
            "another argument",
            {"history": (record(plan="plan-0", verified=False, arguments=action(replicas=5).model_dump(mode="json")),)},
            None,
        ),
        ("the way back of it", {"history": (record(plan="plan-0", verified=False, undoes="act-x"),)}, None),
    ],
)
async def test_repeat(why: str, changes: dict[str, Any], code: ReasonCode | None) -> None:
    assert answer(repeat.check, replace(await good_world(), **changes)) == code


async def test_repeat_by_what_the_caller_knows() -> None:
    assert answer(repeat.check, await good_world(attempted=frozenset({action().digest}))) is R.REPEAT
    assert answer(repeat.check, await good_world(attempted=frozenset({action(replicas=5).digest}))) is None


@pytest.mark.parametrize(
    ("why", "counts", "history", "code"),
    [
        ("the first", Counts(0, 0, 0), (), None),
        ("one place left everywhere", Counts(5, 1, 5), (), None),
        ("the owner's are used", Counts(6, 0, 0), (), R.RATE_LIMITED),
        ("the namespace's are used", Counts(0, 2, 0), (), R.RATE_LIMITED),
        ("the cluster's are used", Counts(0, 0, 6), (), R.RATE_LIMITED),
        ("a later step of a plan that was counted", Counts(9, 9, 9), (record(),), None),
        ("two attempts used", Counts(0, 0, 0), (record(plan="a"), record(plan="b")), None),
        (
            "three attempts used",
            Counts(0, 0, 0),
            (record(plan="a"), record(plan="b"), record(plan="c")),
            R.ATTEMPTS_EXHAUSTED,
        ),
        (
            "steps of one plan are one attempt",
            Counts(0, 0, 0),
            (record(plan="a"), record(plan="a", step=1), record(plan="a", step=2)),
            None,
        ),
        ("undoing is none", Counts(0, 0, 0), (record(plan="a"), record(plan="b"), record(plan="c", undoes="x")), None),
    ],
)
async def test_budget(why: str, counts: Counts, history: tuple[ActionRecord, ...], code: ReasonCode | None) -> None:
    assert answer(budget.check, replace(await good_world(), counts=counts, history=history)) == code


async def test_a_budget_of_none_lets_nothing_start() -> None:
    policy = Policy.model_validate({"limits": {"plans": {"cluster": {"count": 0, "seconds": 60}}}})
    assert answer(budget.check, await good_world(policy=policy)) is R.RATE_LIMITED


async def test_lock() -> None:
    good = await good_world()
    assert answer(lock.check, good) is None
    assert answer(lock.check, replace(good, holds_lock=False)) is R.LOCKED


# dry run


@pytest.mark.parametrize(
    ("why", "found", "code"),
    [
        ("only the declared field", effect("/spec/replicas"), None),
        ("another field as well", effect("/spec/replicas", "/spec/template/spec/containers/1"), R.DIFF_OUT_OF_BOUNDS),
        ("a label of the object", effect("/metadata/labels/a"), R.DIFF_OUT_OF_BOUNDS),
        ("nothing at all", effect(), R.NO_CHANGE),
        ("the server says no", Refused(code=R.DRY_RUN_REFUSED, reason="no"), R.DRY_RUN_REFUSED),
        ("a disruption budget says no", Refused(code=R.PDB_BLOCKED, reason="no"), R.PDB_BLOCKED),
    ],
)
async def test_dry_run(why: str, found: Effect | Refused, code: ReasonCode | None) -> None:
    assert answer(dry_run.check, replace(await good_world(), effect=found)) == code


async def test_set_resources_may_change_one_container_only() -> None:
    world = await good_world("set_resources")
    inside, beside = (
        "/spec/template/spec/containers/0/resources/limits",
        "/spec/template/spec/containers/1/resources/limits",
    )
    assert answer(dry_run.check, replace(world, effect=effect(inside))) is None
    assert answer(dry_run.check, replace(world, effect=effect(beside))) is R.DIFF_OUT_OF_BOUNDS


async def test_what_removes_its_target_has_no_difference_to_show() -> None:
    assert answer(dry_run.check, replace(await good_world("delete_pod"), effect=effect())) is None


# every input of every check

INPUTS: dict[str, tuple[str, ...]] = {
    "protected": ("situation", "owner"),
    "paused": ("paused_until",),
    "mode": ("situation", "owner", "namespace"),
    "freshness": ("situation", "owner", "history"),
    "rollout": ("owner",),
    "precondition": ("situation",),
    "permission": ("permitted",),
    "autoscaler": ("autoscalers",),
    "gitops": ("situation",),
    "cooldown": ("last_plan",),
    "quarantine": ("owner_plans",),
    "repeat": ("history",),
    "budget": ("history", "counts"),
    "lock": ("holds_lock",),
    "dry_run": ("effect", "situation"),
}
BY_NAME = dict(CHECKS)
PAIRS = [(name, field) for name, fields in INPUTS.items() for field in fields]


def test_every_check_that_reads_is_listed() -> None:
    assert set(INPUTS) | {"whitelist", "scope"} == set(BY_NAME)


@pytest.mark.parametrize(("name", "field"), PAIRS)
async def test_an_input_that_cannot_be_read_is_a_refusal(name: str, field: str) -> None:
    good = replace(await good_world(), effect=effect("/spec/replicas"))
    world = replace(good, **{field: Unreadable("the wire was cut", retry_after=3)})
    refused = judge(((name, BY_NAME[name]),), world)
    assert refused is not None
    assert (refused.code, refused.retry_after_seconds) == (R.INPUT_UNREADABLE, 3)


@pytest.mark.parametrize(("name", "field"), [(n, f) for n, f in PAIRS if f in {"situation", "owner", "namespace"}])
async def test_an_input_that_is_gone_is_a_refusal(name: str, field: str) -> None:
    good = replace(await good_world(), effect=effect("/spec/replicas"))
    refused = judge(((name, BY_NAME[name]),), replace(good, **{field: Missing("it")}))
    assert refused is not None
    assert refused.code is R.TARGET_GONE


def test_a_check_that_raises_or_babbles_has_not_said_yes() -> None:
    def raises(_: World) -> Refused | None:
        raise ZeroDivisionError

    def babbles(_: World) -> Refused | None:
        return True  # type: ignore[return-value]

    world = World(order=order(), policy=AUTO, own_namespace=None, now=NOW, executor=None)
    for broken in (raises, babbles):
        assert answer(broken, world) is R.INPUT_UNREADABLE
