"""How the story looks: it scrolls by as it happens and, on a terminal, a live table of the shop stands below it.

The rule: everything that matters is in what scrolls, so that a pipe, a log file and a terminal tell the same; text that
came from the cluster is printed as text, never as markup.  Neighbours: `play` tells, `server.commands.render` is how
the command line shows the same documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from evals.demo.shop import NAMESPACE, WORKLOADS, Workload
from evals.demo.stage import Speed, Stage
from evals.simulator.api.tables import pod_state
from evals.simulator.objects import is_ready, name_of
from server.commands.render import COLOURS
from tools.jsontypes import JsonObject, dig_int, dig_str

PLAIN_WIDTH: Final = 96
WIDEST: Final = 120
MARGIN: Final = 2
_REFRESH: Final = 0.2
_PHASES: Final = {
    "pods": "dim",
    "evidence": "cyan",
    "diagnosis": "bold cyan",
    "plan": "blue",
    "decision": "blue",
    "approval": "yellow",
    "intent": "magenta",
    "outcome": "magenta",
    "verify": "",
    "undo": "bold yellow",
    "close": "bold",
}
_WELL: Final = frozenset({"Running", "Completed"})
_ON_THE_WAY: Final = frozenset({"Pending", "ContainerCreating", "Terminating"})


class Screen:
    """Prints the story; `table` keeps the live table up to date while it is open, where there is a terminal."""

    def __init__(self, *, plain: bool) -> None:
        self.out = Console(file=sys.stdout, highlight=False, soft_wrap=False)
        self._plain = plain or not self.out.is_terminal
        if not self.out.is_terminal:
            self.out = Console(file=sys.stdout, highlight=False, width=PLAIN_WIDTH)
        elif self.out.width > WIDEST:
            self.out = Console(file=sys.stdout, highlight=False, width=WIDEST)
        self._now = ""
        self._marks: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def table(self, stage: Stage) -> AsyncGenerator[None]:
        """The live table of the workloads; nothing in plain mode."""
        if self._plain:
            yield
            return
        with Live(self._below(stage), console=self.out, auto_refresh=False, transient=True) as live:

            async def keep() -> None:
                # On this loop and not in rich's own thread: the cluster's objects change under another thread's feet.
                while True:
                    await asyncio.sleep(_REFRESH)
                    live.update(self._below(stage), refresh=True)

            keeping = asyncio.create_task(keep(), name="table")
            try:
                yield
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    def now(self, what: str) -> None:
        """What is going on, for the line above the live table."""
        self._now = what

    def mark(self, workload: Workload, status: str) -> None:
        """How its newest incident stands, for the live table."""
        self._marks[workload.name] = status

    def title(self, text: str) -> None:
        """The head of a chapter."""
        self.out.print()
        self.out.print(Rule(Text(text, style="bold"), align="left", characters="─" if self._is_wide_encoding else "-"))

    def say(self, *lines: str | Text) -> None:
        """Lines of the story."""
        for line in lines:
            self._print(Text(line) if isinstance(line, str) else line)

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Words and what they mean here."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for word, meaning in rows:
            grid.add_row(word, Text(meaning))
        self._print(grid)

    def told(self, lines: Sequence[str]) -> None:
        """What a chapter is about: commands as commands, the rest as words."""
        for text in lines:
            is_command = text.startswith("kubectl ")
            self._print(Text.assemble(("$ " if is_command else "", "dim"), (text, "bold" if is_command else "")))

    def commands(self, rows: Sequence[tuple[str, str]]) -> None:
        """What to type next: never wrapped, so that it can be copied."""
        for what, command in rows:
            self.out.print(Text.assemble((f"  # {what}\n", "dim"), f"  {command}"), soft_wrap=True)

    def line(self, seconds: float, phase: str, sentence: str, code: str = "") -> None:
        """One line of an incident's timeline, by simulated seconds since the injection."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, width=7, justify="right", style="dim")
        grid.add_column(no_wrap=True, width=9, style=_PHASES.get(phase, ""))
        grid.add_column(overflow="fold")
        grid.add_row(
            f"+{seconds:.1f}s", phase, Text.assemble(_coloured(sentence), (f"  {code}" if code else "", "yellow"))
        )
        self._print(grid)

    def diff(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """The fields a step changes, by the API server's own dry run: name, before, after."""
        for field, before, after in rows:
            self._print(
                Text.assemble((f"{field}\n", "bold"), (f"  - {before}\n", "red"), (f"  + {after}", "green")),
                indent=MARGIN + 18,
            )

    def pods(self, stage: Stage, workload: Workload) -> None:
        """The workload's pods as kubectl would list them."""
        grid = Table.grid(padding=(0, 2))
        for pod in stage.sim.pods(NAMESPACE, app=workload.name):
            state = pod_state(pod)
            ready = "ready" if is_ready(pod) else "not ready"
            grid.add_row(
                Text(f"pod/{name_of(pod)}", "dim"), Text(ready, "green" if is_ready(pod) else "red"), _state(state)
            )
        self._print(grid, indent=MARGIN + 18)

    def verdict(self, status: str, sentence: str, *, as_expected: bool) -> None:
        """How it ended."""
        mark = ("OK ", "bold green") if as_expected else ("NOT AS IT SHOULD BE ", "bold red")
        self._print(Text.assemble(mark, (status.upper(), f"bold {COLOURS.get(status, '')}".strip()), f"  {sentence}"))

    def failed(self, sentence: str) -> None:
        """Why it ends here."""
        self._print(Text(sentence, "bold red"))

    def summary(self, rows: Sequence[tuple[str, str, str, str, str]]) -> None:
        """The end of all chapters: fault, workload, end, time to heal, what was special."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("FAULT", "WORKLOAD", "END", "TIME TO HEAL", "HOW"):
            table.add_column(name, no_wrap=name != "HOW")
        for fault, workload, status, took, how in rows:
            table.add_row(fault, workload, Text(status, COLOURS.get(status, "red")), took, how)
        self._print(table)

    @property
    def _is_wide_encoding(self) -> bool:
        return (self.out.encoding or "").lower().startswith("utf")

    def _print(self, what: RenderableType, indent: int = MARGIN) -> None:
        self.out.print(Padding(what, (0, 0, 0, indent), expand=False))

    def _below(self, stage: Stage) -> RenderableType:
        """The live table and the line above it."""
        table = Table(
            title=f"{NAMESPACE}, {stage.sim.clock.now():%H:%M:%S}, {_pace(stage.speed)}: {self._now}",
            title_justify="left",
            title_style="dim",
            header_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            expand=True,
        )
        longest = max(len(f"{w.kind}/{w.name}") for w in WORKLOADS)
        # A narrow terminal takes from what may be cut, never from what must be read whole.
        for name, width, ratio in (
            ("WORKLOAD", longest, None),
            ("READY", 5, None),
            ("IMAGE", None, 2),
            ("PODS", None, 3),
            ("INCIDENT", 9, None),
        ):
            table.add_column(name, width=width, ratio=ratio, no_wrap=True)
        for workload in WORKLOADS:
            mark = self._marks.get(workload.name, "-")
            table.add_row(*_row(stage, workload), Text(mark, COLOURS.get(mark, "dim")))
        return table


def _row(stage: Stage, workload: Workload) -> tuple[RenderableType, ...]:
    live = stage.sim.get(workload.kind, NAMESPACE, workload.name) or {}
    wanted, ready = dig_int(live, "spec", "replicas") or 0, dig_int(live, "status", "readyReplicas") or 0
    image = dig_str(live, "spec", "template", "spec", "containers", 0, "image").rpartition("/")[2]
    states = Counter(_shown(pod) for pod in stage.sim.pods(NAMESPACE, app=workload.name))
    pods = Text(" ").join(Text.assemble(_state(s), f" x{n} " if n > 1 else " ") for s, n in sorted(states.items()))
    return (
        f"{workload.kind.lower()}/{workload.name}",
        Text(f"{ready}/{wanted}", "green" if ready >= wanted else "bold red"),
        image,
        pods,
    )


def _shown(pod: JsonObject) -> str:
    state = pod_state(pod)
    return "NotReady" if state == "Running" and not is_ready(pod) else state


def _state(state: str) -> Text:
    return Text(state, "green" if state in _WELL else "yellow" if state in _ON_THE_WAY else "red")


def _coloured(sentence: str) -> Text:
    """PASS and FAIL are what the eye looks for."""
    text = Text(sentence)
    text.highlight_regex(r"^PASS", "bold green")
    text.highlight_regex(r"^(FAIL[^:]*|UNKNOWN|It did not last|Refused)", "bold red")
    return text


def _pace(speed: Speed) -> str:
    return "virtual time" if speed.is_virtual else f"time x{speed.factor:g}"
