"""An ordinary run: what a script is told, what is refused, and that its end is seen whoever dies first."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.cluster.hostile import eventually
from tests.tools.executors.script.support import Shelf, finished, linux
from tools.executors.script.manifest import Purpose
from tools.executors.script.outcome import Lost, Refused, ScriptCode
from tools.executors.script.run import ScriptRunner, User
from tools.jsontypes import JsonValue
from tools.refs import ObjectRef

pytestmark = linux
NOBODY = User(65534, 65534)

ARGUMENTS: JsonValue = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "enum": ["eu", "us"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "force": {"type": "boolean"},
        "names": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3},
    },
    "required": ["region"],
    "additionalProperties": False,
}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    tmp_path.chmod(0o755)
    yield made
    assert made.survivors() == []


async def test_a_script_reads_one_document_from_stdin(shelf: Shelf) -> None:
    outcome = await shelf.run(shelf.add("cat", arguments=ARGUMENTS), region="eu", names=["a", "b"])
    assert json.loads(finished(outcome).output) == {
        "script": "job",
        "purpose": "run",
        "target": {"kind": "Deployment", "namespace": "shop", "name": "web"},
        "arguments": {"region": "eu", "names": ["a", "b"]},
        "incident": shelf.incident,
        "action": "act-1",
    }


async def test_plain_arguments_are_in_the_environment_too(shelf: Shelf) -> None:
    scripts = shelf.add("env | grep -E 'ARG|TARGET' | sort", arguments=ARGUMENTS)
    outcome = await shelf.run(scripts, region="eu", count=3, force=True, names=["a"])
    assert finished(outcome).output.split() == [
        "SELFHEAL_ARG_COUNT=3",
        "SELFHEAL_ARG_FORCE=true",
        "SELFHEAL_ARG_REGION=eu",
        "SELFHEAL_TARGET_KIND=Deployment",
        "SELFHEAL_TARGET_NAME=web",
        "SELFHEAL_TARGET_NAMESPACE=shop",
    ]


@pytest.mark.parametrize("code", [0, 1, 127])
async def test_the_exit_code_is_told(shelf: Shelf, code: int) -> None:
    outcome = finished(await shelf.run(shelf.add(f"exit {code}")))
    assert (outcome.exit_code, outcome.signal, outcome.is_success) == (code, None, code == 0)
    assert f"exit code {code}" in outcome.sentence


async def test_a_signal_is_told_by_name(shelf: Shelf) -> None:
    outcome = finished(await shelf.run(shelf.add("kill -KILL $$")))
    assert (outcome.exit_code, outcome.signal, outcome.is_success) == (None, "SIGKILL", False)


async def test_output_and_errors_are_one_text_in_order(shelf: Shelf) -> None:
    assert finished(await shelf.run(shelf.add("echo a; echo b >&2; echo c"))).output == "a\nb\nc\n"


async def test_undo_and_verify_are_scripts_of_their_own(shelf: Shelf) -> None:
    undo, verify = (shelf.program(f"echo {word} $SELFHEAL_PURPOSE", f"{word}.sh") for word in ("back", "look"))
    scripts = shelf.add("echo on $SELFHEAL_PURPOSE", undo=undo, verify=verify)
    said = [finished(await shelf.run(scripts, purpose=purpose)).output for purpose in Purpose]
    assert said == ["on run\n", "back undo\n", "look verify\n"]


REFUSED = {
    "another kind": (
        ScriptCode.KIND,
        {"target": ObjectRef(kind="Pod", namespace="shop", name="web")},
        {"region": "eu"},
    ),
    "no such argument": (ScriptCode.ARGUMENTS, {}, {"region": "eu", "other": 1}),
    "a missing argument": (ScriptCode.ARGUMENTS, {}, {}),
    "a value that is not on the list": (ScriptCode.ARGUMENTS, {}, {"region": "asia"}),
    "too large": (ScriptCode.ARGUMENTS, {}, {"region": "e" * 20_000}),
    "no undo": (ScriptCode.PURPOSE, {"purpose": Purpose.UNDO}, {"region": "eu"}),
}


@pytest.mark.parametrize(("code", "how", "arguments"), REFUSED.values(), ids=REFUSED)
async def test_refused_before_anything_is_executed(
    shelf: Shelf, tmp_path: Path, code: ScriptCode, how: dict[str, object], arguments: dict[str, JsonValue]
) -> None:
    scripts = shelf.add(f"touch {tmp_path}/was-run", arguments=ARGUMENTS)
    outcome = await shelf.run(scripts, **how, **arguments)  # type: ignore[arg-type]
    assert isinstance(outcome, Refused)
    assert outcome.code is code
    assert not (tmp_path / "was-run").exists()


async def test_a_promised_variable_that_is_not_set_refuses(shelf: Shelf) -> None:
    outcome = await shelf.run(shelf.add("env", environment=["REGION"]), environ={"OTHER": "x"})
    assert isinstance(outcome, Refused)
    assert outcome.code is ScriptCode.ENVIRONMENT
    assert "REGION" in outcome.sentence


@pytest.mark.parametrize(
    ("body", "remedy"),
    [(b"#!/no/such/interpreter\n", "interpreter is not on this machine"), (b"\x7fELF", "no program of this machine")],
    ids=["an interpreter that is not there", "no program"],
)
async def test_what_the_kernel_does_not_start_is_refused_with_the_reason(
    shelf: Shelf, body: bytes, remedy: str
) -> None:
    scripts = shelf.add(body)
    outcome = await shelf.run(scripts)
    assert isinstance(outcome, Refused)
    assert outcome.code is ScriptCode.NOT_STARTED
    assert remedy in outcome.sentence


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
@pytest.mark.parametrize("user", [None, User(0, 0)])
async def test_root_runs_no_script_as_root(shelf: Shelf, user: User | None) -> None:
    outcome = await ScriptRunner({}, user=user).run(shelf.add("id"), "job", {}, shelf.subject())
    assert isinstance(outcome, Refused)
    assert outcome.code is ScriptCode.USER


@pytest.mark.parametrize(
    ("text", "user"),
    [("nobody", NOBODY), ("65534", NOBODY), ("65534:1000", User(65534, 1000)), ("4242", User(4242, 4242))],
)
def test_users_are_read(text: str, user: User) -> None:
    assert User.named(text) == user


@pytest.mark.parametrize("text", ["root", "0", "65534:0", "no-such-user-here", "nobody:nogroup", "", "-1"])
def test_users_that_are_no_choice(text: str) -> None:
    with pytest.raises(ValueError, match="65534:65534"):
        User.named(text)


# --- the end is seen ----------------------------------------------------------------------------------------------

LINGER = "trap '' TERM; (setsid sleep 60 &) ; echo > $HOME/ready; while :; do sleep 0.1; done"


async def test_a_cancelled_run_kills_everything_before_the_cancellation_goes_on(shelf: Shelf) -> None:
    run = asyncio.create_task(shelf.run(shelf.add(LINGER)))
    await eventually(lambda: len(shelf.survivors()) >= 2, "the script has children")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert shelf.survivors() == []


@pytest.mark.parametrize("namespaces", [True, False], ids=["in a namespace", "without one"])
async def test_a_service_that_is_killed_leaves_no_script(shelf: Shelf, namespaces: bool) -> None:
    shelf.add(LINGER)
    service = await _service(shelf, namespaces=namespaces)
    try:
        await eventually(lambda: len(shelf.survivors()) >= 2, "the script has children", seconds=60)
    finally:
        service.send_signal(signal.SIGKILL)
        service.wait()
    await eventually(lambda: not shelf.survivors(), "nothing of it runs")


async def test_a_supervisor_that_is_killed_takes_its_namespace_with_it_and_the_outcome_is_lost(shelf: Shelf) -> None:
    with open_folder() as made:  # which stays behind then
        run = asyncio.create_task(shelf.run(shelf.add(LINGER), work_dir=made))
        await eventually(lambda: len(shelf.survivors()) >= 2, "the script has children")
        os.kill(_supervisor_of(os.getpid()), signal.SIGKILL)
        outcome = await run
        assert isinstance(outcome, Lost)
        assert "unknown" in outcome.sentence
        await eventually(lambda: not shelf.survivors(), "nothing of it runs")


@contextmanager
def open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


async def _service(shelf: Shelf, *, namespaces: bool) -> subprocess.Popen[bytes]:
    program = f"""
