"""What a hostile or broken script can do: each attack is real, and its bound is measured."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.executors.script.support import PYTHON, Shelf, can_count_apart, finished, linux, ran, timed_out
from tools.executors.script.outcome import Outcome, Refused, ScriptCode
from tools.jsontypes import JsonValue

pytestmark = linux

BRIEFLY: JsonValue = {"timeout_seconds": 1, "grace_seconds": 1}
SLACK = 5.0
"""Seconds that a busy machine may take on top; what is measured would otherwise take a minute, or for ever."""


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """A shelf; at the end of the test nothing of its scripts may run."""
    folder = tmp_path / "scripts"
    folder.mkdir(mode=0o755)
    made = Shelf(folder)
    yield made
    assert made.survivors() == []


@pytest.fixture(params=[True, False], ids=["in a namespace", "without one"])
def namespaces(request: pytest.FixtureRequest) -> bool:
    chosen: bool = request.param
    return chosen


@pytest.fixture
def work_dir() -> Iterator[Path]:
    """Where working directories are made, open to every user; it must be empty again in the end."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o777)
        yield folder
        assert list(folder.iterdir()) == []


# --- what is run --------------------------------------------------------------------------------------------------


async def test_a_file_changed_after_the_manifest_was_read_is_not_run(shelf: Shelf, tmp_path: Path) -> None:
    scripts = shelf.add("echo good")
    (shelf.folder / "job.sh").write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    outcome = await shelf.run(scripts)
    assert isinstance(outcome, Refused)
    assert outcome.code is ScriptCode.TAMPERED
    assert not (tmp_path / "was-run").exists()


async def test_a_file_changed_while_it_runs_does_not_change_what_runs(shelf: Shelf) -> None:
    """A shell reads its script as it goes: whoever writes to that file steers it."""
    scripts = shelf.add("echo one; sleep 0.5; echo two")
    path = shelf.folder / "job.sh"

    async def change() -> None:
        while not shelf.survivors():
            await asyncio.sleep(0.01)
        path.write_text("#!/bin/sh\necho one; sleep 0.3; echo BAD\necho BAD\necho BAD\n")

    outcome, _ = await asyncio.gather(shelf.run(scripts), change())
    assert finished(outcome).output == "one\ntwo\n"


async def test_a_script_cannot_write_to_what_it_is_executed_from(shelf: Shelf) -> None:
    outcome = await shelf.run(shelf.add("echo evil >> /proc/self/fd/3 || true\necho end"))
    assert "evil" not in finished(outcome).output.splitlines()
    assert finished(outcome).output.endswith("end\n")


@pytest.mark.parametrize(
    "name",
    ["../../bin/sh", "/bin/sh", "job.sh\0.txt", "a/../../b", "..%2f", "\u2215etc\u2215passwd", "", "job.sh", "Job"],
)
async def test_a_name_is_a_key_and_never_a_path(shelf: Shelf, name: str) -> None:
    outcome = await shelf.run(shelf.add("echo x"), name)
    assert isinstance(outcome, Refused)
    assert outcome.code is ScriptCode.UNKNOWN


async def test_a_missing_file_is_refused_at_run_time_too(shelf: Shelf) -> None:
    scripts = shelf.add("echo x")
    (shelf.folder / "job.sh").unlink()
    outcome = await shelf.run(scripts)
    assert isinstance(outcome, Refused)
    assert outcome.code is ScriptCode.UNREADABLE


@pytest.mark.parametrize("text", ["$(touch pwned)", "; touch pwned", "`touch pwned`", "| touch pwned", "-rf /", "a\nb"])
async def test_arguments_are_data_wherever_they_arrive(shelf: Shelf, text: str) -> None:
    arguments = {
        "type": "object",
        "properties": {"what": {"type": "string", "maxLength": 50}},
        "additionalProperties": False,
    }
    body = 'printf "%s|" "$SELFHEAL_ARG_WHAT"; printf "%s" "$#"; ls'
    outcome = await shelf.run(shelf.add(body, arguments=arguments), what=text)
    assert finished(outcome).output == f"{text}|0"


