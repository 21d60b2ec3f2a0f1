"""Plays one fault: it is made, selfheal's incident is followed line by line, a person answers, and the end is judged.

The rule: what is told is what the service recorded (its ledger, its HTTP answers), not what the demo expects; every
wait has an end in simulated time.  Neighbours: `faults`, `stage`, `screen`, `judge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rich.text import Text

from evals.demo.faults import Fault, restore
from evals.demo.judge import differences, strays
from evals.demo.screen import Screen
from evals.demo.shop import NAMESPACE
from evals.demo.stage import KNOWN_GOOD_SECONDS, Healer, Speed, Stage, all_ready
from server.account import Account
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_str
from tools.ledger.records import AuditEntry
from tools.refs import IncidentId

OPENS_WITHIN: Final = 90.0
ENDS_WITHIN: Final = 300.0
"""Simulated seconds, and never less than the real time that computing takes."""
MOST_FIELDS: Final = 6
"""Fields of a step's diff that are shown; a rollback also changes bookkeeping."""


class Stuck(Exception):
    """Something that had to come did not.  The message says what."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One fault as it ended."""

    fault: Fault
    account: Account | None
    wrong: tuple[str, ...]
    """What is not as it had to be."""

    @property
    def status(self) -> str:
        """The incident's end, in a word."""
        return self.account.status if self.account is not None else "nothing"

    @property
    def seconds(self) -> float | None:
        """Simulated seconds from the signal to the recovery; None when it did not recover."""
        return self.account.seconds.signal_to_recovered if self.account is not None else None


@dataclass(slots=True)
class Play:
    """The players, and what was shown already."""

    stage: Stage
    healer: Healer
    screen: Screen
    _read: int = field(default=0)
    """The number of the last line of the trail that was told."""
    _told: tuple[str, str] = field(default=("", ""))

    async def perform(self, fault: Fault) -> Chapter:
        """Play one fault to its end and leave the shop whole, whatever came of it."""
        await self._known_good(fault)
        self._read = (await self.healer.service.ports.ledger.audit_head()).seq
        began = self.stage.sim.clock.now()
        known = len(self._revisions(fault))
        await fault.change(self.stage.sim)
        account: Account | None = None
        try:
            incident = await self._opened(fault, began)
            account = await self._followed(incident, fault, began)
            wrong = differences(account, fault.ending) or await self._wholeness(fault, known=known)
        except (Stuck, TimeoutError) as error:
            wrong = [str(error)]
        chapter = Chapter(fault, account, tuple(wrong))
        self._conclude(chapter)
        if fault.repair or wrong:
            await self._repair(fault)
        return chapter

    async def _known_good(self, fault: Fault) -> None:
        """Wait until the service has seen what is running work for long enough to call it good."""
        self.screen.now(f"{fault.workload.name} proves itself: a revision is good after 30 s without a restart")
        live = self.stage.sim.get(fault.workload.kind, NAMESPACE, fault.workload.name)
        uid, ledger = dig_str(live, "metadata", "uid"), self.healer.service.ports.ledger
        for _ in range(self._looks(KNOWN_GOOD_SECONDS * 2)):
            if await ledger.good_revisions(uid):
                return
            await asyncio.sleep(self.stage.speed.look)
        raise Stuck(f"{fault.workload.name} did not become last known good")

    async def _opened(self, fault: Fault, began: datetime) -> IncidentId:
        """The incident of the fault, by the service's own list."""
        self.screen.now("waiting for a signal")
        for _ in range(self._looks(OPENS_WITHIN)):
            answer = (await self.healer.http.get("/incidents", params={"namespace": NAMESPACE})).json()
            for line in dig_list(answer, "incidents"):
                opened = datetime.fromisoformat(dig_str(line, "opened_at"))
                if opened >= began and dig_str(line, "target", "name") == fault.workload.name:
                    self._show_pods(fault, (opened - began).total_seconds())
                    return IncidentId(dig_str(line, "id"))
            await asyncio.sleep(self.stage.speed.look)
        raise Stuck("no incident was opened")

    def _show_pods(self, fault: Fault, seconds: float) -> None:
        """The pods as they fail; in virtual time they may be healed already, within the same moment."""
        if not self.stage.speed.is_virtual:
            self.screen.line(seconds, "pods", "as kubectl lists them when selfheal opens its incident:")
            self.screen.pods(self.stage, fault.workload)

    async def _followed(self, incident: IncidentId, fault: Fault, began: datetime) -> Account:
        """Tell each line as it is written, answer when asked, and return the account in the end."""
        self.screen.now(f"incident {incident} on {fault.workload.name}")
        is_answered = False
        for _ in range(self._looks(ENDS_WITHIN)):
            account = await self._account(incident)
            await self._tell(incident, began)
            self.screen.mark(fault.workload, account.status)
            if not account.is_open:
                return account
            if account.question is not None and not is_answered:
                is_answered = True
                await self._approve(account)
            await asyncio.sleep(self.stage.speed.look)
        raise Stuck("the incident did not end")

    async def _account(self, incident: IncidentId) -> Account:
        answer = await self.healer.http.get(f"/incidents/{incident}")
        answer.raise_for_status()
        return Account.model_validate_json(answer.content)

    async def _tell(self, incident: IncidentId, began: datetime) -> None:
        for entry in await self.healer.service.ports.ledger.audit(incident_id=incident, since_seq=self._read):
            self._read = entry.seq
            told = (entry.phase, entry.sentence)
            if told == self._told or (entry.phase == "close" and not entry.code):
                continue  # the door and the node say the same of an undo; the verdict says the end shorter
            self._told = told
            self.screen.line((entry.at - began).total_seconds(), entry.phase, entry.sentence, entry.code)
            self.screen.diff(diff_of(entry))

    async def _approve(self, account: Account) -> None:
        """Say yes as the person on call would, by HTTP, to exactly the plan that was shown."""
        question = account.question
        if question is None:
            return
        self.screen.say(
            Text("A person is asked.  Nobody is here, so this demo answers for you, by HTTP, as you would:", "yellow"),
            f'POST /incidents/{account.id}/approve  {{"plan_hash": "{question.plan_hash}"}}',
        )
        answer = await self.healer.http.post(f"/incidents/{account.id}/approve", json={"plan_hash": question.plan_hash})
        if answer.status_code != 202:
            raise Stuck(f"the approval was answered {answer.status_code}: {answer.text}")

    async def _wholeness(self, fault: Fault, *, known: int) -> list[str]:
        """What is not as the owners wrote it, where selfheal had to make it so.

        `known` revisions were there before, and the fault made one.  One more would mean that an undo put back
        something else than what it had found.
        """
        if not fault.ending.whole:
            return []
        await self.stage.sim.until(
            lambda: self.stage.sim.ready(fault.workload.kind, NAMESPACE, fault.workload.name),
            seconds=self.stage.speed.at_least_real(30),
        )
        live = self.stage.sim.get(fault.workload.kind, NAMESPACE, fault.workload.name)
        found = [f"{fault.workload.name} is left with another {name}" for name in strays(live, fault)]
        if fault.ending.undone and len(self._revisions(fault)) != known + 1:
            found.append(f"the undo was not exact: {len(self._revisions(fault))} revisions and not {known + 1}")
        return found

    def _revisions(self, fault: Fault) -> list[JsonObject]:
        """The templates the workload ever had, as its ReplicaSets."""
        owned = self.stage.sim.all_of("ReplicaSet", NAMESPACE)
        return [r for r in owned if dig_str(r, "metadata", "labels", "app") == fault.workload.name]

    async def _repair(self, fault: Fault) -> None:
        """What selfheal did not do, a person does: the next fault begins with a whole shop."""
        self.screen.say(
            Text.assemble(
                ("A person repairs it: ", "dim"), fault.repair or f"kubectl apply -f {fault.workload.name}.yaml"
            )
        )
        await restore(self.stage.sim, fault)
        await all_ready(self.stage)

    def _conclude(self, chapter: Chapter) -> None:
        account = chapter.account
        sentence = chapter.fault.title if account is None else _times(chapter, self.stage.speed)
        self.screen.verdict(chapter.status, sentence, as_expected=not chapter.wrong)
        for wrong in chapter.wrong:
            self.screen.say(Text(f"  {wrong}", "red"))

    def _looks(self, simulated: float) -> int:
        return int(self.stage.speed.at_least_real(simulated) / self.stage.speed.factor / self.stage.speed.look) + 1


