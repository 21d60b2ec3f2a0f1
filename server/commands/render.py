"""How answers look: tables for people by rich, one JSON document for programs.

Text that came from a cluster is printed as text, never as rich's markup: a pod's message may not colour a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from pydantic import BaseModel, TypeAdapter
from rich.console import Console, Group
from rich.padding import Padding
from rich.status import Status as Spinner
from rich.table import Table
from rich.text import Text

from graph.plan import PreparedRevert
from server.account import Account, AuditLine, IncidentLine, Line, Question
from server.byhand_view import PauseView, UndoReport
from server.explain_view import ModeLine, ObjectView
from tools.jsontypes import JsonValue

COLOURS = {
    "healed": "green",
    "cleared": "green",
    "observed": "cyan",
    "refused": "yellow",
    "waiting": "yellow",
    "escalated": "red",
    "open": "blue",
}
_LINES: TypeAdapter[list[AuditLine]] = TypeAdapter(list[AuditLine])
_INCIDENTS: TypeAdapter[list[IncidentLine]] = TypeAdapter(list[IncidentLine])
_PAUSES: TypeAdapter[list[PauseView]] = TypeAdapter(list[PauseView])


def _out() -> Console:
    """Made at each use: tests and pipes replace stdout.  A pipe has no width, so nothing is cut for it."""
    width = None if sys.stdout.isatty() else 200
    return Console(file=sys.stdout, width=width, highlight=False)


def _json(document: bytes) -> None:
    sys.stdout.write(document.decode() + "\n")


def _dump(model: BaseModel) -> None:
    _json(model.model_dump_json(indent=2).encode())


class Progress:
    """Tells the trail on stderr while an incident runs, with a spinner on a terminal."""

    def __init__(self, incident_id: str) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._spinner: Spinner | None = None
        if self._console.is_terminal:
            self._spinner = self._console.status(f"incident {incident_id}")
        self._console.print(Text(f"incident {incident_id}"))

    def __enter__(self) -> Self:
        if self._spinner is not None:
            self._spinner.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._spinner is not None:
            self._spinner.stop()

    def tell(self, line: Line) -> None:
        """One line of the trail."""
        self._console.print(_line(line))


def incidents(found: Sequence[IncidentLine], *, as_json: bool, out: Console | None = None) -> None:
    """The list."""
    if as_json:
        _json(_INCIDENTS.dump_json(list(found), indent=2))
        return
    if not found:
        _out().print("No incidents.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    now = datetime.now(UTC)
    for name in ("ID", "STATUS", "AGE"):
        table.add_column(name, no_wrap=True, min_width=max(map(len, (name, *_cells(found, name, now)))))
    table.add_column("TARGET", overflow="fold")
    for line in found:
        table.add_row(
            line.id,
            _status(line.status),
            _age(line.opened_at, now),
            Text.assemble((str(line.target), "bold"), f"  {line.reason}\n{line.sentence}"),
        )
    (out or _out()).print(table)


def _cells(found: Sequence[IncidentLine], name: str, now: datetime) -> list[str]:
    """What stands in a column that is never cut, however narrow the terminal is."""
    return [
        line.id if name == "ID" else line.status if name == "STATUS" else _age(line.opened_at, now) for line in found
    ]


def question(story: Account) -> None:
    """The plan that waits, with its diff, and what is asked; on stderr, beside the question that follows."""
    out = Console(stderr=True, highlight=False)
    out.print(Text.assemble(("Incident ", "bold"), story.id, "  ", _status(story.status), "  ", str(story.target)))
    if story.diagnosis is not None:
        out.print(Text(story.diagnosis.sentence), soft_wrap=not out.is_terminal)
    _section(out, "Plan", [_plan(story)])
    if story.question is not None:
        _section(out, "Waits for a person", [Text(_asked(story.question)), Text(f"Plan {story.question.plan_hash}.")])
    out.print()


def standing(story: Account) -> None:
    """The writes of an incident, on stderr, beside the question that follows."""
    out = Console(stderr=True, highlight=False)
    out.print(Text.assemble(("Incident ", "bold"), story.id, "  ", _status(story.status), "  ", str(story.target)))
    if story.actions:
        _section(out, "Writes", [_actions(story)])
        out.print()


def undone(report: UndoReport, *, namespace: str | None, as_json: bool) -> None:
    """What became of an order to undo."""
    if as_json:
        _dump(report)
        return
    out = _out()
    for step in report.steps:
        code = f" [{step.code}]" if step.code else ""
        out.print(
            Text.assemble(f"{step.tool} {step.target}: {step.sentence}", (code, "yellow")),
            soft_wrap=not out.is_terminal,
        )
    out.print(Text(report.sentence), soft_wrap=not out.is_terminal)
    if report.complete and report.steps and namespace:
        hint = f"What was healed may fail again and be healed again; `selfheal pause {namespace} --for 2h` prevents it."
        out.print(Text(hint), soft_wrap=not out.is_terminal)


def pauses(found: Sequence[PauseView], *, as_json: bool) -> None:
    """Where acting is paused."""
    if as_json:
        _json(_PAUSES.dump_json(list(found), indent=2))
        return
    if not found:
        _out().print("Acting is paused nowhere.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("NAMESPACE", "UNTIL (UTC)", "BY"):
        table.add_column(name)
    for held in found:
        table.add_row(Text(held.namespace), f"{_utc(held.until):%Y-%m-%d %H:%M:%S}", Text(held.by))
    _out().print(table)


def audit(lines: Sequence[AuditLine], *, as_json: bool) -> None:
    """The trail."""
    if as_json:
        _json(_LINES.dump_json(list(lines), indent=2))
        return
    out = _out()
    for line in lines:
        out.print(
            Text.assemble((f"{line.seq:>6} {line.incident_id or '-':<12} ", "dim"), _line(line)),
            soft_wrap=not out.is_terminal,
        )
    if not lines:
        out.print("The trail is empty.")


def verified(broken: int | None, *, as_json: bool) -> None:
    """The result of a check of the trail."""
    if as_json:
        _json(b'{"whole": true}' if broken is None else b'{"whole": false, "first_broken": %d}' % broken)
    elif broken is None:
        _out().print("The audit trail is whole.")
    else:
        _out().print(f"The audit trail was changed: line {broken} is the first that is not as it was written.")


def account(story: Account, *, as_json: bool, full: bool = False) -> None:
    """The account; without `full` what was just told line by line is left out."""
    if as_json:
        _dump(story)
        return
    out = _out()
    out.print(Text.assemble(("Incident ", "bold"), story.id, "  ", _status(story.status), "  ", str(story.target)))
    out.print(Text(story.headline), soft_wrap=not out.is_terminal)
    if full:
        _section(out, "What was seen", [_signal_line(story)])
    if story.diagnosis is not None:
        said = f"{story.diagnosis.sentence} ({story.diagnosis.origin}: {story.diagnosis.author}, "
        _section(out, "Cause", [Text(f"{said}{story.diagnosis.confidence:.0%} sure)")])
    if story.plan is not None:
        _section(out, "Plan", [_plan(story)])
    if story.question is not None:
        _section(out, "Waits for a person", [Text(_asked(story.question))])
    if story.actions:
        _section(out, "Writes", [_actions(story)])
    if story.result is not None and story.result.revert is not None:
        _section(out, "Prepared for the repository", _revert(story.result.revert))
    if story.why_not:
        _section(out, "Why not", [Text(f"[{w.code}] {w.sentence}") for w in story.why_not])
    if full:
        _section(out, "What happened", [_line(line) for line in story.timeline])
    _section(out, "Times", [Text(_times(story))])


def view(seen: ObjectView, *, as_json: bool) -> None:
    """What is seen of an object."""
    if as_json:
        _dump(seen)
        return
    out = _out()
    out.print(Text(seen.sentence), soft_wrap=not out.is_terminal)
    if seen.root is not None and seen.root != seen.object:
        _section(out, "Belongs to", [Text(str(seen.root))])
    if seen.signals:
        rows = [
            Text(f"{s.reason} on {s.object}{f' ({s.container})' if s.container else ''}: {s.message}")
            if s.confirmed
            else Text(f"{s.reason} on {s.object}, not confirmed yet: {s.message}")
            for s in seen.signals
        ]
        _section(out, "Signals", rows)
    if seen.modes:
        _section(out, "What may be done", _modes(seen.modes))
    if seen.hindrances:
        _section(out, "What stands against acting now", [Text(h) for h in seen.hindrances])
    if seen.incidents:
        rows = [
            Text(f"{i.id}  {i.status:<9}  {_utc(i.opened_at):%Y-%m-%d %H:%M:%S}  {i.sentence}") for i in seen.incidents
        ]
        _section(out, "Newest incidents", rows)


def _modes(modes: Sequence[ModeLine]) -> list[Text]:
    """Actions under the same mode for the same reason on one line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for line in modes:
        groups.setdefault((line.mode, line.because), []).append(line.action)
    return [
        Text.assemble((mode, "bold"), f": {', '.join(actions)} ", (f"({because})", "dim"))
        for (mode, because), actions in groups.items()
    ]