# --- how long -----------------------------------------------------------------------------------------------------


HANGS: dict[str, tuple[str, bool, str]] = {
    "a hang ends by SIGTERM at the time limit": ("echo begun; sleep 60", False, "begun"),
    "who ignores SIGTERM is killed after the grace": ("trap '' TERM INT HUP\nwhile :; do sleep 0.1; done", True, ""),
    "who cleans up on SIGTERM may": ("trap 'echo cleaned; exit 7' TERM\nwhile :; do sleep 0.1; done", False, "cleaned"),
    "who stops itself is killed": ("kill -STOP $$; echo never", True, ""),
}


async def test_the_time_limit(tmp_path: Path, namespaces: bool) -> None:
    async def hang(name: str, body: str) -> tuple[Outcome, float]:
        folder = tmp_path / name
        folder.mkdir(mode=0o755)
        shelf, began = Shelf(folder), time.monotonic()
        outcome = await shelf.run(shelf.add(body, limits=BRIEFLY), namespaces=namespaces)
        assert shelf.survivors() == [], name
        return outcome, time.monotonic() - began

    ends = await asyncio.gather(*(hang(name, body) for name, (body, _, _) in HANGS.items()))
    for (name, (_, is_killed, said)), (outcome, seconds) in zip(HANGS.items(), ends, strict=True):
        assert timed_out(outcome).was_killed == is_killed, name
        assert timed_out(outcome).output.rstrip().endswith(said), name
        least = 2.0 if is_killed else 1.0
        assert least <= seconds < least + SLACK, name


async def test_processor_time_is_bounded_in_what_a_script_leaves_in_the_background_too(shelf: Shelf) -> None:
    outcome = ran(await shelf.run(shelf.add("while :; do :; done & wait", limits=BRIEFLY)))
    assert outcome.seconds < 1.0 + SLACK


# --- children -----------------------------------------------------------------------------------------------------

BOMB = PYTHON + "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
COUNT = """import os, time
made = 1
for _ in range(200):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(5)
        os._exit(0)
    made += 1
print(made, flush=True)
"""
DAEMON = (
    PYTHON
    + """import os, signal, sys, time
for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(signum, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.closerange(0, 10)
os.chdir("/")
time.sleep(60)
"""
)


async def test_a_fork_bomb_stays_within_its_number_of_processes_and_leaves_none(shelf: Shelf, namespaces: bool) -> None:
    began = time.monotonic()
    outcome = ran(await shelf.run(shelf.add(BOMB, limits=BRIEFLY), namespaces=namespaces))
    assert time.monotonic() - began < 2.0 + 2 * SLACK
    assert outcome.left_behind is None or outcome.left_behind <= 16


async def test_a_fork_bomb_cannot_have_more_processes_than_its_limit(shelf: Shelf, namespaces: bool) -> None:
    scripts = shelf.add(PYTHON + COUNT, limits={"processes": 10})
    assert finished(await shelf.run(scripts, namespaces=namespaces)).output == "10\n"


@pytest.mark.skipif(not can_count_apart(), reason="user namespaces are not permitted here")
async def test_a_fork_bomb_takes_no_process_from_another_script(shelf: Shelf) -> None:
    bomb, other = shelf.add(BOMB, "bomb", limits=BRIEFLY), shelf.add(PYTHON + COUNT, "other", limits={"processes": 10})
    run = asyncio.create_task(shelf.run(bomb, "bomb"))
    await asyncio.sleep(0.3)
    assert finished(await shelf.run(other, "other")).output == "10\n"
    assert ran(await run).seconds >= 1


async def test_a_daemon_that_forked_twice_is_found_and_killed(shelf: Shelf, namespaces: bool) -> None:
    outcome = finished(await shelf.run(shelf.add(DAEMON), namespaces=namespaces))
    assert outcome.seconds < SLACK, "the script has ended: nobody waits for what it left"
    assert outcome.left_behind in {1, 2}, "the one in the middle may not be through"


