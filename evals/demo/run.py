"""The whole story: what is on stage, each chapter in turn, what came of all, and how to look further.

Neighbours: `__main__` reads the command line; `play` plays one chapter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from evals.demo.faults import FAULTS, RIDDLE, Fault
from evals.demo.play import Chapter, Play, Stuck
from evals.demo.screen import Screen
from evals.demo.script import script
from evals.demo.shop import WORKLOADS
from evals.demo.stage import SETTLE_SECONDS, Healer, Speed, Stage, open_healer, open_stage, settings_for, writes_of
from evals.scripted_model.server import ScriptedModel
from server.logging import configure_logging
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    faults: tuple[Fault, ...]
    """None named: all, and the riddle where a model is configured."""
    speed: Speed
    plain: bool
    stay: bool
    observe: bool
    folder: Path | None
    began: float
    """The monotonic moment the total counts from."""


async def run(options: Options) -> int:
    """Tell it all; 0 when everything ended as it had to, else 1.  Raises `SettingsError` for a misconfigured model."""
    model = Settings.load() if os.environ.get("SELFHEAL_LLM_MODEL") else None
    folder = options.folder or Path(tempfile.mkdtemp(prefix="selfheal-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    screen = Screen(plain=options.plain)
    with (folder / "service.log").open("w", encoding="utf-8") as log:
        configure_logging("info", "json", log)
        screen.title("selfheal demo")
        screen.say("Starting a simulated Kubernetes with a small shop in it, and the real service beside it ...")
        async with open_stage(folder, options.speed) as stage:
            _introduce(screen, stage, model, observe=options.observe)
            screen.say(
                "", "First the shop runs for half a minute: what ran that long without a restart is last known good ..."
            )
            try:
                chapters = await _tell(screen, stage, model, options)
            except (Stuck, TimeoutError) as error:
                screen.failed(f"The story cannot go on: {error}.  The service's log is {folder / 'service.log'}")
                return 1
            is_well = _sum_up(screen, stage, chapters, seconds=time.monotonic() - options.began)
            if options.stay:
                await _stay(screen, stage, model, options, chapters)
            else:
                _leave(screen, stage, chapters)
    return 0 if is_well else 1


async def _tell(screen: Screen, stage: Stage, model: Settings | None, options: Options) -> list[Chapter]:
    """All chapters.  The service is started anew where the next one needs another reasoner; its ledger goes on."""
    chapters: list[Chapter] = []
    faults = options.faults or (*FAULTS, *([RIDDLE] if model is not None else []))
    numbered = list(enumerate(faults, start=1))
    for is_scripted, group in groupby(numbered, key=lambda n: n[1].scripted):
        async with (
            _healer(stage, model, is_scripted=is_scripted, observe=options.observe) as healer,
            screen.table(stage),
        ):
            play = Play(stage, healer, screen)
            for number, fault in group:
                screen.title(f"{number}/{len(numbered)}  {fault.name}: {fault.title}")
                screen.told(fault.told)
                chapters.append(await play.perform(fault))
    return chapters


@contextlib.asynccontextmanager
async def _healer(stage: Stage, model: Settings | None, *, is_scripted: bool, observe: bool) -> AsyncGenerator[Healer]:
    """The service, with the scripted model where the chapter needs it."""
    async with contextlib.AsyncExitStack() as stack:
        url = None
        if is_scripted:
            url = (await stack.enter_async_context(ScriptedModel(script(stage.sim)))).url
        settings = settings_for(stage, model=model, scripted=url, observe=observe)
        yield await stack.enter_async_context(open_healer(stage, settings))


def _introduce(screen: Screen, stage: Stage, model: Settings | None, *, observe: bool) -> None:
    factor = stage.speed.factor
    time_told = (
        f"runs {factor:g} times as fast as your clock.  +12.3s below is simulated time since the fault; what selfheal"
        f" itself computes takes real time and looks {factor:g} times as long as it is."
    )
    if stage.speed.is_virtual:
        time_told = (
            "is virtual: it passes as fast as this machine computes.  +12.3s below is simulated time since the fault;"
            " what is computed takes none of it."
        )
    reasoner = "rules; no model is configured (SELFHEAL_LLM_MODEL names one)"
    if model is not None:
        reasoner = f"rules, and the model {model.llm_model} of your environment for what they do not know"
    rows = [
        ("cluster", f"{stage.sim.url}: API server, controllers, scheduler, 2 kubelets, all simulated here"),
        ("shop", ", ".join(f"{w.kind} {w.name}" for w in WORKLOADS)),
        ("selfheal", "the real service, with the rights of deploy/manifests and no more"),
        ("policy", "shop: auto; set_resources: approve; payments is protected; 30 s cooldown instead of 300 s"),
        ("reasoner", reasoner),
        ("time", time_told),
        ("settling", f"a recovery must last {SETTLE_SECONDS:g} s here; the service's default is 30 s"),
    ]
    if observe:
        rows.append(("observe", "selfheal may only watch (--observe): nothing will be healed"))
    screen.pairs(rows)


def _sum_up(screen: Screen, stage: Stage, chapters: list[Chapter], *, seconds: float) -> bool:
    """What came of all; True when everything ended as it had to."""
    wrong = [c for c in chapters if c.wrong]
    screen.title("What came of it")
    screen.summary([_row(c) for c in chapters])
    done = f"{len(chapters) - len(wrong)} of {len(chapters)} ended as they should"
    writes = len(writes_of(stage))
    screen.say(
        "", f"{done}; selfheal wrote to the cluster {writes} times; all of it took {seconds:.0f} s on your clock."
    )
    return not wrong


def _row(chapter: Chapter) -> tuple[str, str, str, str, str]:
    took = chapter.seconds
    told = "NOT AS IT SHOULD BE: " + "; ".join(chapter.wrong) if chapter.wrong else chapter.fault.ending.told
    return (
        chapter.fault.name,
        f"{chapter.fault.workload.kind.lower()}/{chapter.fault.workload.name}",
        chapter.status,
        f"{took:.1f} s" if took is not None else "-",
        told,
    )


def _leave(screen: Screen, stage: Stage, chapters: list[Chapter]) -> None:
    """How to look at what is left when the cluster is gone."""
    screen.title("Look further")
    again = f"{_program('python')} -m evals.demo --stay"
    screen.commands(
        [
            *_of_ledger(stage, chapters),
            ("cluster and service that stay up, for kubectl --kubeconfig and curl", again),
        ]
    )


async def _stay(
    screen: Screen, stage: Stage, model: Settings | None, options: Options, chapters: list[Chapter]
) -> None:
    """Keep cluster and service up until the process is interrupted."""
    async with _healer(stage, model, is_scripted=False, observe=options.observe) as healer:
        kubectl = f"kubectl --kubeconfig {stage.kubeconfig}"
        bearer = f'-H "Authorization: Bearer $(cat {stage.token_file})"'
        screen.title("Look further: cluster and service stay up until Ctrl-C")
        screen.commands(
            [
                ("the shop", f"{kubectl} get pods,deployments,statefulsets"),
                ("break something", f"{kubectl} set image deployment/web web=registry.invalid/shop/web:9"),
                ("the incidents", f"curl {bearer} {healer.url}/incidents"),
                ("one of them, as it is written", f"curl -N {bearer} {healer.url}/incidents/ID/events"),
                *_of_ledger(stage, chapters),
            ]
        )
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await stop.wait()


def _of_ledger(stage: Stage, chapters: list[Chapter]) -> list[tuple[str, str]]:
    here = f"--state-dir {stage.state_dir}"
    selfheal = _program("selfheal") if _is_installed("selfheal") else f"{_program('python')} -m server.cli"
    newest = next((c.account.id for c in reversed(chapters) if c.account is not None), "ID")
    return [
        ("all incidents", f"{selfheal} incidents {here}"),
        ("the last one, with its plan and its writes", f"{selfheal} explain {newest} {here}"),
        ("the audit trail, checked", f"{selfheal} audit --verify {here}"),
        ("the service's log", f"{stage.folder / 'service.log'}"),
    ]


def _is_installed(name: str) -> bool:
    """Whether there is a program of that name beside this Python: `make demo` installs the dependencies alone."""
    return Path(sys.executable).with_name(name).exists()


def _program(name: str) -> str:
    """A program beside this Python, as short as it can be typed here."""
    path = Path(sys.executable).with_name(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
