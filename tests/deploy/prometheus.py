"""A real Prometheus over the service's metrics, and what the dashboard asks it.

Rule: the dashboard's queries are sent as they stand in the file; only Grafana's variables are filled in, as Grafana
fills them in.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import httpx
import yaml

from tests.cluster.service import free_port
from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_str

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana/selfheal.json"
RULES = DEPLOY / "prometheus/rules.yaml"
SCRAPE = DEPLOY / "prometheus/scrape.yaml"
VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "10m", "$window": "10m", "$job": "selfheal"}


@dataclass(frozen=True)
class Query:
    """One query of the dashboard and the panel it stands in."""

    panel: str
    expression: str


def queries(variables: dict[str, str] | None = None) -> list[Query]:
    """Every query of the dashboard; `variables` are filled in, longest name first."""
    filled = VARIABLES if variables is None else variables
    found: list[Query] = []
    for panel, written in _targets(cast("JsonValue", json.loads(DASHBOARD.read_text()))):
        expression = written
        for name in sorted(filled, key=len, reverse=True):
            expression = expression.replace(name, filled[name])
        found.append(Query(panel, expression))
    return found


class Prometheus:
    """Debian's Prometheus as a child process.  Use as an asynchronous context manager."""

    def __init__(self, home: Path, target: str, token: str) -> None:
        """`target` is HOST:PORT of the service; the rest is the project's own scrape configuration, once a second."""
        self._home = home
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", timeout=10, trust_env=False)
        (home / "token").write_text(token)
        (home / "prometheus.yml").write_text(json.dumps(self._configuration(target)))

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, 20)

    async def ask(self, expression: str) -> list[tuple[JsonObject, float]]:
        """An instant query: labels and value of each series.  AssertionError with Prometheus' words when it refuses."""
        answer = await self._http.get("/api/v1/query", params={"query": expression})
        document = cast("JsonValue", answer.json())
        assert answer.status_code == 200, f"{expression}: {dig_str(document, 'error')}"
        return [
            (cast("JsonObject", dig(row, "metric")), float(str(dig(row, "value", 1))))
            for row in dig_list(document, "data", "result")
        ]

    async def numbers(self, expression: str) -> list[float]:
        """The values that are numbers; nothing where a division had nothing to divide."""
        return [value for _, value in await self.ask(expression) if not math.isnan(value)]

    async def sees(self, expression: str) -> bool:
        """Whether the query has an answer; False while Prometheus is still starting."""
        try:
            return bool(await self.numbers(expression))
        except (httpx.HTTPError, ValueError, AssertionError):
            return False

    async def alerts(self) -> dict[str, str]:
        """Each alert's name and the health of its rule: `ok` when it could be evaluated."""
        document = cast("JsonValue", (await self._http.get("/api/v1/rules")).json())
        rules = [rule for group in dig_list(document, "data", "groups") for rule in dig_list(group, "rules")]
        return {dig_str(rule, "name"): dig_str(rule, "health") for rule in rules}

    def _start(self) -> None:
        with (self._home / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={self._home}/prometheus.yml", f"--storage.tsdb.path={self._home}/data",
                 f"--web.listen-address=127.0.0.1:{self._port}"],
                stdout=log, stderr=log,
            )  # fmt: skip

    def _configuration(self, target: str) -> JsonObject:
        document = cast("JsonObject", yaml.safe_load(SCRAPE.read_text()))
        job = cast("JsonObject", dig(document, "scrape_configs", 0))
        job["scrape_interval"] = "1s"
        job["static_configs"] = [{"targets": [target]}]
        cast("JsonObject", job["authorization"])["credentials_file"] = str(self._home / "token")
        return {**document, "global": {"evaluation_interval": "2s"}, "rule_files": [str(RULES)]}


def _targets(document: JsonValue) -> Iterator[tuple[str, str]]:
    for panel in dig_list(document, "panels"):
        for target in dig_list(panel, "targets"):
            yield dig_str(panel, "title"), dig_str(target, "expr")
