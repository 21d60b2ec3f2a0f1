"""The specification of the pod detector, as a table: what is seen, in which context, and what is said when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec
import pytest

from graph.incident import Reason
from graph.signals.context import Hints, PodContext, Seen
from graph.signals.pods import detect_pod, is_plainly_well
from tests.graph.signals.samples import (
    LIVENESS,
    READINESS,
    T0,
    at,
    container,
    ended,
    is_ready,
    never_started,
    not_ready,
    pod,
    running,
    status,
    unschedulable,
    waiting,
)
from tools.cluster.objects import Pod
from tools.refs import ObjectRef

ROOT = ObjectRef(kind="Deployment", namespace="shop", name="web")
UPDATING = PodContext(ROOT, "dep", "ReplicaSet", revision="7f9c", is_updating=True)
"""A pod of the revision that is being rolled out."""
SETTLED = PodContext(ROOT, "dep", "ReplicaSet", revision="7f9c", is_confirmed=True)
"""A pod of a revision that was seen healthy before."""
UNKNOWN = PodContext(ROOT, "dep", "ReplicaSet", revision="7f9c")
"""No rollout, and nothing is known: its revision has no ready pod."""


@dataclass(frozen=True)
class Expect:
    pod: Pod
    context: PodContext
    reason: Reason | None
    due: float | None = None
    """Seconds after T0 when it becomes confirmed; None when it is confirmed at once, at `now`."""
    now: float = 3
    container: str | None = "app"
    says: str = ""


def seen(context: PodContext, reason: Reason, seconds: float, message: str = "", name: str = "app") -> PodContext:
    return replace(context, seen={(reason, name): Seen(at(seconds), message)})


NOT_FOUND = 'failed to pull and unpack image "registry.example/shop/web:2": failed to resolve reference: not found'
NO_HOST = 'failed to do request: Head "https://registry.example/v2/": dial tcp: lookup registry.example: no such host'
TOO_MANY = "unexpected status from HEAD request to https://registry.example/v2/: 429 Too Many Requests"
TIMEOUT = 'Head "https://registry.example/v2/": dial tcp 192.0.2.7:443: i/o timeout'
NO_KEY = "couldn't find key MODE in ConfigMap shop/web-settings"
NO_FILE = 'exec: "/bin/serve": stat /bin/serve: no such file or directory: unknown'
LOOP = waiting("CrashLoopBackOff", "back-off 10s restarting failed container=app pod=web-7f9c-abcde")
PROBED = [container(livenessProbe=LIVENESS)]
GATED = [container(readinessProbe=READINESS)]
RUNS_UNREADY = pod(status(running(2), started=True), phase="Running", containers=GATED, conditions=not_ready(0))
NO_CPU = (
    "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found."
)
ROLE_MISSING = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
UNBOUND = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
DEFAULTS = not_ready(0)

CASES: dict[str, Expect] = {
    # Image
    "name that does not parse, in a rollout: at once": Expect(
        pod(status(waiting("InvalidImageName", 'couldn\'t parse image name "A::b"'))),
        UPDATING,
        Reason.IMAGE_NAME_INVALID,
    ),
    "name that does not parse, in a settled revision: patience": Expect(
        pod(status(waiting("InvalidImageName"))), SETTLED, Reason.IMAGE_NAME_INVALID, due=18
    ),
    "image not found, in a rollout: after the debounce": Expect(
        pod(status(waiting("ErrImagePull", NOT_FOUND))), UPDATING, Reason.IMAGE_PULL_FAILED, due=4.5, says="not found"
    ),
    "image not found, debounce over": Expect(
        pod(status(waiting("ErrImagePull", NOT_FOUND))),
        seen(UPDATING, Reason.IMAGE_PULL_FAILED, 1),
        Reason.IMAGE_PULL_FAILED,
    ),
    "registry name does not exist: lasting": Expect(
        pod(status(waiting("ErrImagePull", NO_HOST))), UPDATING, Reason.IMAGE_PULL_FAILED, due=4.5
    ),
    "pull not authorised: lasting": Expect(
        pod(
            status(
                waiting("ErrImagePull", "pull access denied, repository does not exist or may require authorization")
            )
        ),
        UPDATING,
        Reason.IMAGE_PULL_FAILED,
        due=4.5,
    ),
    "registry overloaded: it passes": Expect(
        pod(status(waiting("ErrImagePull", TOO_MANY))), UPDATING, Reason.IMAGE_PULL_FAILED, due=63
    ),
    "registry slow: it passes": Expect(
        pod(status(waiting("ErrImagePull", TIMEOUT))), UPDATING, Reason.IMAGE_PULL_FAILED, due=63
    ),
    "registry slow, and no other revision uses it: the reference is suspect": Expect(
        pod(status(waiting("ErrImagePull", TIMEOUT))),
        replace(UPDATING, other_images=frozenset({"mirror.example/shop/web:1"})),
        Reason.IMAGE_PULL_FAILED,
        due=5,
    ),
    "registry slow, and no other revision uses this repository of it": Expect(
        pod(status(waiting("ErrImagePull", TIMEOUT))),
        replace(UPDATING, other_images=frozenset({"registry.example/shop/wb:1"})),
        Reason.IMAGE_PULL_FAILED,
        due=5,
    ),
    "nobody says why, and no other revision uses this registry": Expect(
        pod(status(waiting("ImagePullBackOff", "Back-off pulling image"))),
        replace(UPDATING, other_images=frozenset({"mirror.example/shop/web:1"})),
        Reason.IMAGE_PULL_FAILED,
        due=5,
    ),
    "registry slow, only the tag is new": Expect(
        pod(status(waiting("ErrImagePull", TIMEOUT))),
        replace(UPDATING, other_images=frozenset({"registry.example/shop/web:0"})),
        Reason.IMAGE_PULL_FAILED,
        due=23,
    ),
    "image not found, only the tag is new: after the debounce": Expect(
        pod(status(waiting("ErrImagePull", NOT_FOUND))),
        replace(UPDATING, other_images=frozenset({"registry.example/shop/web:0"})),
        Reason.IMAGE_PULL_FAILED,
        due=4.5,
    ),
    "registry slow, the image is not new: it passes": Expect(
        pod(status(waiting("ErrImagePull", TIMEOUT))),
        replace(UPDATING, other_images=frozenset({"registry.example/shop/web:1"})),
        Reason.IMAGE_PULL_FAILED,
        due=63,
    ),
    "registry slow for a settled revision, whatever others use: it passes": Expect(
        pod(status(waiting("ErrImagePull", TIMEOUT))),
        replace(SETTLED, other_images=frozenset({"mirror.example/shop/web:1"})),
        Reason.IMAGE_PULL_FAILED,
        due=63,
    ),
    "image called timeout that is not found: lasting": Expect(
        pod(status(waiting("ErrImagePull", 'failed to pull "registry.example/timeout/tls:429": not found'))),
        UPDATING,
        Reason.IMAGE_PULL_FAILED,
        due=4.5,
    ),
    "pull backs off and still says why": Expect(
        pod(status(waiting("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {NOT_FOUND}'))),
        seen(UPDATING, Reason.IMAGE_PULL_FAILED, 1),
        Reason.IMAGE_PULL_FAILED,
    ),
    "pull backs off and no longer says why: the first message holds": Expect(
        pod(status(waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/shop/web:2"'))),
        seen(UPDATING, Reason.IMAGE_PULL_FAILED, 1, f"ErrImagePull: {NOT_FOUND}"),
        Reason.IMAGE_PULL_FAILED,
        says="not found",
    ),
    "pull failed and nobody says why: half a minute": Expect(
        pod(status(waiting("ImagePullBackOff", "Back-off pulling image"))), UPDATING, Reason.IMAGE_PULL_FAILED, due=33
    ),
    "image must be there and is not": Expect(
        pod(status(waiting("ErrImageNeverPull", "not present with pull policy of Never"))),
        UPDATING,
        Reason.IMAGE_PULL_FAILED,
        due=4.5,
    ),
    "signature not accepted": Expect(
        pod(status(waiting("SignatureValidationFailed", "no signature exists"))),
        UPDATING,
        Reason.IMAGE_PULL_FAILED,
        due=4.5,
        says="SignatureValidationFailed",
    ),
    "image not found for a settled revision: patience": Expect(
        pod(status(waiting("ErrImagePull", NOT_FOUND))), SETTLED, Reason.IMAGE_PULL_FAILED, due=33
    ),
    "image of an init container not found": Expect(
        pod(
            status(waiting("PodInitializing")),
            init=[container("prepare")],
            init_statuses=[status(waiting("ErrImagePull", NOT_FOUND), name="prepare")],
        ),
        UPDATING,
        Reason.IMAGE_PULL_FAILED,
        due=4.5,
        container="prepare",
    ),
    # Settings
    "key missing, in a rollout: after the debounce": Expect(
        pod(status(waiting("CreateContainerConfigError", NO_KEY))),
        UPDATING,
        Reason.CONFIG_MISSING,
        due=6,
        says="MODE",
    ),
    "key missing, of a revision that never worked": Expect(
        pod(status(waiting("CreateContainerConfigError", NO_KEY))), UNKNOWN, Reason.CONFIG_MISSING, due=6
    ),
    "Secret missing, in a rollout: it cannot be looked up, so a second more": Expect(
        pod(status(waiting("CreateContainerConfigError", 'secret "web" not found'))),
        UPDATING,
        Reason.CONFIG_MISSING,
        due=7,
    ),
    "key of a Secret missing, of a settled revision: patience": Expect(
        pod(status(waiting("CreateContainerConfigError", "couldn't find key T in Secret shop/web"))),
        SETTLED,
        Reason.CONFIG_MISSING,
        due=18,
    ),
    "key missing, of a settled revision: patience": Expect(
        pod(status(waiting("CreateContainerConfigError", NO_KEY))), SETTLED, Reason.CONFIG_MISSING, due=18
    ),
    "kubelet has not synced its settings yet: it passes": Expect(
        pod(status(waiting("CreateContainerConfigError", "failed to sync configmap cache: timed out waiting"))),
        UPDATING,
        Reason.CONFIG_MISSING,
        due=33,
    ),
    "image would run as root: no missing settings": Expect(
        pod(status(waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"))),
        UPDATING,
        Reason.CONTAINER_START_FAILED,
    ),
    "mounted settings missing, as an Event says": Expect(
        pod(status(waiting("ContainerCreating")), conditions=DEFAULTS),
        replace(
            UPDATING, hints=Hints(mount_failures=('MountVolume.SetUp failed for volume "c" : configmap "x" not found',))
        ),
        Reason.CONFIG_MISSING,
        due=10,
        container=None,
        says="configmap",
    ),
    "volume attached elsewhere: a minute": Expect(
        pod(status(waiting("ContainerCreating")), conditions=DEFAULTS),
        replace(UPDATING, hints=Hints(mount_failures=("Multi-Attach error for volume pv-1",))),
        Reason.CONTAINER_START_FAILED,
        due=60,
        container=None,
    ),
    "container being created, and nothing is said: a long image pull is no fault": Expect(
        pod(status(waiting("ContainerCreating")), conditions=DEFAULTS),
        UPDATING,
        Reason.CONTAINER_START_FAILED,
        due=600,
        container=None,
    ),
    # Start
    "command not there, as it ended": Expect(
        pod(status(never_started(NO_FILE))), UPDATING, Reason.CONTAINER_START_FAILED, says="no such file"
    ),
    "command not there, while waiting": Expect(
        pod(status(waiting("RunContainerError", NO_FILE), last=never_started(NO_FILE), restarts=1)),
        UPDATING,
        Reason.CONTAINER_START_FAILED,
    ),
    "command not there, in the back-off": Expect(
        pod(status(LOOP, last=never_started(NO_FILE), restarts=2)), UPDATING, Reason.CONTAINER_START_FAILED
    ),
    "shell finds no command: 127 at once": Expect(
        pod(status(ended(127, ran=(2, 2)))), UPDATING, Reason.CONTAINER_START_FAILED
    ),
    "file is not executable: 126 at once": Expect(
        pod(status(ended(126, ran=(2, 3)))), UPDATING, Reason.CONTAINER_START_FAILED
    ),
    "127 after a minute of work is a crash like any other: once is nothing": Expect(
        pod(status(ended(127, ran=(2, 62)))), UPDATING, None, now=63
    ),
    "command not there, of a settled revision: patience": Expect(
        pod(status(never_started(NO_FILE))), SETTLED, Reason.CONTAINER_START_FAILED, due=18
    ),
    "runtime busy: a minute": Expect(
        pod(status(waiting("CreateContainerError", "context deadline exceeded"))),
        UPDATING,
        Reason.CONTAINER_START_FAILED,
        due=63,
    ),
    "runtime refuses to create: a second attempt first": Expect(
        pod(status(waiting("CreateContainerError", "no command specified"))),
        UPDATING,
        Reason.CONTAINER_START_FAILED,
        due=8,
    ),
    "start hook fails": Expect(
        pod(status(waiting("PostStartHookError", "command 'x' exited with 1"))),
        UPDATING,
        Reason.CONTAINER_START_FAILED,
        due=8,
    ),
    "limit too low even to start": Expect(
        pod(status(never_started("container init was OOM-killed (memory limit too low?)"))),
        UPDATING,
        Reason.OUT_OF_MEMORY,
    ),
    # Crash
    "first crash: once is nothing": Expect(pod(status(ended(1))), UPDATING, None),
    "second crash: a loop, before the back-off shows": Expect(
        pod(status(ended(1, ran=(3, 4)), last=ended(1), restarts=1)), UPDATING, Reason.CRASH_LOOP, says="exit code 1"
    ),
    "back-off: a loop": Expect(pod(status(LOOP, last=ended(1), restarts=1)), UPDATING, Reason.CRASH_LOOP),
    "loop of a settled revision: its dependencies get time": Expect(
        pod(status(LOOP, last=ended(1), restarts=1)), SETTLED, Reason.CRASH_LOOP, due=18
    ),
    "loop in its running moment: still a loop": Expect(
        pod(status(running(20), last=ended(1, ran=(10, 11)), restarts=3), phase="Running"),
        UPDATING,
        Reason.CRASH_LOOP,
        now=22,
    ),
    "loop that has run for long enough: over": Expect(
        pod(
            status(running(20), last=ended(1, ran=(10, 11)), restarts=3, ready=True),
            phase="Running",
            conditions=is_ready(21),
        ),
        UPDATING,
        None,
        now=60,
    ),
    "slow loop: it must run twice as long before it is over": Expect(
        pod(status(running(100), last=ended(1, ran=(10, 95)), restarts=2), phase="Running"),
        UPDATING,
        Reason.CRASH_LOOP,
        now=200,
    ),
    "second crash after an hour of work: no loop": Expect(
        pod(status(ended(1, ran=(60, 3700)), last=ended(1), restarts=1), phase="Running"), SETTLED, None, now=3701
    ),
    "one restart of something that runs: nothing": Expect(
        pod(
            status(running(50), last=ended(137, ran=(2, 49)), restarts=1, ready=True),
            phase="Running",
            containers=PROBED,
            conditions=is_ready(52),
        ),
        SETTLED,
        None,
        now=53,
    ),
    "program that ends well, twice: it must not end": Expect(
        pod(status(ended(0, ran=(3, 4)), last=ended(0), restarts=1)), UPDATING, Reason.CRASH_LOOP
    ),
    "second container of the pod loops": Expect(
        pod(
            status(running(2), ready=True),
            status(LOOP, name="side", last=ended(1), restarts=2),
            phase="Running",
            containers=[container(), container("side")],
            conditions=not_ready(0),
        ),
        UPDATING,
        Reason.CRASH_LOOP,
        container="side",
    ),
    "sidecar among the init containers loops": Expect(
        pod(
            status(waiting("PodInitializing")),
            init=[container("proxy", restartPolicy="Always")],
            init_statuses=[status(LOOP, name="proxy", last=ended(1), restarts=2)],
        ),
        UPDATING,
        Reason.CRASH_LOOP,
        container="proxy",
    ),
    "kubelet lost track of the container: no failure": Expect(
        pod(status(ended(137, "ContainerStatusUnknown", ran=(3, 4)), last=ended(1), restarts=1)), UPDATING, None
    ),
    # Init
    "init container fails once: nothing": Expect(
        pod(
            status(waiting("PodInitializing")),
            init=[container("prepare")],
            init_statuses=[status(ended(1), name="prepare")],
        ),
        UPDATING,
        None,
    ),
    "init container fails twice": Expect(
        pod(
            status(waiting("PodInitializing")),
            init=[container("prepare")],
            init_statuses=[status(ended(1, ran=(3, 4)), name="prepare", last=ended(1), restarts=1)],
        ),
        UPDATING,
        Reason.INIT_FAILED,
        container="prepare",
    ),
    "init container done: nothing": Expect(
        pod(
            status(running(4), ready=True),
            phase="Running",
            init=[container("prepare")],
            init_statuses=[status(ended(0), name="prepare", ready=True)],
            conditions=is_ready(4),
        ),
        UPDATING,
        None,
    ),
    # Memory
    "killed for memory once: nothing yet": Expect(pod(status(ended(137, "OOMKilled"))), UPDATING, None),
    "killed for memory twice": Expect(
        pod(status(ended(137, "OOMKilled", ran=(3, 4)), last=ended(137, "OOMKilled"), restarts=1)),
        UPDATING,
        Reason.OUT_OF_MEMORY,
    ),
    "killed for memory once and backing off": Expect(
        pod(status(LOOP, last=ended(137, "OOMKilled"), restarts=1)), SETTLED, Reason.OUT_OF_MEMORY
    ),
    "137 without the word is no proof of memory": Expect(
        pod(status(LOOP, last=ended(137), restarts=2)), UPDATING, Reason.CRASH_LOOP
    ),
    # Probes
    "killed twice, has a liveness probe, in a rollout": Expect(
        pod(
            status(ended(137, ran=(10, 15)), last=ended(137, ran=(2, 9)), restarts=1),
            phase="Running",
            containers=PROBED,
        ),
        UPDATING,
        Reason.LIVENESS_RESTARTS,
        now=16,
    ),
    "killed tidily, has a startup probe": Expect(
        pod(
            status(LOOP, last=ended(143, ran=(2, 9)), restarts=2),
            phase="Running",
            containers=[container(startupProbe=LIVENESS)],
        ),
        UPDATING,
        Reason.LIVENESS_RESTARTS,
    ),
    "ends with 0 when it is told to, and an Event names the probe": Expect(
        pod(status(LOOP, last=ended(0, ran=(2, 9)), restarts=2), phase="Running", containers=PROBED),
        replace(UPDATING, hints=Hints(probe_kills=frozenset({"app"}))),
        Reason.LIVENESS_RESTARTS,
    ),
    "liveness loop in the moment in which it is Ready": Expect(
        pod(
            status(running(20), last=ended(137, ran=(10, 19)), restarts=2, ready=True),
            phase="Running",
            containers=PROBED,
            conditions=is_ready(21),
        ),
        replace(UNKNOWN, revision_serves=True),
        Reason.LIVENESS_RESTARTS,
        now=22,
    ),
    "an Event alone proves nothing": Expect(
        pod(status(running(2), ready=True), phase="Running", containers=PROBED, conditions=is_ready(3)),
        replace(UPDATING, hints=Hints(probe_kills=frozenset({"app"}))),
        None,
    ),
    "unready in a rollout: eight seconds at least": Expect(
        RUNS_UNREADY, replace(UPDATING, usual_start=timedelta(seconds=1)), Reason.NOT_READY, due=10
    ),
    "unready in a rollout: three times what its siblings took": Expect(
        RUNS_UNREADY, replace(UPDATING, usual_start=timedelta(seconds=5)), Reason.NOT_READY, due=17
    ),
    "unready, and nothing listens yet: a new version may start more slowly than the one before": Expect(
        RUNS_UNREADY,
        replace(UPDATING, usual_start=timedelta(seconds=1), hints=Hints(is_silent=True)),
        Reason.NOT_READY,
        due=32,
    ),
    "unready in a rollout, and no sibling shows how long a start takes": Expect(
        RUNS_UNREADY, UPDATING, Reason.NOT_READY, due=22
    ),
    "unready, and it is the first revision there is: nothing to go back to, so more time": Expect(
        RUNS_UNREADY, replace(UPDATING, first_start=timedelta(seconds=90)), Reason.NOT_READY, due=92
    ),
    "unready, the first revision, and a sibling was quick: the machine may be busy now": Expect(
        RUNS_UNREADY,
        replace(UPDATING, first_start=timedelta(seconds=90), usual_start=timedelta(seconds=1)),
        Reason.NOT_READY,
        due=92,
    ),
    "crash loop of the first revision: no more time": Expect(
        pod(status(LOOP, last=ended(1), restarts=1)),
        replace(UPDATING, first_start=timedelta(seconds=90)),
        Reason.CRASH_LOOP,
    ),
    "unready in a rollout, within what its probe allows": Expect(
        pod(
            status(running(2), started=True),
            phase="Running",
            containers=[container(readinessProbe={**READINESS, "initialDelaySeconds": 30})],
            conditions=not_ready(0),
        ),
        replace(UPDATING, usual_start=timedelta(seconds=1)),
        Reason.NOT_READY,
        due=36,
    ),
    "unready while its startup probe still has time": Expect(
        pod(
            status(running(2), started=False),
            phase="Running",
            containers=[container(readinessProbe=READINESS, startupProbe={**LIVENESS, "failureThreshold": 12})],
            conditions=not_ready(0),
        ),
        replace(UPDATING, usual_start=timedelta(seconds=1)),
        Reason.NOT_READY,
        due=66,
        says="startup",
    ),
    "unready after it was ready, settled: a minute from then": Expect(
        pod(status(running(2), started=True), phase="Running", containers=GATED, conditions=not_ready(100)),
        SETTLED,
        Reason.NOT_READY,
        due=160,
        now=101,
    ),
    "unready for its time: confirmed": Expect(
        RUNS_UNREADY, replace(UPDATING, usual_start=timedelta(seconds=1)), Reason.NOT_READY, now=10
    ),
    "waits for a gate that somebody else opens": Expect(
        pod(
            status(running(2), ready=True),
            phase="Running",
            conditions=not_ready(2, "ReadinessGatesNotReady"),
        ),
        UPDATING,
        Reason.NOT_READY,
        due=122,
        container=None,
    ),
    # Placement
    "no node has room, in a rollout": Expect(
        pod(conditions=unschedulable(NO_CPU), node=""), UPDATING, Reason.UNSCHEDULABLE, due=2, now=1, container=None
    ),
    "no node has room, and siblings are going: their room comes first": Expect(
        pod(conditions=unschedulable(NO_CPU), node=""),
        replace(UPDATING, siblings_leaving=True),
        Reason.UNSCHEDULABLE,
        due=30,
        container=None,
    ),
    "no node matches, though siblings are going": Expect(
        pod(conditions=unschedulable(ROLE_MISSING), node=""),
        replace(UPDATING, siblings_leaving=True),
        Reason.UNSCHEDULABLE,
        container=None,
    ),
    "no node has room for a settled revision: a minute": Expect(
        pod(conditions=unschedulable(NO_CPU), node=""), SETTLED, Reason.UNSCHEDULABLE, due=60, container=None
    ),
    "an autoscaler has promised a node": Expect(
        pod(conditions=unschedulable(NO_CPU), node=""),
        replace(UPDATING, hints=Hints(is_scaling_up=True)),
        Reason.UNSCHEDULABLE,
        due=600,
        container=None,
    ),
    "claim about to be bound: it passes": Expect(
        pod(conditions=unschedulable(UNBOUND), node=""), UPDATING, Reason.UNSCHEDULABLE, due=30, container=None
    ),
    "claim that does not exist": Expect(
        pod(conditions=unschedulable('persistentvolumeclaim "data" not found'), node=""),
        UPDATING,
        Reason.UNSCHEDULABLE,
        container=None,
    ),
    "gate in the template: intended": Expect(
        pod(conditions=unschedulable("", "SchedulingGated"), node=""), UPDATING, None, now=100
    ),
    "scheduler whose word is unknown: nothing": Expect(
        pod(conditions={"PodScheduled": {"status": "Unknown"}}, node=""), UPDATING, None, now=30
    ),
    # Left over
    "evicted for the node's need: left behind": Expect(
        pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        SETTLED,
        Reason.POD_FAILED,
        due=8,
        container=None,
        says="Evicted: The node was low",
    ),
    "evicted for its own limit, in a rollout": Expect(
        pod(
            phase="Failed", reason="Evicted", message="Pod ephemeral local storage usage exceeds the total limit 10Mi. "
        ),
        UPDATING,
        Reason.POD_FAILED,
        due=4.5,
        container=None,
    ),
    "failed pod of a StatefulSet: its controller removes it itself": Expect(
        pod(phase="Failed", reason="Evicted", message="low on memory"),
        replace(SETTLED, controller="StatefulSet"),
        Reason.POD_FAILED,
        due=33,
        container=None,
    ),
    "failed pod that nobody controls": Expect(
        pod(phase="Failed", reason="Evicted", message="x"), replace(UNKNOWN, controller=""), None
    ),
    # Nothing
    "failed on its way out: no failure": Expect(pod(status(ended(137)), phase="Failed", deleting=True), SETTLED, None),
    "being deleted while it crashes": Expect(
        pod(status(LOOP, last=ended(1), restarts=5), deleting=True), UPDATING, None
    ),
    "being deleted and unready": Expect(
        pod(status(running(2)), phase="Running", conditions=not_ready(10), deleting=True), SETTLED, None, now=500
    ),
    "job that has failed": Expect(
        pod(status(ended(1)), phase="Failed", restart_policy="Never"), replace(UNKNOWN, controller="Job"), None
    ),
    "job whose pod crashes": Expect(
        pod(status(LOOP, last=ended(1), restarts=3), restart_policy="OnFailure"),
        replace(UNKNOWN, controller="Job"),
        None,
    ),
    "job that is done": Expect(
        pod(status(ended(0)), phase="Succeeded", restart_policy="Never"), replace(UNKNOWN, controller="Job"), None
    ),
    "static pod of a node": Expect(
        pod(status(LOOP, last=ended(1), restarts=3)), replace(UNKNOWN, controller="Node"), None
    ),
    "owner or node is away": Expect(
        pod(status(LOOP, last=ended(1), restarts=3)), replace(UNKNOWN, suppressed="node node1 is not ready"), None
    ),
    "rollout that goes well: being created": Expect(
        pod(status(waiting("ContainerCreating")), conditions=not_ready(0)),
        UPDATING,
        Reason.CONTAINER_START_FAILED,
        due=600,
        container=None,
        now=1,
    ),
    "rollout that goes well: ready": Expect(
        pod(status(running(2), ready=True, started=True), phase="Running", containers=GATED, conditions=is_ready(4)),
        UPDATING,
        None,
        now=5,
    ),
    "just placed, nothing known yet": Expect(pod(), UPDATING, None, now=0),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_pod(case: Expect) -> None:
    found = detect_pod(case.pod, case.context, at(case.now))
    if case.reason is None:
        assert found == []
        return
    assert [(s.reason, s.container) for s in found] == [(case.reason, case.container)]
    signal = found[0]
    assert signal.confirmed is (case.due is None)
    assert signal.due_at == (None if case.due is None else at(case.due))
    assert case.says in signal.message
    assert (signal.uid, signal.revision, str(signal.object)) == ("pod-uid", "7f9c", "shop/Pod/web-7f9c-abcde")


WAITING_CASES = [name for name, case in CASES.items() if case.due is not None and case.due < 600]


@pytest.mark.parametrize("name", WAITING_CASES)
def test_what_waits_is_confirmed_when_it_is_due(name: str) -> None:
    case = CASES[name]
    first = detect_pod(case.pod, case.context, at(case.now))[0]
    context = replace(
        case.context, seen={(first.reason, first.container or ""): Seen(first.observed_at, first.message)}
    )
    assert first.due_at is not None
    before = detect_pod(case.pod, context, first.due_at - timedelta(milliseconds=1))
    after = detect_pod(case.pod, context, first.due_at)
    assert [s.confirmed for s in before] == [False]
    assert [s.confirmed for s in after] == [True]
    assert after[0].observed_at == first.observed_at


def test_a_pod_that_no_scheduler_has_looked_at_is_named_after_ten_seconds() -> None:
    lonely = pod(node="")
    bare = replace_conditions(lonely)
    assert not detect_pod(bare, UPDATING, at(9))[0].confirmed
    assert detect_pod(bare, UPDATING, at(10))[0].confirmed
    assert not detect_pod(bare, SETTLED, at(10))[0].confirmed


def replace_conditions(subject: Pod) -> Pod:
    return msgspec.structs.replace(subject, status=msgspec.structs.replace(subject.status, conditions=()))


WELL = {name: case for name, case in CASES.items() if is_plainly_well(case.pod, at(case.now))}


@pytest.mark.parametrize("case", WELL.values(), ids=WELL)
def test_what_is_well_at_first_sight_is_well_in_every_context(case: Expect) -> None:
    contexts = (UPDATING, SETTLED, UNKNOWN, case.context)
    assert [detect_pod(case.pod, context, at(case.now)) for context in contexts] == [[]] * 4


def test_most_pods_are_well_at_first_sight() -> None:
    prepared = [status(ended(0), name="prepare", ready=True)]
    fresh = pod(
        status(running(2), ready=True),
        phase="Running",
        init=[container("prepare")],
        init_statuses=prepared,
        conditions=is_ready(4),
    )
    restarted = pod(
        status(running(20), last=ended(1, ran=(10, 11)), restarts=3, ready=True),
        phase="Running",
        conditions=is_ready(21),
    )
    assert is_plainly_well(fresh, at(9))
    assert is_plainly_well(restarted, at(600))
    assert not is_plainly_well(restarted, at(22))
    assert not is_plainly_well(pod(status(running(2)), phase="Running", conditions=not_ready(2)), at(9))


def test_two_broken_containers_are_two_signals() -> None:
    subject = pod(
        status(waiting("InvalidImageName")),
        status(LOOP, name="side", last=ended(1), restarts=2),
        containers=[container(), container("side")],
    )
    found = detect_pod(subject, UPDATING, at(3))
    assert [(s.reason, s.container) for s in found] == [(Reason.IMAGE_NAME_INVALID, "app"), (Reason.CRASH_LOOP, "side")]


def test_messages_are_redacted_and_made_visible() -> None:
    subject = pod(status(waiting("RunContainerError", "password=hunter2 \u202e\x1b[2J")))
    message = detect_pod(subject, UPDATING, at(3))[0].message
    assert "hunter2" not in message
    assert "\u202e" not in message
    assert "\x1b" not in message


def test_a_message_without_end_is_cut() -> None:
    subject = pod(status(waiting("RunContainerError", "x" * 50_000)))
    assert len(detect_pod(subject, UPDATING, at(3))[0].message) <= 1024


def test_samples_begin_at_t0() -> None:
    assert pod().metadata.creation_timestamp == T0
