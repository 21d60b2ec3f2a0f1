"""The change journal: what counts as a change, what is shown of it, and that it stays small."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tools.cluster.documents import ConfigMap, Document, EndpointSlice, Service
from tools.cluster.objects import CronJob, Deployment, KubeObject, Node, Pod, decoder_of
from tools.cluster.store import Delta
from tools.journal.changes import Changes
from tools.jsontypes import JsonObject, JsonValue
from tools.refs import ObjectRef

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = ObjectRef(kind="ConfigMap", namespace="shop", name="web")
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, delay: timedelta) -> None:
        self.time += delay


def made(struct: type[KubeObject], *, labels: dict[str, str] | None = None, **parts: JsonValue) -> KubeObject:
    metadata: JsonObject = {"name": "web", "namespace": "shop", "uid": "u", "labels": {**(labels or {})}}
    given = parts.pop("metadata", None)
    metadata |= given if isinstance(given, dict) else {}
    return decoder_of(struct)(msgspec.json.encode({"metadata": metadata, **parts}))


class Journal:
    """Changes with a hand on the clock."""

    def __init__(self, *, per_object: int = 20, objects: int = 100) -> None:
        self.clock = Hands()
        self.changes = Changes(self.clock, per_object=per_object, objects=objects)

    def change(self, old: KubeObject, new: KubeObject, *, after: float = 1) -> bool:
        self.clock.time += timedelta(seconds=after)
        return self.changes.observe(Delta("modified", new, old, self.clock.time)) is not None


def settings(**data: str) -> KubeObject:
    return made(ConfigMap, data={**data})


def deployment(generation: int = 1, **spec: JsonValue) -> KubeObject:
    return made(Deployment, metadata={"generation": generation}, spec={**spec})


def cron_job(generation: int = 1, schedule: str = "@hourly") -> KubeObject:
    return made(CronJob, metadata={"generation": generation}, spec={"schedule": schedule})


CASES = [
    ("a setting", settings(MODE="blue"), settings(MODE="green"), [("data.MODE", "green", "blue")]),
    ("a secret-like setting", settings(API_TOKEN="abc"), settings(API_TOKEN="def"),
     [("data.API_TOKEN", "[REDACTED]", "[REDACTED] (another value)")]),
    ("a label", made(ConfigMap, data={}), made(ConfigMap, labels={"a": "b"}, data={}),
     [("metadata.labels.a", "b", "")]),
    ("a Service's port by its name", made(Service, spec={"ports": [{"name": "http", "port": 80}]}),
     made(Service, spec={"ports": [{"name": "http", "port": 81}]}), [("spec.ports[http].port", "81", "80")]),
    ("replicas", deployment(replicas=3), deployment(2, replicas=0), [("spec.replicas", "0", "3")]),
    ("a pause", deployment(), deployment(2, paused=True), [("spec.paused", "true", "false")]),
    ("an image", deployment(template={"spec": {"containers": [{"name": "app", "image": "a:1"}]}}),
     deployment(2, template={"spec": {"containers": [{"name": "app", "image": "a:2"}]}}),
     [("spec.template.spec.containers[app].image", "a:2", "a:1")]),
    ("a cordon", made(Node, spec={}), made(Node, spec={"unschedulable": True}),
     [("spec.unschedulable", "true", "false")]),
    ("status is none", made(Service, spec={}, status={}), made(Service, spec={}, status={"loadBalancer": {}}), None),
    ("a workload's status is none", deployment(),
     made(Deployment, metadata={"generation": 1}, status={"replicas": 2}), None),
    ("our own marks are none", settings(A="b"),
     made(ConfigMap, metadata={"annotations": {"selfheal.dev/action-id": "x"}}, data={"A": "b"}), None),
    ("a leader's note is none", settings(A="b"),
     made(ConfigMap, metadata={"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": ""}},
          data={"A": "b"}), None),
    ("what a CronJob makes", cron_job(), cron_job(2), [("spec.jobTemplate", "(changed)", "(not kept)")]),
    ("a CronJob's schedule", cron_job(), cron_job(2, schedule="@daily"), [("spec.schedule", "@daily", "@hourly")]),
    ("endpoints move", made(EndpointSlice, endpoints=[]),
     made(EndpointSlice, endpoints=[{"addresses": ["10.0.0.1"]}]), None),
    ("pods come and go", made(Pod, spec={"nodeName": "a"}), made(Pod, spec={"nodeName": "b"}), None),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "found"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_is_a_change(old: KubeObject, new: KubeObject, found: list[tuple[str, str, str]] | None) -> None:
    journal = Journal()
    assert journal.change(old, new) is (found is not None)
    if found is not None:
        entry = journal.changes.last(ObjectRef(kind=new.kind, namespace=new.namespace or None, name="web"))
        assert entry is not None
        assert [(f.path, f.now, f.then) for f in entry.fields] == found


def test_values_are_cut() -> None:
    journal = Journal()
    journal.change(settings(A="x"), settings(A="y" * 10_000))
    entry = journal.changes.last(SETTINGS)
    assert entry is not None
    assert max(len(f.now) for f in entry.fields) <= 400


def test_what_comes_and_goes() -> None:
    journal = Journal()
    old = made(ConfigMap, metadata={"creationTimestamp": "2025-12-31T23:00:00Z"}, data={})
    assert journal.changes.observe(Delta("added", old, None, START)) is None, "it was there before us"
    young = made(ConfigMap, metadata={"creationTimestamp": "2026-01-01T00:00:05Z"}, data={})
    journal.changes.observe(Delta("added", young, None, START + timedelta(seconds=5)))
    journal.changes.observe(Delta("gone", young, young, START + timedelta(seconds=9)))
    assert [e.what for e in journal.changes.of(SETTINGS)] == ["deleted", "created"]


def test_the_same_fields_again_and_again_are_one_entry() -> None:
    journal = Journal()
    journal.change(settings(MODE="blue", HOLDER="0"), settings(MODE="green", HOLDER="0"))
    for number in range(500):
        journal.change(
            settings(MODE="green", HOLDER=str(number)), settings(MODE="green", HOLDER=str(number + 1)), after=2
        )
    churn, mode = journal.changes.of(SETTINGS)
    assert [f.path for f in mode.fields] == ["data.MODE"]
    (field,) = churn.fields
    assert (field.path, field.now, field.then, churn.times) == ("data.HOLDER", "500", "0", 500)
    assert (churn.since, churn.at) == (START + timedelta(seconds=3), START + timedelta(seconds=1001))


def test_the_same_field_much_later_is_another_change() -> None:
    journal = Journal()
    journal.change(settings(MODE="a"), settings(MODE="b"))
    journal.change(settings(MODE="b"), settings(MODE="c"), after=3600)
    assert [e.fields[0].now for e in journal.changes.of(SETTINGS)] == ["c", "b"]


def test_what_the_newest_change_of_a_field_replaced() -> None:
    journal = Journal()
    journal.change(deployment(1, replicas=3), deployment(2, replicas=3, paused=True))
    assert journal.changes.replaced(WEB, "spec.replicas") is None, "nobody changed it"
    journal.change(deployment(2, replicas=3, paused=True), deployment(3, replicas=0, paused=True))
    journal.change(deployment(3, replicas=0, paused=True), deployment(4, replicas=0), after=900)
    assert journal.changes.replaced(WEB, "spec.replicas") == "3"
    assert journal.changes.replaced(SETTINGS, "spec.replicas") is None


def test_at_most_so_many_of_one_object_and_no_older_than_a_day() -> None:
    journal = Journal(per_object=3)
    for number in range(6):
        journal.change(settings(**{f"K{number}": "a"}), settings(**{f"K{number}": "b"}))
    assert [e.fields[0].path for e in journal.changes.of(SETTINGS)] == ["data.K5", "data.K4", "data.K3"]
    journal.clock.time += timedelta(hours=25)
    assert journal.changes.of(SETTINGS) == ()


def test_at_most_so_many_objects() -> None:
    journal = Journal(objects=2)
    for name in ("a", "b", "c"):
        old = made(ConfigMap, metadata={"name": name}, data={"A": "1"})
        journal.change(old, made(ConfigMap, metadata={"name": name}, data={"A": "2"}))
    assert [e.ref.name for e in journal.changes.within("shop", START)] == ["c", "b"]
    assert len(journal.changes) == 2


def test_who_wrote_it_last_is_a_hint() -> None:
    journal = Journal()
    writes: JsonValue = [{"manager": "kubectl-edit", "time": "2026-01-01T00:00:01Z"}]
    journal.change(settings(A="1"), made(ConfigMap, metadata={"managedFields": writes}, data={"A": "2"}))
    entry = journal.changes.last(SETTINGS)
    assert entry is not None
    assert entry.by == "kubectl-edit"


def test_an_object_too_large_to_be_kept_changed_all_the_same() -> None:
    journal = Journal()
    large = made(ConfigMap, data={"A": "x" * 70_000})
    assert isinstance(large, Document)
    assert large.is_cut
    assert journal.change(settings(A="1"), large)
    entry = journal.changes.last(SETTINGS)
    assert entry is not None
    assert "too large" in entry.fields[0].now