import asyncio
from pathlib import Path
from tests.tools.executors.script.support import Shelf
shelf = Shelf(Path({str(shelf.folder)!r}), incident={shelf.incident!r})
asyncio.run(shelf.run(shelf.read(), namespaces={namespaces}))
"""
    root = Path(__file__).parents[4]
    return await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", program], cwd=root)


def _supervisor_of(pid: int) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat, command = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid and b"script.supervisor" in command:
                return int(entry.name)
    raise AssertionError("no supervisor runs")


# --- without root -------------------------------------------------------------------------------------------------

SYSTEM_PYTHON = Path("/usr/bin/python3")
AS_OURSELVES = """
import asyncio, json, os, sys
from pathlib import Path
from tests.tools.executors.script import test_attacks as attacks
from tests.tools.executors.script.support import PYTHON, Shelf
folder, incident = Path(sys.argv[1]), sys.argv[2]
os.environ["SELFHEAL_TOKEN"] = "very-secret"
reading = (
    f"cat /proc/{os.getpid()}/environ 2>&1 | tr '\\\\0' '\\\\n' | grep -c very-secret; "
    f"kill -0 {os.getpid()} 2>/dev/null && echo REACHED"
)
cases = {
    "user": "id -u",
    "reading": reading,
    "daemon": attacks.DAEMON,
    "bomb": attacks.BOMB,
    "limit": PYTHON + attacks.COUNT,
}
said = {}
for namespaces in (True, False):
    for name, body in cases.items():
        shelf = Shelf(folder, incident=incident)
        scripts = shelf.add(body, limits={"timeout_seconds": 2, "grace_seconds": 0, "processes": 10})
        outcome = asyncio.run(shelf.run(scripts, namespaces=namespaces))
        said[f"{name} {outcome.isolated}"] = [outcome.kind, outcome.output, len(shelf.survivors())]
