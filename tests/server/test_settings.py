"""Settings: what is accepted, what is refused and with which words, and that the example file knows every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graph.model.config import Bounds, Investigation, Mode, ModelConfig, Planning
from server.settings import Settings, SettingsError, known_keys, refuse_unknown
from tools.journal.reverts import RevertConfig

ROOT = Path(__file__).parents[2]
TOKEN = "t" * 32


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for key in list(os.environ):
        if key.startswith("SELFHEAL_"):
            monkeypatch.delenv(key)


def load(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Settings:
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    return Settings.load()


def test_environment_is_read_and_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        SELFHEAL_PORT="9000",
        SELFHEAL_NAMESPACES="shop, bank,",
        SELFHEAL_OBSERVE="true",
        SELFHEAL_LOG_LEVEL="INFO",
        SELFHEAL_STATE_DIR="~/state",
        SELFHEAL_SETTLE_SECONDS="5",
        SELFHEAL_ATTEMPTS="2",
    )
    assert settings.port == 9000
    assert settings.namespaces == ("shop", "bank")
    assert settings.observe
    assert settings.log_level == "info"
    assert settings.state_dir == Path.home() / "state"
    ports = settings.ports_config()
    assert ports.timing.settle.total_seconds() == 5
    assert ports.limits.attempts == 2
    assert ports.observe_only
    assert ports.namespaces == ("shop", "bank")


def test_options_win_over_the_environment_and_none_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFHEAL_PORT", "9000")
    assert Settings.load(port=9001).port == 9001
    assert Settings.load(port=None).port == 9000


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("SELFHEAL_POLCY_FILE", "did you mean SELFHEAL_POLICY_FILE?"),
        ("SELFHEAL_NAMESPACE", "did you mean SELFHEAL_NAMESPACES?"),
        ("SELFHEAL_TOKENFILE", "did you mean SELFHEAL_TOKEN_FILE?"),
        ("SELFHEAL_XQZW", ".env.example"),
    ],
)
def test_an_unknown_key_is_refused_with_the_near_match(key: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(hint)) as refused:
        refuse_unknown({key: "x"})
    assert key in str(refused.value)


@pytest.mark.parametrize(
    "key",
    [
        "SELFHEAL_URL",
        "SELFHEAL_CLUSTER_STATE",
        "SELFHEAL_SERVICE_HOST",
        "SELFHEAL_SERVICE_PORT",
        "SELFHEAL_SERVICE_PORT_HTTP",
        "SELFHEAL_PORT_8080_TCP_ADDR",
        "SELFHEAL_METRICS_PORT",
        "SELFHEAL_METRICS_SERVICE_HOST",
        "PATH",
    ],
)
def test_keys_of_others_are_left_alone(key: str) -> None:
    refuse_unknown({key: "x"})


def test_the_kubelets_service_link_is_not_taken_for_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, SELFHEAL_PORT="tcp://10.96.0.12:80").port == 8080


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SELFHEAL_PORT": "many"}, "SELFHEAL_PORT"),
        ({"SELFHEAL_CONCURRENCY": "0"}, "SELFHEAL_CONCURRENCY"),
        ({"SELFHEAL_LOG_LEVEL": "loud"}, "SELFHEAL_LOG_LEVEL"),
        ({"SELFHEAL_INSECURE_BIND": "192.0.2.7"}, "not a loopback address"),
        ({"SELFHEAL_INSECURE_BIND": "localhost"}, "not a loopback address"),
        ({"SELFHEAL_INSECURE_BIND": "127.0.0.1", "SELFHEAL_TOKEN": TOKEN}, "exclude each other"),
        ({"SELFHEAL_TOKEN_FILE": "/t", "SELFHEAL_TOKEN": TOKEN}, "exclude each other"),
        ({"SELFHEAL_CROSSPLANE_RESOURCES": "buckets.storage.example.org,*"}, "PLURAL.GROUP"),
        ({"SELFHEAL_CROSSPLANE_RESOURCES": "roles.rbac.authorization.k8s.io"}, "belongs to Kubernetes"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        load(monkeypatch, **environ)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SELFHEAL_REASONER": "model"}, "set SELFHEAL_LLM_MODEL"),
        ({"SELFHEAL_REASONER": "hybrid"}, "set SELFHEAL_LLM_MODEL"),
        ({"SELFHEAL_REASONER": "magic"}, "SELFHEAL_REASONER"),
        ({"SELFHEAL_LLM_BASE_URL": "http://127.0.0.1:9"}, "SELFHEAL_LLM_BASE_URL is set and no model is"),
        ({"SELFHEAL_LLM_MODEL": "m", "SELFHEAL_LLM_API_KEY": "a", "SELFHEAL_LLM_API_KEY_FILE": "/k"}, "exclude"),
        ({"SELFHEAL_LLM_MODEL": "m", "SELFHEAL_LLM_PLANNING": "guess"}, "SELFHEAL_LLM_PLANNING"),
        ({"SELFHEAL_LLM_MODEL": "m", "SELFHEAL_LLM_TURNS": "0"}, "SELFHEAL_LLM_TURNS"),
    ],
)
def test_a_model_that_cannot_be_asked_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        load(monkeypatch, **environ)


def test_without_a_model_nothing_is_asked_and_the_library_s_key_alone_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load(monkeypatch, OPENAI_API_KEY="sk-x").ports_config().model is None


def test_every_setting_of_the_model_arrives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load(
        monkeypatch,
        SELFHEAL_REASONER="MODEL",
        SELFHEAL_LLM_MODEL="gemma",
        SELFHEAL_LLM_BASE_URL="http://127.0.0.1:9/v1",
        SELFHEAL_LLM_API_KEY_FILE=str(tmp_path / "key"),
        SELFHEAL_LLM_PROXY="http://127.0.0.1:8",
        SELFHEAL_LLM_PLANNING="schema",
        SELFHEAL_LLM_INVESTIGATION="off",
        SELFHEAL_LLM_TURNS="3",
        SELFHEAL_LLM_TOKENS_PER_DAY="1000",
    )
    ports = settings.ports_config()
    assert ports.reasoner is Mode.MODEL
    assert ports.model == ModelConfig(
        model="gemma",
        base_url="http://127.0.0.1:9/v1",
        api_key_file=tmp_path / "key",
        proxy="http://127.0.0.1:8",
        planning=Planning.SCHEMA,
        investigation=Investigation.OFF,
        bounds=Bounds(turns=3, tokens_per_day=1000),
    )


def test_the_defaults_are_those_of_the_model_s_own_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(monkeypatch, SELFHEAL_LLM_MODEL="m").model_settings({})
    assert model == ModelConfig(model="m")


@pytest.mark.parametrize(
    ("environ", "url", "key"),
    [
        ({}, "http://open/v1", "open-key"),
        ({"SELFHEAL_LLM_API_KEY": "ours"}, "http://open/v1", "ours"),
        ({"SELFHEAL_LLM_BASE_URL": "http://ours/v1"}, "http://ours/v1", None),
        ({"SELFHEAL_LLM_BASE_URL": "http://ours/v1", "SELFHEAL_LLM_API_KEY": "ours"}, "http://ours/v1", "ours"),
    ],
    ids=["theirs", "our key", "our address", "ours"],
)
def test_the_library_s_key_goes_to_no_address_it_was_not_set_beside(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str, key: str | None
) -> None:
    settings = load(monkeypatch, SELFHEAL_LLM_MODEL="m", **environ)
    model = settings.model_settings({"OPENAI_API_KEY": "open-key", "OPENAI_BASE_URL": "http://open/v1"})
    assert model is not None
    assert model.base_url == url
    assert (model.api_key.get_secret_value() if model.api_key else None) == key


def test_rules_alone_ask_no_model_even_when_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = load(monkeypatch, SELFHEAL_LLM_MODEL="m", SELFHEAL_REASONER="rules").ports_config()
    assert (ports.model, ports.reasoner) == (None, Mode.RULES)


def test_a_refused_token_is_not_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as refused:
        load(monkeypatch, SELFHEAL_TOKEN=TOKEN, SELFHEAL_PORT="x", SELFHEAL_TOKEN_FILE="/t")
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_addresses_may_go_without_token(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    assert load(monkeypatch, SELFHEAL_INSECURE_BIND=address).bind_address == address


def test_reverts_get_a_branch_only_when_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch).ports_config().reverts == RevertConfig(pushes=False)
    wanted = load(monkeypatch, SELFHEAL_REVERT_BRANCHES="true", SELFHEAL_REVERT_AUTHOR="Healer <healer@example.org>")
    assert wanted.ports_config().reverts == RevertConfig(pushes=True, author="Healer <healer@example.org>")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SELFHEAL_REVERT_AUTHOR": "A <a@b>"}, "does nothing without SELFHEAL_REVERT_BRANCHES=true"),
        (
            {"SELFHEAL_REVERT_AUTHOR": "A", "SELFHEAL_REVERT_BRANCHES": "true"},
            "SELFHEAL_REVERT_AUTHOR: 'A' is no author",
        ),
    ],
    ids=["an author of nothing", "no author"],
)
def test_settings_of_reverts_that_mean_nothing(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(monkeypatch, **environ)


def test_the_example_file_documents_every_key_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    documented = set(re.findall(r"^#?\s?(SELFHEAL_[A-Z_]+)=", text, flags=re.MULTILINE))
    assert documented == known_keys()
