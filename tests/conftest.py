"""How all tests run: what a process of them keeps compiled, whom it trusts, and when it looks for garbage.

Nothing here changes what is tested; a test that is run by itself behaves as in the whole suite.
"""

from __future__ import annotations

import gc
import os
import random
import sys
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]
COMPILED = ROOT / ".venv" / ".pycache"
MOST_WORKERS = 12
"""More than so many spend longer in collecting than they save."""
NOBODY = Path(__file__).parent / "support" / "nobody.pem"


def keep_compiled() -> None:
    """Keep compiled modules, as the Makefile does, also where the environment says to write none.

    Else every test process and each of the programs that tests start would compile all it imports anew, which is half
    of the time until it does something.
    """
    if COMPILED.parent.is_dir() and sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = sys.pycache_prefix or str(COMPILED)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


keep_compiled()  # before the other conftest modules, which import the program, are loaded
gc.disable()  # until everything is imported and collected


def pytest_configure() -> None:
    """Property tests are judged by what they find, not by how busy the machine is."""
    hypothesis.settings.register_profile(
        "unhurried", hypothesis.settings(), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("unhurried")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more than there are processors, because a test in five waits for a process or for real time."""
    return min(len(os.sched_getaffinity(0)) + 1, MOST_WORKERS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In several processes, each begins with its share of the slow tests: none of them is left for the end.

    The items are dealt out in as many equal parts as there are processes (`--dist worksteal`).
    """
    if seed := os.environ.get("TESTS_ORDER"):
        items[:] = shuffled(items, seed)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    size = -(-len(quick) // workers)
    parts = [slow[n::workers] + quick[n * size : (n + 1) * size] for n in range(workers)]
    items[:] = [item for part in parts for item in part]


def shuffled(items: list[pytest.Item], seed: str) -> list[pytest.Item]:
    """Modules in another order, and the tests within each; a module's stay together, for what they share."""
    drawn = random.Random(seed)  # noqa: S311 - an order, no secret
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    parts = list(modules.values())
    drawn.shuffle(parts)
    for part in parts:
        drawn.shuffle(part)
    return [item for part in parts for item in part]


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on the collector looks at what tests make, not at half a million objects of modules, each time.

    Tests that need no cluster speak over TLS to servers of their own at most, whose authorities they name.  Whoever
    else is asked for is verified against nobody: the system's list costs each client 30 ms.
    """
    if not any(item.get_closest_marker("cluster") for item in session.items):
        os.environ["SSL_CERT_FILE"] = str(NOBODY)
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(200_000, 20, 20)
