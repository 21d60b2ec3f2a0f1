from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.redact import REDACTED, excerpt, is_secret_name, redact, redact_value, visible

SECRETS = {
    "password by =": ("login failed password=hunter2 for bob", "hunter2"),
    "password by colon": ("db_password: hunter2", "hunter2"),
    "password in quotes with spaces": ('PASSWORD="correct horse battery"', "correct horse"),
    "password in JSON": ('{"user":"a","password":"hunter2","x":1}', "hunter2"),
    "password in escaped JSON": (r'"{\"password\":\"hunter2\"}"', "hunter2"),
    "password in YAML style arrow": ("password => hunter2", "hunter2"),
    "environment dump": ("STRIPE_API_KEY=abc123def DB_PASS=qwerty", "qwerty"),
    "key by suffix": ("ENCRYPTION_KEY=00ff00ff", "00ff00ff"),
    "bearer token": ("Authorization: Bearer abcdef1234567890", "abcdef1234567890"),
    "bearer token outside a header": ("sending bearer abcdef1234567890 to api", "abcdef1234567890"),
    "basic credentials": ("curl -H 'Proxy-Authorization: Basic dXNlcjpwYXNz'", "dXNlcjpwYXNz"),
    "cookie": ("Cookie: session=abc; theme=dark", "session=abc"),
    "JWT": ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl here", "eyJzdWIiOiIxMjM0In0"),
    "private key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
    "private key that is cut off": ("x -----BEGIN PRIVATE KEY-----\nMIIabc", "MIIabc"),
    "AWS identifier": ("using AKIAIOSFODNN7EXAMPLE now", "AKIAIOSFODNN7EXAMPLE"),
    "AWS secret": ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    "URL with password": ("postgres://app:s3cr3t@db:5432/x", "s3cr3t"),
    "URL with password and at sign": ("postgres://app:p@ss@db/x", "p@ss"),
    "URL with token": ("https://0123456789abcdef0123@git.example/x.git", "0123456789abcdef0123"),
    "git host token": ("remote: ghp_0123456789abcdefghijABCDEFGHIJ012345", "ghp_0123456789"),
    "secret word then base64": ("the secret is dGhpcyBpcyBhIHNlY3JldCBrZXk=", "dGhpcyBpcyBhIHNlY3JldCBrZXk"),
    "token word then hex": ("token 0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    "flag and value": ("exec server --db-password hunter2 --port 80", "hunter2"),
    "behind terminal colours": ("\x1b[32mpassword\x1b[0m=\x1b[33mhunter2\x1b[0m", "hunter2"),
}

KEPT = {
    "missing key": "couldn't find key TOKEN in Secret production/web-credentials-v2",
    "missing secret": 'secret "web-secret" not found',
    "mount of a secret": 'MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found',
    "name of a secret": "secretName: web-credentials",
    "image not found": 'failed to pull image "registry.example/heal/web:v2": not found',
    "service account": 'error looking up service account shop/web: serviceaccount "web" not found',
    "digest": "sha256:6a1c2b3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789abcdef",
    "plain failure": "panic: runtime error: invalid memory address",
    "file with a token": "TOKEN_FILE=/var/run/token",
    "empty password": 'password=""',
    "expired token": "token: expired",
    "URL without credentials": "https://example.org:8443/path",
}


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_hidden(text: str, secret: str) -> None:
    assert secret in text.replace("\x1b[33m", "").replace("\x1b[0m", "")
    assert secret not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_kept(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("DB_PASSWORD", "x", REDACTED),
        ("TOKEN", "t0", REDACTED),
        ("AUTH", "abc", REDACTED),
        ("MODE", "prod", "prod"),
        ("PWD", "", ""),
        ("SECRET_NAME", "web", "web"),
        ("DSN", "anything", REDACTED),
        ("MONKEY", "banana", "banana"),
        ("URL", "redis://:pw@cache", f"redis://:{REDACTED}@cache"),
    ],
)
def test_a_named_value_is_judged_by_its_name_and_by_itself(name: str, value: str, shown: str) -> None:
    assert redact_value(name, value) == shown


@pytest.mark.parametrize("name", ["password", "API_KEY", "client-secret", "SESSION_TOKEN", "aws.secret.access.key"])
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


ANYTHING = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=300)


@settings(deadline=None)
@given(ANYTHING)
def test_visible_text_has_no_character_that_hides(text: str) -> None:
    shown = visible(text)
    hidden = [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    assert set(hidden) <= {"\n", "\t"}
    assert visible(shown) == shown


@settings(deadline=None)
@given(st.text(max_size=300))
def test_ordinary_characters_stay(text: str) -> None:
    plain = "".join(c for c in text if unicodedata.category(c)[0] in "LNPS" and c.isascii())
    assert visible(plain) == plain


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "password",
            "=",
            ":",
            " ",
            '"',
            "'",
            "token",
            "Bearer ",
            "hunter2",
            "\n",
            "\\",
            "https://",
            "a:b@",
            REDACTED,
            "-----BEGIN KEY-----",
            "-----END KEY-----",
            "eyJhbGciOi.eyJzdWIi.x",
            "secret",
            "_key",
            "--",
            ",",
            "0" * 40,
        ]
    ),
    max_size=30,
).map("".join)


@settings(deadline=None)
@given(FRAGMENTS)
def test_redaction_settles(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@settings(deadline=None)
@given(
    st.sampled_from(["password", "api_key", "DB_TOKEN", "client_secret"]), st.sampled_from(["=", ": ", "=>", ' = "'])
)
def test_no_value_behind_a_secret_name_survives(name: str, middle: str) -> None:
    assert "Zq7canary" not in redact(f"start {name}{middle}Zq7canary end")


@settings(deadline=None)
@given(ANYTHING, st.integers(min_value=1, max_value=80))
def test_an_excerpt_is_never_longer_than_asked(text: str, limit: int) -> None:
    assert len(excerpt(text, limit)) <= limit


def test_an_excerpt_keeps_the_beginning_and_the_end() -> None:
    cut = excerpt("begin " + "x" * 500 + " end: not found", 60)
    assert cut.startswith("begin ")
    assert cut.endswith("end: not found")


def test_a_secret_at_the_cut_is_hidden_before_it_is_cut() -> None:
    assert "hunter" not in excerpt("y" * 40 + " password=hunter2hunter2hunter2 " + "z" * 40, 70)


def test_an_excerpt_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        excerpt("x", 0)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "password" * 12_000, "-" * 100_000, "://" * 30_000, "=" * 100_000, "eyJ" * 30_000]
)
def test_hostile_text_costs_linear_time(text: str) -> None:
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("line", "leaks"),
    [
        ("starting in prod mode with token canary-9f3b-never-shown", "canary"),
        ("login with password hunter22x", "hunter22x"),
        ("using api key AbCdEf12345", "AbCdEf12345"),
    ],
)
def test_a_value_in_prose_is_hidden(line: str, leaks: str) -> None:
    assert leaks not in redact(line)


@pytest.mark.parametrize(
    "line",
    [
        "couldn't find key TOKEN_V2 in Secret shop/web-secret-2",
        "the token expired yesterday",
        "password incorrect for user",
        'secret "web-settings-v2" not found',
    ],
)
def test_prose_about_secrets_stays_readable(line: str) -> None:
    assert redact(line) == line
