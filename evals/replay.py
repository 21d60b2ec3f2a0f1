"""One recorded incident through the real analyzer, reasoner and validator, offline.

The recorded world stands still in a simulated API (`evals.simulator.still`), the ledger and the journal know what they
knew, the clock shows the moment of the recording, and the graph is the one that heals; it is stopped before anything
that writes or waits: enforcer, approval, closer.

The rule: nothing of the recording's conclusions is given to the replay, only what was seen.  Neighbours: `cases` reads
recordings, `scorers` judges what comes out, `restored` fills ledger and memory.
"""

# LangGraph leaves type variables open here.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from evals.cases import Case
from evals.restored import fill_ledger, recall, still_cluster, write_declared
from evals.scripted_model.script import Reply, Script
from evals.scripted_model.server import ScriptedModel
from evals.simulator.clock import VirtualClock
from graph.build import build_graph
from graph.evidence import load
from graph.incident import FromReference, Incident
from graph.intake import as_record
from graph.model.config import Investigation, Mode, ModelConfig, Planning
from graph.observed import Evidence
from graph.plan import PROPOSALS, VERDICTS, NoPlan, Planned, RefusedPlan, Status, Verdict
from graph.ports import Ports, PortsConfig, open_ports
from graph.recorded import LaterReads, World
from graph.state import State
from tools.ledger.ledger import Ledger

STOPS: Final = ["enforcer", "approval", "closer"]
"""Whatever comes next would write, wait, or end the incident."""
SYNC: Final = timedelta(seconds=30)
A_MOMENT: Final = timedelta(milliseconds=1)
"""When this much virtual time has passed, everything that could run has run."""
POLICY: Final = """\
version: 1
default: auto
cluster_mode: approve
image_registries: ["registry.example"]
limits:
  plans:
    cluster: {count: 60, seconds: 60}
"""
"""Every namespace in mode auto, so that what the checks themselves ask for shows."""
PROBE: Final = Reply.model_validate({"times": "always", "text": "{}"})
"""Whatever the script has no answer to: the questions of the start, and a turn too many."""


class ReplayError(Exception):
    """The replay itself does not work: nothing can be said of the healer."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the graph made of a recorded world."""

    finding: str
    evidence: Evidence
    proposal: Planned | NoPlan | None
    """The last one; None when nothing was found wrong."""
    verdict: Verdict | None
    refused: tuple[RefusedPlan, ...]


async def replay(case: Case, folder: Path, *, by_model: bool = False) -> Replayed:
    """Replay one case; `folder` is empty and takes ledger and policy.

    `by_model` asks the scripted model with the case's replies first.  Before: the running loop is in real time, and the
    case has replies when they are asked for.  Raises ReplayError when the recording cannot be brought to life.
    """
    world = case.attempt.world
    if world is None:
        raise ReplayError(f"{case.name}: this attempt has no recorded world")
    async with contextlib.AsyncExitStack() as stack:
        clock = stack.enter_context(VirtualClock(world.at))
        server = await stack.enter_async_context(_model(case.replies)) if by_model else None
        model = _reached(server) if server is not None else None
        ports = await stack.enter_async_context(
            _ports(world, case.attempt.validated_on, case.export.incident, folder, clock, model)
        )
        found = await _run(case.export.incident, ports)
        if server is not None and server.unused:
            numbers = ", ".join(str(n + 1) for n in server.unused)
            raise ReplayError(f"{case.name}: nobody asked for reply {numbers} of the script: take it out or mend it")
        return found


@contextlib.asynccontextmanager
async def _model(script: Script | None) -> AsyncGenerator[ScriptedModel]:
    """The scripted model with the case's replies."""
    if script is None:
        raise ReplayError("the case has no replies of a model")
    async with ScriptedModel(script.model_copy(update={"replies": (*script.replies, PROBE)})) as server:
        yield server


def _reached(server: ScriptedModel) -> ModelConfig:
    """How the model is asked: for a plan alone, in the strictest form."""
    return ModelConfig(model="recorded", base_url=server.url, planning=Planning.SCHEMA, investigation=Investigation.OFF)


@contextlib.asynccontextmanager
async def _ports(  # noqa: PLR0917 - one caller, in the order in which things are needed
    world: World,
    later: LaterReads | None,
    incident: Incident,
    folder: Path,
    clock: VirtualClock,
    model: ModelConfig | None,
) -> AsyncGenerator[Ports]:
    """The real ports over the recorded world, with everything remembered."""
    (folder / "policy.yaml").write_text(POLICY)
    url = f"sqlite+aiosqlite:///{folder / 'ledger.db'}"
    async with await Ledger.open(url) as ledger:
        await fill_ledger(ledger, world.remembered)
    async with still_cluster(world, later, clock) as cluster:
        config = PortsConfig(
            state_dir=folder,
            kubeconfig=cluster.kubeconfig(),
            policy_file=folder / "policy.yaml",
            desired_state=write_declared(world.remembered, folder / "desired"),
            ledger_url=url,
            model=model,
            reasoner=Mode.MODEL if model is not None else Mode.RULES,
            record_incidents=False,
        )
        async with open_ports(config, clock=clock) as ports:
            if not await ports.mirror.synced(SYNC):
                raise ReplayError(f"{incident.target}: the recorded world did not show itself")
            await recall(world, ports)
            await clock.sleep(A_MOMENT)  # the journal has met every object then
            await ports.journal.drift.settle()
            yield ports


async def _run(incident: Incident, ports: Ports) -> Replayed:
    """The graph, up to where it would do something."""

    async def source() -> Ports:
        return ports

    record, created = await ports.ledger.open_incident(as_record(incident, Status.OPEN, ports))
    if not created:
        raise ReplayError(f"incident {record.id} is open in a ledger that should be new")
    graph = build_graph(source, ports.limits).compile(checkpointer=InMemorySaver(), interrupt_before=STOPS)
    config: RunnableConfig = {"configurable": {"thread_id": incident.id}, "recursion_limit": 60}
    trigger = FromReference(ref=incident.target)
    state: State = {"incident_id": incident.id, "trigger": trigger.model_dump(mode="json")}
    found = await graph.ainvoke(state, config)
    proposal, verdict = found.get("proposal"), found.get("verdict")
    return Replayed(
        finding=found["finding"],
        evidence=await load(found["evidence"], ports),
        proposal=PROPOSALS.validate_python(proposal) if proposal is not None else None,
        verdict=VERDICTS.validate_python(verdict) if verdict is not None else None,
        refused=tuple(RefusedPlan.model_validate(r) for r in found.get("refusals", [])),
    )
