"""Bearer tokens: which are taken, which are refused at the start, and how one is rotated."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.auth.gate import names_loopback
from server.auth.tokens import FileTokens, FixedTokens, open_tokens, presented_token
from server.settings import Settings, SettingsError

OLD, NEW = "o" * 40, "n" * 40


def settings(**given: object) -> Settings:
    return Settings.model_validate(given)


def test_no_token_and_no_loopback_bind_is_no_start() -> None:
    with pytest.raises(SettingsError, match="SELFHEAL_TOKEN_FILE"):
        open_tokens(settings())


def test_loopback_on_purpose_needs_none() -> None:
    assert open_tokens(settings(insecure_bind="127.0.0.1")) is None


def test_two_tokens_are_active_while_one_is_rotated() -> None:
    tokens = open_tokens(settings(token=f"{OLD},{NEW}"))
    assert tokens is not None
    assert tokens.caller_of(OLD)
    assert tokens.caller_of(NEW)
    assert tokens.caller_of(OLD) != tokens.caller_of(NEW), "the audit trail tells callers apart"
    assert tokens.caller_of("x" * 40) is None
    assert tokens.caller_of("") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("short", "less than 32 bytes"),
        ("", "holds 0 tokens"),
        (" \n", "holds 0 tokens"),
        (f"{OLD},{NEW},{OLD}", "holds 3 tokens"),
        ("ü" * 40, "no HTTP header carries"),
    ],
)
def test_unusable_tokens_stop_the_start(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        FixedTokens.parse(text, source="SELFHEAL_TOKEN")
    assert not text.strip() or text not in str(refused.value)


def test_a_callers_name_reveals_nothing_of_the_token() -> None:
    caller = FixedTokens.parse(OLD, source="x").caller_of(OLD)
    assert caller is not None
    assert OLD[:4] not in caller


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(OLD + "\n")
    tokens = FileTokens(path)
    assert tokens.caller_of(OLD)
    path.write_text(f"{NEW}\n{OLD}\n")
    assert tokens.caller_of(NEW)
    assert tokens.caller_of(OLD)
    path.write_text(NEW)
    assert tokens.caller_of(OLD) is None


def test_a_file_that_is_gone_or_half_written_keeps_the_last_tokens(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(OLD)
    tokens = FileTokens(path)
    path.write_text("half")
    assert tokens.caller_of(OLD)
    assert tokens.caller_of("half") is None
    path.unlink()
    assert tokens.caller_of(OLD)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        open_tokens(settings(token_file=tmp_path / "none"))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc==", "abc=="),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer a b", None),
        ("abc", None),
        ("", None),
        (None, None),
    ],
)
def test_the_authorization_header(header: str | None, token: str | None) -> None:
    assert presented_token(header) == token


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:8080", True),
        ("127.0.0.1", True),
        ("localhost:8080", True),
        ("LOCALHOST", True),
        ("[::1]:8080", True),
        ("attacker.example:8080", False),
        ("localhost.attacker.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_host_names_of_this_machine(host: str, is_ours: bool) -> None:
    assert names_loopback(host) is is_ours
