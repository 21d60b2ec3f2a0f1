"""The service as a pod on the real cluster: own image, own manifests, own account; healed, observed, refused; measured.

One story is played once (the fixture `story`), then each test asserts one thing about it.  Three namespaces get the
same fault, a new revision whose image nobody has:

    auto   the writing role is bound, the policy says auto        it heals
    look   the writing role is bound, the policy says observe     it dry-runs its plan and writes nothing
    bare   nothing is bound, the policy says observe              the plan is refused for want of rights

Who wrote what is read from the API server's audit log, not from the service.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import secrets
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import pytest

from tests.cluster.audit import AuditTail, Write
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.layout import Layout
from tests.cluster.kube import Kube
from tests.deploy.image import ImageBuilder, load, missing_tools, unload
from tests.deploy.installation import ACCOUNT, ACCOUNT_GROUP, NODE, Installation, until
from tests.deploy.prometheus import Prometheus, Query, queries
from tools.jsontypes import JsonObject, JsonValue, dig_int, dig_list, dig_object, dig_str

pytestmark = pytest.mark.cluster
BAD_IMAGE = "registry.invalid/web:2"
COUNTED = (
    'selfheal_incidents_total{status="healed"} > 0',
    "selfheal_recover_seconds_count > 0",
    'selfheal_refusals_total{code="PERMISSION_DENIED"} > 0',
    "sum(selfheal_requests_total) > 0",
)
"""What Prometheus must have scraped before the dashboard is asked: the end of this story, not its beginning."""
FINAL = {"healed", "cleared", "observed", "refused", "escalated"}


@dataclass(frozen=True)
class Names:
    """The three namespaces of one run."""

    auto: str
    look: str
    bare: str

    def all(self) -> tuple[str, str, str]:
        """In the order of the table above."""
        return self.auto, self.look, self.bare


@dataclass(frozen=True)
class Story:
    """What happened."""

    names: Names
    incidents: Mapping[str, JsonObject]
    """The incident about Deployment web, by namespace."""
    images: Mapping[str, str]
    """The image in its template at the end, by namespace."""
    asked: int
    """The HTTP status of asking about a healthy object."""
    writes: list[Write]
    denied: list[str]
    """Requests of the account that the API server refused for want of rights."""
    answers: Mapping[Query, list[float]]
    alerts: Mapping[str, str]
    after_restart: list[str]
    """Statuses of the healed incident as the next pod tells them."""
    by_hand: str
    """What `selfheal incidents` says in the next pod about the namespace that is only looked at."""
    log: str


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Generator[Story]:
    layout = Layout.from_environment()
    if not layout.kubeconfig("admin").exists():
        pytest.skip("the project's Kubernetes is not up: run `make cluster-up`")
    if missing := missing_tools():
        pytest.fail(f"{', '.join(missing)}: not installed; run tests/deploy/install-tools.sh")
    home = tmp_path_factory.mktemp("pod")
    cache = layout.cache / "image"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one store, one namespace `selfheal`
        begun = time.monotonic()
        archive = ImageBuilder(cache).build()
        tell(begun, f"the image is built ({archive.stat().st_size >> 20} MiB)")
        load(layout, NODE, archive)
        archive.unlink()
        tell(begun, f"{NODE.name} has it")
        installation = Installation(Cluster(layout), home)
        installation.remove()  # of a run that was cut off
        try:
            yield asyncio.run(play(layout, installation, home, begun))
        finally:
            installation.remove()
            unload(layout, NODE)
            tell(begun, "everything is removed")


async def play(layout: Layout, installation: Installation, home: Path, begun: float) -> Story:
    run = secrets.token_hex(2)
    names = Names(*(f"pod-{word}-{run}" for word in ("auto", "look", "bare")))
    tail = AuditTail(layout.audit_log, ACCOUNT, ACCOUNT_GROUP)
    denials = Denials(layout.audit_log)
    async with Kube(layout.kubeconfig("admin")) as kube:
        try:
            for namespace in names.all():
                for manifest in web(namespace):
                    await kube.apply(manifest)
            modes: JsonObject = {names.auto: "auto", names.look: "observe", names.bare: "observe"}
            installation.install({"version": 1, "default": "observe", "namespaces": modes})
            for namespace in (names.auto, names.look):
                installation.let_act(namespace)
            try:
                installation.wait_until_ready()
            except Exception as slow:
                raise AssertionError(f"the pod is not ready: {slow}\n{installation.log()}") from slow
            tell(begun, "the pod is ready")
            async with (
                installation.client() as http,
                Prometheus(home, installation.address(), installation.token) as prometheus,
            ):
                await until("the first scrape", lambda: prometheus.sees('up{job="selfheal"} == 1'), 30)
                for namespace in names.all():
                    await until(f"web in {namespace}", lambda ns=namespace: is_whole(kube, ns), 60)
                for namespace in names.all():
                    await kube.patch("Deployment", namespace, "web", "strategic", with_image(BAD_IMAGE))
                tell(begun, "the faults are in")
                incidents = {ns: await ended(http, ns) for ns in names.all()}
                tell(begun, ", ".join(f"{ns}: {dig_str(i, 'status')}" for ns, i in incidents.items()))
                asked = await http.post(
                    "/self-heal", json={"kind": "Deployment", "namespace": names.auto, "name": "web"}
                )
                for counted in COUNTED:
                    await until(counted, lambda expression=counted: prometheus.sees(expression), 20)
                answers = {query: await prometheus.numbers(query.expression) for query in queries()}
                alerts = await prometheus.alerts()
            log = installation.log()
            tell(begun, f"it uses {installation.memory()}")
            tell(begun, f"{len(answers)} queries asked; the pod is replaced")
            await asyncio.to_thread(installation.replace_pod)
            async with installation.client() as http:
                after = [dig_str(i, "status") for i in await listed(http, names.auto)]
            by_hand = installation.by_hand("incidents", "--namespace", names.look, "--output", "json")
            tell(begun, "the next pod answers")
            images = {ns: image_of(await deployment(kube, ns)) for ns in names.all()}
            tail.read()
            return Story(
                names=names,
                incidents=incidents,
                images=images,
                asked=asked.status_code,
                writes=tail.writes,
                denied=denials.read(),
                answers=answers,
                alerts=alerts,
                after_restart=after,
                by_hand=by_hand,
                log=log,
            )
        finally:
            (home / "selfheal.log").write_text(installation.log())
            for namespace in names.all():
                await kube.delete(f"/api/v1/namespaces/{namespace}")


def test_where_it_may_it_heals_and_verifies(story: Story) -> None:
    assert dig_str(story.incidents[story.names.auto], "status") == "healed", story.log[-3000:]
    assert story.images[story.names.auto] == "localhost/heal-busybox:1"


def test_where_it_only_observes_the_plan_is_dry_run_and_nothing_is_written(story: Story) -> None:
    assert dig_str(story.incidents[story.names.look], "status") == "observed"
    assert story.images[story.names.look] == BAD_IMAGE


def test_without_the_binding_the_account_says_that_the_right_is_missing_and_nothing_is_written(story: Story) -> None:
    assert "PERMISSION_DENIED" in json.dumps(story.incidents[story.names.bare])
    assert story.images[story.names.bare] == BAD_IMAGE


def test_the_one_write_is_by_the_service_account_and_there_is_no_other(story: Story) -> None:
    told = [(w.user, w.verb, w.resource, w.namespace, w.name, w.code) for w in story.writes]
    assert told == [(ACCOUNT, "patch", "deployments", story.names.auto, "web", 200)]


def test_the_roles_grant_all_that_it_asked_for(story: Story) -> None:
    assert story.denied == []


def test_a_healthy_object_may_be_asked_about(story: Story) -> None:
    assert story.asked == 200


def test_every_query_of_the_dashboard_has_data(story: Story) -> None:
    assert len(story.answers) > 15
    assert [f"{q.panel}: {q.expression}" for q, numbers in story.answers.items() if not numbers] == []


def test_every_alert_can_be_evaluated(story: Story) -> None:
    assert story.alerts
    assert set(story.alerts.values()) == {"ok"}, story.alerts


def test_what_it_did_outlives_the_pod(story: Story) -> None:
    assert "healed" in story.after_restart


def test_the_command_line_works_in_the_pod_beside_the_service(story: Story) -> None:
    assert "observed" in story.by_hand
    assert story.names.look in story.by_hand


def test_the_log_is_json_with_stable_names_and_the_incident(story: Story) -> None:
    events = [cast("JsonObject", json.loads(line)) for line in story.log.splitlines() if line]
    assert {"service.open", "service.listening"} <= {dig_str(e, "event") for e in events}
    healed = dig_str(story.incidents[story.names.auto], "id")
    assert [
        dig_str(e, "status") for e in events if e.get("event") == "incident.closed" and e.get("incident_id") == healed
    ]


class Denials:
    """Follows the audit log for what the account was refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size

    def read(self) -> list[str]:
        """Every request since the beginning that was answered 403, as `verb URI`."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            lines = [line for line in log if f'"username":"{ACCOUNT}"'.encode() in line]
        events = [cast("JsonObject", json.loads(line)) for line in lines if line.endswith(b"\n")]
        assert events, "the account asked for nothing: the wrong log, or the wrong name"
        refused = [e for e in events if dig_int(e, "responseStatus", "code") == 403]
        return [f"{dig_str(e, 'verb')} {dig_str(e, 'requestURI')}" for e in refused]


def web(namespace: str) -> list[JsonObject]:
    """A Deployment of two pods that are ready at once, in a namespace of its own."""
    container: JsonObject = {
        "name": "app",
        "image": "localhost/heal-busybox:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "mkdir -p /tmp/w; exec httpd -f -p 8080 -h /tmp/w"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
    }
    labels: JsonObject = {"app": "web"}
    spec: JsonObject = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
        },
    }
    meta: JsonObject = {"name": "web", "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
    ]


def with_image(image: str) -> JsonObject:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}


async def deployment(kube: Kube, namespace: str) -> JsonObject:
    return dig_object(await kube.list("Deployment", namespace), "items", 0)


async def is_whole(kube: Kube, namespace: str) -> bool:
    return dig_int(await deployment(kube, namespace), "status", "readyReplicas") == 2


def image_of(workload: JsonObject) -> str:
    return dig_str(workload, "spec", "template", "spec", "containers", 0, "image")


async def listed(http: httpx.AsyncClient, namespace: str) -> list[JsonObject]:
    answer = await http.get("/incidents", params={"namespace": namespace})
    document = cast("JsonValue", answer.raise_for_status().json())
    entries = document if isinstance(document, list) else dig_list(document, "incidents")
    return [cast("JsonObject", entry) for entry in entries]


async def ended(http: httpx.AsyncClient, namespace: str) -> JsonObject:
    """The first incident of the namespace that has ended, in full."""
    found: list[JsonObject] = []

    async def one() -> bool:
        found[:] = [i for i in await listed(http, namespace) if dig_str(i, "status") in FINAL]
        return bool(found)

    await until(f"an incident of {namespace} to end", one, 150)
    answer = await http.get(f"/incidents/{dig_str(found[-1], 'id')}")
    return cast("JsonObject", answer.raise_for_status().json())


def tell(begun: float, text: str) -> None:
    """For people who run it with -s."""
    sys.stderr.write(f"pod: {time.monotonic() - begun:5.1f} s  {text}\n")
    sys.stderr.flush()
