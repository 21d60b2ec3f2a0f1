"""Behaviours: the declaration in a command, and plain commands read as phrases."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from evals.simulator import Behaviour, Registry
from evals.simulator.kubelet.behaviour import declared
from evals.simulator.kubelet.phrases import read


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(),
        Behaviour(exit_code=1, exit_after=2),
        Behaviour(logs=("it's", 'a "line"'), needs_env=("MODE",), env_equals={"A": "b c"}),
        Behaviour(memory_mib=20, disk_mib=5, touches=("/tmp/ready",), ready_after=1.5),
    ],
)
def test_a_command_declares_its_behaviour(behaviour: Behaviour) -> None:
    assert declared(behaviour.command()) == behaviour


def test_a_command_that_serves_declares_that_it_writes() -> None:
    found = declared(Behaviour(listens=8080, serves=("/healthz",)).command())
    assert found is not None
    assert found.writes


def test_an_unreadable_declaration_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        declared(["sh", "-c", '# behaviour: {"exit_code": "x"}\nexit 1'])


@pytest.mark.parametrize(
    ("behaviour", "env", "code", "output"),
    [
        (Behaviour(logs=("hello",), exit_code=3), {}, 3, "hello\n"),
        (Behaviour(needs_env=("MODE",), exit_code=0), {}, 1, "FATAL: MODE not set\n"),
        (Behaviour(needs_env=("MODE",), exit_code=0), {"MODE": "x"}, 0, ""),
        (Behaviour(env_equals={"MODE": "a b"}, exit_code=0), {"MODE": "c"}, 1, "FATAL: MODE is not a b\n"),
        (Behaviour(needs_files=("/none",), exit_code=0), {}, 1, ""),
        (Behaviour(logs=("it's",), exit_code=0), {}, 0, "it's\n"),
    ],
    ids=["exits", "needs-env", "has-env", "wrong-value", "needs-file", "quoting"],
)
def test_the_script_does_what_the_declaration_says(
    behaviour: Behaviour, env: dict[str, str], code: int, output: str
) -> None:
    shell = shutil.which("sh")
    assert shell
    done = subprocess.run(
        [shell, *behaviour.command()[1:]],
        env=env | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, output)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 1", Behaviour(exit_code=1)),
        ("echo FATAL bad flag --prot; exit 1", Behaviour(logs=("FATAL bad flag --prot",), exit_code=1)),
        ("exec sleep 1000000", Behaviour()),
        ("sleep 600", Behaviour(exit_code=0, exit_after=600)),
        ("echo tick", Behaviour(logs=("tick",), exit_code=0)),
        ("cat /config/missing.json", Behaviour(needs_files=("/config/missing.json",), exit_code=0)),
        ("exec httpd -f -p 8080", Behaviour(listens=8080)),
        (
            "mkdir -p /tmp/www && echo ok > /tmp/www/healthz && exec httpd -f -p 8080 -h /tmp/www",
            Behaviour(writes=True, serves=("/healthz",), listens=8080),
        ),
        (
            "sleep 15; mkdir -p /tmp/www && echo ok > /tmp/www/healthz && exec httpd -f -p 8080 -h /tmp/www",
            Behaviour(writes=True, serves=("/healthz",), listens=8080, ready_after=15),
        ),
        (
            'test -n "$MODE" && test -n "$TOKEN" || { echo "FATAL: MODE/TOKEN not set"; exit 1; }; exec httpd -f -p 80',
            Behaviour(needs_env=("MODE", "TOKEN"), fatal="FATAL: MODE/TOKEN not set", listens=80),
        ),
        (
            "dd if=/dev/zero of=/tmp/fill bs=1M count=40 2>/dev/null; sleep 1000000",
            Behaviour(disk_mib=40),
        ),
        (
            'x=$(dd if=/dev/zero bs=1M count=20 2>/dev/null | tr "\\0" x); httpd -f -p 8080 -h /tmp/www & wait',
            Behaviour(memory_mib=40, listens=8080),
        ),
    ],
)
def test_phrases(script: str, expected: Behaviour) -> None:
    assert read(["sh", "-c", script]) == expected


@pytest.mark.parametrize(
    ("image", "valid", "exists"),
    [
        ("nginx:1.25", True, True),
        ("localhost/heal-busybox:1", True, True),
        ("registry.invalid/heal/web:bad", True, False),
        ("Localhost/BAD::1", False, True),
        ("a.b/c@sha256:" + "0" * 64, True, True),
    ],
)
def test_images(image: str, valid: bool, exists: bool) -> None:
    registry = Registry()
    assert registry.is_valid(image) is valid
    if valid:
        assert registry.exists(image) is exists


def test_what_was_learnt_comes_first() -> None:
    registry = Registry()
    registry.learn(["sh", "-c", "exit 1"], Behaviour(exit_code=7))
    container = {"name": "app", "image": "x:1", "command": ["sh", "-c", "exit 1"]}
    assert registry.behaviour({"spec": {"containers": [container]}}, container).exit_code == 7


def test_an_annotation_speaks_for_a_container_without_a_command() -> None:
    pod = {"metadata": {"annotations": {"sim.selfheal.dev/behaviour": '{"app": {"exit_code": 5}}'}}}
    assert Registry().behaviour(pod, {"name": "app", "image": "x:1"}).exit_code == 5