def diff_of(entry: AuditEntry) -> Sequence[tuple[str, str, str]]:
    """The fields a dry run says would change, without the bookkeeping of selfheal and the controllers; pure."""
    rows = [r for r in dig_list(entry.data, "diff") if "metadata.annotations" not in dig_str(r, "field")]
    told = [(dig_str(r, "field") or dig_str(r, "path"), _value(r, "before"), _value(r, "after")) for r in rows]
    more = len(told) - MOST_FIELDS
    return [*told[:MOST_FIELDS], *([(f"and {more} more", "", "")] if more > 0 else [])]


def _value(row: JsonValue, name: str) -> str:
    value = dig(row, name)
    return "(not there)" if value in {None, "null"} else str(value)


def _times(chapter: Chapter, speed: Speed) -> str:
    """Time to heal, in both kinds of seconds; why not, where it was not healed."""
    account = chapter.account
    if account is None:
        return ""
    if chapter.seconds is None:
        code = account.result.resolution.code if account.result is not None else None
        wrote = "nothing was written" if not account.actions else f"{len(account.actions)} writes"
        return f"{code}; {wrote}" if code is not None else wrote
    told = f"{chapter.seconds:.1f} simulated seconds after the signal"
    if speed.is_virtual:
        return told
    factor, first = speed.factor, account.seconds.detection_to_first_write
    told += f" ({chapter.seconds / factor:.1f} s on your clock)"
    if first is not None and not chapter.fault.ending.asked:
        told += f"; from certainty to the first write selfheal took {first / factor:.2f} s of real time"
    return told
