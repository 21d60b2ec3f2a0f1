"""One scenario in its namespace, from nothing to a verdict; `lanes` runs several side by side.

Rule: **recovered** is the first look at which every check held and from which on all held for `stable` seconds; a look
counts only after the fault has been seen, so that a fault that does not show is an error and no success.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.audit import AuditTail, Write
from tests.cluster.checks import HttpOk
from tests.cluster.kube import KINDS, NAMESPACES, Kube, KubeError, run_kubectl
from tests.cluster.mirror import Mirror, View, fresh_view
from tests.cluster.oracles import Moment, judge, moment
from tests.cluster.report import LIMIT_S, Outcome, Result
from tests.cluster.scenario import Apply, Delete, Kubectl, Patch, Scenario, Step, fixture_manifests, in_namespace
from tests.cluster.service import NAMESPACE_LABELS, NAMESPACE_PREFIX, Healer, Incident, ServiceError
from tools.jsontypes import JsonObject, dig_int, dig_str

LOOK_S = 0.25
SHOWS_WITHIN_S = 45.0
HEALTHY_WITHIN_S = 90.0


class SetupError(Exception):
    """A scenario could not be brought to its fault; says nothing about the healer."""


@dataclass(frozen=True)
class Options:
    """How a run is played; all durations in seconds."""

    lanes: int
    steady: float
    stable: float
    limit: float
    window: float
    keep: bool


@dataclass(frozen=True)
class Stage:
    """What all lanes share."""

    options: Options
    kubectl: Path
    human: Kube
    observer: Kube
    mirror: Mirror
    audit: AuditTail
    healer: Healer
    run_id: str


class Lane:
    """One scenario in its namespace, from empty to verdict."""

    def __init__(self, stage: Stage, scenario: Scenario) -> None:
        self._stage = stage
        self._scenario = scenario
        self.namespace = f"{NAMESPACE_PREFIX}{scenario.name}-{stage.run_id}"
        self._before = View({})
        self._injected = 0.0
        self._help: asyncio.Task[None] | None = None

    async def play(self) -> Result:
        """Never raises for what a scenario can do; the result says it."""
        try:
            await self._prepare()
            await self._inject()
            return await (self._watch_fault() if self._scenario.tier == "auto" else self._watch_quiet())
        except (SetupError, KubeError, ServiceError) as broken:
            return self._result("error", str(broken))
        finally:
            if self._help is not None:
                self._help.cancel()
            if not self._stage.options.keep:
                await self._remove()

    # ------------------------------------------------------------------------------------------------- before the fault
    async def _prepare(self) -> None:
        stage = self._stage
        metadata: JsonObject = {"name": self.namespace, "labels": {**NAMESPACE_LABELS}}
        await stage.human.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        manifests = fixture_manifests(self._scenario.fixtures, self.namespace)
        for manifest in manifests:
            await stage.human.apply(manifest)
        workloads = [f"{m['kind']}/{dig_str(m, 'metadata', 'name')}" for m in manifests]
        await self._wait_healthy(
            [w for w in workloads if w.partition("/")[0] in ("Deployment", "StatefulSet", "DaemonSet")]
        )
        self._before = await fresh_view(stage.observer, self.namespace)

    async def _wait_healthy(self, workloads: Sequence[str]) -> None:
        """Healthy, and for `--steady` seconds without a break: the healer should have learnt what good looks like."""
        end = time.monotonic() + HEALTHY_WITHIN_S
        since: float | None = None
        while since is None or time.monotonic() - since < self._stage.options.steady:
            reasons = unhealthy(self._stage.mirror.view(self.namespace), workloads)
            now = time.monotonic()
            since = None if reasons else (since or now)
            if now > end:
                raise SetupError(f"fixtures are not healthy after {HEALTHY_WITHIN_S:.0f} s: {'; '.join(reasons)}")
            await asyncio.sleep(LOOK_S)

    async def _inject(self) -> None:
        self._injected = time.time()
        for step in self._scenario.inject:
            await self._do(step)

    async def _do(self, step: Step) -> None:
        stage = self._stage
        match step:
            case Patch(kind, name, type_, body):
                await stage.human.patch(kind, self.namespace, name, type_, body)
            case Apply(manifest):
                await stage.human.apply(in_namespace(manifest, self.namespace))
            case Delete(kind, name):
                await stage.human.delete(KINDS[kind].path(self.namespace, name))
            case Kubectl(arguments):
                await run_kubectl(stage.kubectl, stage.human.kubeconfig, self.namespace, arguments)

    # -------------------------------------------------------------------------------------------------- after the fault
    async def _watch_fault(self) -> Result:
        """Look until it is healed for good or the time is over."""
        options = self._stage.options
        shown, recovered = False, None
        while True:
            looked = time.time()
            reasons = self._reasons(self._stage.mirror.view(self.namespace), recovered)
            if not shown and reasons:
                shown = True
                self._help = asyncio.create_task(self._call_for_help())
            if not reasons and shown:
                view = await fresh_view(self._stage.observer, self.namespace)  # the mirror may lag behind
                reasons = self._reasons(view, recovered) or await self._http_reasons()
                if not reasons and recovered is None:
                    recovered = moment(view, looked)
            if reasons:
                recovered = None
            elapsed = looked - self._injected
            if recovered is not None and looked - recovered.at >= options.stable:
                return await self._verdict(recovered)
            if not shown and elapsed > SHOWS_WITHIN_S:
                raise SetupError(f"the fault did not show within {SHOWS_WITHIN_S:.0f} s")
            if recovered is None and elapsed > options.limit:
                return await self._verdict(None, "; ".join(reasons))
            await asyncio.sleep(1.0 if recovered else LOOK_S)

    async def _watch_quiet(self) -> Result:
        """Wait out the window; any write is a failure."""
        await asyncio.sleep(self._stage.options.window)
        await asyncio.sleep(2 * LOOK_S)  # the audit log is read a little later than written
        written = self._writes()
        self._refuse_foreign()
        note = "; ".join(map(str, written[:3]))
        return self._result("wrote" if written else "quiet", note, incidents=await self._incidents())

    def _reasons(self, view: View, since: Moment | None) -> list[str]:
        """Why it does not count as healed, as far as objects tell."""
        found = (judge(check, view, self._before, since) for check in self._scenario.healed_when)
        return [reason for reason in found if reason is not None]

    async def _http_reasons(self) -> list[str]:
        checks = [c for c in self._scenario.healed_when if isinstance(c, HttpOk)]
        return [r for c in checks if (r := await self._http_reason(c)) is not None]

    async def _http_reason(self, check: HttpOk) -> str | None:
        """Asked again once: on a loaded machine one lookup in a thousand takes longer than the probe waits."""
        first = await ask_through_probe(self._stage, self.namespace, check)
        return first and await ask_through_probe(self._stage, self.namespace, check)

    async def _call_for_help(self) -> None:
        await self._stage.healer.fault_shows(self._scenario, self.namespace)

    async def _verdict(self, recovered: Moment | None, note: str = "") -> Result:
        if self._help is not None and self._help.done() and (failed := self._help.exception()) is not None:
            raise SetupError(f"the stand-in's remedy failed: {failed}")
        incidents = await self._incidents()
        self._refuse_foreign()
        if recovered is None:
            return self._result("not healed", note, incidents=incidents)
        took = recovered.at - self._injected
        return self._result(
            "healed" if took <= LIMIT_S else "late", self._account_note(incidents), recovered=took, incidents=incidents
        )

    # --------------------------------------------------------------------------------------------------------- results
    def _result(
        self,
        outcome: Outcome,
        note: str = "",
        *,
        recovered: float | None = None,
        incidents: Sequence[Incident] = (),
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
            first_write_s=accepted[0].at - self._injected if accepted else None,
            recovered_s=recovered,
            writes=len(accepted),
            refused_writes=len(written) - len(accepted),
            write_log=[f"{w.at - self._injected:.3f} s: {w}" for w in written],
            incidents=[i.document for i in incidents],
        )

    def _writes(self) -> list[Write]:
        self._stage.audit.read()
        return self._stage.audit.in_namespace(self.namespace, self._injected) if self._injected else []

    def _refuse_foreign(self) -> None:
        """What somebody else repaired, or spoilt, says nothing about the healer under test."""
        if foreign := self._stage.audit.foreign_in(self.namespace):
            raise SetupError(
                f"another process wrote as user healer: {foreign[0]}; end it, or its auto mode, and repeat"
            )

    async def _incidents(self) -> Sequence[Incident]:
        return await self._stage.healer.incidents(self.namespace)

    def _account_note(self, incidents: Sequence[Incident]) -> str:
        """Reported, not judged: an account that names no word of the true cause, or that asks for a person."""
        notes: list[str] = []
        words = self._scenario.cause_words
        account = json.dumps([i.document for i in incidents]).lower()
        if words and any(i.document for i in incidents) and not any(w.lower() in account for w in words):
            notes.append(f"its account names none of: {', '.join(words)}")
        if any(i.state == "escalated" for i in incidents):
            notes.append("healed, and yet its incident ended escalated")
        return "; ".join(notes)

    async def _remove(self) -> None:
        """Ask for the deletion and wait for no more than that: the next scenario has its own namespace."""
        try:
            await self._stage.human.delete(NAMESPACES.path(None, self.namespace))
        except KubeError as refused:
            say(f"{self.namespace} could not be removed: {refused}")


def unhealthy(view: View, workloads: Sequence[str]) -> list[str]:
    """Workloads of fixtures that are not complete yet."""
    reasons: list[str] = []
    for reference in workloads:
        found = view.get(reference) or {}
        if reference.startswith("DaemonSet/"):
            wanted, ready = dig_int(found, "status", "desiredNumberScheduled"), dig_int(found, "status", "numberReady")
        else:
            wanted, ready = dig_int(found, "spec", "replicas"), dig_int(found, "status", "availableReplicas")
        if not wanted or ready != wanted:
            reasons.append(f"{reference}: {ready or 0} of {wanted or '?'} ready")
    return reasons


async def ask_through_probe(stage: Stage, namespace: str, check: HttpOk) -> str | None:
    """A fresh lookup and connection by a probe pod; None when the answer is 200 with the wanted text."""
    pods = [p for p in stage.mirror.view("probe").all("Pod") if dig_str(p, "status", "phase") == "Running"]
    if not pods:
        return "no probe pod runs in namespace probe"
    path = f"/api/v1/namespaces/probe/pods/{dig_str(pods[0], 'metadata', 'name')}:8080/proxy/cgi-bin/get"
    host = f"{check.service}.{namespace}.svc.cluster.local"
    try:
        answer = await stage.observer.text(
            "GET", path, params={"host": host, "port": str(check.port), "path": check.path}
        )
    except KubeError as broken:
        return f"http {check.service}: {broken}"
    status, _, body = answer.partition("\n")
    good = status.startswith("HTTP/1.") and status.split()[1:2] == ["200"] and check.contains in body
    return None if good else f"http {check.service}{check.path}: {status.strip() or 'no answer'}"


def say(text: str) -> None:
    """Progress, to stderr."""
    print(f"lanes: {text}", file=sys.stderr, flush=True)
