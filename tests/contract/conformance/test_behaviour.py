# ruff: noqa: E501 - a case is one line of a table
"""How containers fail: for each family the same states, reasons and events in the same order.

Each case is a pod; what is written down are steps that must be seen, in this order, among whatever else is seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from evals.simulator import Behaviour

from .cluster import MERGE, Cluster, Obj, Watching
from .manifests import config, container, dig, pod


@dataclass(frozen=True)
class Family:
    """One fault family.  `states` are of the first container (or init container), `events` are event reasons."""

    name: str
    pod: Obj
    states: tuple[str, ...]
    events: tuple[str, ...]
    phase: str
    message: str = ""
    exit_code: int | None = None
    event_text: str = ""
    seconds: float = 60
    init: bool = False


MISSING = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]
NO_KEY = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "k"}}}]
NO_SECRET = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]
HTTP = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
LIVE = {"tcpSocket": {"port": 9999}, "periodSeconds": 1, "failureThreshold": 2}
SERVES = Behaviour(listens=8080, serves=("/healthz",)).command()
STARTED = ("Scheduled", "Pulled", "Created", "Started")

FAMILIES = [
    Family("runs", pod(), ("running",), STARTED, "Running"),
    Family("ready", pod(command=SERVES, readinessProbe=HTTP), ("running", "ready"), STARTED, "Running"),
    Family("exits-with-code", pod(command=Behaviour(exit_code=3).command()),
           ("terminated:Error", "waiting:CrashLoopBackOff"), (*STARTED, "BackOff"), "Running",
           r"back-off 10s restarting failed container=app pod=p_.*", 3,
           r"Back-off restarting failed container app in pod p_.*\(.*\)"),
    Family("ends-well-and-again", pod(command=Behaviour(exit_code=0).command()),
           ("terminated:Completed", "waiting:CrashLoopBackOff"), (*STARTED, "BackOff"), "Running", r"back-off 10s .*", 0),
    Family("needs-a-variable", pod(command=Behaviour(needs_env=("MODE",)).command()),
           ("terminated:Error", "waiting:CrashLoopBackOff"), (*STARTED, "BackOff"), "Running", r"back-off .*", 1),
    Family("completes", pod(spec={"restartPolicy": "Never"}, command=Behaviour(exit_code=0).command()),
           ("terminated:Completed",), STARTED, "Succeeded"),
    Family("fails-once", pod(spec={"restartPolicy": "Never"}, command=Behaviour(exit_code=4).command()),
           ("terminated:Error",), STARTED, "Failed"),
    Family("image-does-not-exist", pod(image="registry.invalid/none:1"), ("waiting:ErrImagePull", "waiting:ImagePullBackOff"),
           ("Scheduled", "Pulling", "Failed", "BackOff"), "Pending", r'Back-off pulling image "registry.invalid/none:1".*',
           None, r'Failed to pull image "registry.invalid/none:1": .*', 90),
    Family("image-name-is-none", pod(image="Localhost/BAD::1"), ("waiting:InvalidImageName",),
           ("Scheduled", "InspectFailed", "Failed"), "Pending",
           r'Failed to apply default image tag "Localhost/BAD::1": couldn\'t parse image name "Localhost/BAD::1": '
           r"invalid reference format.*", None, r"Error: InvalidImageName"),
    Family("image-never-pulled", pod(image="localhost/none:1", imagePullPolicy="Never"), ("waiting:ErrImageNeverPull",),
           ("Scheduled", "ErrImageNeverPull", "Failed"), "Pending",
           r'Container image "localhost/none:1" is not present with pull policy of Never', None, r"Error: ErrImageNeverPull"),
    Family("config-map-is-missing", pod(env=MISSING), ("waiting:CreateContainerConfigError",), ("Scheduled", "Pulled", "Failed"),
           "Pending", r'configmap "none" not found', None, r'Error: configmap "none" not found'),
    Family("secret-is-missing", pod(env=NO_SECRET), ("waiting:CreateContainerConfigError",), ("Scheduled", "Pulled", "Failed"),
           "Pending", r'secret "none" not found', None, r'Error: secret "none" not found'),
    Family("key-is-missing", pod(env=NO_KEY), ("waiting:CreateContainerConfigError",), ("Scheduled", "Pulled", "Failed"),
           "Pending", r"couldn't find key k in ConfigMap .*/kube-root-ca.crt", None, r"Error: couldn't find key k in ConfigMap .*"),
    Family("runs-as-root-but-may-not", pod(spec={"securityContext": {"runAsNonRoot": True}}),
           ("waiting:CreateContainerConfigError",), ("Scheduled", "Pulled", "Failed"), "Pending",
           r'container has runAsNonRoot and image will run as root \(pod: "p_.*", container: app\)'),
    Family("command-does-not-exist", pod(command=["/bin/none"]), ("waiting:CrashLoopBackOff",),
           ("Scheduled", "Pulled", "Created", "Failed", "BackOff"), "Running", r"back-off 10s .*", 128,
           r'Error: failed to create containerd task: .*exec: "/bin/none": .*no such file or directory.*'),
    Family("out-of-memory", pod(command=Behaviour(memory_mib=60).command(), resources={"limits": {"memory": "24Mi"}}),
           ("terminated:OOMKilled", "waiting:CrashLoopBackOff"), (*STARTED, "BackOff"), "Running", r"back-off .*", 137),
    Family("read-only-root", pod(command=SERVES, securityContext={"readOnlyRootFilesystem": True}),
           ("terminated:Error", "waiting:CrashLoopBackOff"), (*STARTED, "BackOff"), "Running", r"back-off .*", 1),
    Family("never-ready", pod(command=SERVES, readinessProbe={**HTTP, "httpGet": {"path": "/none", "port": 8080}}),
           ("running",), (*STARTED, "Unhealthy"), "Running", "", None,
           r"Readiness probe failed: HTTP probe failed with statuscode: 404"),
    Family("not-alive", pod(livenessProbe=LIVE), ("running", "waiting:CrashLoopBackOff"),
           (*STARTED, "Unhealthy", "Killing", "BackOff"), "Running", r"back-off .*", 137,
           r"Container app failed liveness probe, will be restarted"),
    Family("never-starts", pod(startupProbe=LIVE), ("running", "waiting:CrashLoopBackOff"),
           (*STARTED, "Unhealthy", "Killing", "BackOff"), "Running", r"back-off .*", 137,
           r"Container app failed startup probe, will be restarted"),
    Family("init-fails", pod(spec={"initContainers": [container(name="init", command=Behaviour(exit_code=1).command())]}),
           ("terminated:Error", "waiting:CrashLoopBackOff"), (*STARTED, "BackOff"), "Pending", r"back-off .*", 1, init=True),
    Family("init-succeeds", pod(spec={"initContainers": [container(name="init", command=Behaviour(exit_code=0).command())]}),
           ("terminated:Completed",), (*STARTED, "Pulled", "Created", "Started"), "Running", init=True),
    Family("volume-is-missing", pod(spec={"volumes": [{"name": "v", "configMap": {"name": "none"}}]},
                                    volumeMounts=[{"name": "v", "mountPath": "/v"}]),
           ("waiting:ContainerCreating",), ("Scheduled", "FailedMount"), "Pending", "", None,
           r'MountVolume.SetUp failed for volume "v" : configmap "none" not found'),
]  # fmt: skip


def _states(pod_object: Obj, *, init: bool) -> list[str]:
    statuses = dig(pod_object, "status/initContainerStatuses" if init else "status/containerStatuses") or []
    found: list[str] = []
    for status in statuses[:1]:
        for kind in ("lastState", "state"):
            for name, state in status.get(kind, {}).items():
                if kind == "lastState":
                    found.append(f"terminated:{state['reason']}")
                elif name == "running":
                    found += ["running", "ready"] if status["ready"] else ["running"]
                else:
                    found.append(f"{name}:{state.get('reason')}")
    return found


def _in_order(wanted: tuple[str, ...], seen: list[str]) -> bool:
    turn = iter(seen)
    return all(step in turn for step in wanted)


def _pod_states(watching: Watching, family: Family) -> list[str]:
    return [s for e in watching.events for s in _states(e["object"], init=family.init)]


def _reasons(watching: Watching) -> list[str]:
    return [str(e["object"].get("reason")) for e in watching.events]


@pytest.mark.parametrize("family", FAMILIES, ids=[f.name for f in FAMILIES])
async def test_family(cluster: Cluster, family: Family) -> None:
    await cluster.until(lambda: cluster.find("ConfigMap", "kube-root-ca.crt"))
    of_pod = {"fieldSelector": "involvedObject.name=p"}
    async with cluster.watch("Pod") as pods, cluster.watch("Event", **of_pod) as events:
        await cluster.made(family.pod)

        async def seen() -> bool:
            return _in_order(family.states, _pod_states(pods, family)) and _in_order(family.events, _reasons(events))

        try:
            await cluster.until(seen, family.seconds)
        except AssertionError:
            pytest.fail(f"states {_pod_states(pods, family)}, events {_reasons(events)}")
        await _judge(cluster, family, pods, events)


async def _judge(cluster: Cluster, family: Family, pods: Watching, events: Watching) -> None:
    statuses = [
        s
        for e in pods.events
        for s in (
            dig(e["object"], "status/initContainerStatuses" if family.init else "status/containerStatuses") or []
        )[:1]
    ]
    if family.message:
        said = [str(dig(s, "state/waiting/message")) for s in statuses]
        assert any(re.fullmatch(family.message, text, re.DOTALL) for text in said), said[-3:]
    if family.exit_code is not None:
        codes = {dig(s, f"{k}/terminated/exitCode") for s in statuses for k in ("state", "lastState")} - {None}
        assert codes == {family.exit_code}
    if family.event_text:
        texts = [str(e["object"].get("message")) for e in events.events]
        assert any(re.fullmatch(family.event_text, text, re.DOTALL) for text in texts), texts

    async def phase() -> bool:
        return dig(await cluster.get("Pod", "p"), "status/phase") == family.phase

    await cluster.until(phase, 20)


async def test_back_off_doubles(cluster: Cluster) -> None:
    async with cluster.watch("Pod") as pods:
        await cluster.made(pod(command=Behaviour(exit_code=1).command()))

        async def twice() -> bool:
            said = [str(dig(e["object"], "status/containerStatuses/0/state/waiting/message")) for e in pods.events]
            return _in_order(("back-off 10s", "back-off 20s"), [" ".join(s.split()[:2]) for s in said])

        await cluster.until(twice, 60)


async def test_the_first_restart_is_immediate(cluster: Cluster) -> None:
    await cluster.made(pod(command=Behaviour(exit_code=1).command()))

    async def restarted() -> bool:
        return (dig(await cluster.get("Pod", "p"), "status/containerStatuses/0/restartCount") or 0) >= 1

    await cluster.until(restarted, 8)


async def test_a_config_map_that_comes_lets_the_container_start(cluster: Cluster) -> None:
    await cluster.made(pod(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "a"}}}]))

    async def stuck() -> bool:
        reason = dig(await cluster.get("Pod", "p"), "status/containerStatuses/0/state/waiting/reason")
        return reason == "CreateContainerConfigError"

    await cluster.until(stuck)
    await cluster.made(config("late"))

    async def running() -> bool:
        return dig(await cluster.get("Pod", "p"), "status/phase") == "Running"

    await cluster.until(running, 60)


async def test_logs_of_the_run_before(cluster: Cluster) -> None:
    await cluster.made(pod(command=Behaviour(logs=("it broke",), exit_code=1).command()))

    async def restarted() -> bool:
        return (dig(await cluster.get("Pod", "p"), "status/containerStatuses/0/restartCount") or 0) >= 1

    await cluster.until(restarted)

    async def told() -> bool:
        answer = await cluster.call("GET", cluster.path("Pod", "p", "log"), params={"previous": "true"})
        return (answer.code, answer.body) == (200, "it broke\n")

    await cluster.until(told, 20)


async def test_conditions_of_a_running_pod(cluster: Cluster) -> None:
    await cluster.made(pod())

    async def ready() -> Any:
        found = await cluster.get("Pod", "p")
        conditions = {c["type"]: c["status"] for c in dig(found, "status/conditions") or []}
        return conditions.get("Ready") == "True" and conditions

    conditions = await cluster.until(ready)
    names = {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
    assert {k: conditions.get(k) for k in names} == dict.fromkeys(names, "True")


async def test_conditions_of_an_unready_pod(cluster: Cluster) -> None:
    await cluster.made(pod(command=SERVES, readinessProbe={**HTTP, "httpGet": {"path": "/none", "port": 8080}}))

    async def running() -> Any:
        found = await cluster.get("Pod", "p")
        return dig(found, "status/phase") == "Running" and found

    found = await cluster.until(running)
    ready = next(c for c in found["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [app]"


UNSCHEDULABLE = [
    ("too-much-memory", pod(resources={"requests": {"memory": "4Ti"}}), r"0/2 nodes are available: 2 Insufficient memory\..*"),
    ("too-much-cpu", pod(resources={"requests": {"cpu": "640"}}), r"0/2 nodes are available: 2 Insufficient cpu\..*"),
    ("no-such-label", pod(spec={"nodeSelector": {"conformance.test/none": "x"}}),
     r"0/2 nodes are available: 2 node\(s\) didn't match Pod's node affinity/selector\..*"),
    ("no-such-claim", pod(spec={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]}),
     r'.*persistentvolumeclaim "none" not found.*'),
    ("no-topology", pod(spec={"topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "conformance.test/rack", "whenUnsatisfiable": "DoNotSchedule",
         "labelSelector": {"matchLabels": {"app": "p"}}}]}),
     r".*node\(s\) didn't match pod topology spread constraints \(missing required label\).*"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("manifest", "text"), [(m, t) for _, m, t in UNSCHEDULABLE], ids=[n for n, *_ in UNSCHEDULABLE]
)
async def test_unschedulable(cluster: Cluster, manifest: Obj, text: str) -> None:
    await cluster.made(manifest)

    async def said() -> Any:
        found = await cluster.list("Event", fieldSelector="involvedObject.name=p,reason=FailedScheduling")
        return found and found[0]["message"]

    message = await cluster.until(said)
    assert re.fullmatch(text, message, re.DOTALL), message
    found = await cluster.get("Pod", "p")
    condition = next(c for c in found["status"]["conditions"] if c["type"] == "PodScheduled")
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert found["status"]["phase"] == "Pending"


async def test_an_unknown_scheduler_says_nothing(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"schedulerName": "ghost"}))
    await cluster.sleep(3)
    found = await cluster.get("Pod", "p")
    assert found["status"]["phase"] == "Pending"
    assert "conditions" not in found["status"]
    assert await cluster.list("Event") == []


async def test_a_deleted_pod_gets_its_grace_period(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"terminationGracePeriodSeconds": 3}))

    async def running() -> bool:
        return dig(await cluster.get("Pod", "p"), "status/phase") == "Running"

    await cluster.until(running)
    begin = cluster.clock.monotonic()
    answer = await cluster.delete("Pod", "p")
    assert answer.body["metadata"]["deletionGracePeriodSeconds"] == 3

    async def gone() -> bool:
        return await cluster.find("Pod", "p") is None

    await cluster.until(gone, 20)
    assert 2 <= cluster.clock.monotonic() - begin <= 12


async def test_a_pod_without_a_node_goes_at_once(cluster: Cluster) -> None:
    await cluster.made(pod(spec={"schedulerName": "ghost"}))
    await cluster.delete("Pod", "p")
    assert await cluster.find("Pod", "p") is None


async def test_a_patch_of_a_config_map_does_not_restart(cluster: Cluster) -> None:
    await cluster.made(config())
    await cluster.made(pod(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a"}}}]))

    async def running() -> bool:
        return dig(await cluster.get("Pod", "p"), "status/phase") == "Running"

    await cluster.until(running)
    await cluster.patch("ConfigMap", "c", {"data": {"a": "2"}}, MERGE)
    await cluster.sleep(2)
    assert dig(await cluster.get("Pod", "p"), "status/containerStatuses/0/restartCount") == 0