async def test_a_chain_of_ever_new_daemons_is_caught(shelf: Shelf, namespaces: bool) -> None:
    """Each lives for a moment and makes the next: whoever looks at one finds it gone."""
    body = """import os, time
if os.fork():
    os._exit(0)
while True:
    os.setsid() if os.getsid(0) != os.getpid() else None
    if os.fork():
        os._exit(0)
"""
    began = time.monotonic()
    ran(await shelf.run(shelf.add(PYTHON + body, limits=BRIEFLY), namespaces=namespaces))
    assert time.monotonic() - began < 2.0 + 2 * SLACK


async def test_a_child_that_keeps_the_output_open_does_not_make_the_run_wait(shelf: Shelf, namespaces: bool) -> None:
    outcome = finished(await shelf.run(shelf.add("sleep 60 & echo done"), namespaces=namespaces))
    assert outcome.seconds < SLACK
    assert (outcome.output, outcome.left_behind) == ("done\n", 1)


async def test_threads_that_outlive_their_first_one_are_no_refuge(shelf: Shelf, namespaces: bool) -> None:
    body = """import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).syscall(60, 0)
"""
    began = time.monotonic()
    ran(await shelf.run(shelf.add(PYTHON + body, limits=BRIEFLY), namespaces=namespaces))
    assert time.monotonic() - began < 2.0 + SLACK


# --- output, memory, files ----------------------------------------------------------------------------------------


