"""What a script may say, and what is told about one that cannot be played."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.scripted_model.script import ScriptError, load_script, parse_script


def test_each_kind_of_reply_is_read() -> None:
    script = parse_script(
        """
        model: tiny
        replies:
          - text: hello
          - json: {a: 1}
          - json: null
          - calls: [{name: x, arguments: {b: 2}}, {name: y, arguments: "{"}]
          - refusal: I decline
          - cut_off: '{"a'
          - content_filter: ''
          - raw: <html>
          - status: 429
            retry_after: "1"
          - reset: true
          - hang: true
          - when: {schema: plan, contains: web}
            times: always
            text: done
        """
    )
    kinds = [r.kind for r in script.replies]
    assert kinds == [
        "text",
        "json",
        "json",
        "calls",
        "refusal",
        "cut_off",
        "content_filter",
        "raw",
        "status",
        "reset",
        "hang",
        "text",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("replies: [{}]", "of one kind"),
        ("replies: [{text: a, refusal: b}]", "text and refusal"),
        ("replies: [{txet: a}]", "txet"),
        ("replies: [{status: 200}]", "greater than or equal to 300"),
        ("replies: 3", "replies"),
        ("replies: [", "no YAML"),
    ],
)
def test_a_script_that_cannot_be_played_says_where(text: str, told: str) -> None:
    with pytest.raises(ScriptError, match=told):
        parse_script(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"none\.yaml"):
        load_script(tmp_path / "none.yaml")