def _section(out: Console, title: str, rows: Sequence[Text | Table | Group]) -> None:
    out.print()
    out.print(Text(title, style="bold"))
    for row in rows:
        out.print(Padding(row, (0, 0, 0, 2)))


def _line(line: Line) -> Text:
    code = f" [{line.code}]" if line.code else ""
    return Text.assemble(
        (f"{_utc(line.at):%H:%M:%S.%f}"[:-3], "dim"), f" {line.phase:<9} ", line.sentence, (code, "yellow")
    )


def _status(status: str) -> Text:
    return Text(status, style=COLOURS.get(status, ""))


def _signal_line(story: Account) -> Text:
    lines = [
        f"{_utc(s.observed_at):%H:%M:%S} {s.reason} on {s.object}{f' ({s.container})' if s.container else ''}"
        f"{f': {s.message}' if s.message else ''}"
        for s in story.signals
    ]
    return Text("\n".join(lines))


def _plan(story: Account) -> Text:
    text = Text()
    for number, step in enumerate(story.plan.steps if story.plan is not None else (), start=1):
        text.append(f"{number}. {step.action} {step.target}: {step.why}\n")
        for change in step.changes:
            text.append(f"   {change.field}: ", "dim")
            text.append(_short(change.before), "red")
            text.append(" → ")
            text.append(_short(change.after) + "\n", "green")
    if story.plan is not None and story.plan.safe_because:
        text.append(f"Safe because: {story.plan.safe_because}")
    text.rstrip()
    return text


