"""The journal over a simulated cluster, in virtual time: what it takes as good, and which ways back it finds."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from evals.simulator import Behaviour, Simulator
from tests.support.ledgers import ledger_at
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster
from tools.cluster.mirror import Mirror
from tools.journal.candidates import WayBack
from tools.journal.desired import Desired
from tools.journal.journal import Journal, Ways
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_object
from tools.ledger.ledger import Ledger
from tools.refs import ObjectRef

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop}
data: {MODE: blue, DB_PASSWORD: hunter2, GREETING: hello}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: usual, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}
---
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: shop}
stringData: {key: value}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: registry.example/shop/web:1
        envFrom: [{configMapRef: {name: web}}]
        env: [{name: KEY, valueFrom: {secretKeyRef: {name: web, key: key}}}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}
"""
DENY: JsonObject = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "shop"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


NIGHT = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: night, namespace: shop}}
data: {{MODE: full}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: night, namespace: shop}}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: work
            image: registry.example/shop/night:1
            command: {json.dumps(Behaviour(exit_code=0).command())}
            envFrom: [{{configMapRef: {{name: night}}}}]
"""
BINDING: JsonObject = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "web", "namespace": "shop"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "shop"}],
}


def ref(text: str) -> ObjectRef:
    return ObjectRef.parse(text)


WEB, SETTINGS, SERVICE = ref("shop/Deployment/web"), ref("shop/ConfigMap/web"), ref("shop/Service/web")
CRON, NIGHTLY = ref("shop/CronJob/night"), ref("shop/ConfigMap/night")
MADE = ("spec", "jobTemplate", "spec", "template", "spec")


@dataclass
class Scene:
    sim: Simulator
    cluster: Cluster
    mirror: Mirror
    journal: Journal
    ledger: Ledger

    async def until(self, holds: Callable[[], bool]) -> None:
        await self.sim.until(holds, seconds=120)

    async def changed(self, kind: str, name: str, change: Callable[[JsonObject], None]) -> None:
        """Change an object as a person would, and wait until the journal has seen it."""
        live = copy.deepcopy(self.sim.get(kind, "shop", name))
        assert live is not None
        change(live)
        for field in ("resourceVersion", "managedFields"):
            dig_object(live, "metadata").pop(field, None)
        await self.sim.apply(live)
        await self.sim.sleep(1)

    async def good(self) -> None:
        """Wait until the shop was taken down as good."""
        await self.until(lambda: self.journal.known_good(SETTINGS) is not None)
        await self.until(lambda: self.journal.known_good(SERVICE) is not None)

    async def ways(self, target: ObjectRef = WEB) -> list[WayBack]:
        found: Ways = await self.journal.ways_back(target)
        assert found.unseen == ()
        return list(found.ways)


@contextlib.asynccontextmanager
async def scene(folder: Path, *, declared: str | None = None) -> AsyncIterator[Scene]:
    async with Simulator.virtual() as sim:
        await sim.apply(SHOP)
        await sim.until(lambda: sim.ready("Deployment", "shop", "web"), seconds=60)
        desired = None
        if declared is not None:
            (folder / "manifests").mkdir(exist_ok=True)
            (folder / "manifests" / "shop.yaml").write_text(declared)
            desired = Desired(str(folder / "manifests"), state_dir=folder, clock=sim.clock)
        allowlist = AllowList(READ_RULES)
        cluster = await Cluster.connect(kubeconfig=sim.kubeconfig(), allowlist=allowlist)
        mirror = Mirror(cluster, sim.clock)
        ledger = await Ledger.open(await ledger_at(folder / "ledger.db"))
        journal = Journal(cluster, mirror, ledger, sim.clock, desired)
        running: asyncio.Task[None] | None = None
        try:
            await mirror.start()
            await mirror.synced()
            await journal.open()
            running = asyncio.create_task(journal.run())
            yield Scene(sim, cluster, mirror, journal, ledger)
        finally:
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            await mirror.stop()
            await cluster.close()
            await ledger.close()


def put(path: tuple[str, ...], value: JsonValue) -> Callable[[JsonObject], None]:
    """Set one field; None takes it away."""

    def change(manifest: JsonObject) -> None:
        holder = dig_object(manifest, *path[:-1])
        if value is None:
            holder.pop(path[-1], None)
        else:
            holder[path[-1]] = value

    return change


async def test_a_healthy_workload_and_all_it_is_wired_to_is_taken_down(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        assert it.journal.known_good(WEB) is None, "nothing is good before it was proven"
        await it.good()
        good = it.journal.known_good(SETTINGS)
        assert good is not None
        assert good["data"] == {"MODE": "blue", "DB_PASSWORD": "hunter2", "GREETING": "hello"}
        assert it.journal.known_good(WEB) is not None
        assert it.journal.known_good(ref("shop/Secret/web")) is None
        assert it.journal.owners_when_good(SERVICE) == frozenset([WEB])
        assert it.journal.changed_since_good(SETTINGS) is None
        assert await it.ways() == []
        kept = await it.ledger.surroundings(WEB)
        assert kept is not None
        assert len(kept.present) == 1


async def test_a_changed_setting_can_be_put_back_and_its_secrets_are_not_shown(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        await it.changed("ConfigMap", "web", put(("data",), {"MODE": "green", "DB_PASSWORD": "geheim", "NEW": "1"}))
        (way,) = await it.ways()
        assert (way.ref, way.operation, way.source) == (SETTINGS, "revert", "last_known_good")
        assert way.relation == "ConfigMap of container app"
        assert [(c.path, c.now, c.then) for c in way.changes] == [
            ("data.DB_PASSWORD", "[REDACTED]", "[REDACTED] (another value)"),
            ("data.GREETING", "", "hello"),
            ("data.MODE", "green", "blue"),
            ("data.NEW", "1", ""),
        ]
        assert way.changed_at is not None
        assert it.journal.changed_since_good(SETTINGS) == way.changed_at
        version = await it.journal.manifests.version(SETTINGS, way.version)
        assert version is not None
        assert version.source == "last_known_good"
        assert dig_object(version.manifest, "data")["MODE"] == "blue"
        entry = it.journal.changes.last(SETTINGS)
        assert entry is not None
        assert "geheim" not in str(entry)


async def test_a_setting_that_no_pod_has_started_with_is_not_good_however_long_it_stands(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        await it.changed("ConfigMap", "web", put(("data", "MODE"), "broken"))
        await it.sim.sleep(900)
        good = it.journal.known_good(SETTINGS)
        assert good is not None
        assert dig_object(good, "data")["MODE"] == "blue"
        for pod in it.sim.pods("shop"):
            it.sim.api.delete(it.sim.kind("Pod"), "shop", str(dig_object(pod, "metadata")["name"]))
        await it.sim.sleep(180)
        good = it.journal.known_good(SETTINGS)
        assert good is not None
        assert dig_object(good, "data")["MODE"] == "broken", "pods started with it and are well"
        assert len(await it.journal.manifests.history(SETTINGS)) == 2


async def test_what_is_gone_can_be_restored(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        it.sim.api.delete(it.sim.kind("ConfigMap"), "shop", "web")
        it.sim.api.delete(it.sim.kind("Service"), "shop", "web")
        await it.sim.sleep(1)
        found = {way.ref: way for way in await it.ways()}
        assert set(found) == {SETTINGS, SERVICE}
        assert {way.operation for way in found.values()} == {"restore"}
        assert all(way.uid is None and way.changed_at is not None for way in found.values())
        assert found[SERVICE].relation == "Service that leads to its pods"
        (alone,) = await it.ways(SERVICE)
        assert alone.ref == SERVICE


async def test_what_came_after_the_last_known_good_can_be_taken_away(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        await it.sim.apply(DENY)
        await it.sim.sleep(1)
        (way,) = await it.ways()
        assert (way.ref.name, way.operation, way.source) == ("deny", "remove", "last_known_good")
        assert way.uid
        assert "was not there when shop/Deployment/web was last seen healthy" in way.why


async def test_a_policy_that_came_later_can_be_taken_away_by_itself(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        await it.sim.apply(DENY)
        await it.sim.sleep(1)
        (way,) = await it.ways(ref("shop/NetworkPolicy/deny"))
        assert (way.operation, way.source) == ("remove", "last_known_good")
        assert await it.ways(ref("shop/NetworkPolicy/usual")) == [], "it stood beside what was healthy"


async def test_a_binding_that_names_another_is_still_one_that_the_workload_had(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.sim.apply(BINDING)
        await it.good()
        await it.until(lambda: it.journal.known_good(ref("shop/RoleBinding/web")) is not None)
        stranger: JsonValue = [{"kind": "ServiceAccount", "name": "nobody", "namespace": "shop"}]
        await it.changed("RoleBinding", "web", lambda live: live.update(subjects=stranger))
        (way,) = await it.ways()
        assert (way.ref, way.operation) == (ref("shop/RoleBinding/web"), "revert")
        assert [c.path for c in way.changes] == ["subjects[nobody].name"]


async def test_what_people_told_us_survives_a_restore_and_is_no_change(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        note = {"selfheal.dev/mode": "observe"}
        await it.changed("Service", "web", lambda live: dig_object(live, "metadata").update(annotations=note))
        assert it.journal.changed_since_good(SERVICE) is None
        assert await it.ways(SERVICE) == []


async def test_the_template_has_a_history_of_its_own_and_replicas_have_not(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        await it.changed("Deployment", "web", put(("spec", "replicas"), 0))
        (way,) = await it.ways()
        assert [(c.path, c.now, c.then) for c in way.changes] == [("spec.replicas", "0", "2")]
        await it.changed("Deployment", "web", put(("spec", "template", "spec", "dnsPolicy"), "Default"))
        assert await it.ways() == []


async def test_the_newest_change_comes_first(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        await it.changed("ConfigMap", "web", put(("data", "MODE"), "green"))
        await it.changed("Service", "web", put(("spec", "selector"), {"app": "web", "tier": "x"}))
        await it.changed("NetworkPolicy", "usual", put(("spec", "ingress"), None))
        assert [way.ref.kind for way in await it.ways()] == ["NetworkPolicy", "ConfigMap"]
        assert [way.ref.kind for way in await it.ways(SERVICE)] == ["Service"]


async def test_a_cronjob_is_good_as_a_run_that_ended_well_was_made_from_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.sim.apply(NIGHT)
        await it.sim.sleep(20)
        assert it.journal.known_good(CRON) is None, "it did not run yet"
        await it.until(lambda: it.journal.known_good(CRON) is not None)
        assert it.journal.known_good(NIGHTLY) is not None
        assert it.journal.changed_since_good(CRON) is None
        assert await it.ways(CRON) == []

        await it.changed("CronJob", "night", put((*MADE, "dnsPolicy"), "Default"))
        assert it.journal.changed_since_good(CRON) is not None
        (way,) = await it.ways(CRON)
        assert [c.path for c in way.changes] == ["spec.jobTemplate.spec.template.spec.dnsPolicy"]
        await it.until(lambda: it.journal.changed_since_good(CRON) is None)
        assert await it.ways(CRON) == [], "the next run ended well, so it is good as it stands now"


async def test_what_a_cronjob_became_while_a_run_was_going_on_is_not_proved_by_that_run(tmp_path: Path) -> None:
    lasting = NIGHT.replace(
        json.dumps(Behaviour(exit_code=0).command()), json.dumps(Behaviour(exit_code=0, exit_after=30).command())
    )
    async with scene(tmp_path) as it:
        await it.sim.apply(lasting)
        await it.until(lambda: bool(it.sim.all_of("Job", "shop")))
        await it.changed("CronJob", "night", put(("spec", "suspend"), True))
        await it.until(lambda: bool(dig_int(it.sim.all_of("Job", "shop")[0], "status", "succeeded")))
        await it.sim.sleep(5)
        assert it.journal.known_good(CRON) is None
        assert it.journal.known_good(NIGHTLY) is None


async def test_what_is_known_survives_a_restart(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.good()
        await it.changed("ConfigMap", "web", put(("data", "MODE"), "green"))
        again = Journal(it.cluster, it.mirror, it.ledger, it.sim.clock)
        await again.open()
        (way,) = (await again.ways_back(WEB)).ways
        assert way.ref == SETTINGS
        assert way.changed_at is not None, "the object's own field managers tell"


# With a declared state


def declared(change: Callable[[JsonObject], None] | None = None, kind: str = "Deployment") -> str:
    documents: list[JsonObject] = [d for d in yaml.safe_load_all(SHOP) if d["kind"] != "Namespace"]
    for document in documents:
        if change is not None and document["kind"] == kind:
            change(document)
    return yaml.safe_dump_all(documents)


async def test_what_is_as_declared_has_no_way_back_and_no_drift(tmp_path: Path) -> None:
    async with scene(tmp_path, declared=declared()) as it:
        await it.sim.sleep(60)
        assert await it.ways() == []
        for kind in ("ConfigMap", "Service", "NetworkPolicy"):
            item = it.mirror.document(kind, "shop", "usual" if kind == "NetworkPolicy" else "web")
            assert item is not None
            assert it.journal.differences_from_declared(item) == ()
        workload = it.mirror.workload("Deployment", "shop", "web")
        assert workload is not None
        assert it.journal.differences_from_declared(workload) == ()
        assert "shop/Secret/web" not in {str(r) for r in it.journal.declared_refs()}


async def test_drift_is_known_a_moment_after_it_happened_and_somebody_is_told(tmp_path: Path) -> None:
    async with scene(tmp_path, declared=declared()) as it:
        await it.sim.sleep(5)
        told: list[ObjectRef] = []
        it.journal.on_drift = told.append
        await it.changed("Deployment", "web", put(("metadata", "labels"), {"app": "web", "team": "x"}))
        await it.until(lambda: bool(told))
        assert told == [WEB]
        workload = it.mirror.workload("Deployment", "shop", "web")
        assert workload is not None
        assert it.journal.differences_from_declared(workload) == ("/metadata/labels/team",)
        (way,) = await it.ways()
        assert (way.source, way.operation) == ("desired", "revert")
        version = await it.journal.manifests.version(WEB, way.version)
        assert version is not None
        assert version.source == "desired"


async def test_the_declaration_outranks_what_was_good(tmp_path: Path) -> None:
    intended = declared(put(("spec", "replicas"), 0))
    async with scene(tmp_path) as it:
        await it.good()
    async with scene(tmp_path, declared=intended) as it:
        await it.changed("Deployment", "web", put(("spec", "replicas"), 0))
        assert it.journal.known_good(WEB) is not None
        assert await it.ways() == []


async def test_an_object_that_differs_from_its_declaration_is_not_taken_as_good(tmp_path: Path) -> None:
    other = declared(put(("data", "MODE"), "violet"), kind="ConfigMap")
    async with scene(tmp_path, declared=other) as it:
        await it.until(lambda: it.journal.known_good(SERVICE) is not None)
        assert it.journal.known_good(SETTINGS) is None


async def test_what_is_not_declared_in_a_declared_namespace_can_be_taken_away(tmp_path: Path) -> None:
    async with scene(tmp_path, declared=declared()) as it:
        await it.sim.apply(DENY)
        await it.sim.sleep(1)
        (way,) = await it.ways()
        assert (way.ref.name, way.operation, way.source) == ("deny", "remove", "desired")


async def test_while_the_declared_state_is_unread_nothing_is_concluded(tmp_path: Path) -> None:
    async with scene(tmp_path, declared=declared()) as it:
        unread = Desired(str(tmp_path / "away"), state_dir=tmp_path, clock=it.sim.clock)
        journal = Journal(it.cluster, it.mirror, it.ledger, it.sim.clock, unread)
        await journal.open()
        found = await journal.ways_back(WEB)
        assert found.ways == ()
        assert "could not be read" in found.unseen[0]


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap"])
async def test_a_declared_object_that_is_gone_can_be_restored(tmp_path: Path, kind: str) -> None:
    async with scene(tmp_path, declared=declared()) as it:
        it.sim.api.delete(it.sim.kind(kind), "shop", "web")
        await it.sim.sleep(1)
        (way,) = await it.ways(ref(f"shop/{kind}/web"))
        assert (way.operation, way.source, way.uid) == ("restore", "desired", None)
