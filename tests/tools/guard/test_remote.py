"""Actions that other systems carry out, through the same door: Argo CD over a real socket, scripts as real processes.

The Application that the cluster shows is the very document that Argo CD holds, as in life.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.tools.cluster.hostile import HostileServer, Reply, Request
from tests.tools.executors.argocd.documents import OLD, app, operation_state, succeeded, window, windows
from tests.tools.executors.argocd.double import ArgoDouble, argo
from tests.tools.executors.script.support import Shelf, linux
from tests.tools.guard.setting import AUTO, INCIDENT, WEB, Setting, context, pin, setting, web
from tools import registry
from tools.executors.argocd.port import ArgoPort
from tools.executors.base import ACTION_ID
from tools.executors.calls import RemotePort
from tools.executors.connections import Observing
from tools.executors.remote import RemoteExecutor
from tools.executors.script.port import ScriptPort
from tools.executors.script.run import ScriptRunner
from tools.guard.door import Door
from tools.guard.orders import Acted, Again, Order, Ready, UndoneBy, Unknown, undo_id_of
from tools.guard.policy import Mode, Policy
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject
from tools.ledger.errors import LedgerError
from tools.ledger.records import ActionState
from tools.refs import ObjectRef

R = ReasonCode
APP = ObjectRef(kind="Application", namespace="argocd", name="shop")
TRUSTING = Policy.model_validate(
    {"default": "auto", "namespaces": {"*": {"mode": "auto", "trusted_edits": ["run_script"]}}}
)
RUNNING = operation_state("Running", message="waiting for completion of hook batch/Job/migrate")


@dataclass
class Argo:
    """A door that leads to an Argo CD."""

    at: Setting
    double: ArgoDouble
    server: HostileServer
    port: ArgoPort

    @property
    def live(self) -> dict[str, Any]:
        return self.double.apps["argocd", "shop"]

    def holds(self, document: JsonObject) -> None:
        self.double.put(document)
        self.at.cluster.put(self.live)

    def door(self, policy: Policy = AUTO, port: RemotePort | None = None) -> Door:
        enabled = registry.executors(registry.OF_ARGOCD, argocd=self.port, proven=Proven(), clock=self.at.clock)
        return self.at.door(policy=policy, executors=enabled, remotes={"argocd": port or self.port})

    def order(self, tool: str, *, approved: bool = False, **arguments: object) -> Order:
        action = registry.parse(tool, {"namespace": "argocd", "name": "shop", **arguments})
        pinned = pin(APP, self.live).model_copy(update={"generation": None})
        return context(scope=(pinned, pin(WEB, web())), approved=approved, shows_failure=True).order(action)

    def calls(self) -> list[Request]:
        return [r for r in self.server.requests if r.method != "GET" or "refresh" in r.query]


class Proven:
    """Every deployment there is was seen healthy."""

    def keys(self, application: ObjectRef) -> tuple[str, ...]:
        from tools.executors.argocd.history import history

        return tuple(entry.key for entry in history(app()))


@pytest.fixture
async def to_argo(tmp_path: Path) -> AsyncIterator[Argo]:
    async with setting(tmp_path / "ledger.db") as at, argo(tmp_path) as (client, double, server):
        made = Argo(at, double, server, ArgoPort(client))
        at.cluster.put({"kind": "Namespace", "metadata": {"name": "argocd", "uid": "uid-argocd"}})
        made.holds(app(sync="OutOfSync"))
        yield made


# Argo CD: the good way

CASES: dict[str, tuple[dict[str, object], Callable[[], JsonObject]]] = {
    "argocd_refresh": ({"is_hard": True}, lambda: app(sync="OutOfSync")),
    "argocd_sync": ({}, lambda: app(sync="OutOfSync")),
    "argocd_rollback": ({"entry": 2}, lambda: app(health="Degraded")),
    "argocd_terminate_operation": (
        {},
        lambda: app(sync="OutOfSync", status={"operationState": RUNNING}, ordered={"sync": {}}),
    ),
}


def test_every_action_of_argocd_has_a_case() -> None:
    assert set(CASES) == {name for name in registry.OF_ARGOCD if issubclass(registry.ALL[name], RemoteExecutor)}


@pytest.mark.parametrize("tool", CASES)
async def test_assessing_asks_argocd_and_orders_nothing(to_argo: Argo, tool: str) -> None:
    arguments, document = CASES[tool]
    to_argo.holds(document())
    before = json.dumps(to_argo.live)
    found = await to_argo.door().assess(to_argo.order(tool, **arguments))
    assert isinstance(found, Ready), found
    assert (found.mode, found.diff, to_argo.calls(), json.dumps(to_argo.live)) == (Mode.AUTO, (), [], before)
    assert found.inverse is not None


@pytest.mark.parametrize("tool", CASES)
async def test_an_order_is_one_request_however_often_it_is_given(to_argo: Argo, tool: str) -> None:
    arguments, document = CASES[tool]
    to_argo.holds(document())
    order = to_argo.order(tool, **arguments)
    first, again = await to_argo.door().act(order), await to_argo.door().act(order)
    assert isinstance(first, Acted), first
    assert isinstance(again, Acted), again
    assert (first.resumed, again.resumed, len(to_argo.calls())) == (False, True, 1)
    assert to_argo.at.cluster.writes == [], "nothing is written behind Argo CD's back"


async def test_the_intent_is_durable_before_the_request_and_names_the_call(to_argo: Argo) -> None:
    order = to_argo.order("argocd_sync")
    seen: list[ActionState | None] = []

    async def look(request: Request, reply: Reply) -> None:
        if request.method == "POST":
            found = await to_argo.at.real.action(order.action_id)
            seen.append(None if found is None else found.state)
        to_argo.double.fault = None
        await to_argo.double.answer(request, reply)
        to_argo.double.fault = look

    to_argo.double.fault = look
    assert isinstance(await to_argo.door().act(order), Acted)
    found = await to_argo.at.real.action(order.action_id)
    assert found is not None
    assert (seen, found.state) == ([ActionState.INTENDED], ActionState.APPLIED)
    assert (found.intent.request["port"], found.intent.request["call"]) == ("argocd", "sync")
    ordered = to_argo.live["operation"]
    assert {"name": ACTION_ID, "value": order.action_id} in ordered["info"]
    assert ordered["sync"] == {"revision": app()["status"]["sync"]["revision"], "prune": False, "dryRun": False}  # type: ignore[call-overload, index]


# Argo CD: reasons not to ask


@pytest.mark.parametrize(
    ("why", "tool", "arguments", "document", "allowed", "code", "said"),
    [
        ("a closed window", "argocd_sync", {}, app(sync="OutOfSync"), False, R.REMOTE_REFUSED, "ARGOCD_WINDOW_CLOSED"),
        ("all is as declared", "argocd_sync", {}, app(), True, R.REMOTE_REFUSED, "ARGOCD_NOTHING_TO_SYNC"),
        (
            "somebody else's operation",
            "argocd_sync",
            {},
            app(sync="OutOfSync", status={"operationState": RUNNING}),
            True,
            R.REMOTE_REFUSED,
            "ARGOCD_OPERATION_UNDER_WAY",
        ),
        (
            "it follows its repository",
            "argocd_rollback",
            {"entry": 2},
            app(health="Degraded", automated={"selfHeal": True}),
            True,
            R.REMOTE_REFUSED,
            "ARGOCD_AUTO_SYNC_ON",
        ),
        ("no such entry", "argocd_rollback", {"entry": 7}, app(), True, R.REMOTE_REFUSED, "ARGOCD_NO_CANDIDATE"),
        ("the newest entry", "argocd_rollback", {"entry": 3}, app(), True, R.REMOTE_REFUSED, "ARGOCD_NO_CANDIDATE"),
        ("nothing runs", "argocd_terminate_operation", {}, app(), True, R.REMOTE_REFUSED, "ARGOCD_NO_OPERATION"),
        (
            "it is told to be left alone",
            "argocd_refresh",
            {"is_hard": False},
            app(metadata={"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}),
            True,
            R.REMOTE_REFUSED,
            "ARGOCD_RECONCILE_SKIPPED",
        ),
    ],
)
async def test_what_argocd_would_not_do_is_not_asked(  # noqa: PLR0917 - one column each
    to_argo: Argo,
    why: str,
    tool: str,
    arguments: dict[str, object],
    document: JsonObject,
    allowed: bool,
    code: ReasonCode,
    said: str,
) -> None:
    to_argo.holds(document)
    to_argo.double.windows = windows(can_sync=allowed, active=[] if allowed else [window("deny")])
    refused = await to_argo.door().act(to_argo.order(tool, approved=True, **arguments))
    assert isinstance(refused, Refused), why
    assert (refused.code, to_argo.calls()) == (code, [])
    assert said in refused.reason


async def test_a_rollback_is_judged_as_it_will_be_once_automated_sync_is_off_and_not_ordered_before(
    to_argo: Argo,
) -> None:
    to_argo.holds(app(health="Degraded", automated={"selfHeal": True}))
    alone = to_argo.order("argocd_rollback", approved=True, entry=2)
    off, on = (
        registry.parse("argocd_set_auto_sync", {"namespace": "argocd", "name": "shop", "enabled": wanted})
        for wanted in (False, True)
    )
    after = replace(alone, step=1, ahead=(off,))
    found = await to_argo.door().assess(after)
    assert isinstance(found, Ready), found
    assert found.is_early
    for order, code in ((after, R.PLAN_SCHEMA), (replace(alone, step=1, ahead=(on,)), R.REMOTE_REFUSED)):
        refused = await to_argo.door().act(order)
        assert isinstance(refused, Refused)
        assert (refused.code, to_argo.calls()) == (code, [])


async def test_without_the_right_in_argocd_nothing_is_ordered(to_argo: Argo) -> None:
    to_argo.double.denied = {"sync"}
    refused = await to_argo.door().act(to_argo.order("argocd_sync"))
    assert isinstance(refused, Refused)
    assert (refused.code, to_argo.calls()) == (R.PERMISSION_DENIED, [])


async def test_a_window_that_keeps_automation_out_is_for_a_person(to_argo: Argo) -> None:
    to_argo.double.windows = windows(active=[window("deny", by_hand=True)])
    found = await to_argo.door().assess(to_argo.order("argocd_sync"))
    assert isinstance(found, Ready)
    assert (found.mode, "person" in found.approval_reasons[0]) == (Mode.APPROVE, True)


async def test_a_revision_that_never_ran_is_for_a_person(to_argo: Argo) -> None:
    to_argo.holds(app(sync="OutOfSync", revision="d4" * 20))
    found = await to_argo.door().assess(to_argo.order("argocd_sync"))
    assert isinstance(found, Ready)
    assert found.mode is Mode.APPROVE
    assert "has not run before" in found.approval_reasons[0]


async def test_a_service_that_observes_has_no_way_to_argocd(to_argo: Argo) -> None:
    refused = await to_argo.door(port=Observing(to_argo.port)).act(to_argo.order("argocd_sync"))
    assert isinstance(refused, Refused)
    assert (refused.code, to_argo.calls()) == (R.REMOTE_REFUSED, [])


# Argo CD: answers that are none


async def _status(reply: Reply, status: int, body: bytes = b'{"message": "no", "code": 2}') -> None:
    await reply.send(status, body)


async def _redirect(reply: Reply) -> None:
    await reply.send(307, b"", headers={"Location": "http://127.0.0.1:9/"})


async def _half(reply: Reply) -> None:
    await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{")
    await reply.cut()


FAULTS: dict[str, tuple[Callable[[Reply], Any], tuple[type[object], ReasonCode | None]]] = {
    "401": (lambda reply: _status(reply, 401), (Refused, R.REMOTE_REFUSED)),
    "403": (lambda reply: _status(reply, 403), (Refused, R.REMOTE_REFUSED)),
    "404": (lambda reply: _status(reply, 404), (Refused, R.TARGET_GONE)),
    "400": (lambda reply: _status(reply, 400), (Refused, R.REMOTE_REFUSED)),
    "409 for ever": (lambda reply: _status(reply, 409), (Again, None)),
    "429": (lambda reply: _status(reply, 429), (Again, None)),
    "500": (lambda reply: _status(reply, 500), (Again, None)),
    "a redirect": (_redirect, (Again, None)),
    "broken JSON": (lambda reply: _status(reply, 200, b"<html>"), (Again, None)),
    "half an answer": (_half, (Again, None)),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_bad_answer_to_an_order_has_an_outcome_and_no_guess(to_argo: Argo, fault: str) -> None:
    answer, (kind, code) = FAULTS[fault]

    async def break_orders(request: Request, reply: Reply) -> None:
        if request.method == "POST":
            await answer(reply)
            return
        to_argo.double.fault = None
        await to_argo.double.answer(request, reply)
        to_argo.double.fault = break_orders

    to_argo.double.fault = break_orders
    outcome = await to_argo.door().act(to_argo.order("argocd_sync"))
    assert isinstance(outcome, kind), outcome
    if isinstance(outcome, Refused):
        assert outcome.code is code
    assert len(to_argo.calls()) == (4 if fault == "409 for ever" else 1), "a conflict is decided on anew, nothing else"
    assert "operation" not in to_argo.live


@pytest.mark.parametrize("path", ["syncwindows", "can-i"])
@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"400"}))
async def test_a_bad_answer_to_a_question_is_never_a_yes(to_argo: Argo, fault: str, path: str) -> None:
    async def break_questions(request: Request, reply: Reply) -> None:
        if path in request.path:
            await FAULTS[fault][0](reply)
            return
        to_argo.double.fault = None
        await to_argo.double.answer(request, reply)
        to_argo.double.fault = break_questions

    to_argo.double.fault = break_questions
    outcome = await to_argo.door().act(to_argo.order("argocd_sync"))
    assert isinstance(outcome, Refused | Again)
    assert to_argo.calls() == []


async def test_an_order_whose_answer_was_lost_is_read_back_and_not_repeated(to_argo: Argo) -> None:
    async def lose(request: Request, reply: Reply) -> None:
        to_argo.double.fault = None
        if request.method == "POST":
            await to_argo.double.answer(request, _Deaf())  # type: ignore[arg-type]
            await _half(reply)
        else:
            await to_argo.double.answer(request, reply)
            to_argo.double.fault = lose

    to_argo.double.fault = lose
    outcome = await to_argo.door().act(to_argo.order("argocd_sync"))
    assert isinstance(outcome, Acted), outcome
    assert (outcome.resumed, len(to_argo.calls())) == (True, 1)


async def test_a_rollback_whose_answer_was_lost_is_not_guessed(to_argo: Argo) -> None:
    to_argo.holds(app(health="Degraded"))

    async def lose(request: Request, reply: Reply) -> None:
        to_argo.double.fault = None
        if request.method == "POST":
            await to_argo.double.answer(request, _Deaf())  # type: ignore[arg-type]
            await _half(reply)
        else:
            await to_argo.double.answer(request, reply)
            to_argo.double.fault = lose

    to_argo.double.fault = lose
    outcome = await to_argo.door().act(to_argo.order("argocd_rollback", entry=2))
    assert isinstance(outcome, Unknown), outcome
    assert len(to_argo.calls()) == 1


class _Deaf:
    """A reply that nobody hears."""

    async def json(self, status: int, value: object) -> None: ...

    async def send(self, status: int, body: bytes, **_: object) -> None: ...


# Argo CD: the way back


async def test_a_rollback_is_taken_back_by_another_one(to_argo: Argo) -> None:
    to_argo.holds(app(health="Degraded"))
    order = to_argo.order("argocd_rollback", entry=2)
    assert isinstance(await to_argo.door().act(order), Acted)
    going = await to_argo.door().undo(order.action_id, INCIDENT)
    _carry_out(to_argo, OLD, 2)
    undone = await to_argo.door().undo(order.action_id, INCIDENT)
    assert isinstance(going, Refused | Again), "while it is carried out nothing stands that could be taken back"
    assert isinstance(undone, UndoneBy), undone
    assert undone.by == "inverse"
    assert [json.loads(r.body)["id"] for r in to_argo.calls()] == [2, 3]
    found = await to_argo.at.real.action(undo_id_of(order.action_id))
    assert found is not None
    assert found.state is ActionState.APPLIED


async def test_what_somebody_deployed_meanwhile_is_theirs(to_argo: Argo) -> None:
    to_argo.holds(app(health="Degraded"))
    order = to_argo.order("argocd_rollback", entry=2)
    assert isinstance(await to_argo.door().act(order), Acted)
    _carry_out(to_argo, "e5" * 20, 2)
    refused = await to_argo.door().undo(order.action_id, INCIDENT)
    assert isinstance(refused, Refused)
    assert (refused.code, len(to_argo.calls())) == (R.ROLLBACK_CONFLICT, 1)


@pytest.mark.parametrize("tool", ["argocd_refresh", "argocd_sync"])
async def test_what_only_restores_the_declaration_leaves_nothing_to_take_back(to_argo: Argo, tool: str) -> None:
    order = to_argo.order(tool, **CASES[tool][0])
    assert isinstance(await to_argo.door().act(order), Acted)
    undone = await to_argo.door().undo(order.action_id, INCIDENT)
    assert isinstance(undone, UndoneBy), undone
    assert (undone.by, len(to_argo.calls())) == ("controller", 1)


async def test_a_sync_that_fails_does_not_keep_its_promise(to_argo: Argo) -> None:
    order = to_argo.order("argocd_sync")
    assert isinstance(await to_argo.door().act(order), Acted)
    assert await to_argo.door().check_postcondition(order) is None
    ordered = to_argo.live.pop("operation")
    state = operation_state("Failed", message="one or more objects failed to apply")
    to_argo.live["status"]["operationState"] = {**state, "operation": ordered}
    refused = await to_argo.door().check_postcondition(order)
    assert refused is not None
    assert refused.code is R.REMOTE_FAILED
    assert "failed to apply" in refused.reason


def _carry_out(to_argo: Argo, revision: str, number: int) -> None:
    """Argo CD does what was ordered last."""
    live = to_argo.live
    live.pop("operation", None)
    live["status"]["operationState"] = {**succeeded(revision), "startedAt": "2026-03-01T13:00:00Z"}
    source = live["status"]["history"][number - 1]["source"]
    live["status"]["history"].append({"id": 4, "revision": revision, "source": source})


# scripts


@dataclass
class Local:
    """A door that leads to a folder of scripts."""

    at: Setting
    shelf: Shelf
    out: Path

    def door(self, policy: Policy = TRUSTING) -> Door:
        runner = ScriptRunner({}, user=self.shelf.user, work_dir=self.out)
        enabled = registry.executors(["run_script"], scripts=self.shelf.folder)
        port = ScriptPort(self.shelf.folder, runner)
        return self.at.door(policy=policy, executors=enabled, remotes={"script": port})

    def order(self, script: str = "job", *, approved: bool = True, fails: bool = True, **arguments: object) -> Order:
        action = registry.parse(
            "run_script",
            {
                "kind": "Deployment",
                "namespace": "shop",
                "name": "web",
                "script": script,
                "arguments": [{"name": name, "value": value} for name, value in arguments.items()],
            },
        )
        return context(scope=(pin(WEB, web()),), approved=approved, shows_failure=fails).order(action)

    def runs(self) -> list[str]:
        found = self.out / "log"
        return found.read_text().split() if found.exists() else []


@pytest.fixture
async def to_scripts(tmp_path: Path) -> AsyncIterator[Local]:
    folder = tmp_path / "scripts"
    folder.mkdir(mode=0o755)
    with _open_folder() as out:
        async with setting(tmp_path / "ledger.db") as at:
            yield Local(at, Shelf(folder), out)


@contextmanager
def _open_folder() -> Iterator[Path]:
    """Scripts have another user, and nobody else gets into pytest's own folders."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def _says(to: Local, word: str, code: int = 0) -> str:
    return f"echo {word} >> {to.out}/log; exit {code}"