print(json.dumps(said))
"""


def _says(command: list[str | Path]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _can_be_ordinary() -> bool:
    """Whether a Python is to be had that an ordinary user can start and that finds our packages."""
    if os.geteuid() != 0:
        return False  # then every other test here runs as one anyway
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    probe: list[str | Path] = [SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return SYSTEM_PYTHON.exists() and _says(probe) == wanted


@pytest.mark.skipif(not _can_be_ordinary(), reason="needs root, and a system Python of the same version")
async def test_without_root_the_same_bounds_hold(shelf: Shelf) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.chown(folder, *shelf.user)
        paths = [str(Path(__file__).parents[4]), *(path for path in sys.path if path.endswith("site-packages"))]
        done = await asyncio.to_thread(
            subprocess.run,
            [SYSTEM_PYTHON, "-c", AS_OURSELVES, str(folder), shelf.incident],
            env={"PYTHONPATH": ":".join(paths), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            user=shelf.user.uid,
            group=shelf.user.gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {count for _, _, count in said.values()} == {0}
    assert said["user False"][1] == f"{shelf.user.uid}\n"
    assert said["reading False"][1].startswith("0\n"), "our environment is not to be read"
    assert said["limit False"][1] == "10\n"
    if "user True" in said:  # where user namespaces are permitted
        assert said["user True"][1] == f"{shelf.user.uid}\n"
        assert said["reading True"][1] == "0\n", "and we cannot be signalled"
        assert said["limit True"][1] == "10\n"


def test_the_supervisor_needs_the_standard_library_alone() -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); import tools.executors.script.supervisor; "
        "print([m for m in sys.modules if m.startswith('tools.') and 'script' not in m and m != 'tools.executors'])"
    )
    root = str(Path(__file__).parents[4])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program, root], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