async def test_a_gigabyte_of_output_neither_blocks_nor_is_held(shelf: Shelf) -> None:
    scripts = shelf.add(
        "echo first; yes | head -c 1073741824; echo last", limits={"timeout_seconds": 60, "output_kib": 64}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = finished(await shelf.run(scripts))
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert outcome.exit_code == 0
    assert outcome.output.startswith("first\n")
    assert outcome.output.endswith("last\n")
    assert len(outcome.output) <= 66_000
    assert outcome.dropped_bytes > 2**30 - 2**17
    assert grown_kib < 10_000
    assert outcome.seconds < 30


async def test_output_without_end_ends_at_the_time_limit(shelf: Shelf) -> None:
    assert timed_out(await shelf.run(shelf.add("yes", limits=BRIEFLY))).seconds < 2.0 + SLACK


async def test_output_without_a_line_end_and_without_text_is_bounded(shelf: Shelf) -> None:
    outcome = finished(await shelf.run(shelf.add("head -c 30000000 /dev/urandom", limits={"output_kib": 16})))
    assert len(outcome.output) <= 17_000
    assert outcome.output.isprintable() or "\n" in outcome.output


HOG = """import mmap, time
held = []
try:
    while True:
        held.append(%s)
except (MemoryError, OSError) as error:
    print(len(held) * 8, flush=True)
"""


@pytest.mark.parametrize(
    ("how", "most"),
    [("bytearray(8 * 2**20)", 64), ("mmap.mmap(-1, 8 * 2**20)", 256)],
    ids=["memory of its own", "shared memory"],
)
async def test_a_memory_hog_meets_its_limit(shelf: Shelf, how: str, most: int) -> None:
    limits = {"memory_mib": 64, "address_space_mib": 256}
    outcome = finished(await shelf.run(shelf.add(PYTHON + HOG % how, limits=limits)))
    assert 8 <= int(outcome.output) <= most


async def test_the_system_would_rather_kill_the_script_than_the_service(shelf: Shelf) -> None:
    assert finished(await shelf.run(shelf.add("cat /proc/self/oom_score_adj"))).output == "1000\n"


async def test_a_huge_file_meets_its_limit_and_is_gone_afterwards(shelf: Shelf, work_dir: Path) -> None:
    body = (
        "import os\nf = open('big', 'wb')\nfor _ in range(100):\n    f.write(b'x' * 2**20); f.flush()\nprint('never')\n"
    )
    scripts = shelf.add(PYTHON + body, limits={"file_mib": 2, "timeout_seconds": 20})
    outcome = finished(await shelf.run(scripts, work_dir=work_dir))
    assert outcome.signal == signal.SIGXFSZ.name or "File too large" in outcome.output
    assert "never" not in outcome.output


async def test_a_core_is_never_dumped(shelf: Shelf, work_dir: Path) -> None:
    outcome = finished(await shelf.run(shelf.add("kill -SEGV $$"), work_dir=work_dir))
    assert outcome.signal == "SIGSEGV"


async def test_more_files_than_permitted_cannot_be_opened(shelf: Shelf) -> None:
    body = "held = []\ntry:\n    while True: held.append(open('/dev/null'))\nexcept OSError as e: print(len(held))\n"
    assert int(finished(await shelf.run(shelf.add(PYTHON + body))).output) < 128


async def test_whatever_a_script_builds_in_its_folder_is_removed(shelf: Shelf, work_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    body = f"""import os
os.symlink("{tmp_path}", "link"); os.symlink("/", "root")
os.mkfifo("fifo")
for number in range(1100):
    os.mkdir("deep"); os.chdir("deep")
os.symlink("{tmp_path}", "link"); os.mkdir("closed"); os.chmod("closed", 0); os.chmod(".", 0)
"""
    finished(await shelf.run(shelf.add(PYTHON + body, limits={"timeout_seconds": 30}), work_dir=work_dir))
    assert (tmp_path / "precious").read_text() == "kept"


# --- what it can see ----------------------------------------------------------------------------------------------


async def test_nothing_of_our_environment_arrives_but_what_is_listed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFHEAL_TOKEN", "very-secret")
    monkeypatch.setenv("LD_PRELOAD", "")
    scripts = shelf.add("env", environment=["REGION"])
    outcome = finished(await shelf.run(scripts, environ={"REGION": "eu", "OTHER": "x", "SELFHEAL_TOKEN": "t"}))
    names = {line.partition("=")[0] for line in outcome.output.splitlines()}
    told = {"PURPOSE", "SCRIPT", "INCIDENT", "ACTION", "TARGET_KIND", "TARGET_NAMESPACE", "TARGET_NAME"}
    assert names == {"REGION", "PATH", "LANG", "HOME", "TMPDIR", "PWD"} | {f"SELFHEAL_{name}" for name in told}


async def test_our_environment_cannot_be_read_from_proc_either(shelf: Shelf) -> None:
    body = (
        f"cat /proc/{os.getpid()}/environ /proc/{os.getpid()}/mem /proc/$PPID/environ 2>&1 | tr '\\0' '\\n' | wc -l; "
        f"cat /proc/{os.getpid()}/environ >/dev/null 2>&1 && echo READ"
    )
    assert "READ" not in finished(await shelf.run(shelf.add(body))).output


async def test_no_descriptor_of_ours_is_open(shelf: Shelf) -> None:
    held = os.open("/etc/hostname", os.O_RDONLY)
    try:
        os.set_inheritable(held, True)
        output = finished(await shelf.run(shelf.add("ls /proc/self/fd | tr '\n' ' '; ls -l /proc/self/fd"))).output
    finally:
        os.close(held)
    assert output.startswith("0 1 2 3 4 "), "4 is the folder that is listed"
    assert "hostname" not in output


async def test_no_right_can_be_gained(shelf: Shelf) -> None:
    assert "NoNewPrivs:\t1" in finished(await shelf.run(shelf.add("grep NoNewPrivs /proc/self/status"))).output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user")
async def test_it_is_another_user_without_groups(shelf: Shelf) -> None:
    said = finished(await shelf.run(shelf.add("id -u; id -g; id -G"))).output
    assert said.split() == [str(shelf.user.uid)] * 3


async def test_secrets_in_the_output_are_hidden(shelf: Shelf) -> None:
    scripts = shelf.add('echo "password=hunter2 and $API_TOKEN"', environment=["API_TOKEN"])
    outcome = finished(await shelf.run(scripts, environ={"API_TOKEN": "plain words here"}))
    assert "hunter2" not in outcome.output
    assert "plain words" not in outcome.output
