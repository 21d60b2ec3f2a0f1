"""The door over a small API server in memory and a real ledger: order of effects, crashes, broken inputs."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.tools.executors.objects import UID, changed, deployment
from tests.tools.guard.platform import COMPLETING, REMOTE
from tests.tools.guard.setting import (
    AUTO,
    FOR_PEOPLE,
    INCIDENT,
    NOW,
    WEB,
    Setting,
    action,
    failed_pod,
    namespace,
    order,
    web,
)
from tools import registry
from tools.cluster.client import Blocked
from tools.cluster.resources import WriteRequest
from tools.errors import Conflict, Denied, Invalid, NotAllowed, NotFound, Overloaded, Undecodable, Unreachable
from tools.executors.base import ACTION_ID, InverseKind
from tools.guard.orders import Acted, Again, Order, Ready, UndoneBy, Unknown, action_id_of, undo_id_of
from tools.guard.policy import Mode, Policy
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig, dig_int, dig_object, dig_str
from tools.ledger.errors import LedgerError
from tools.ledger.records import ActionState, PlanStart
from tools.refs import ActionId, IncidentId, PlanId

R = ReasonCode
CLOSED = namespace(**{"selfheal.dev/mode": "off"})
TOOLS = tuple(name for name in registry.ALL if name not in COMPLETING | REMOTE)


def live(at: Setting) -> JsonObject:
    return at.cluster.objects["Deployment", "shop", "web"]


def kept(document: JsonObject) -> JsonObject:
    return {
        "spec": document["spec"],
        "labels": dig_object(document, "metadata", "labels"),
        "team": dig(document, "metadata", "annotations", "team"),
    }


async def state(at: Setting, action_id: ActionId) -> ActionState | None:
    found = await at.real.action(action_id)
    return None if found is None else found.state


# the one door


def test_nothing_else_in_the_program_writes_to_a_cluster() -> None:
    root = Path(__file__).parents[3]
    places = set()
    for folder in ("tools", "graph", "server", "evals", "prompts"):
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and any(k.arg == "dry_run" for k in node.keywords)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "write"
                ):
                    places.add(str(path.relative_to(root)))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Committed":
                    places.add(f"{path.relative_to(root)} Committed")
    assert places == {"tools/guard/wire.py", "tools/guard/books.py Committed"}


# assess


@pytest.mark.parametrize("tool", TOOLS)
async def test_assess_says_what_would_change_and_writes_nothing(at: Setting, tool: str) -> None:
    before = dict(at.cluster.objects)
    found = await at.door().assess(order(tool))
    assert isinstance(found, Ready), found
    mode = Mode.APPROVE if tool in FOR_PEOPLE else Mode.AUTO
    assert (found.mode, at.cluster.writes, at.journal, at.cluster.objects) == (mode, [], [], before)
    assert (found.inverse is not None) is (found.inverse_kind is InverseKind.EXACT)
    assert await at.real.holder_of(f"owner/{UID}", NOW) is None
    assert await at.real.actions_of(INCIDENT) == []


@pytest.mark.parametrize(
    ("why", "policy", "approved", "replicas", "mode", "code"),
    [
        ("auto", "auto", False, 2, Mode.AUTO, None),
        ("approve, not approved", "approve", False, 2, Mode.APPROVE, R.APPROVAL_REQUIRED),
        ("approve, approved", "approve", True, 2, Mode.APPROVE, None),
        ("observe", "observe", False, 2, Mode.OBSERVE, R.OBSERVE_ONLY),
        ("observe is not opened by an approval", "observe", True, 2, Mode.OBSERVE, R.OBSERVE_ONLY),
        ("off is not opened by an approval", "off", True, 2, None, R.MODE_OFF),
        ("zero replicas need a person even in auto", "auto", False, 0, Mode.APPROVE, R.APPROVAL_REQUIRED),
        ("zero replicas, approved", "auto", True, 0, Mode.APPROVE, None),
    ],
)
async def test_the_mode_decides(  # noqa: PLR0917 - one column each
    at: Setting, why: str, policy: str, approved: bool, replicas: int, mode: Mode | None, code: ReasonCode | None
) -> None:
    door = at.door(policy=Policy.model_validate({"default": policy}))
    asked = replace(order(), action=action(replicas=replicas), approved=approved)
    found, acted = await door.assess(asked), await door.act(asked)
    assert (found.mode if isinstance(found, Ready) else None) is mode
    assert (acted.code if isinstance(acted, Refused) else None) == code
    assert len(at.cluster.writes) == (0 if code else 1)


async def test_what_cannot_be_taken_back_needs_a_person(at: Setting) -> None:
    class Irreversible(type(registry.executors()["evict_pod"])):  # type: ignore[misc]
        inverse_kind = InverseKind.NONE

    door = at.door(executors={"evict_pod": Irreversible()})
    found = await door.assess(order("evict_pod"))
    assert isinstance(found, Ready)
    assert (found.mode, "cannot be taken back" in found.approval_reasons[0]) == (Mode.APPROVE, True)


async def test_a_webhook_that_adds_a_container_is_seen(at: Setting) -> None:
    def add(document: JsonObject) -> None:
        document["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"})  # type: ignore[index, call-overload, union-attr]

    at.cluster.rewrite = add
    refused = await at.door().act(order())
    assert isinstance(refused, Refused)
    assert (refused.code, at.cluster.writes) == (R.DIFF_OUT_OF_BOUNDS, [])


# act: order of effects


@pytest.mark.parametrize("tool", TOOLS)
async def test_the_intent_is_durable_before_the_call_and_the_outcome_after_it(at: Setting, tool: str) -> None:
    seen: list[ActionState | None] = []

    async def look(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            seen.append(await state(at, order(tool).action_id))

    at.cluster.before = look
    acted = await at.door().act(order(tool))
    assert isinstance(acted, Acted), acted
    assert seen == [ActionState.INTENDED]
    assert at.journal == ["intent", "write"]
    found = await at.real.action(acted.action_id)
    assert found is not None
    assert (found.state, found.audit_id, acted.audit_id) == (ActionState.APPLIED, "audit-1", "audit-1")
    assert (await at.real.last_plan(UID)) is not None
    assert [(e.phase, e.data["action_id"]) for e in await at.real.audit()] == [
        ("intent", acted.action_id),
        ("outcome", acted.action_id),
    ]


async def test_the_bytes_that_are_sent_are_the_bytes_that_were_shown(at: Setting) -> None:
    await at.door().act(order())
    (shown, dry), (sent, real) = at.cluster.sent
    assert (shown, dry, real) == (sent, True, False)


async def test_the_audit_trail_names_fields_and_never_values(at: Setting) -> None:
    secret = deployment()
    dig_object(secret, "spec", "template", "spec")["containers"] = [
        {"name": "main", "env": [{"name": "P", "value": "hunter2"}]}
    ]
    at.cluster.put(secret)
    acted = await at.door().act(order("rollback_workload"))
    assert isinstance(acted, Acted), acted
    text = "".join(e.model_dump_json() for e in await at.real.audit())
    assert "hunter2" not in text + acted.sentence
    assert "/spec/template" in text


async def test_the_same_order_again_is_answered_from_the_ledger(at: Setting) -> None:
    first = await at.door().act(order())
    at.cluster.broken["get"] = Unreachable("down")
    again = await at.door().act(order())
    assert isinstance(first, Acted)
    assert isinstance(again, Acted)
    assert (again.resumed, len(at.cluster.writes)) == (True, 1)


async def test_the_same_step_with_another_action_is_refused(at: Setting) -> None:
    await at.door().act(order())
    other = await at.door().act(replace(order(), action=action(replicas=7)))
    assert isinstance(other, Refused)
    assert (other.code, len(at.cluster.writes)) == (R.PLAN_SCHEMA, 1)


async def test_a_later_step_of_the_plan_goes_on_from_what_the_first_one_left(at: Setting) -> None:
    door = at.door()
    assert isinstance(await door.act(order("set_resources")), Acted)
    at.cluster.objects["Deployment", "shop", "web"]["status"] = {"observedGeneration": 4}
    second = await door.act(order("scale_workload", step=1))
    assert isinstance(second, Acted), second
    assert dig_int(live(at), "metadata", "generation") == 5


async def test_a_refusal_is_audited_with_the_check_that_said_it(at: Setting) -> None:
    await at.door().act(order(scope=()))
    (entry,) = await at.real.audit()
    assert (entry.phase, entry.code, entry.data["check"]) == ("decision", "TARGET_OUT_OF_SCOPE", "scope")


async def test_the_lock_is_given_back(at: Setting) -> None:
    await at.door().act(order())
    assert await at.real.holder_of(f"owner/{UID}", at.clock.now()) is None


async def test_another_incident_on_the_same_owner_waits(at: Setting) -> None:
    assert await at.real.acquire(f"owner/{UID}", "inc-other", timedelta(minutes=1), NOW)
    refused = await at.door().act(order())
    assert isinstance(refused, Refused)
    assert (refused.code, at.cluster.sent) == (R.LOCKED, [])


async def test_the_same_incident_takes_its_own_lock_again_after_a_crash(at: Setting) -> None:
    assert await at.real.acquire(f"owner/{UID}", INCIDENT, timedelta(minutes=1), NOW)
    assert isinstance(await at.door().act(order()), Acted)


async def test_two_at_once_do_not_both_take_the_last_place_of_a_budget(at: Setting) -> None:
    import asyncio

    policy = Policy.model_validate({"default": "auto", "limits": {"plans": {"cluster": {"count": 1, "seconds": 60}}}})
    door = at.door(policy=policy)
    at.cluster.put(changed(changed(web(), "metadata.name", "api"), "metadata.uid", "uid-api"))
    await at.open("inc-2")
    api = WEB.model_copy(update={"name": "api"})
    pin = replace(order(), pin=None).scope[0].model_copy(update={"ref": api, "uid": "uid-api"})
    other = replace(
        order(),
        action=action(name="api"),
        scope=(pin,),
        owner=api,
        owner_uid="uid-api",
        incident_id=IncidentId("inc-2"),
        plan_id=PlanId("plan-2"),
    )
    results = await asyncio.gather(door.act(order()), door.act(other))
    assert sorted(type(r).__name__ for r in results) == ["Acted", "Refused"]
    assert len(at.cluster.writes) == 1


async def test_the_same_order_twice_at_once_is_one_write(at: Setting) -> None:
    import asyncio

    door = at.door()
    results = await asyncio.gather(*(door.act(order()) for _ in range(5)))
    assert all(isinstance(r, Acted) for r in results), results
    assert (sum(not r.resumed for r in results if isinstance(r, Acted)), len(at.cluster.writes)) == (1, 1)


# act: what the server may answer


@pytest.mark.parametrize(
    ("error", "code", "recorded"),
    [
        (Denied("403"), R.API_FORBIDDEN, ActionState.NOT_APPLIED),
        (Invalid("422"), R.API_FORBIDDEN, ActionState.NOT_APPLIED),
        (NotAllowed("transport"), R.API_FORBIDDEN, ActionState.NOT_APPLIED),
        (NotFound("404"), R.TARGET_GONE, ActionState.NOT_APPLIED),
        (Blocked("budget", delay=timedelta(seconds=7)), R.PDB_BLOCKED, ActionState.NOT_APPLIED),
    ],
)
async def test_a_definite_no_is_a_refusal(
    at: Setting, error: Exception, code: ReasonCode, recorded: ActionState
) -> None:
    at.cluster.broken["write"] = error
    refused = await at.door().act(order())
    assert isinstance(refused, Refused), refused
    assert (refused.code, await state(at, order().action_id)) == (code, recorded)
    del at.cluster.broken["write"]
    assert isinstance(await at.door().act(order()), Acted)


@pytest.mark.parametrize(
    "error",
    [Unreachable("cut"), Overloaded("500", delay=timedelta(seconds=9)), Undecodable("?"), RuntimeError("a defect")],
)
async def test_no_clear_answer_and_nothing_happened(at: Setting, error: Exception) -> None:
    at.cluster.broken["write"] = error
    again = await at.door().act(order())
    assert isinstance(again, Again), again
    assert again.delay_seconds == (9 if isinstance(error, Overloaded) else 1)
    assert await state(at, order().action_id) is ActionState.INTENDED
    del at.cluster.broken["write"]
    acted = await at.door().act(order())
    assert isinstance(acted, Acted)
    assert acted.resumed is False


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("error", [Unreachable("cut"), Overloaded("504"), RuntimeError("a defect")])
async def test_no_clear_answer_and_it_had_happened(at: Setting, tool: str, error: Exception) -> None:
    async def lose(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            raise error

    at.cluster.after = lose
    acted = await at.door().act(order(tool))
    assert isinstance(acted, Acted), acted
    assert (acted.resumed, len(at.cluster.writes), await state(at, acted.action_id)) == (True, 1, ActionState.APPLIED)


async def test_no_clear_answer_and_the_object_cannot_be_read_either(at: Setting) -> None:
    async def lose(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            at.cluster.broken["get"] = Unreachable("still down")
            raise Unreachable("cut")

    at.cluster.after = lose
    assert isinstance(await at.door().act(order()), Again)
    assert await state(at, order().action_id) is ActionState.INTENDED
    assert isinstance(await at.door().act(order()), Again)
    del at.cluster.broken["get"]
    acted = await at.door().act(order())
    assert isinstance(acted, Acted)
    assert (acted.resumed, len(at.cluster.writes)) == (True, 1)


async def test_no_clear_answer_and_somebody_replaced_the_object(at: Setting) -> None:
    async def lose(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            at.cluster.change(web(replicas=9))
            raise Unreachable("cut")

    at.cluster.after = lose
    unknown = await at.door().act(order())
    assert isinstance(unknown, Unknown), unknown
    assert (unknown.refusal.code, await state(at, order().action_id)) == (R.UNKNOWN_OUTCOME, ActionState.UNKNOWN)
    assert isinstance(await at.door().act(order()), Unknown)
    assert len(at.cluster.writes) == 1


async def test_a_call_that_was_thought_lost_and_arrives_late_is_recognised(at: Setting) -> None:
    late: list[WriteRequest] = []

    async def delay(request: WriteRequest, dry_run: bool) -> None:
        if not dry_run and not late:
            late.append(request)
            raise Unreachable("no answer in time")

    at.cluster.before = delay
    door = at.door()
    assert isinstance(await door.act(order()), Again)

    async def arrive(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            at.cluster.before = None
            await at.cluster.write(late[0], dry_run=False)

    at.cluster.before = arrive
    acted = await door.act(order())
    assert isinstance(acted, Acted), acted
    assert (acted.resumed, dig_int(live(at), "metadata", "generation")) == (True, 4)


@pytest.mark.parametrize(("times", "outcome"), [(1, Acted), (3, Acted), (99, Again)])
async def test_status_updates_in_between_are_got_over_and_bounded(at: Setting, times: int, outcome: type) -> None:
    left = [times]

    async def touch(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run and left[0] > 0:
            left[0] -= 1
            at.cluster.change(live(at))

    at.cluster.before = touch
    found = await at.door().act(order())
    assert isinstance(found, outcome), found
    assert len(at.cluster.writes) <= 4


async def test_somebody_who_changes_the_spec_in_between_wins(at: Setting) -> None:
    async def edit(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            at.cluster.before = None
            at.cluster.change(changed(live(at), "spec.replicas", 9))

    at.cluster.before = edit
    refused = await at.door().act(order())
    assert isinstance(refused, Refused), refused
    assert (refused.code, dig_int(live(at), "spec", "replicas")) == (R.TARGET_CHANGED, 9)
    assert await state(at, order().action_id) is ActionState.NOT_APPLIED


async def test_a_crash_between_intent_and_call_is_found_not_to_have_happened(at: Setting) -> None:
    class Crash(BaseException):
        pass

    at.cluster.broken["write"] = Crash()
    with pytest.raises(Crash):
        await at.door().act(order())
    assert await state(at, order().action_id) is ActionState.INTENDED
    del at.cluster.broken["write"]
    acted = await at.door().act(order())
    assert isinstance(acted, Acted)
    assert (acted.resumed, dig_int(live(at), "spec", "replicas")) == (False, 2)


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_crash_between_call_and_outcome_is_found_to_have_happened(at: Setting, tool: str) -> None:
    class Crash(BaseException):
        pass

    async def crash(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            raise Crash

    at.cluster.after = crash
    with pytest.raises(Crash):
        await at.door().act(order(tool))
    at.cluster.after = None
    acted = await at.door().act(order(tool))
    assert isinstance(acted, Acted), acted
    assert (acted.resumed, len(at.cluster.writes)) == (True, 1)


# broken inputs: deny, raise, garbage

LEDGER_READS = ("acquire", "action", "paused_until", "actions_of", "last_plan", "plans_of", "plans_since")
LEDGER_WRITES = ("start_plan", "intend", "record")
GARBAGE: tuple[object, ...] = ("yes", 1, [1])


@pytest.mark.parametrize("fault", [LedgerError("disk full"), RuntimeError("a defect")])
@pytest.mark.parametrize("method", [*LEDGER_READS, *LEDGER_WRITES])
async def test_a_ledger_that_fails_lets_nothing_through(at: Setting, method: str, fault: Exception) -> None:
    at.ledger.broken[method] = fault
    refused = await at.door().act(order())
    assert isinstance(refused, Refused), refused
    assert (refused.code in {R.LEDGER_UNAVAILABLE, R.INPUT_UNREADABLE}, at.cluster.writes) == (True, [])


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("method", [*LEDGER_READS, "intend"])
async def test_a_ledger_that_babbles_lets_nothing_through(at: Setting, method: str, garbage: object) -> None:
    if method == "plans_since" and garbage == 1:
        garbage = True
    at.ledger.broken[method] = garbage
    refused = await at.door().act(order())
    assert isinstance(refused, Refused), refused
    assert at.cluster.writes == []


@pytest.mark.parametrize(
    "fault",
    [Denied("403"), Unreachable("cut"), RuntimeError("a defect"), "yes", [], {"metadata": {}}],
)
@pytest.mark.parametrize(
    "read", ["get:Deployment", "get:Namespace", "list:HorizontalPodAutoscaler", "list:ScaledObject", "can_i", "dry_run"]
)
async def test_a_cluster_that_fails_or_babbles_lets_nothing_through(at: Setting, read: str, fault: object) -> None:
    if read.startswith("list") and fault == []:
        fault = [3]
    at.cluster.broken[read] = fault
    found = await at.door().act(order())
    assert isinstance(found, Refused | Again), found
    assert at.cluster.writes == []
    assert not isinstance(await at.door().assess(order()), Ready)


@pytest.mark.parametrize(
    "fault", [Denied("403"), Unreachable("cut"), "yes", {"metadata": {"name": "other", "uid": UID}}]
)
async def test_an_owner_that_cannot_be_read_lets_nothing_through(at: Setting, fault: object) -> None:
    at.cluster.broken["get:Deployment"] = fault
    found = await at.door().act(order("delete_pod"))
    assert isinstance(found, Refused | Again), found
    assert at.cluster.writes == []


@pytest.mark.parametrize(
    ("why", "spoil", "code"),
    [
        ("no permission", lambda at: setattr(at.cluster, "may", False), R.PERMISSION_DENIED),
        ("the target is gone", lambda at: at.cluster.objects.pop(("Deployment", "shop", "web")), R.TARGET_GONE),
        ("an annotation on the namespace", lambda at: at.cluster.put(CLOSED), R.MODE_OFF),
        ("no action is enabled", None, R.TOOL_UNKNOWN),
    ],
)  # fmt: skip
async def test_a_no_is_a_no(at: Setting, why: str, spoil: Any, code: ReasonCode) -> None:
    if spoil is not None:
        spoil(at)
    door = at.door() if spoil is not None else at.door(executors={})
    refused = await door.act(order())
    assert isinstance(refused, Refused), refused
    assert (refused.code, at.cluster.writes) == (code, [])


async def test_a_pause_stops_the_next_act_and_the_next_undo(at: Setting) -> None:
    door = at.door()
    assert isinstance(await door.act(order()), Acted)
    await at.real.pause("*", NOW + timedelta(minutes=5), "alice", NOW)
    refused, undone = await door.act(order(step=1)), await door.undo(order().action_id, INCIDENT)
    assert isinstance(refused, Refused)
    assert isinstance(undone, Refused)
    assert (refused.code, undone.code, len(at.cluster.writes)) == (R.PAUSED, R.PAUSED, 1)


async def test_cooldown_and_budgets_survive_in_the_ledger(at: Setting) -> None:
    earlier = PlanStart(
        plan_id=PlanId("plan-0"), incident_id=INCIDENT, owner_uid=UID, owner=WEB, namespace="shop", started_at=NOW
    )
    await at.real.start_plan(earlier)
    await at.open("inc-2")
    refused = await at.door().act(order(incident_id=IncidentId("inc-2")))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retry_after_seconds) == (R.COOLDOWN, 300)
    assert isinstance(await at.door().act(order()), Acted)


async def test_an_outcome_that_cannot_be_recorded_is_found_again(at: Setting) -> None:
    at.ledger.broken["conclude"] = LedgerError("disk full")
    assert isinstance(await at.door().act(order()), Again)
    at.ledger.broken.clear()
    acted = await at.door().act(order())
    assert isinstance(acted, Acted)
    assert (acted.resumed, len(at.cluster.writes)) == (True, 1)


# undo


async def acted(at: Setting, tool: str = "scale_workload") -> Order:
    asked = order(tool)
    assert isinstance(await at.door().act(asked), Acted)
    return asked


@pytest.mark.parametrize("tool", ["rollback_workload", "scale_workload", "set_resources"])
async def test_undo_restores_exactly_and_is_safe_to_repeat(at: Setting, tool: str) -> None:
    before = kept(live(at))
    asked = await acted(at, tool)
    assert kept(live(at)) != before
    first = await at.door().undo(asked.action_id, INCIDENT)
    again = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(first, UndoneBy), first
    assert isinstance(again, UndoneBy), again
    assert (first.by, first.resumed, again.resumed, kept(live(at))) == ("inverse", False, True, before)
    assert len(at.cluster.writes) == 2
    assert (await state(at, asked.action_id), await state(at, undo_id_of(asked.action_id))) == (
        ActionState.UNDONE,
        ActionState.APPLIED,
    )
    assert at.journal == ["intent", "write", "intent", "write"]


@pytest.mark.parametrize("tool", ["restart_workload", "evict_pod", "delete_pod"])
async def test_undo_leaves_to_the_controller_what_the_controller_restores(at: Setting, tool: str) -> None:
    asked = await acted(at, tool)
    undone = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(undone, UndoneBy)
    assert (undone.by, len(at.cluster.writes), await state(at, asked.action_id)) == (
        "controller",
        1,
        ActionState.UNDONE,
    )


async def test_undo_is_exempt_from_mode_cooldown_and_budgets(at: Setting) -> None:
    asked = await acted(at)
    none = {"count": 0, "seconds": 60}
    closed = Policy.model_validate(
        {"default": "off", "limits": {"plans": {"owner": none, "namespace": none, "cluster": none}}}
    )
    assert isinstance(await at.door(policy=closed).undo(asked.action_id, INCIDENT), UndoneBy)


async def test_undo_never_overwrites_somebody_else(at: Setting) -> None:
    asked = await acted(at)
    at.cluster.change(changed(live(at), "spec.replicas", 9))
    refused = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(refused, Refused)
    assert (refused.code, "/spec/replicas" in refused.reason, dig_int(live(at), "spec", "replicas")) == (
        R.ROLLBACK_CONFLICT,
        True,
        9,
    )


async def test_undo_yields_to_somebody_who_writes_between_its_read_and_its_call(at: Setting) -> None:
    asked = await acted(at)

    async def edit(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            at.cluster.before = None
            at.cluster.change(changed(live(at), "spec.replicas", 9))

    at.cluster.before = edit
    refused = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(refused, Refused), refused
    assert (refused.code, dig_int(live(at), "spec", "replicas")) == (R.ROLLBACK_CONFLICT, 9)


async def test_undo_does_not_mind_another_field_or_a_status_update(at: Setting) -> None:
    asked = await acted(at)
    at.cluster.change(changed(live(at), "spec.paused", True))
    assert isinstance(await at.door().undo(asked.action_id, INCIDENT), UndoneBy)
    assert (dig(live(at), "spec", "paused"), dig_int(live(at), "spec", "replicas")) == (True, 3)


async def test_undo_does_not_take_a_controllers_write_for_its_own_effect(at: Setting) -> None:
    asked = await acted(at)

    async def count_revision(_: WriteRequest, dry_run: bool) -> None:
        if dry_run:
            at.cluster.before = None
            at.cluster.change(changed(live(at), "metadata.annotations.revision", "3"))

    at.cluster.before = count_revision
    undone = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(undone, UndoneBy), undone
    assert (undone.by, dig(live(at), "metadata", "annotations", "revision")) == ("inverse", "3")


async def test_undo_refuses_when_a_webhook_would_change_more(at: Setting) -> None:
    asked = await acted(at)

    def add(document: JsonObject) -> None:
        document["spec"]["paused"] = True  # type: ignore[index, call-overload]

    at.cluster.rewrite = add
    refused = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(refused, Refused), refused
    assert (refused.code, len(at.cluster.writes)) == (R.DIFF_OUT_OF_BOUNDS, 1)


async def test_undo_finds_what_somebody_has_already_put_back(at: Setting) -> None:
    asked = await acted(at)
    at.cluster.change(changed(live(at), "spec.replicas", 3))
    undone = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(undone, UndoneBy)
    assert (undone.by, len(at.cluster.writes)) == ("nothing", 1)


@pytest.mark.parametrize("after_call", [True, False])
async def test_undo_survives_a_crash(at: Setting, after_call: bool) -> None:
    class Crash(BaseException):
        pass

    async def crash(_: WriteRequest, dry_run: bool) -> None:
        if not dry_run:
            raise Crash

    asked = await acted(at)
    setattr(at.cluster, "after" if after_call else "before", crash)
    with pytest.raises(Crash):
        await at.door().undo(asked.action_id, INCIDENT)
    at.cluster.after = at.cluster.before = None
    undone = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(undone, UndoneBy), undone
    assert (undone.by, undone.resumed, dig_int(live(at), "spec", "replicas")) == ("inverse", after_call, 3)
    assert await state(at, asked.action_id) is ActionState.UNDONE


async def test_undo_of_a_lost_act_reads_first(at: Setting) -> None:
    at.cluster.broken["write"] = Unreachable("cut")
    await at.door().act(order())
    del at.cluster.broken["write"]
    undone = await at.door().undo(order().action_id, INCIDENT)
    assert isinstance(undone, UndoneBy)
    assert (undone.by, await state(at, order().action_id)) == ("nothing", ActionState.NOT_APPLIED)


@pytest.mark.parametrize(
    ("error", "answer"),
    [(Unreachable("cut"), Again), (Denied("403"), Refused), (Invalid("422"), Refused), (Conflict("409"), Again)],
)
@pytest.mark.parametrize("call", ["dry_run", "write"])
async def test_undo_answers_for_every_error(at: Setting, call: str, error: Exception, answer: type) -> None:
    asked = await acted(at)
    at.cluster.broken[call] = error
    found = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(found, answer), found
    del at.cluster.broken[call]
    assert isinstance(await at.door().undo(asked.action_id, INCIDENT), UndoneBy)


async def test_undo_of_what_is_not_this_incidents(at: Setting) -> None:
    asked = await acted(at)
    for action_id, incident in ((asked.action_id, IncidentId("inc-9")), (ActionId("act-none"), INCIDENT)):
        refused = await at.door().undo(action_id, incident)
        assert isinstance(refused, Refused)
        assert refused.code is R.UNDO_IMPOSSIBLE


@pytest.mark.parametrize(("uid", "code"), [("uid-next", R.TARGET_UID_MISMATCH), (None, R.TARGET_GONE)])
async def test_undo_of_an_object_that_is_no_more(at: Setting, uid: str | None, code: ReasonCode) -> None:
    asked = await acted(at)
    if uid is None:
        del at.cluster.objects["Deployment", "shop", "web"]
    else:
        at.cluster.put(changed(live(at), "metadata.uid", uid))
    refused = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(refused, Refused)
    assert (refused.code, len(at.cluster.writes)) == (code, 1)


@pytest.mark.parametrize("method", ["action", "acquire", "intend", "record", "paused_until"])
async def test_undo_without_a_ledger_writes_nothing(at: Setting, method: str) -> None:
    asked = await acted(at)
    at.ledger.broken[method] = LedgerError("disk full")
    refused = await at.door().undo(asked.action_id, INCIDENT)
    assert isinstance(refused, Refused)
    assert (refused.code, len(at.cluster.writes)) == (R.LEDGER_UNAVAILABLE, 1)


# postconditions


@pytest.mark.parametrize("tool", TOOLS)
async def test_what_was_promised_holds_after_the_act_and_not_before(at: Setting, tool: str) -> None:
    before = await at.door().check_postcondition(order(tool))
    assert before is not None
    assert before.code is R.UNKNOWN_OUTCOME
    asked = await acted(at, tool)
    assert await at.door().check_postcondition(asked) is None


async def test_what_was_promised_no_longer_holds_once_somebody_changed_it(at: Setting) -> None:
    asked = await acted(at)
    at.cluster.change(changed(live(at), "spec.replicas", 9))
    found = await at.door().check_postcondition(asked)
    assert found is not None
    assert found.code is R.VERIFY_FAILED


async def test_a_postcondition_that_cannot_be_read_does_not_hold(at: Setting) -> None:
    asked = await acted(at)
    at.cluster.broken["get:Deployment"] = Unreachable("cut")
    found = await at.door().check_postcondition(asked)
    assert found is not None
    assert found.code is R.INPUT_UNREADABLE


def test_ids_follow_from_the_step_alone() -> None:
    one = action_id_of(IncidentId("i"), PlanId("p"), 0)
    assert one == action_id_of(IncidentId("i"), PlanId("p"), 0)
    assert (
        len(
            {
                one,
                action_id_of(IncidentId("i"), PlanId("p"), 1),
                action_id_of(IncidentId("i"), PlanId("q"), 0),
                undo_id_of(one),
            }
        )
        == 4
    )
    assert dig_str({"a": ACTION_ID}, "a") == "selfheal.dev/action-id"
    assert AUTO.hash
    assert failed_pod()