@linux
async def test_a_script_runs_once_verifies_and_is_undone_by_its_own(to_scripts: Local) -> None:
    to = to_scripts
    undo, verify = (to.shelf.program(_says(to, word), f"{word}.sh") for word in ("undo", "verify"))
    to.shelf.add(_says(to, "run"), undo=undo, verify=verify)
    order = to.order()
    assert isinstance(await to.door().assess(order), Ready)
    assert to.runs() == []
    outcomes = [await to.door().act(order) for _ in range(2)]
    assert all(isinstance(outcome, Acted) for outcome in outcomes), outcomes
    assert to.runs() == ["run", "verify"]
    assert await to.door().check_postcondition(order) is None
    undone = [await to.door().undo(order.action_id, INCIDENT) for _ in range(2)]
    assert all(isinstance(u, UndoneBy) and u.by == "inverse" for u in undone), undone
    assert to.runs() == ["run", "verify", "undo"]


@linux
@pytest.mark.parametrize("purpose", ["run", "verify"])
async def test_a_script_that_fails_has_happened_and_did_not_help(to_scripts: Local, purpose: str) -> None:
    to = to_scripts
    verify = to.shelf.program(_says(to, "verify", 3 if purpose == "verify" else 0), "verify.sh")
    undo = to.shelf.program(_says(to, "undo"), "undo.sh")
    to.shelf.add(_says(to, "run", 3 if purpose == "run" else 0), verify=verify, undo=undo)
    order = to.order()
    assert isinstance(await to.door().act(order), Acted)
    refused = await to.door().check_postcondition(order)
    assert refused is not None
    assert refused.code is R.REMOTE_FAILED
    assert "exit code 3" in refused.reason
    assert isinstance(await to.door().undo(order.action_id, INCIDENT), UndoneBy)