def _actions(story: Account) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("WHEN", "ACTION", "TARGET", "STATE", "NOTE"):
        table.add_column(name, overflow="fold", no_wrap=name in {"WHEN", "STATE"})
    for action in story.actions:
        table.add_row(
            f"{_utc(action.intended_at):%H:%M:%S}",
            action.tool + (" (undo)" if action.undoes else ""),
            Text(str(action.target)),
            action.state,
            Text(action.note or action.code),
        )
    return table


def _revert(revert: PreparedRevert) -> list[Text]:
    where = f"branch {revert.branch}" if revert.branch else f"to be applied to {revert.onto}"
    rows = [Text(revert.patch), Text(f"{where} of {revert.repository}")]
    rows.append(Text(f"takes back {revert.reverts[:12]}, restores {revert.restores[:12]} in {revert.path}"))
    return [*rows, *(Text(line) for line in (*revert.changes, *revert.notes))]


def _times(story: Account) -> str:
    told = [f"opened {_utc(story.opened_at):%Y-%m-%d %H:%M:%S} UTC"]
    for seconds, what in (
        (story.seconds.signal_to_first_write, "first write {:.1f} s after the signal"),
        (story.seconds.signal_to_recovered, "recovered {:.1f} s after the signal"),
    ):
        if seconds is not None:
            told.append(what.format(seconds))
    if story.closed_at is not None:
        told.append(f"closed after {_took(story.opened_at, story.closed_at)}")
    return ", ".join(told)


def _asked(asked: Question) -> str:
    reasons = "; ".join(r.rstrip(".") for r in asked.reasons)
    return f"{reasons}.  Until {_utc(asked.expires_at):%H:%M:%S} UTC; then no."


def _age(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that says something: 42s, 7m, 3h, 12d."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _short(value: JsonValue) -> str:
    text = "(not there)" if value is None else value if isinstance(value, str) else str(value)
    return text if len(text) <= 120 else text[:119] + "…"


def _took(opened: datetime, closed: datetime | None) -> str:
    return f"{(closed - opened).total_seconds():.1f} s" if closed is not None else "goes on"


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
