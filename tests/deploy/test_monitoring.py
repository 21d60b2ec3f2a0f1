"""Dashboard and alerts: they ask for what the service has, and Prometheus' own checker accepts them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import cast

import pytest
import yaml

from server.metrics import Metrics
from tests.deploy.prometheus import DASHBOARD, RULES, SCRAPE, queries
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_str
from tools.registry import ALL

GAUGES = {
    "selfheal_open_incidents", "selfheal_view_age_seconds", "selfheal_sources_unseen", "selfheal_relists",
    "selfheal_watch_events",
}  # fmt: skip
"""Made at the scrape, by `server.service.gauges`."""


def exported() -> set[str]:
    """Every name of the text format, histogram parts included."""
    metrics = Metrics(ALL)
    metrics.answered(200)
    text = metrics.render().decode()
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line and line[0] != "#"}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bselfheal_[a-z_]+", expression))


def alerts() -> list[JsonObject]:
    document = cast("JsonValue", yaml.safe_load(RULES.read_text()))
    return [cast("JsonObject", r) for g in dig_list(document, "groups") for r in dig_list(g, "rules")]


def test_every_metric_the_dashboard_asks_for_exists() -> None:
    asked = {name for q in queries({}) for name in named(q.expression)}
    assert asked - exported() - GAUGES == set()


def test_every_metric_there_is_has_a_place_on_the_dashboard() -> None:
    asked = " ".join(q.expression for q in queries({}))
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported()} | GAUGES
    assert [name for name in sorted(families) if name not in asked] == []


def test_every_metric_an_alert_asks_for_exists() -> None:
    asked = {name for r in alerts() for name in named(dig_str(r, "expr"))}
    assert asked - exported() - GAUGES == set()


def test_every_variable_of_the_dashboard_is_filled_in() -> None:
    assert [q.expression for q in queries() if "$" in q.expression] == []


def test_the_dashboard_names_no_data_source_of_ours() -> None:
    document = cast("JsonObject", json.loads(DASHBOARD.read_text()))
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(document["panels"]))
    assert set(sources) == {"${datasource}"}
    ids = [json.dumps(p["id"]) for p in cast("list[JsonObject]", document["panels"])]
    assert len(ids) == len(set(ids))


def test_the_job_is_called_alike_everywhere() -> None:
    document = cast("JsonValue", yaml.safe_load(SCRAPE.read_text()))
    assert [dig_str(job, "job_name") for job in dig_list(document, "scrape_configs")] == ["selfheal"]
    assert [dig_str(r, "alert") for r in alerts() if 'job="selfheal"' not in dig_str(r, "expr")] == []


def test_every_series_is_there_before_the_first_incident() -> None:
    text = Metrics(ALL).render().decode()
    for line in (
        'selfheal_incidents_total{family="image",status="healed"} 0.0',
        'selfheal_actions_total{outcome="applied",tool="rollback_workload"} 0.0',
        'selfheal_refusals_total{code="PERMISSION_DENIED"} 0.0',
        'selfheal_model_tokens_total{kind="prompt"} 0.0',
    ):
        assert line in text
    assert 'status="open"' not in text, "what is open has not ended"


ALERTS = {
    "SelfhealDown": ("", "", "10m"),
    "SelfhealViewStale": ("selfheal_view_age_seconds{job='selfheal'}", "60x3 200x20", "10m"),
    "SelfhealWriteUnknown": (
        "selfheal_actions_total{job='selfheal', tool='evict_pod', outcome='unknown'}",
        "0x2 1x20",
        "5m",
    ),
    "SelfhealEscalated": (
        "selfheal_incidents_total{job='selfheal', family='crash', status='escalated'}",
        "0x2 1x20",
        "5m",
    ),
    "SelfhealUndoesTooMuch": (
        "selfheal_actions_total{job='selfheal', tool='evict_pod', outcome='undone'}",
        "0+1x40",
        "30m",
    ),
    "SelfhealBlind": ("selfheal_sources_unseen{job='selfheal'}", "1x40", "20m"),
    "SelfhealLacksRights": ("selfheal_refusals_total{job='selfheal', code='PERMISSION_DENIED'}", "0x2 1x20", "5m"),
}
"""Each alert: the series that makes it fire, its values minute by minute, and a time at which it fires."""
CALM = {
    "up{job='selfheal'}": "1x60",
    "selfheal_view_age_seconds{job='selfheal'}": "70x60",
    "selfheal_actions_total{job='selfheal', tool='evict_pod', outcome='applied'}": "0+1x60",
    "selfheal_actions_total{job='selfheal', tool='evict_pod', outcome='undone'}": "0x5 1x60",
    "selfheal_actions_total{job='selfheal', tool='evict_pod', outcome='unknown'}": "0x60",
    "selfheal_incidents_total{job='selfheal', family='crash', status='healed'}": "0+1x60",
    "selfheal_incidents_total{job='selfheal', family='crash', status='escalated'}": "0x60",
    "selfheal_sources_unseen{job='selfheal'}": "0x4 1x8 0x60",
    "selfheal_refusals_total{job='selfheal', code='COOLDOWN'}": "0+1x60",
}
"""An hour in which it works as it should: nobody is told anything."""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_promtool_accepts_the_rules_and_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    assert ALERTS.keys() == {dig_str(r, "alert") for r in alerts()}
    firing = [unit(f"ALERTS{{alertname='{name}', alertstate='firing'}}", {series: values} if series else {}, when, 1)
              for name, (series, values, when) in ALERTS.items()]  # fmt: skip
    calm = [unit("ALERTS{alertstate='firing'}", CALM, when, 0) for when in ("10m", "30m", "50m")]
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": firing + calm}))
    for argv in (["check", "rules", str(RULES)], ["test", "rules", str(cases)]):
        done = subprocess.run(["promtool", *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def unit(expression: str, series: dict[str, str], when: str, expected: int) -> JsonObject:
    """At `when`, so many alerts are active or pending as the expression selects."""
    samples: list[JsonObject] = [{"value": expected}] if expected else []
    given: list[JsonObject] = [{"series": name, "values": values} for name, values in series.items()]
    question: JsonObject = {
        "expr": f"count({expression})",
        "eval_time": when,
        "exp_samples": [{"labels": "{}", **sample} for sample in samples],
    }
    return {"interval": "1m", "input_series": list(given), "promql_expr_test": [question]}