@linux
async def test_an_undo_that_fails_is_said_and_not_tried_again(to_scripts: Local) -> None:
    to = to_scripts
    to.shelf.add(_says(to, "run"), undo=to.shelf.program(_says(to, "undo", 1), "undo.sh"))
    order = to.order()
    assert isinstance(await to.door().act(order), Acted)
    first = await to.door().undo(order.action_id, INCIDENT)
    again = await to.door().undo(order.action_id, INCIDENT)
    assert isinstance(first, Refused)
    assert isinstance(again, Refused)
    assert (first.code, again.code) == (R.REMOTE_FAILED, R.UNKNOWN_OUTCOME)
    assert to.runs() == ["run", "undo"]


@linux
async def test_after_a_crash_in_the_middle_nobody_guesses(to_scripts: Local) -> None:
    """The next one finds the intent, and a run leaves no mark by which it could be told whether it happened."""
    to = to_scripts
    to.shelf.add(_says(to, "run"))
    order = to.order()
    to.at.ledger.broken["conclude"] = LedgerError("the disk is full")
    assert isinstance(await to.door().act(order), Again)
    del to.at.ledger.broken["conclude"]
    outcome = await to.door().act(order)
    assert isinstance(outcome, Unknown), outcome
    assert (outcome.refusal.code, to.runs()) == (R.UNKNOWN_OUTCOME, ["run"])


