"""One scenario in its namespace, from nothing to a verdict; `lanes` runs several side by side.

Rule: **recovered** is the first look at which every check held and from which on all held, for `stable` seconds and
until the healer has closed its incidents: what it takes back afterwards is no healing.  A look counts only after the
fault has been seen, so that a fault that does not show is an error and no success.  What the
healer wrote is read from the API server's audit trail alone, never from its words.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tests.cluster.audit import Write
from tests.cluster.checks import CanI, ExecOk, HttpOk, LikeBefore, placed
from tests.cluster.client import WAITING, Incident, ServiceError
from tests.cluster.ground import Ground
from tests.cluster.health import WAITED_FOR, unhealthy
from tests.cluster.kube import KINDS, KubeError
from tests.cluster.mirror import View
from tests.cluster.oracles import Moment, Past, collateral, judge, moment
from tests.cluster.plans import is_met, planned
from tests.cluster.report import LIMIT_S, Outcome, Result
from tests.cluster.scenario import Scenario
from tests.cluster.service import Healer
from tests.cluster.stagehand import Stagehand
from tools.jsontypes import JsonObject, dig_str

NAMESPACE_LABELS = {"selfheal.dev/test": "true"}
SHOWS_WITHIN_S = 45.0
HEALTHY_WITHIN_S = 90.0
ASK_EVERY_S = 1.0
LOOK_LASTS_S = 5.0
"""What a controller may still write after the last change of a person."""
UNFINISHED = "open"
LOUD = frozenset({WAITING, "escalated", UNFINISHED})
"""States of an incident that somebody would be called for."""


class SetupError(Exception):
    """A scenario could not be brought to its fault; says nothing about the healer."""


@dataclass(frozen=True)
class Options:
    """How a run is played; all durations in seconds."""

    lanes: int
    steady: float
    stable: float
    close: float
    """How long after the recovery the healer may take to close its incidents."""
    limit: float
    window: float
    keep: bool
    declared: bool = True
    """Whether scenarios that do not say so have their fixtures declared as the desired state."""


@dataclass(frozen=True)
class Stage:
    """What all lanes share."""

    options: Options
    ground: Ground
    healer: Healer


class Lane:
    """One scenario in its namespace, from empty to verdict."""

    def __init__(self, stage: Stage, scenario: Scenario, namespace: str) -> None:
        self._stage = stage
        self._ground = stage.ground
        self._scenario = scenario
        self.namespace = namespace
        self._checks = [placed(c, namespace) for c in scenario.healed_when]
        self._hands = Stagehand(stage.ground, namespace, scenario.manifests(namespace))
        self._before = View({})
        self._broken = View({})
        self._injected = 0.0
        self._approved: float | None = None
        self._answered: set[str] = set()
        self._help: asyncio.Task[None] | None = None

    async def play(self) -> Result:
        """Never raises for what a scenario can do; the result says it."""
        try:
            await self._prepare()
            await self._inject()
            return await self._watch()
        except (SetupError, KubeError, ServiceError) as broken:
            return self._result("error", str(broken))
        finally:
            if self._help is not None:
                self._help.cancel()
            await self._clean_up()

    # ------------------------------------------------------------------------------------------------- before the fault
    async def _prepare(self) -> None:
        human = self._ground.human
        metadata: JsonObject = {"name": self.namespace, "labels": {**NAMESPACE_LABELS}}
        await human.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        manifests = self._scenario.manifests(self.namespace)
        for manifest in manifests:
            await human.apply(manifest)
        workloads = [
            f"{m['kind']}/{dig_str(m, 'metadata', 'name')}" for m in manifests if dig_str(m, "kind") in WAITED_FOR
        ]
        if self._scenario.prepare:
            await self._wait_healthy(workloads, 0)
            await self._hands.do(self._scenario.prepare)
        if self._is_declared and self._stage.healer.desired is not None:
            await self._wait_healthy(workloads, 0)
            self._stage.healer.desired.declare(self._scenario, self.namespace, patched=False)
        await self._wait_healthy(workloads, self._stage.options.steady)
        self._before = await self._fresh()

    @property
    def _is_declared(self) -> bool:
        """Whether the healer is told how things should be."""
        said = self._scenario.desired
        return self._stage.options.declared if said is None else said

    async def _wait_healthy(self, workloads: Sequence[str], steady: float) -> None:
        """Healthy, and for `steady` seconds without a break: the healer should have learnt what good looks like."""
        end = self._monotonic() + HEALTHY_WITHIN_S + steady
        since: float | None = None
        while since is None or self._monotonic() - since < steady:
            reasons = unhealthy(self._look(), workloads)
            now = self._monotonic()
            since = None if reasons else (since or now)
            if now > end:
                raise SetupError(f"fixtures are not healthy after {HEALTHY_WITHIN_S:.0f} s: {'; '.join(reasons)}")
            await self._sleep(self._ground.look_s)

    async def _inject(self) -> None:
        self._injected = self._now()
        if self._scenario.desired_patch and self._stage.healer.desired is not None:
            self._stage.healer.desired.declare(self._scenario, self.namespace, patched=True)
        await self._hands.do(self._scenario.inject)
        self._broken = await self._fresh()

    # -------------------------------------------------------------------------------------------------- after the fault
    async def _watch(self) -> Result:
        match self._scenario.tier:
            case "auto":
                return await self._watch_fault()
            case "approval":
                return await (self._watch_question() if self._stage.healer.asks else self._watch_fault())
            case "escalate" | "none":
                return await self._watch_quiet()

    async def _watch_question(self) -> Result:
        """Wait for the right plan, agree to it, then look until it is healed for good."""
        limit = self._scenario.limit_s or self._stage.options.limit
        wrong = ""
        while self._now() - self._injected < limit:
            wrong = await self._answer()
            if early := [w for w in self._accepted() if self._approved is None or w.at < self._approved]:
                return self._result("unasked", str(early[0]), incidents=await self._incidents())
            if self._approved is not None or self._answered:
                return await self._watch_fault()
            await self._sleep(ASK_EVERY_S)
        incidents = await self._incidents()
        return self._result("wrong plan" if wrong else "no plan", wrong or states(incidents), incidents=incidents)

    async def _answer(self) -> str:
        """Agree to each right plan that waits.  Returns what the wrong ones were."""
        wrong: list[str] = []
        for incident in await self._incidents():
            if incident.state != WAITING or not incident.plan_hash or incident.plan_hash in self._answered:
                continue
            if not any(is_met(w, incident.document, self.namespace) for w in self._scenario.plan):
                wrong.append(", ".join(f"{a} {k}/{n}" for a, k, n in planned(incident.document)))
                continue
            if self._approved is None:
                self._approved = self._now()
                await self._hands.do(self._scenario.meanwhile)
            self._answered.add(incident.plan_hash)
            try:
                await self._stage.healer.approve(incident)
            except ServiceError:
                if not self._scenario.unwritten:  # there a refusal is as good an answer as any
                    raise
        return "; ".join(wrong)

    async def _watch_fault(self) -> Result:
        """Look until it is healed for good or the time is over."""
        options = self._stage.options
        begun = self._approved or self._injected
        limit = self._scenario.limit_s or options.limit
        shown, recovered, asked = self._approved is not None, None, self._now()
        left = self._reasons(self._broken, None)  # a look that comes too late to see the fault still has this one
        while True:
            looked = self._now()
            reasons = self._reasons(self._look(), recovered)
            if not shown and (reasons or left):
                shown = True
                self._help = asyncio.create_task(self._stage.healer.fault_shows(self._scenario, self.namespace))
            if not reasons and shown:
                view = await self._fresh()  # the cheap view may lag behind
                reasons = self._reasons(view, recovered) or await self._asked_reasons()
                if not reasons and recovered is None:
                    recovered = moment(view, looked)
            if reasons:
                recovered = None
            if self._approved is not None and looked - asked >= ASK_EVERY_S:
                asked = looked
                await self._answer()  # a plan of several parts may ask again
            if recovered is not None and await self._has_settled(looked - recovered.at):
                return await self._verdict(recovered, begun)
            if not shown and looked - begun > SHOWS_WITHIN_S:
                raise SetupError(f"the fault did not show within {SHOWS_WITHIN_S:.0f} s")
            if recovered is None and looked - begun > limit:
                return await self._verdict(None, begun, "; ".join(reasons))
            await self._sleep(ASK_EVERY_S if recovered else self._ground.look_s)

    async def _has_settled(self, lasted: float) -> bool:
        """Whether it held long enough and the healer is done; a healer that never is done is not waited for."""
        options = self._stage.options
        if lasted < options.stable:
            return False
        return lasted >= options.close or all(i.state != UNFINISHED for i in await self._incidents())

    async def _watch_quiet(self) -> Result:
        """Wait out the window; any write is a failure, and so is silence where somebody had to be called."""
        await self._sleep(self._scenario.window_s or self._stage.options.window)
        incidents = await self._incidents()
        self._refuse_foreign()
        if written := self._writes():
            return self._result("wrote", "; ".join(map(str, written[:3])), incidents=incidents)
        if self._scenario.tier == "none" or not self._stage.healer.asks:
            loud = [i for i in incidents if i.state in LOUD]
            return self._result("noisy" if loud else "quiet", states(loud), incidents=incidents)
        return self._judge_call(incidents)

    def _judge_call(self, incidents: Sequence[Incident]) -> Result:
        """Whether somebody was called, with an account that names the cause."""
        called = [i for i in incidents if i.state == "escalated"]
        if not called:
            return self._result("not escalated", states(incidents), incidents=incidents)
        if self._lacks_words(called):
            return self._result("empty account", self._lacks_words(called), incidents=incidents)
        return self._result("escalated", incidents=incidents)

    def _reasons(self, view: View, since: Moment | None) -> list[str]:
        """Why it does not count as healed, as far as objects tell."""
        past = Past(self._before, self._injected, since)
        found = (judge(check, view, past) for check in self._checks)
        return [reason for reason in found if reason is not None]

    async def _asked_reasons(self) -> list[str]:
        asked = [c for c in self._checks if isinstance(c, HttpOk | CanI | ExecOk)]
        return [r for c in asked if (r := await self._ground.ask(self.namespace, c)) is not None]

    async def _verdict(self, recovered: Moment | None, begun: float, note: str = "") -> Result:
        if self._help is not None and self._help.done() and (failed := self._help.exception()) is not None:
            raise SetupError(f"the stand-in's remedy failed: {failed}")
        incidents = await self._incidents()
        self._refuse_foreign()
        after = await self._fresh()
        stray = collateral(self._before, self._broken, after, self._allowed())
        if recovered is None:
            return self._result("not healed", f"{note}; {states(incidents)}", incidents=incidents, stray=stray)
        if self._scenario.unwritten and self._stage.healer.asks and self._accepted():
            return self._result("wrote", str(self._accepted()[0]), incidents=incidents, stray=stray)
        took = recovered.at - begun
        outcome: Outcome = "healed" if took <= LIMIT_S or self._scenario.tier == "approval" else "late"
        return self._result(outcome, self._account_note(incidents), recovered=took, incidents=incidents, stray=stray)

    # --------------------------------------------------------------------------------------------------------- results
    def _result(
        self,
        outcome: Outcome,
        note: str = "",
        *,
        recovered: float | None = None,
        incidents: Sequence[Incident] = (),
        stray: Sequence[str] = (),
    ) -> Result:
        written = self._writes()
        accepted = [w for w in written if w.accepted]
        seen = [s.seen for i in incidents for s in i.signals if s.seen >= self._injected - 1]
        detected = [i.detected for i in incidents if i.detected >= self._injected - 1]
        return Result(
            scenario=self._scenario.name,
            tier=self._scenario.tier,
            outcome=outcome,
            note=note,
            signal_s=min(seen) - self._injected if seen else None,
            detected_s=min(detected) - self._injected if detected else None,
            asked_s=self._approved - self._injected if self._approved is not None else None,
            first_write_s=accepted[0].at - self._injected if accepted else None,
            recovered_s=recovered,
            writes=len(accepted),
            refused_writes=len(written) - len(accepted),
            requests=self._ground.trail.requests_in(self.namespace, self._injected) if self._injected else 0,
            collateral=list(stray),
            write_log=[f"{w.at - self._injected:.3f} s: {w}" for w in written],
            incidents=[i.document for i in incidents],
        )

    def _writes(self) -> list[Write]:
        trail = self._ground.trail
        trail.read()
        if not self._injected:
            return []
        found = trail.in_namespace(self.namespace, self._injected)
        if self._scenario.alone:  # then what is written to nodes and other cluster-wide objects is this lane's, too
            found = sorted([*found, *trail.in_namespace("", self._injected)], key=lambda w: w.at)
        return found

    def _accepted(self) -> list[Write]:
        return [w for w in self._writes() if w.accepted]

    def _allowed(self) -> dict[str, tuple[str, ...]]:
        return {k: v for c in self._checks if isinstance(c, LikeBefore) for k, v in c.allow.items()}

    def _refuse_foreign(self) -> None:
        """What somebody else repaired, or spoilt, says nothing about the healer under test."""
        if foreign := self._ground.trail.foreign_in(self.namespace):
            raise SetupError(
                f"another process wrote as user healer: {foreign[0]}; end it, or its auto mode, and repeat"
            )

    async def _incidents(self) -> Sequence[Incident]:
        """Its incidents in this namespace; of a lane that runs alone those on cluster-wide objects too."""
        found = await self._stage.healer.incidents(self.namespace)
        since = self._injected - 1
        return [i for i in found if i.namespace == self.namespace or (self._scenario.alone and i.opened >= since)]

    def _lacks_words(self, incidents: Sequence[Incident]) -> str:
        """What the account should say and does not; "" when it says some of it."""
        words = [w.replace("${NS}", self.namespace) for w in self._scenario.cause_words]
        account = json.dumps([i.document for i in incidents]).lower()
        if not words or not any(i.document for i in incidents) or any(w.lower() in account for w in words):
            return ""
        return f"its account names none of: {', '.join(words)}"

    def _account_note(self, incidents: Sequence[Incident]) -> str:
        """Reported, not judged: an account that names no word of the true cause, or that asks for a person."""
        notes = [self._lacks_words(incidents)]
        if any(i.state == "escalated" for i in incidents):
            notes.append("healed, and yet its incident ended escalated")
        return "; ".join(n for n in notes if n)

    # ---------------------------------------------------------------------------------------------------------- the end
    async def _clean_up(self) -> None:
        """Undo what reaches beyond the namespace, then ask for its deletion and wait for no more than that."""
        await self._hands.leave()
        if self._stage.healer.desired is not None:
            self._stage.healer.desired.withdraw(self.namespace)
        for step in self._scenario.cleanup:
            try:
                await self._hands.do([step])
            except KubeError as refused:
                say(f"{self.namespace}: {refused}")
        if self._stage.options.keep:
            return
        try:
            await self._ground.human.delete(KINDS["Namespace"].path(None, self.namespace))
        except KubeError as refused:
            say(f"{self.namespace} could not be removed: {refused}")

    def _look(self) -> View:
        return self._mine(self._ground.view(self.namespace))

    async def _fresh(self) -> View:
        return self._mine(await self._ground.fresh_view(self.namespace))

    def _mine(self, view: View) -> View:
        """Nodes are everybody's: only a lane that runs alone may hold the healer to them."""
        return view if self._scenario.alone else View({k: v for k, v in view.objects.items() if k != "Node"})

    def _now(self) -> float:
        return self._ground.clock.now().timestamp()

    def _monotonic(self) -> float:
        return self._ground.clock.monotonic()

    async def _sleep(self, seconds: float) -> None:
        await self._ground.clock.sleep(timedelta(seconds=seconds))


def states(incidents: Sequence[Incident]) -> str:
    """The incidents in a few words."""
    told = [
        f"{i.state} {dig_str(i.document, 'target', 'kind')}/{dig_str(i.document, 'target', 'name')}" for i in incidents
    ]
    return ", ".join(told) or "no incident"


def say(text: str) -> None:
    """Progress, to stderr."""
    print(f"lanes: {text}", file=sys.stderr, flush=True)
