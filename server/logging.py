"""Logs: one JSON line per event with a stable name, or coloured lines for a terminal; on stderr, stdout is for answers.

The rules it keeps: an event has a stable dotted name (`incident.closed`) and, where there is one, the `incident_id`;
text that people wrote goes through the redaction before it leaves; each incident ends with one sentence.
`docs` and dashboards may rely on the names in `EVENTS`.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from tools.redact import redact, redact_value, visible

EVENTS: dict[str, str] = {
    "service.open": "The ledger and the cluster are open and requests are taken; the view may still be filling.",
    "service.listening": "The socket listens; `port` is the real one.",
    "service.watching": "The watcher runs, without HTTP.",
    "service.stopped": "Everything is closed.",
    "dispatch.recovered": "Open incidents and unread entries of an earlier process were taken up.",
    "dispatch.cut_off": "The drain ran out; these incidents go on after the next start.",
    "entry.delayed": "An accepted entry waits for the API server.",
    "entry.broken": "An accepted entry could not be taken up; its row stays in the inbox.",
    "incident.opened": "The watcher saw a confirmed signal and an incident works on it.",
    "incident.waiting": "A plan waits for a person.",
    "approval.unread": "The time for an answer is over and the ledger cannot say whether one came; it is asked again.",
    "incident.broken": "A run broke off; it is escalated.",
    "incident.unwritten": "Not even the escalation could be written; the next start takes the incident up.",
    "incident.untold": "An incident ended and a listener failed.",
    "incident.closed": "An incident ended; `sentence` says how.",
    "watcher.syncing": "The first lists are not complete after half a minute; `waits_for` names them.",
    "watcher.groups_unread": "Which API groups the cluster serves could not be read; orphaned finalizers show later.",
    "watcher.blind": "Some kinds of objects cannot be seen; `cannot_see` says which and why.",
    "watcher.dropped": "A signal was accepted and no incident came of it; `sentence` says why.",
    "watcher.unaccepted": "The ledger did not take a signal; the object is looked at again.",
    "watcher.good_unwritten": "A last known good revision could not be recorded; it is tried again.",
    "watcher.good_unread": "Earlier known good revisions of an owner could not be read.",
    "watcher.broken": "One look at one object failed; the watch goes on.",
    "watcher.died": "The watch ended by a defect and begins anew.",
    "request.unavailable": "A question could not be answered: the cluster or the ledger does not answer.",
    "request.defect": "A request stopped at a defect of ours.",
}
"""Every event this package logs, and what is true when it appears."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PLAIN = frozenset({"event", "level", "timestamp", "logger", "incident_id", "entry_id", "exc_info", "exception"})


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger by its module's name."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))


def configure_logging(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["auto", "json", "console"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and route the standard library's loggers through it.  Once per process, by the entry point."""
    target = stream if stream is not None else sys.stderr
    is_console = form == "console" or (form == "auto" and target.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    last: Processor = structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name in ("httpx", "httpcore", "aiosqlite", "alembic", "asyncio", "uvicorn.access"):
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))  # our own events tell start and stop


def redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide what looks like a secret in every value but our own identifiers, and make control characters visible."""
    for key, value in event.items():
        if key in _PLAIN and key != "exception":
            continue
        event[key] = _clean(key, value)
    return event


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return visible(redact_value(name, value))
    if isinstance(value, dict):
        return {str(k): _clean(str(k), v) for k, v in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(name, v) for v in cast("list[object]", value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    return visible(redact(str(value)))
