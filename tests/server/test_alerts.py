"""Alertmanager payloads: which object an alert is about, and what is recorded, answered and opened."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from graph.incident import Source
from server.alerts import MOST_ALERTS, is_payload, read_alert, read_payload
from server.dispatch import Dispatcher
from server.parse import Unreadable
from tests.server.support import Running, ScriptedHealer, admit_by_name, eventually, open_test_ports, serve, settle
from tests.server.test_http import inbox_rows
from tools.jsontypes import JsonObject, digest
from tools.ledger.records import InboxEntry


def alert(status: str = "firing", fingerprint: str = "f", **labels: str) -> JsonObject:
    return {
        "status": status, "fingerprint": fingerprint, "labels": {"alertname": "Trouble", **labels},
        "annotations": {"summary": "it is\nbroken"}, "startsAt": "2026-01-05T12:00:00Z",
    }  # fmt: skip


def payload(*alerts: JsonObject) -> JsonObject:
    return {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "selfheal", "alerts": list(alerts)}


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        ({"namespace": "shop", "deployment": "web"}, "shop/Deployment/web"),
        ({"namespace": "shop", "statefulset": "db"}, "shop/StatefulSet/db"),
        ({"namespace": "shop", "daemonset": "log"}, "shop/DaemonSet/log"),
        ({"namespace": "shop", "cronjob": "bill", "job_name": "bill-1"}, "shop/CronJob/bill"),
        ({"namespace": "shop", "job_name": "bill-1"}, "shop/Job/bill-1"),
        ({"namespace": "shop", "replicaset": "web-1"}, "shop/ReplicaSet/web-1"),
        ({"namespace": "shop", "pod": "web-1-abc", "container": "app"}, "shop/Pod/web-1-abc"),
        ({"namespace": "shop", "pod": "web-1-abc", "deployment": "web"}, "shop/Deployment/web"),
        ({"namespace": "mon", "pod": "ksm-0", "exported_namespace": "shop", "exported_pod": "web-1"}, "shop/Pod/web-1"),
        (
            {"namespace": "mon", "pod": "ksm-0", "exported_namespace": "shop", "deployment": "web"},
            "shop/Deployment/web",
        ),
    ],
)
def test_an_alert_is_about_the_object_its_labels_name(labels: dict[str, str], target: str) -> None:
    found = read_alert(alert(**labels))
    assert found.trigger is not None
    assert (str(found.trigger.ref), found.trigger.source) == (target, Source.ALERT)
    assert found.trigger.note == "Trouble: it is broken"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "name no namespace"),
        ({"deployment": "web"}, "name no namespace"),
        ({"namespace": "shop"}, "name no object"),
        ({"namespace": "shop", "job": "node-exporter", "instance": "10.0.0.1:9100"}, "name no object"),
        ({"namespace": "mon", "pod": "ksm-0", "exported_namespace": "shop"}, "name no object"),
        ({"namespace": "shop", "pod": "../web"}, "not a name that Kubernetes knows"),
    ],
)
def test_what_names_no_object_says_what_is_missing(labels: dict[str, str], said: str) -> None:
    found = read_alert(alert(**labels))
    assert found.trigger is None
    assert said in found.sentence


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"alerts": []}, "version"),
        ({"version": 4, "alerts": []}, "version"),
        (payload({"status": "firing"}), "alerts[0].labels"),
        (payload(alert(), {"status": "silent", "labels": {}}), "alerts[1].status"),
        (payload(*[alert()] * (MOST_ALERTS + 1)), "alerts"),
    ],
    ids=["no version", "a number for a version", "no labels", "no status", "too many"],
)
def test_a_payload_that_cannot_be_read_names_the_field(body: JsonObject, field: str) -> None:
    assert is_payload(body)
    found = read_payload(body)
    assert isinstance(found, Unreadable)
    assert found.field == field


async def post(it: Running, *alerts: JsonObject) -> list[dict[str, str]]:
    answer = await it.http.post("/self-heal", json=payload(*alerts))
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"
    entries: list[dict[str, str]] = answer.json()["alerts"]
    return entries


async def test_every_alert_has_an_entry_and_every_object_one_row(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        told = await post(
            it,
            alert(fingerprint="a", namespace="shop", deployment="web"),
            alert(fingerprint="b", namespace="shop", deployment="web", severity="page"),
            alert(fingerprint="c", namespace="shop", deployment="api"),
            alert("resolved", fingerprint="d", namespace="shop", deployment="db"),
            alert(fingerprint="e", job="node"),
        )
        await eventually(lambda: len(it.healer.runs) == 2 and it.service.dispatcher.open_count == 0, "both runs")
        records = await it.service.ports.ledger.incidents()
    assert [(e["fingerprint"], e["status"]) for e in told] == [
        ("a", "accepted"), ("b", "accepted"), ("c", "accepted"), ("d", "resolved"), ("e", "unknown"),
    ]  # fmt: skip
    assert told[0]["request_id"] == told[1]["request_id"] != told[2]["request_id"]
    assert sorted(r.target.name for r in records) == ["api", "web"]
    rows = await inbox_rows(tmp_path)
    assert sorted((str(r["source"]), str(r["state"])) for r in rows) == [
        ("alert", "discarded"), ("alert", "linked"), ("alert", "linked"),
    ]  # fmt: skip


async def test_resolved_alerts_alone_open_nothing_and_leave_nothing(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        await post(it, alert("resolved", namespace="shop", deployment="web"))
        assert await it.service.ports.ledger.incidents() == []
    assert await inbox_rows(tmp_path) == []


async def test_a_payload_that_comes_again_joins_what_is_open(tmp_path: Path) -> None:
    async with serve(tmp_path) as it:
        it.healer.gate.clear()
        for _ in range(3):
            await post(it, alert(namespace="shop", deployment="web"))
        await eventually(lambda: len(it.healer.runs) == 1, "the run")
        assert len(await it.service.ports.ledger.incidents()) == 1


async def test_an_alert_that_was_committed_is_taken_up_after_a_restart(tmp_path: Path) -> None:
    body = alert(namespace="shop", deployment="api")
    async with open_test_ports(tmp_path) as ports:
        entry = InboxEntry(id="1", received_at=ports.clock.now(), source="alert", body=body, body_hash=digest(body))
        await ports.ledger.accept(entry)
        dispatcher = Dispatcher(ports, ScriptedHealer(ports), admission=admit_by_name)
        assert await dispatcher.recover() == 1
        await settle()
        await eventually(lambda: dispatcher.open_count == 0, "the end")
        assert [str(r.target) for r in await ports.ledger.incidents()] == ["shop/Deployment/api"]
        await dispatcher.close(timedelta(0))
