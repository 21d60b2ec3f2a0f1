"""The model as the graph knows it: evidence in, a plan or a coded reason out, and nothing raised for what a model does.

The rule: the set of what can be proposed is fixed by code before the model is asked; whatever fails is a `NoPlan` with
a code, so that rules or a person take over; and what an incident or a day may cost is bounded whatever happens.
Neighbours: `build.build_model` makes it; `graph.nodes.reasoner` asks it; `investigate` and `planning` are its phases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from graph.model.budget import Budget, DayBudget
from graph.model.client import ModelClient
from graph.model.config import Investigation, ModelConfig, Planning
from graph.model.framing import Frame, new_mark
from graph.model.investigate import investigate
from graph.model.planning import Case, Planner
from graph.model.probe import Capability, probe
from graph.model.relevant import relevant
from graph.model.schema import Catalog
from graph.model.session import Audit, Session, no_audit
from graph.model.trim import fit
from graph.model.view import Offer, offer_of, view_of
from graph.observed import Evidence
from graph.plan import NoPlan, Planned
from tools.clock import Clock
from tools.guard.verdict import ReasonCode, Refused
from tools.inspect.scope import Scope, Source
from tools.inspect.toolbox import inspect_tools
from tools.jsontypes import JsonValue

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Form:
    """How this server is asked."""

    planning: Planning
    investigates: bool


class ModelReasoner:
    """Implements `graph.ports.Model`.  Close it in the end."""

    def __init__(
        self,
        config: ModelConfig,
        client: ModelClient,
        catalog: Catalog,
        clock: Clock,
        *,
        source: Source | None,
        audit: Audit = no_audit,
        marks: Callable[[], str] = new_mark,
    ) -> None:
        """`source` is where phase one reads; without it there is none.  Nothing is sent yet."""
        self.name = client.name
        self._config = config
        self._client = client
        self._catalog = catalog
        self._planner = Planner(catalog)
        self._clock = clock
        self._source = source
        self._audit = audit
        self._marks = marks
        self._days = DayBudget(config.bounds, clock)
        self._form: Form | None = None
        self._probing = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections.  Safe to repeat."""
        await self._client.close()

    @property
    def is_available(self) -> bool:
        """False while the circuit is open after failures in a row; for health and metrics."""
        return not self._client.is_broken

    async def prepare(self) -> Form | Refused:
        """Find out how the server is to be asked; done once, and again only while it could not be told."""
        async with self._probing:
            if self._form is None:
                found = await self._find_form()
                if isinstance(found, Refused):
                    return found
                self._form = found
                _log.info(
                    "model_probed", model=self.name, planning=found.planning.value, investigates=found.investigates
                )
            return self._form

    async def propose(
        self, evidence: Evidence, *, refusals: tuple[Refused, ...], failed: frozenset[str], incident_id: str
    ) -> Planned | NoPlan:
        """A lawful plan, or the reason why there is none.  Never raises for what the model or its server does."""
        with structlog.contextvars.bound_contextvars(incident_id=incident_id):
            kinds = (pin.ref.kind for pin in evidence.scope)
            actions = relevant(self._catalog.kinds, (s.family for s in evidence.signals), kinds)
            offer = offer_of(evidence, actions, failed)
            if offer is None:
                reason = "The target could not be read, so a model may propose nothing about it."
                return NoPlan(refusal=Refused(code=ReasonCode.INPUT_UNREADABLE, reason=reason, check="model"))
            if refused := self._days.check(offer.namespace):
                return NoPlan(refusal=refused)
            session = self._session(incident_id)
            try:
                found = await self._think(evidence, offer, refusals, session)
            finally:
                self._days.spend(offer.namespace, session.budget.usage)
            _log.info(
                "model_proposed",
                outcome="planned"
                if isinstance(found, Planned)
                else (found.code if isinstance(found, Refused) else found.refusal.code).value,
                turns=session.budget.turns,
                reads=session.budget.reads,
                prompt_tokens=session.budget.usage.prompt,
                answer_tokens=session.budget.usage.answer,
            )
            return NoPlan(refusal=found) if isinstance(found, Refused) else found

    async def _think(
        self, evidence: Evidence, offer: Offer, refusals: tuple[Refused, ...], session: Session
    ) -> Planned | NoPlan | Refused:
        form = await self.prepare()
        if isinstance(form, Refused):
            return form
        view = view_of(evidence, offer, refusals)
        room = self._config.bounds.prompt_tokens
        if form.investigates and self._source is not None:
            shown = fit(view, room)
            if isinstance(shown, Refused):
                return shown
            scope = Scope(offer.namespace, frozenset(p.node for p in evidence.pods if p.node))
            found = await investigate(shown, str(offer.workload), inspect_tools(self._source, scope), session)
            if isinstance(found, Refused):
                return found
            findings: list[JsonValue] = [f.as_json() for f in found]
            view["findings"] = findings
        shown = fit(view, room)
        if isinstance(shown, Refused):
            return shown
        return await self._planner.plan(Case(evidence, offer, shown), session, form.planning)

    def _session(self, incident_id: str) -> Session:
        return Session(
            client=self._client,
            budget=Budget(self._config.bounds, self._clock),
            frame=Frame.fresh(self._marks),
            incident_id=incident_id,
            clock=self._clock,
            audit=self._audit,
        )

    async def _find_form(self) -> Form | Refused:
        """Settings first; what they leave open is probed."""
        planning, wanted = self._config.planning, self._config.investigation
        may_read = self._source is not None and wanted is not Investigation.OFF
        is_open = planning is Planning.AUTO or (may_read and wanted is Investigation.AUTO)
        if not is_open:
            return Form(planning, may_read)
        seen = await probe(self._session("probe"))
        return seen if isinstance(seen, Refused) else self._form_for(seen, may_read=may_read)

    def _form_for(self, seen: Capability, *, may_read: bool) -> Form:
        planning = self._config.planning
        if planning is Planning.AUTO:
            planning = Planning.SCHEMA if seen.strict_schema else Planning.TOOLS if seen.tools else Planning.JSON
        return Form(planning, may_read and (seen.tools or self._config.investigation is Investigation.ON))
