"""What Prometheus is told: one registry per application, labels from closed sets only.

The rule it keeps: no label carries a name from the cluster or from a caller, so the number of series is bounded by our
own vocabulary (statuses, families, tools, codes, kinds).  Counters are fed once per incident, when it has ended, out of
the ledger: what is counted is what is written down.  Gauges are read at the scrape.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from graph.incident import Family, Incident
from graph.plan import ExecutionResult, Status
from server.account import seen_at
from tools.guard.verdict import ReasonCode
from tools.jsontypes import dig_int, dig_str
from tools.ledger.records import ActionRecord, ActionState, AuditEntry, IncidentRecord

CONTENT_TYPE = CONTENT_TYPE_LATEST
OTHER = "other"
"""Stands for a word outside the closed sets, of another version's rows say."""
_STATUSES = frozenset(s.value for s in Status) - {Status.OPEN.value, Status.WAITING.value}
"""Those an incident can end with."""
_FAMILIES = frozenset(f.value for f in Family)
_CODES = frozenset(c.value for c in ReasonCode)
_HTTP = (200, 202, 409, 422, 429, 500, 503)
"""What POST /self-heal answers, as its contract says; another status begins when it happens."""
_ANSWERED = "answered"
_PHASES = ("investigate", "plan")
_FAST = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60)
_SLOW = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600)


class Metrics:
    """The counters of one application."""

    def __init__(self, tools: Iterable[str], gauges: Callable[[], Iterable[Metric]] | None = None) -> None:
        """`tools` are the names of all actions; `gauges` is asked at each scrape."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody asks for
        self.registry = CollectorRegistry()
        self._tools = frozenset(tools)
        self._incidents = Counter(
            "selfheal_incidents", "Incidents that ended.", ("status", "family"), registry=self.registry
        )
        self._actions = Counter(
            "selfheal_actions", "Writes that were ordered, by what came of them.", ("tool", "outcome"),
            registry=self.registry,
        )  # fmt: skip
        self._refusals = Counter(
            "selfheal_refusals", "Refusals in ended incidents, by reason code.", ("code",), registry=self.registry
        )
        self._first_write = Histogram(
            "selfheal_first_write_seconds",
            "From the status update that confirmed the signal, or the end of its grace, to the first recorded intent.",
            buckets=_FAST,
            registry=self.registry,
        )
        self._recover = Histogram(
            "selfheal_recover_seconds",
            "From the signal to the first good read of what became a verified recovery.",
            buckets=_SLOW,
            registry=self.registry,
        )
        self._signal = Histogram(
            "selfheal_signal_seconds",
            "From the status update that confirmed the signal, or the end of its grace, to its incident.",
            buckets=_FAST,
            registry=self.registry,
        )
        self._requests = Counter(
            "selfheal_requests", "Answers of POST /self-heal, by status.", ("status",), registry=self.registry
        )
        self._model_requests = Counter(
            "selfheal_model_requests", "Requests to the model in ended incidents, by what came of them.",
            ("phase", "outcome"), registry=self.registry,
        )  # fmt: skip
        self._model_tokens = Counter(
            "selfheal_model_tokens", "Tokens of these requests, as the model's server counts them.", ("kind",),
            registry=self.registry,
        )  # fmt: skip
        self._begin_at_zero()
        if gauges is not None:
            self.registry.register(_Gauges(gauges))

    def _begin_at_zero(self) -> None:
        """Make every series that is sure to mean something; what is rarer begins when it happens."""
        for status, family in itertools.product(_STATUSES, _FAMILIES):
            self._incidents.labels(status, family)
        for tool, state in itertools.product(self._tools, ActionState):
            self._actions.labels(tool, state.value)
        for code in _CODES:
            self._refusals.labels(code)
        for answer in _HTTP:
            self._requests.labels(str(answer))
        for phase in _PHASES:
            self._model_requests.labels(phase, _ANSWERED)
        for kind in ("prompt", "answer"):
            self._model_tokens.labels(kind)

    def answered(self, status: int) -> None:
        """Count one answer of POST /self-heal."""
        self._requests.labels(str(status)).inc()

    def ended(self, record: IncidentRecord, actions: Iterable[ActionRecord], audit: Iterable[AuditEntry]) -> None:
        """Count one ended incident with all that belongs to it."""
        incident = Incident.model_validate(record.document)
        self._incidents.labels(_word(record.status, _STATUSES), _word(incident.family.value, _FAMILIES)).inc()
        actions = list(actions)
        for action in actions:
            self._actions.labels(_word(action.intent.tool, self._tools), action.state.value).inc()
        for entry in audit:
            if "prompt_tokens" in entry.data:  # the record of one request to the model, and nothing else
                self._asked(entry)
            elif entry.code in _CODES and entry.phase != "close":
                self._refusals.labels(entry.code).inc()
        detected = incident.detected_at
        if detected is not None:
            self._signal.observe(_seconds(detected, incident.opened_at))
            if actions:
                self._first_write.observe(_seconds(detected, min(a.intent.created_at for a in actions)))
        seen = seen_at(incident)
        if seen is None:
            return
        if record.result is not None:
            recovered = ExecutionResult.model_validate(record.result).resolution.recovered_at
            if recovered is not None:
                self._recover.observe(_seconds(seen, recovered))

    def _asked(self, entry: AuditEntry) -> None:
        """Count one request to the model."""
        phase = _word(dig_str(entry.data, "phase"), frozenset(_PHASES))
        self._model_requests.labels(phase, _word(entry.code, _CODES) if entry.code else _ANSWERED).inc()
        for kind in ("prompt", "answer"):
            self._model_tokens.labels(kind).inc(max(0, dig_int(entry.data, f"{kind}_tokens") or 0))

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """Asks for the gauges at each scrape."""

    def __init__(self, gauges: Callable[[], Iterable[Metric]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """What they are now."""
        return self._gauges()


def gauge(name: str, text: str, value: float) -> Metric:
    """One gauge without labels."""
    return GaugeMetricFamily(name, text, value=value)


def gauge_by(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    """One gauge by one label of a closed set."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _word(word: str, known: frozenset[str]) -> str:
    return word if word in known else OTHER


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())
