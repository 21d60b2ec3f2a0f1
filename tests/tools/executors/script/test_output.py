"""Output of scripts as it is kept: put together, cut without leaving half a secret, and shown as it is."""

from __future__ import annotations

import time

import pytest

from tools.executors.script.job import Capture, Report
from tools.executors.script.output import readable
from tools.redact import REDACTED

KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA1\n" * 20 + "-----END RSA PRIVATE KEY-----\n"


def cut(text: str, cap: int) -> Report:
    capture = Capture(cap)
    for start in range(0, len(text), 7):
        capture.feed(text[start : start + 7].encode())
    head, tail, dropped = capture.parts()
    return Report("finished", head=head, tail=tail, dropped=dropped)


@pytest.mark.parametrize("cap", [1, 2, 9, 10, 11, 100])
def test_beginning_and_end_are_kept_and_the_rest_is_counted(cap: int) -> None:
    report = cut("0123456789", cap)
    assert len(report.head) + len(report.tail) + report.dropped == 10
    assert "0123456789".startswith(report.head)
    assert "0123456789".endswith(report.tail)
    assert (report.dropped == 0) == (cap >= 10)


def test_whole_output_stays_as_it_is() -> None:
    assert readable(cut("a\nb\n", 100), (), 100) == "a\nb\n"


def test_the_cut_is_said_and_lies_between_lines() -> None:
    text = readable(cut("".join(f"line {n}\n" for n in range(100)), 100), (), 100)
    first, said, last = text.partition("[more than ")
    assert first.endswith("\n")
    assert "bytes left out]\nline " in said + last
    assert text.endswith("line 99\n")


@pytest.mark.parametrize("cap", range(20, 200, 7))
def test_no_cut_leaves_a_piece_of_a_password(cap: int) -> None:
    text = "".join(f"line {n}\n" for n in range(8)) + "password=0123456789abcdefghijklmnop\n"
    text += "".join(f"line {n}\n" for n in range(8))
    shown = readable(cut(text, cap), (), 1000)
    assert not any(piece in shown for piece in ("0123", "6789a", "fghij", "mnop"))


@pytest.mark.parametrize("cap", range(40, 900, 23))
def test_no_cut_leaves_a_piece_of_a_key(cap: int) -> None:
    shown = readable(cut("before\n" * 10 + KEY + "after\n" * 10, cap), (), 1000)
    assert "MIIE" not in shown


def test_values_that_the_script_was_given_are_hidden_whatever_they_look_like() -> None:
    assert readable(cut("it is plain words indeed", 100), ("plain words",), 100) == f"it is {REDACTED} indeed"


def test_terminal_sequences_do_not_reach_a_terminal() -> None:
    assert "\x1b" not in readable(cut("\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202e", 200), (), 200)


@pytest.mark.parametrize("piece", ["password ", "token=", "a:", "-----BEGIN ", "eyJ", "://", "x", "secret: '"])
def test_the_worst_output_takes_no_time(piece: str) -> None:
    text = piece * (2**18 // len(piece))
    began = time.monotonic()
    readable(Report("finished", head=text), (), 2**18)
    assert time.monotonic() - began < 10
