"""Logs: one JSON object a line, a stable event, the incident id, and no secret."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Generator
from pathlib import Path

import pytest
import structlog

from server.logging import EVENTS, configure_logging, get_logger

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def restored() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(**fields: object) -> dict[str, object]:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    get_logger("server.test").info("incident.closed", **fields)
    document: dict[str, object] = json.loads(stream.getvalue())
    return document


def test_an_event_is_one_json_object_with_name_time_and_level() -> None:
    line = logged(incident_id="abc123", target="shop/Deployment/web")
    assert line["event"] == "incident.closed"
    assert line["incident_id"] == "abc123"
    assert line["level"] == "info"
    assert line["logger"] == "server.test"
    assert re.match(r"^\d{4}-\d\d-\d\dT[\d:.]+Z$", str(line["timestamp"]))


@pytest.mark.parametrize(
    "fields",
    [
        {"sentence": "login with password=hunter22hunter22 failed"},
        {"data": {"nested": ["token: hunter22hunter22hunter22"]}},
        {"password": "hunter22hunter22"},
        {"error": ValueError("Authorization: Bearer hunter22hunter22")},
    ],
)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(fields: dict[str, object]) -> None:
    assert "hunter22" not in json.dumps(logged(**fields))


def test_control_characters_from_a_cluster_cannot_forge_a_line() -> None:
    line = logged(sentence="a\x1b[2Jb\u202ec")
    assert "\x1b" not in str(line["sentence"])
    assert "\u202e" not in str(line["sentence"])


def test_an_exception_is_told_with_its_traceback() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    try:
        int("password=hunter22hunter22")
    except ValueError:
        get_logger("x").exception("incident.broken", incident_id="a")
    line = json.loads(stream.getvalue())
    assert "ValueError" in line["exception"]
    assert "hunter22" not in line["exception"]


def test_the_standard_librarys_loggers_come_in_the_same_form() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    logging.getLogger("somebody.else").warning("it %s", "happened")
    assert json.loads(stream.getvalue())["event"] == "it happened"


def test_below_the_level_nothing_is_said() -> None:
    stream = io.StringIO()
    configure_logging("warning", "json", stream)
    get_logger("x").info("incident.closed")
    assert stream.getvalue() == ""


def test_the_console_form_is_for_eyes() -> None:
    stream = io.StringIO()
    configure_logging("info", "console", stream)
    get_logger("x").info("incident.closed", incident_id="abc")
    assert "incident.closed" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_every_event_that_is_logged_has_a_stable_name_with_a_meaning() -> None:
    used: set[str] = set()
    for source in (ROOT / "server").rglob("*.py"):
        calls = r"_LOG\.(?:debug|info|warning|error|exception)\(\s*\"([^\"]+)\""
        used |= set(re.findall(calls, source.read_text(encoding="utf-8")))
    assert used == EVENTS.keys()