@linux
@pytest.mark.parametrize(
    ("why", "change", "said"),
    [
        (
            "its file was changed",
            lambda to: (to.shelf.folder / "job.sh").write_text("#!/bin/sh\n:\n"),
            "SCRIPT_UNKNOWN",
        ),
        ("its manifest is gone", lambda to: (to.shelf.folder / "job.yaml").unlink(), "SCRIPT_UNKNOWN"),
        ("it is for other kinds", lambda to: to.shelf.add(":", kinds=["StatefulSet"]), "StatefulSet"),
        ("it takes no such argument", None, "region"),
    ],
)
async def test_what_the_folder_does_not_permit_is_refused_before_anything_runs(
    to_scripts: Local, why: str, change: Callable[[Local], object] | None, said: str
) -> None:
    to = to_scripts
    to.shelf.add(_says(to, "run"))
    if change is not None:
        change(to)
    order = to.order() if change is not None else to.order(region="eu")
    refused = await to.door().act(order)
    assert isinstance(refused, Refused), why
    assert (refused.code, to.runs()) == (R.REMOTE_REFUSED, [])
    assert said in refused.reason


@linux
@pytest.mark.parametrize(
    ("why", "policy", "has_undo", "fails", "mode"),
    [
        ("trusted, with a way back", TRUSTING, True, True, Mode.AUTO),
        ("not trusted", AUTO, True, True, Mode.APPROVE),
        ("no way back", TRUSTING, False, True, Mode.APPROVE),
        ("nothing fails", TRUSTING, True, False, Mode.APPROVE),
    ],
)
async def test_who_must_agree(  # noqa: PLR0917 - one column each
    to_scripts: Local, why: str, policy: Policy, has_undo: bool, fails: bool, mode: Mode
) -> None:
    to = to_scripts
    more: dict[str, Any] = {"undo": to.shelf.program(_says(to, "undo"), "undo.sh")} if has_undo else {}
    to.shelf.add(_says(to, "run"), **more)
    found = await to.door(policy).assess(to.order(approved=False, fails=fails))
    assert isinstance(found, Ready), found
    assert found.mode is mode, why
