"""The chaos run itself: who breaks what when, who looks, and who puts right what nobody healed."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from tests.cluster.chaos_faults import Fault, Workload
from tests.cluster.chaos_report import ChaosReport, Struck
from tests.cluster.checks import CanI, ExecOk, HttpOk, NoFailedPods, RolloutComplete, placed
from tests.cluster.ground import Ground
from tests.cluster.health import unhealthy
from tests.cluster.kube import KINDS, KubeError
from tests.cluster.lane import HEALTHY_WITHIN_S, LOOK_LASTS_S, UNFINISHED, SetupError, say
from tests.cluster.mirror import View
from tests.cluster.oracles import Past, differences, failed_pods, judge, name, pods_of
from tests.cluster.service import Healer
from tests.cluster.shapes import in_namespace
from tests.cluster.stagehand import Stagehand
from tools.jsontypes import JsonObject, dig, dig_int, dig_list, dig_object, dig_str

LABELS: JsonObject = {"selfheal.dev/test": "true"}
SCALED_FOR_S = 10.0
_GIVEN_ONCE = ("clusterIP", "clusterIPs")
"""Fields that the server sets when an object is made and nobody may change: a Service made again has others."""


@dataclass(frozen=True)
class Rules:
    """How wild it is; durations in seconds."""

    seconds: float
    pause: tuple[float, float] = (20.0, 60.0)
    double: float = 0.15
    during_rollout: float = 0.15
    while_scaling: float = 0.15
    steady: float = 40.0
    """Health before the first fault: what the healer may take for known good."""
    lasts: float = 10.0
    """How long all must hold to count as recovered."""
    gives_up: float = 180.0
    """After this a person puts it right."""
    closes: float = 200.0
    """How long the healer may take in the end to close its incidents."""
    look: float = 1.0


@dataclass
class _Watch:
    """Which workloads have no ready pod now, and since when."""

    since: dict[str, float] = field(default_factory=dict[str, float])


class Play:
    """One run in one namespace."""

    def __init__(
        self,
        ground: Ground,
        healer: Healer,
        namespace: str,
        *,
        faults: Mapping[Workload, Sequence[Fault]],
        dice: Random,
        rules: Rules,
    ) -> None:
        self._ground, self._healer, self._namespace = ground, healer, namespace
        self._workloads, self._faults, self._dice, self._rules = list(faults), faults, dice, rules
        self._report = ChaosReport()
        self._before = View({})
        self._begun = 0.0
        self._busy: set[str] = set()
        self._left: dict[str, frozenset[str]] = {}
        """Pods of each workload's namespace that had failed before it was struck: not this fault's."""
        self._allow: dict[str, tuple[str, ...]] = {}
        self._watch = _Watch()

    async def run(self) -> ChaosReport:
        """Set up, strike until the time is over, wait for the last one, compare, clear away."""
        await self._set_up()
        self._begun = self._now()
        looking = asyncio.create_task(self._look_for_outages())
        try:
            await self._strike_for_a_while()
            await self._wait_closed()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        await self._sum_up()
        await self._ground.human.delete(KINDS["Namespace"].path(None, self._namespace))
        return self._report

    async def _set_up(self) -> None:
        human = self._ground.human
        metadata: JsonObject = {"name": self._namespace, "labels": {**LABELS}}
        await human.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        for workload in self._workloads:
            for manifest in workload.manifests:
                await human.apply(in_namespace(manifest, self._namespace))
        end = self._now() + HEALTHY_WITHIN_S
        references = [w.reference for w in self._workloads]
        while reasons := unhealthy(self._ground.view(self._namespace), references):
            if self._now() > end:
                raise SetupError(f"the shop is not up after {HEALTHY_WITHIN_S:.0f} s: {'; '.join(reasons)}")
            await self._sleep(self._rules.look)
        await self._sleep(self._rules.steady)
        self._before = await self._fresh()

    # ---- striking
    async def _strike_for_a_while(self) -> None:
        async with asyncio.TaskGroup() as group:
            while self._at() < self._rules.seconds:
                await self._sleep(self._dice.uniform(*self._rules.pause))
                together = self._dice.random() < self._rules.double
                for _ in range(2 if together else 1):
                    free = [w for w in self._workloads if w.name not in self._busy]
                    if free:
                        workload = self._dice.choice(free)
                        self._busy.add(workload.name)
                        circumstance = "two at once" if together else self._circumstance(workload)
                        fault = self._dice.choice(self._faults[workload])
                        group.create_task(self._strike(workload, fault, circumstance))
        self._report.seconds = self._at()

    def _circumstance(self, workload: Workload) -> str:
        roll = self._dice.random()
        if roll < self._rules.during_rollout:
            return "during a rollout"
        scalable = workload.kind == "Deployment"
        scaling = roll < self._rules.during_rollout + self._rules.while_scaling
        return "while a person scales" if scalable and scaling else "alone"

    async def _strike(self, workload: Workload, fault: Fault, circumstance: str) -> None:
        """One fault, from the injection until it is healed or put right."""
        struck = Struck(self._at(), workload.name, fault.family, circumstance)
        self._report.faults.append(struck)
        say(f"{struck.at:.0f} s: {fault.family} in {workload.name}, {circumstance}")
        hands = Stagehand(self._ground, self._namespace)
        try:
            await self._interfere(workload, circumstance)
            self._left[workload.name] = frozenset(failed_pods(self._ground.view(self._namespace)))
            await hands.do(fault.scenario.inject)
            self._allow |= fault.allow
            struck.recovered_s = await self._wait_recovered(workload, fault, self._begun + struck.at)
            if struck.recovered_s is None:
                struck.repaired_by_hand = True
                await self._put_right(workload)
        except KubeError as refused:
            say(f"{workload.name}: {refused}")
            await self._put_right(workload)
        finally:
            self._busy.discard(workload.name)
        took = f"after {struck.recovered_s:.1f} s" if struck.recovered_s is not None else "not healed"
        say(f"{self._at():.0f} s: {fault.family} in {workload.name}: {took}")

    async def _interfere(self, workload: Workload, circumstance: str) -> None:
        reference = workload.reference.lower()
        if circumstance == "during a rollout":
            await self._ground.kubectl(self._namespace, ["rollout", "restart", reference])
            await self._sleep(1)
        elif circumstance == "while a person scales":
            await self._ground.kubectl(self._namespace, ["scale", reference, "--replicas=3"])
            asyncio.get_running_loop().create_task(self._scale_back(reference))

    async def _scale_back(self, reference: str) -> None:
        await self._sleep(SCALED_FOR_S)
        try:
            await self._ground.kubectl(self._namespace, ["scale", reference, "--replicas=2"])
        except KubeError as refused:
            say(f"scaling {reference} back: {refused}")

    async def _wait_recovered(self, workload: Workload, fault: Fault, begun: float) -> float | None:
        """Seconds until the first look from which on all held; None when it never came."""
        first: float | None = None
        shown = False
        while self._now() - begun < self._rules.gives_up or first is not None:
            looked = self._now()
            reasons = await self._reasons(workload, fault, begun)
            shown = shown or bool(reasons)
            first = None if reasons else (first or looked)
            if first is not None and looked - first >= self._rules.lasts and (shown or looked - begun > 20):
                return first - begun
            await self._sleep(self._rules.look)
        return None

    async def _reasons(self, workload: Workload, fault: Fault, begun: float) -> list[str]:
        whole = self._ground.view(self._namespace)
        view = View({k: v for k, v in whole.objects.items() if k != "Node"})
        past = Past(self._before, begun)
        checks = [placed(c, self._namespace) for c in fault.checks]
        seen = [
            judge(c, self._own(view, workload) if isinstance(c, NoFailedPods) else view, past)
            for c in checks
            if not isinstance(c, RolloutComplete)
        ]
        reasons = [r for r in seen if r is not None]
        if not reasons:
            reasons = unhealthy(view, [workload.reference]) + self._changed(view, workload)
        if not reasons:
            asked = [c for c in checks if isinstance(c, HttpOk | CanI | ExecOk)]
            reasons = [r for c in asked if (r := await self._ground.ask(self._namespace, c)) is not None]
        return reasons

    def _own(self, view: View, workload: Workload) -> View:
        """With the workload's pods alone, and of those not what an earlier fault left failed."""
        labels = {k: str(v) for k, v in self._selector(workload).items()}
        left = self._left.get(workload.name, frozenset())
        own = {name(p): p for p in pods_of(view, labels) if name(p) not in left}
        return View({**view.objects, "Pod": own})

    def _changed(self, view: View, workload: Workload) -> list[str]:
        """What of the workload's own objects is not as in the beginning; its size may be a person's doing."""
        own = {f"{m['kind']}/{dig_str(m, 'metadata', 'name')}" for m in workload.manifests}
        found = differences(self._before, view, {**self._allow, workload.reference: self._size(workload)})
        return [d for d in found if d.partition(" ")[0] in own]

    def _size(self, workload: Workload) -> tuple[str, ...]:
        return ("spec.replicas", *self._allow.get(workload.reference, ()))

    async def _put_right(self, workload: Workload) -> None:
        """As a person would: every object of the workload as it was."""
        human = self._ground.human
        for manifest in workload.manifests:
            kind, object_name = dig_str(manifest, "kind"), dig_str(manifest, "metadata", "name")
            old = self._before.get(f"{kind}/{object_name}")
            try:
                live = await human.get(kind, self._namespace, object_name)
            except KubeError:
                await human.apply(in_namespace(manifest, self._namespace))
                continue
            if old is not None:
                await human.request("PUT", KINDS[kind].path(self._namespace, object_name), body=as_it_was(live, old))
        labels = {k: str(v) for k, v in self._selector(workload).items()}
        for pod in pods_of(self._ground.view(self._namespace), labels):
            ready = any(dig(c, "ready") is True for c in dig_list(pod, "status", "containerStatuses"))
            if not ready:
                await human.delete(KINDS["Pod"].path(self._namespace, name(pod)))

    def _selector(self, workload: Workload) -> JsonObject:
        return dig_object(workload.manifests[-1], "spec", "selector", "matchLabels") or {"app": workload.name}

    # ---- looking
    async def _look_for_outages(self) -> None:
        while True:
            view = self._ground.view(self._namespace)
            for workload in self._workloads:
                self._note(workload, view)
            await self._sleep(self._rules.look)

    def _note(self, workload: Workload, view: View) -> None:
        found = view.get(workload.reference) or {}
        field_name = "numberReady" if workload.kind == "DaemonSet" else "readyReplicas"
        ready = dig_int(found, "status", field_name) or 0
        since = self._watch.since
        if not ready:
            since.setdefault(workload.name, self._at())
        elif workload.name in since:
            self._report.outages.setdefault(workload.name, []).append((since.pop(workload.name), self._at()))

    async def _wait_closed(self) -> None:
        """Until the healer is done: what it takes back late counts, too."""
        end = self._now() + self._rules.closes
        while self._now() < end and any(i.state == UNFINISHED for i in await self._healer.incidents(self._namespace)):
            await self._sleep(self._rules.look)

    async def _sum_up(self) -> None:
        report, trail = self._report, self._ground.trail
        for workload_name, begin in self._watch.since.items():
            report.outages.setdefault(workload_name, []).append((begin, self._at()))
        trail.read()
        accepted = [w for w in trail.writes if w.accepted]
        report.writes = sorted(w.at - self._begun for w in accepted if w.namespace == self._namespace)
        report.stray_writes = [str(w) for w in accepted if w.namespace != self._namespace]
        for struck in report.faults:
            end = struck.at + (struck.recovered_s if struck.recovered_s is not None else self._rules.gives_up)
            struck.writes = sum(
                struck.at <= w.at - self._begun <= end and w.name.startswith(struck.workload)
                for w in accepted
                if w.namespace == self._namespace
            )
        await self._sleep(LOOK_LASTS_S)
        after = await self._fresh()
        report.collateral = list(differences(self._before, after, self._allow))
        incidents = await self._healer.incidents(self._namespace)
        report.accounts = [i.document for i in incidents]
        report.incidents = dict(Counter(i.state for i in incidents))
        codes = Counter(dig_str(r, "code") for i in incidents for r in dig_list(i.document, "why_not"))
        report.refusals = {code: count for code, count in codes.items() if code}

    async def _fresh(self) -> View:
        """Without nodes, which are everybody's."""
        view = await self._ground.fresh_view(self._namespace)
        return View({k: v for k, v in view.objects.items() if k != "Node"})

    def _now(self) -> float:
        return self._ground.clock.now().timestamp()

    def _at(self) -> float:
        return self._now() - self._begun

    async def _sleep(self, seconds: float) -> None:
        await self._ground.clock.sleep(timedelta(seconds=seconds))


def as_it_was(live: JsonObject, old: JsonObject) -> JsonObject:
    """The live object with what people say in it as it was then; what the server gave a new one of that name stays."""
    kept = {k: copy.deepcopy(v) for k, v in old.items() if k in ("spec", "data", "stringData")}
    given = {k: v for k, v in dig_object(live, "spec").items() if k in _GIVEN_ONCE}
    if given and isinstance(kept.get("spec"), dict):
        kept["spec"] = {**dig_object(kept, "spec"), **given}
    return {**live, **kept}
