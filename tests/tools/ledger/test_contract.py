"""What every ledger promises, whatever it is kept in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.tools.ledger.samples import FIRST, MINUTE, NODE, NOW, WEB, entry, good, incident, intent, plan, request
from tools.errors import Conflict, Permanent
from tools.jsontypes import JsonObject
from tools.ledger.errors import Contradiction, KeyReused, LedgerError, NoSuchEntry
from tools.ledger.ledger import Ledger
from tools.ledger.records import ActionState, InboxState, IncidentRecord
from tools.ledger.standing import EVERYWHERE
from tools.refs import ActionId, IncidentId, PlanId

TTL = timedelta(seconds=30)


class TestInbox:
    async def test_what_is_accepted_waits_and_reads_back_as_it_came(self, ledger: Ledger) -> None:
        accepted = await ledger.accept(request())
        assert await ledger.waiting() == [accepted] == [request()]

    async def test_waiting_is_oldest_first_and_leaves_out_what_was_looked_at(self, ledger: Ledger) -> None:
        for id in ("c", "a", "b", "d"):
            await ledger.accept(request(id))
        await ledger.open_incident(incident())
        await ledger.link("a", FIRST)
        await ledger.discard("d", "nothing is wrong")
        assert [found.id for found in await ledger.waiting()] == ["c", "b"]

    async def test_the_same_key_and_body_gives_the_stored_entry_as_it_stands_now(self, ledger: Ledger) -> None:
        await ledger.accept(request("first", key="k"))
        await ledger.open_incident(incident())
        await ledger.link("first", FIRST)
        again = await ledger.accept(request("second", key="k"))
        assert (again.id, again.state, again.incident_id) == ("first", InboxState.LINKED, FIRST)
        assert await ledger.waiting() == []

    async def test_the_same_key_with_another_body_is_refused(self, ledger: Ledger) -> None:
        await ledger.accept(request("first", key="k"))
        with pytest.raises(KeyReused) as refused:
            await ledger.accept(request("second", key="k", body_hash="h2"))
        assert isinstance(refused.value, Conflict)
        assert [found.id for found in await ledger.waiting()] == ["first"]

    async def test_keys_of_different_callers_and_missing_keys_do_not_meet(self, ledger: Ledger) -> None:
        await ledger.accept(request("a", key="k", caller="one"))
        await ledger.accept(request("b", key="k", caller="two", body_hash="h2"))
        await ledger.accept(request("c", body_hash="h3"))
        await ledger.accept(request("d", body_hash="h4"))
        assert len(await ledger.waiting()) == 4

    async def test_the_same_id_is_accepted_once(self, ledger: Ledger) -> None:
        await ledger.accept(request("a"))
        await ledger.accept(request("a"))
        with pytest.raises(KeyReused):
            await ledger.accept(request("a", body_hash="h2"))
        assert len(await ledger.waiting()) == 1

    async def test_link_and_discard_repeat_safely_and_do_not_override_each_other(self, ledger: Ledger) -> None:
        await ledger.accept(request("a"))
        await ledger.accept(request("b"))
        await ledger.open_incident(incident())
        for _ in range(2):
            await ledger.link("a", FIRST)
            await ledger.discard("b", "why")
        with pytest.raises(Contradiction):
            await ledger.discard("a", "why")
        with pytest.raises(Contradiction):
            await ledger.link("b", FIRST)

    async def test_what_is_not_there_is_an_error(self, ledger: Ledger) -> None:
        with pytest.raises(NoSuchEntry):
            await ledger.discard("nobody", "why")
        await ledger.accept(request("a"))
        with pytest.raises(LedgerError):
            await ledger.link("a", IncidentId("never opened"))
        assert len(await ledger.waiting()) == 1


class TestIncidents:
    async def test_a_target_has_at_most_one_open_incident(self, ledger: Ledger) -> None:
        first, created = await ledger.open_incident(incident())
        assert (first, created) == (incident(), True)
        assert await ledger.open_incident(incident("inc-2")) == (first, False)
        assert await ledger.incident(IncidentId("inc-2")) is None
        assert await ledger.open_for("uid-web") == first

    async def test_opening_the_same_id_again_gives_what_became_of_it(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        closed = await _close(ledger, FIRST)
        assert await ledger.open_incident(incident()) == (closed, False)

    async def test_after_closing_another_may_open(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        closed = await _close(ledger, FIRST)
        assert (closed.is_open, closed.closed_at, closed.status) == (False, NOW + MINUTE, "closed")
        assert await ledger.open_for("uid-web") is None
        _, created = await ledger.open_incident(incident("inc-2"))
        assert created

    async def test_a_closed_incident_stays_closed_and_keeps_its_time(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        await _close(ledger, FIRST)
        again = await ledger.save_incident(FIRST, status="x", is_open=False, document={}, now=NOW + 2 * MINUTE)
        assert (again.closed_at, again.updated_at) == (NOW + MINUTE, NOW + 2 * MINUTE)
        with pytest.raises(Contradiction):
            await ledger.save_incident(FIRST, status="x", is_open=True, document={}, now=NOW)

    async def test_saving_keeps_the_earlier_result_unless_a_new_one_comes(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        one: JsonObject = {"a": 1}
        for given, kept in ((None, None), (one, one), (None, one), ({}, {})):
            saved = await ledger.save_incident(FIRST, status="s", is_open=True, document={}, result=given, now=NOW)
            assert saved.result == kept == (await ledger.incident(FIRST) or saved).result

    async def test_what_is_not_open_cannot_be_opened_or_saved(self, ledger: Ledger) -> None:
        with pytest.raises(ValueError, match="closed"):
            await ledger.open_incident(incident().model_copy(update={"is_open": False}))
        with pytest.raises(NoSuchEntry):
            await ledger.save_incident(FIRST, status="s", is_open=True, document={}, now=NOW)

    async def test_listing_filters_and_pages_newest_first(self, ledger: Ledger) -> None:
        for number in range(5):  # opened at one moment, as in virtual time
            await ledger.open_incident(incident(f"web-{number}", uid=f"u{number}", status=f"s{number % 2}"))
        await ledger.open_incident(incident("node", uid="n", target=NODE))
        await _close(ledger, IncidentId("web-1"))

        async def ids(**wanted: object) -> list[str]:
            return [found.id for found in await ledger.incidents(**wanted)]  # type: ignore[arg-type]

        assert await ids() == ["node", "web-4", "web-3", "web-2", "web-1", "web-0"]
        assert await ids(limit=2) == ["node", "web-4"]
        assert await ids(limit=2, before=IncidentId("web-4")) == ["web-3", "web-2"]
        assert await ids(namespace="shop", status="s0") == ["web-4", "web-2", "web-0"]
        assert await ids(open_only=True, target=WEB) == ["web-4", "web-3", "web-2", "web-0"]
        assert await ids(target=NODE) == ["node"]
        assert await ids(namespace="other") == []
        with pytest.raises(NoSuchEntry):
            await ids(before=IncidentId("never"))

    async def test_recent_counts_from_the_given_moment_on(self, ledger: Ledger) -> None:
        for number in range(3):
            await ledger.open_incident(incident(f"i{number}", opened_at=NOW + number * MINUTE))
            await _close(ledger, IncidentId(f"i{number}"))
        assert [found.id for found in await ledger.recent("uid-web", NOW + MINUTE)] == ["i2", "i1"]
        assert await ledger.recent("another", NOW) == []

    async def test_a_document_is_kept_once_under_its_digest(self, ledger: Ledger) -> None:
        body: JsonObject = {"b": [1, 1.5, None, True, "ü\u0000"], "a": {}}
        key = await ledger.put_document("evidence", body, NOW)
        assert key == await ledger.put_document("evidence", dict(reversed(body.items())), NOW + MINUTE)
        assert await ledger.document(key) == body
        assert await ledger.document("0" * 64) is None


class TestActions:
    async def test_an_intent_is_unfinished_until_it_is_concluded(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        recorded = await ledger.intend(intent())
        assert (recorded.intent, recorded.state, recorded.concluded_at) == (intent(), ActionState.INTENDED, None)
        assert await ledger.unfinished() == [recorded]
        await ledger.conclude(
            ActionId("act-1"), ActionState.APPLIED, now=NOW + MINUTE, code="OK", note="done", audit_id="aud-1"
        )
        assert await ledger.unfinished() == []
        found = await ledger.action(ActionId("act-1"))
        assert found is not None
        assert (found.state, found.concluded_at, found.code, found.note, found.audit_id, found.verified) == (
            ActionState.APPLIED, NOW + MINUTE, "OK", "done", "aud-1", None,
        )  # fmt: skip

    async def test_the_same_intent_again_changes_nothing_and_shows_what_became_of_it(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        await ledger.intend(intent())
        later = intent(created_at=NOW + MINUTE)
        assert (await ledger.intend(later)).intent.created_at == NOW
        await ledger.conclude(ActionId("act-1"), ActionState.APPLIED, now=NOW)
        assert (await ledger.intend(later)).state is ActionState.APPLIED
        assert len(await ledger.actions_of(FIRST)) == 1

    async def test_other_content_under_the_same_id_is_an_error(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        await ledger.intend(intent())
        with pytest.raises(Contradiction):
            await ledger.intend(intent(replicas=3))
        assert [found.intent for found in await ledger.actions_of(FIRST)] == [intent()]

    async def test_what_did_not_happen_may_be_intended_again_and_is_unfinished_again(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        await ledger.intend(intent())
        await ledger.conclude(ActionId("act-1"), ActionState.NOT_APPLIED, now=NOW, code="API_OVERLOADED", note="429")
        again = await ledger.intend(intent())
        assert (again.state, again.concluded_at, again.code) == (ActionState.INTENDED, None, "")
        assert await ledger.unfinished() == [again]

    @pytest.mark.parametrize(
        ("first", "then", "is_allowed"),
        [
            (ActionState.APPLIED, ActionState.APPLIED, True),
            (ActionState.APPLIED, ActionState.NOT_APPLIED, False),
            (ActionState.APPLIED, ActionState.UNKNOWN, False),
            (ActionState.NOT_APPLIED, ActionState.APPLIED, False),
            (ActionState.UNKNOWN, ActionState.APPLIED, True),
            (ActionState.UNKNOWN, ActionState.NOT_APPLIED, True),
        ],
    )
    async def test_an_outcome_is_not_rewritten_unless_it_was_unknown(
        self, ledger: Ledger, first: ActionState, then: ActionState, is_allowed: bool
    ) -> None:
        await ledger.open_incident(incident())
        await ledger.intend(intent())
        await ledger.conclude(ActionId("act-1"), first, now=NOW)
        if is_allowed:
            await ledger.conclude(ActionId("act-1"), then, now=NOW + MINUTE)
        else:
            with pytest.raises(Contradiction):
                await ledger.conclude(ActionId("act-1"), then, now=NOW + MINUTE)
        found = await ledger.action(ActionId("act-1"))
        assert found is not None
        assert found.state is (then if is_allowed else first)

    async def test_only_what_was_applied_can_be_undone(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        await ledger.intend(intent())
        with pytest.raises(Contradiction):
            await ledger.mark_undone(ActionId("act-1"), NOW)
        await ledger.conclude(ActionId("act-1"), ActionState.APPLIED, now=NOW)
        for _ in range(2):
            await ledger.mark_undone(ActionId("act-1"), NOW + MINUTE)
        found = await ledger.action(ActionId("act-1"))
        assert found is not None
        assert (found.state, found.concluded_at) == (ActionState.UNDONE, NOW)

    async def test_what_was_never_intended_has_no_outcome(self, ledger: Ledger) -> None:
        with pytest.raises(NoSuchEntry):
            await ledger.conclude(ActionId("no"), ActionState.APPLIED, now=NOW)
        with pytest.raises(ValueError, match="mark_undone"):
            await ledger.conclude(ActionId("no"), ActionState.UNDONE, now=NOW)
        with pytest.raises(LedgerError):  # no incident: nobody would ever look at it again
            await ledger.intend(intent())
        assert await ledger.action(ActionId("act-1")) is None

    async def test_a_verdict_belongs_to_every_action_of_the_plan(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        for id, plan_id in (("a", "p"), ("b", "p"), ("c", "q")):
            await ledger.intend(intent(id, plan_id=plan_id))
        await ledger.mark_verified(PlanId("p"), healed=False)
        assert [found.verified for found in await ledger.actions_of(FIRST)] == [False, False, None]

    async def test_failed_attempts_are_what_was_made_and_did_not_heal(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        for id, state in (("a", ActionState.APPLIED), ("b", ActionState.NOT_APPLIED), ("c", ActionState.UNKNOWN)):
            await ledger.intend(intent(id))
            await ledger.conclude(ActionId(id), state, now=NOW)
        await ledger.intend(intent("undo", undoes="a"))
        await ledger.conclude(ActionId("undo"), ActionState.APPLIED, now=NOW)
        await ledger.mark_undone(ActionId("a"), NOW)
        assert await ledger.failed_attempts(FIRST) == []
        await ledger.mark_verified(PlanId("plan-1"), healed=False)
        assert [found.intent.action_id for found in await ledger.failed_attempts(FIRST)] == ["a", "c"]

    async def test_latest_verdicts_count_plans_not_writes(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        for plan_id, healed in (("p", True), ("q", False), ("r", True), ("open", None)):
            for step in range(2):
                await ledger.intend(intent(f"{plan_id}{step}", plan_id=plan_id))
            if healed is not None:
                await ledger.mark_verified(PlanId(plan_id), healed=healed)
        assert await ledger.latest_verdicts() == [True, False, True]
        assert await ledger.latest_verdicts(2) == [True, False]

    async def test_actions_on_an_owner_count_from_the_given_moment_on(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        for number in range(3):
            await ledger.intend(intent(f"a{number}", created_at=NOW + number * MINUTE))
        await ledger.intend(intent("other", owner_uid="uid-db", created_at=NOW + MINUTE))
        found = await ledger.actions_on("uid-web", NOW + MINUTE)
        assert [one.intent.action_id for one in found] == ["a1", "a2"]


class TestBudgets:
    async def test_a_plan_counts_once(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        for moment in (NOW, NOW + MINUTE):
            await ledger.start_plan(plan(started_at=moment))
        assert await ledger.plans_since(NOW) == 1
        assert await ledger.last_plan("uid-web") == plan()
        with pytest.raises(Contradiction):
            await ledger.start_plan(plan(owner_uid="uid-db"))

    async def test_plans_count_by_owner_namespace_and_time(self, ledger: Ledger) -> None:
        await ledger.open_incident(incident())
        await ledger.start_plan(plan("a", started_at=NOW + MINUTE))
        await ledger.start_plan(plan("b", started_at=NOW))
        await ledger.start_plan(plan("c", owner_uid="uid-db", started_at=NOW + MINUTE))
        await ledger.start_plan(plan("d", owner_uid="uid-x", namespace="bank", started_at=NOW + MINUTE))
        assert await ledger.plans_since(NOW) == 4
        assert await ledger.plans_since(NOW + MINUTE) == 3
        assert await ledger.plans_since(NOW, namespace="shop") == 3
        assert await ledger.plans_since(NOW, owner_uid="uid-web") == 2
        assert await ledger.plans_since(NOW + MINUTE, owner_uid="uid-web", namespace="shop") == 1
        newest = await ledger.last_plan("uid-web")
        assert newest is not None
        assert newest.plan_id == "a"
        assert await ledger.last_plan("nobody") is None
        assert [p.plan_id for p in await ledger.plans_of("uid-web", since=NOW)] == ["b", "a"]
        assert [p.plan_id for p in await ledger.plans_of("uid-web", since=NOW + MINUTE)] == ["a"]
        assert await ledger.plans_of("nobody", since=NOW) == []


class TestLocks:
    async def test_one_holder_at_a_time(self, ledger: Ledger) -> None:
        assert await ledger.acquire("web", "a", TTL, NOW)
        assert not await ledger.acquire("web", "b", TTL, NOW)
        assert await ledger.acquire("db", "b", TTL, NOW)
        assert await ledger.holder_of("web", NOW) == "a"
        await ledger.release("web", "b")
        assert await ledger.holder_of("web", NOW) == "a"
        await ledger.release("web", "a")
        assert await ledger.holder_of("web", NOW) is None
        assert await ledger.acquire("web", "b", TTL, NOW)

    async def test_the_holder_may_acquire_again_and_never_shortens_it(self, ledger: Ledger) -> None:
        assert await ledger.acquire("web", "a", 2 * TTL, NOW)
        assert await ledger.acquire("web", "a", TTL, NOW)
        assert await ledger.holder_of("web", NOW + TTL) == "a"

    async def test_at_its_end_a_lock_may_be_taken_and_not_be_renewed(self, ledger: Ledger) -> None:
        assert await ledger.acquire("web", "a", TTL, NOW)
        just_before, end = NOW + TTL - timedelta(microseconds=1), NOW + TTL
        assert await ledger.holder_of("web", just_before) == "a"
        assert not await ledger.acquire("web", "b", TTL, just_before)
        assert await ledger.holder_of("web", end) is None
        assert not await ledger.renew("web", "a", TTL, end)
        assert await ledger.acquire("web", "b", TTL, end)
        assert not await ledger.renew("web", "a", TTL, end)
        assert await ledger.renew("web", "b", 2 * TTL, end)
        assert await ledger.holder_of("web", end + TTL) == "b"

    async def test_a_lock_without_end_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(ValueError, match="time to live"):
            await ledger.acquire("web", "a", timedelta(0), NOW)


class TestAudit:
    async def test_entries_are_numbered_from_one_and_read_back(self, ledger: Ledger) -> None:
        assert [await ledger.record(entry(str(n), incident_id=f"i{n % 2}")) for n in range(4)] == [1, 2, 3, 4]
        told = await ledger.audit()
        assert told[0] == entry("0", incident_id="i0").model_copy(update={"seq": 1})
        assert [one.sentence for one in await ledger.audit(since_seq=2)] == ["2", "3"]
        assert [one.sentence for one in await ledger.audit(incident_id=IncidentId("i1"), limit=1)] == ["1"]
        assert await ledger.verify_audit() is None

    async def test_entries_written_at_once_form_one_chain(self, ledger: Ledger) -> None:
        given = await asyncio.gather(*(ledger.record(entry(str(n))) for n in range(40)))
        assert sorted(given) == list(range(1, 41))
        assert (await ledger.audit_head()).seq == 40
        assert await ledger.verify_audit() is None


class TestApprovals:
    async def test_a_decision_works_once(self, ledger: Ledger) -> None:
        await self._asked(ledger)
        assert await ledger.decide(FIRST, "plan", "approved", "ann", "looks right", NOW)
        assert not await ledger.decide(FIRST, "plan", "declined", "bob", "no", NOW)
        found = await ledger.approval(FIRST)
        assert found is not None
        assert (found.decision, found.decided_by, found.why, found.decided_at) == (
            "approved", "ann", "looks right", NOW,
        )  # fmt: skip

    async def test_only_the_plan_that_was_asked_about_and_before_its_end(self, ledger: Ledger) -> None:
        await self._asked(ledger)
        assert not await ledger.decide(FIRST, "another plan", "approved", "ann", "", NOW)
        assert not await ledger.decide(IncidentId("another"), "plan", "approved", "ann", "", NOW)
        assert not await ledger.decide(FIRST, "plan", "approved", "ann", "", NOW + MINUTE)
        found = await ledger.approval(FIRST)
        assert found is not None
        assert found.decision is None

    async def test_asking_again_keeps_the_answer_and_the_end(self, ledger: Ledger) -> None:
        first = await self._asked(ledger)
        again = await ledger.request_approval(FIRST, "plan", "policy", NOW + 9 * MINUTE, NOW + MINUTE)
        assert again == first
        await ledger.decide(FIRST, "plan", "declined", "ann", "", NOW)
        again = await ledger.request_approval(FIRST, "plan", "policy", NOW + 9 * MINUTE, NOW + MINUTE)
        assert again.decision == "declined"

    async def test_another_policy_voids_the_answer(self, ledger: Ledger) -> None:
        await self._asked(ledger)
        await ledger.decide(FIRST, "plan", "approved", "ann", "", NOW)
        anew = await ledger.request_approval(FIRST, "plan", "stricter", NOW + 9 * MINUTE, NOW + MINUTE)
        assert (anew.decision, anew.policy_hash) == (None, "stricter")

    async def test_the_newest_question_is_the_one_that_is_open(self, ledger: Ledger) -> None:
        await self._asked(ledger)
        await ledger.request_approval(FIRST, "plan two", "policy", NOW + MINUTE, NOW)
        found = await ledger.approval(FIRST)
        assert found is not None
        assert found.plan_hash == "plan two"
        assert await ledger.approval(IncidentId("another")) is None

    async def _asked(self, ledger: Ledger) -> object:
        await ledger.open_incident(incident())
        return await ledger.request_approval(FIRST, "plan", "policy", NOW + MINUTE, NOW)


class TestStanding:
    async def test_the_five_confirmed_last_are_kept_newest_first(self, ledger: Ledger) -> None:
        for number in range(7):
            await ledger.confirm_good(good(f"r{number}", confirmed_at=NOW + number * MINUTE))
        await ledger.confirm_good(good("r3", confirmed_at=NOW + 9 * MINUTE))
        await ledger.confirm_good(good("r6", confirmed_at=NOW))  # an older sighting changes nothing
        await ledger.confirm_good(good("x", owner_uid="uid-db"))
        assert [one.revision_hash for one in await ledger.good_revisions("uid-web")] == ["r3", "r6", "r5", "r4", "r2"]
        await ledger.forget_owner("uid-web")
        assert await ledger.good_revisions("uid-web") == []
        assert await ledger.good_revisions("uid-db") == [good("x", owner_uid="uid-db")]

    async def test_a_pause_holds_until_its_end(self, ledger: Ledger) -> None:
        assert await ledger.paused_until("shop", NOW) is None
        await ledger.pause("shop", NOW + 2 * MINUTE, "ann", NOW)
        await ledger.pause("shop", NOW + MINUTE, "ann", NOW)
        assert await ledger.paused_until("shop", NOW) == NOW + MINUTE
        assert await ledger.paused_until("bank", NOW) is None
        assert await ledger.paused_until("shop", NOW + MINUTE) is None

    async def test_pauses_that_hold_are_listed(self, ledger: Ledger) -> None:
        assert await ledger.pauses(NOW) == []
        await ledger.pause("shop", NOW + 2 * MINUTE, "ann", NOW)
        await ledger.pause("bank", NOW + MINUTE, "bob", NOW)
        held = await ledger.pauses(NOW)
        assert [(p.namespace, p.until, p.paused_by, p.paused_at) for p in held] == [
            ("bank", NOW + MINUTE, "bob", NOW),
            ("shop", NOW + 2 * MINUTE, "ann", NOW),
        ]
        assert [p.namespace for p in await ledger.pauses(NOW + MINUTE)] == ["shop"]

    async def test_a_pause_of_everything_holds_beside_single_ones(self, ledger: Ledger) -> None:
        await ledger.pause("shop", NOW + MINUTE, "ann", NOW)
        await ledger.pause(EVERYWHERE, NOW + 2 * MINUTE, "ann", NOW)
        assert await ledger.paused_until("shop", NOW) == await ledger.paused_until("bank", NOW) == NOW + 2 * MINUTE
        await ledger.unpause(EVERYWHERE)
        assert await ledger.paused_until("shop", NOW) == NOW + MINUTE
        await ledger.unpause("shop")
        assert await ledger.paused_until("shop", NOW) is None


class TestPruning:
    async def test_ended_incidents_go_with_all_that_hangs_on_them(self, ledger: Ledger) -> None:
        key = await self._lived_through(ledger, "old", NOW)
        await ledger.discard((await ledger.accept(request("bad"))).id, "why")
        gone = await ledger.prune(NOW + 5 * MINUTE)
        assert gone == {
            "approvals": 1, "plans": 1, "actions": 1, "inbox": 2, "incidents": 1, "documents": 1, "locks": 1,
            "pauses": 1, "object_versions": 0, "good_surroundings": 0, "audit": 2,
        }  # fmt: skip
        assert await ledger.document(key) is None
        assert await ledger.incidents() == []
        assert await ledger.prune(NOW + 5 * MINUTE) == dict.fromkeys(gone, 0)

    async def test_the_audit_chain_stays_whole_and_goes_on(self, ledger: Ledger) -> None:
        await self._lived_through(ledger, "old", NOW)
        await ledger.prune(NOW + 5 * MINUTE)
        assert await ledger.verify_audit() is None
        assert await ledger.record(entry()) == 3
        assert [one.seq for one in await ledger.audit()] == [3]
        assert await ledger.verify_audit() is None

    async def test_what_may_still_be_needed_stays(self, ledger: Ledger) -> None:
        key = await self._lived_through(ledger, "young", NOW)
        await ledger.open_incident(incident("open", uid="uid-open"))
        await ledger.open_incident(incident("dangling", uid="uid-dangling"))
        await ledger.intend(intent("lost", incident_id="dangling"))
        await _close(ledger, IncidentId("dangling"))
        await ledger.accept(request("unseen"))
        gone = await ledger.prune(NOW + MINUTE)
        assert gone == dict.fromkeys(gone, 0) | {"locks": 1, "pauses": 1}
        gone = await ledger.prune(NOW + 5 * MINUTE)
        assert (gone["incidents"], gone["documents"], gone["inbox"]) == (1, 0, 1)
        assert {one.id for one in await ledger.incidents()} == {"open", "dangling"}
        assert [one.intent.action_id for one in await ledger.unfinished()] == ["lost"]
        assert [one.id for one in await ledger.waiting()] == ["unseen"]
        assert await ledger.document(key) is not None

    async def test_a_document_put_again_is_young_again(self, ledger: Ledger) -> None:
        key = await ledger.put_document("k", {}, NOW)
        await ledger.put_document("k", {}, NOW + 2 * MINUTE)
        assert (await ledger.prune(NOW + MINUTE))["documents"] == 0
        assert await ledger.document(key) == {}

    async def _lived_through(self, ledger: Ledger, id: str, opened_at: datetime) -> str:
        """One incident from request to close, a minute long; the digest of its evidence."""
        incident_id = IncidentId(id)
        await ledger.accept(request(f"req-{id}"))
        await ledger.open_incident(incident(id, opened_at=opened_at))
        await ledger.link(f"req-{id}", incident_id)
        key = await ledger.put_document("evidence", {"of": id}, opened_at)
        await ledger.record(entry(incident_id=id, at=opened_at))
        await ledger.request_approval(incident_id, "plan", "policy", opened_at + MINUTE, opened_at)
        await ledger.start_plan(plan(f"plan-{id}").model_copy(update={"incident_id": incident_id}))
        await ledger.intend(intent(f"act-{id}", incident_id=id))
        await ledger.conclude(ActionId(f"act-{id}"), ActionState.APPLIED, now=opened_at)
        await ledger.acquire("web", id, TTL, opened_at)
        await ledger.pause("shop", opened_at + TTL, "ann", opened_at)
        await ledger.record(entry(incident_id=id, at=opened_at))
        await _close(ledger, incident_id)
        return key


class TestValues:
    @pytest.mark.parametrize(
        "moment",
        [
            NOW,
            NOW.astimezone(timezone(timedelta(hours=5, minutes=30))),
            datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 1, 1, 0, 0, tzinfo=timezone(-timedelta(hours=8))),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2099, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ],
        ids=str,
    )
    async def test_a_moment_comes_back_the_same_and_in_utc(self, ledger: Ledger, moment: datetime) -> None:
        opened, _ = await ledger.open_incident(incident(opened_at=moment))
        recorded = await ledger.intend(intent(created_at=moment))
        accepted = await ledger.accept(request().model_copy(update={"received_at": moment}))
        await ledger.record(entry(at=moment))
        await ledger.confirm_good(good("r", confirmed_at=moment))
        await ledger.start_plan(plan(started_at=moment))
        counted = await ledger.last_plan("uid-web")
        assert counted is not None
        back = [
            opened.opened_at, recorded.intent.created_at, accepted.received_at, (await ledger.waiting())[0].received_at,
            (await ledger.audit())[0].at, (await ledger.good_revisions("uid-web"))[0].confirmed_at, counted.started_at,
        ]  # fmt: skip
        assert back == [moment] * len(back)
        assert {one.utcoffset() for one in back} == {timedelta(0)}

    async def test_moments_in_different_zones_are_compared_as_moments(self, ledger: Ledger) -> None:
        east = timezone(timedelta(hours=9))
        await ledger.open_incident(incident(opened_at=NOW.astimezone(east)))
        assert len(await ledger.recent("uid-web", NOW)) == 1
        assert await ledger.recent("uid-web", (NOW + MINUTE).astimezone(east)) == []

    async def test_a_time_without_a_zone_is_refused(self, ledger: Ledger) -> None:
        naive = NOW.replace(tzinfo=None)
        await ledger.open_incident(incident())
        for call in (
            ledger.put_document("k", {}, naive),
            ledger.intend(intent(created_at=naive)),
            ledger.record(entry(at=naive)),
            ledger.acquire("k", "h", TTL, naive),
            ledger.open_incident(incident("i", uid="u", opened_at=naive)),
            ledger.plans_since(naive),
        ):
            with pytest.raises(ValueError, match="time zone"):
                await call

    async def test_half_a_surrogate_pair_is_refused_and_leaves_nothing(self, ledger: Ledger) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            await ledger.put_document("k", {"a": "\ud800"}, NOW)
        assert await ledger.prune(NOW + MINUTE) == dict.fromkeys(await ledger.prune(NOW), 0)


async def test_a_closed_ledger_says_so(url: str) -> None:
    ledger = await Ledger.open(url)
    await ledger.close()
    await ledger.close()
    with pytest.raises(LedgerError, match="closed") as told:
        await ledger.waiting()
    assert isinstance(told.value, Permanent)
    assert told.value.code == "LEDGER_UNAVAILABLE"


async def _close(ledger: Ledger, id: IncidentId) -> IncidentRecord:
    return await ledger.save_incident(id, status="closed", is_open=False, document={}, now=NOW + MINUTE)
