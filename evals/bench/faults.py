"""What goes wrong: families of faults, and a mix of them drawn from a seed.

A family changes a pod template the way a bad release does, or lets a program grow; the values are drawn, so hardly two
faults of a family are alike.  The rule: each one really breaks the workload on the simulator, and has a remedy that
rules know; what they do not heal yet is named in `not_healed_yet` and nowhere else.

Neighbours: `estate` is what they are done to, `incidents` does them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from evals.bench.estate import SETTINGS, Workload
from evals.simulator import Behaviour
from evals.simulator.objects import child
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object

ALL_KINDS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_SCHEDULED: Final = frozenset({"Deployment", "StatefulSet"})
"""A DaemonSet whose pods fit on no node wants none: it is not broken."""

Change = Callable[[JsonObject, Random], str]
"""Breaks a pod spec in place and says what it did."""


@dataclass(frozen=True, slots=True)
class Family:
    """One way in which workloads break."""

    name: str
    group: str
    change: Change | None
    """None: nothing is released; the program needs more memory than before."""
    kinds: frozenset[str] = ALL_KINDS


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the mix."""

    number: int
    family: Family
    workload: Workload
    seed: str

    @property
    def rng(self) -> Random:
        """What its values are drawn from; each time from the beginning."""
        return Random(self.seed)


def _container(spec: JsonObject) -> JsonObject:
    return dig_object(dig_list(spec, "containers")[0])


def _env(spec: JsonObject) -> list[JsonValue]:
    return dig_list(_container(spec), "env")


def _tag(rng: Random) -> str:
    return f"{rng.randint(2, 9)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"


def _no_registry(spec: JsonObject, rng: Random) -> str:
    _container(spec)["image"] = f"registry.invalid/{rng.choice(('shop', 'core', 'edge'))}/app:{_tag(rng)}"
    return "its registry is not there"


def _bad_name(spec: JsonObject, rng: Random) -> str:
    _container(spec)["image"] = f"registry.example/{rng.choice(('Shop', 'APP', 'Core'))}:{_tag(rng)}"
    return "its image's name is none"


def _no_program(spec: JsonObject, rng: Random) -> str:
    _container(spec)["command"] = [f"/opt/app/{rng.choice(('serve', 'run', 'start'))}-{rng.randint(2, 99)}"]
    return "its command is not in the image"


def _ends(spec: JsonObject, rng: Random) -> str:
    said = f"FATAL: {rng.choice(('cannot parse', 'unknown option', 'assertion failed in'))} {rng.randint(100, 999)}"
    wait = rng.choice((0, 0, 1, 3))
    ends = Behaviour(logs=(said,), exit_code=rng.choice((1, 2, 70, 134)), exit_after=wait)
    _container(spec)["command"] = [*ends.command()]
    return "it ends soon after its start"


def _no_variable(spec: JsonObject, rng: Random) -> str:
    variables = _env(spec)
    del variables[rng.randrange(len(variables))]
    return "a variable is gone"


def _wrong_variable(spec: JsonObject, rng: Random) -> str:
    dig_object(_env(spec)[0])["value"] = rng.choice(("prod", "PRODUCTION", "prodcution", ""))
    return "a variable has another value"


def _no_key(spec: JsonObject, rng: Random) -> str:
    source: JsonObject = {"configMapKeyRef": {"name": SETTINGS, "key": f"LEVEL_{rng.randint(2, 99)}"}}
    _env(spec)[1] = {"name": "LEVEL", "valueFrom": source}
    return "a key is missing in its ConfigMap"


def _no_config(spec: JsonObject, rng: Random) -> str:
    name = f"features-{rng.randint(2, 99)}"
    _container(spec)["envFrom"] = [{rng.choice(("configMapRef", "secretRef")): {"name": name}}]
    return "its settings are not there"


def _readiness(spec: JsonObject, rng: Random) -> str:
    probe = dig_object(_container(spec), "readinessProbe", "httpGet")
    if rng.random() < 0.5:
        probe["path"] = rng.choice(("/ready", "/health", "/status/ready"))
    else:
        probe["port"] = rng.randint(8081, 8999)
    return "its readiness probe asks what is not served"


def _liveness(spec: JsonObject, rng: Random) -> str:
    get: JsonObject = {"path": rng.choice(("/alive", "/ping")), "port": rng.choice((8080, 9090))}
    _container(spec)["livenessProbe"] = {
        "httpGet": get,
        "periodSeconds": rng.randint(2, 4),
        "failureThreshold": rng.randint(1, 3),
    }
    return "its liveness probe kills it"


def _startup(spec: JsonObject, rng: Random) -> str:
    get: JsonObject = {"path": "/started", "port": rng.choice((8080, 9090))}
    _container(spec)["startupProbe"] = {"httpGet": get, "periodSeconds": 2, "failureThreshold": rng.randint(2, 4)}
    return "its startup probe never passes"


def _too_large(spec: JsonObject, rng: Random) -> str:
    resources = dig_object(_container(spec), "resources")
    if rng.random() < 0.5:
        child(resources, "requests")["cpu"] = str(rng.randint(100, 900))
    else:
        amount = f"{rng.randint(200, 900)}Gi"
        child(resources, "requests")["memory"] = amount
        child(resources, "limits")["memory"] = amount
    return "no node has what it asks for"


def _too_small(spec: JsonObject, rng: Random) -> str:
    limits = child(dig_object(_container(spec), "resources"), "limits")
    limits["memory"] = f"{rng.randint(9, 20)}Mi"
    return "its new memory limit is below its need"


def _selector(spec: JsonObject, rng: Random) -> str:
    spec["nodeSelector"] = {rng.choice(("disk", "zone", "gpu")): rng.choice(("nvme", "eu-9", "a100"))}
    return "it asks for nodes that do not exist"


def _affinity(spec: JsonObject, rng: Random) -> str:
    wanted: JsonObject = {"key": rng.choice(("rack", "pool")), "operator": "In", "values": [f"r{rng.randint(1, 99)}"]}
    terms: JsonObject = {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}
    spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    return "its affinity fits no node"


def _no_claim(spec: JsonObject, rng: Random) -> str:
    name = f"data-{rng.randint(2, 99)}"
    spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    _container(spec)["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return "its volume claim is not there"


def _init_fails(spec: JsonObject, rng: Random) -> str:
    fails = Behaviour(logs=(f"migration {rng.randint(10, 99)} failed",), exit_code=rng.choice((1, 3)))
    step: JsonObject = {"name": "migrate", "image": _container(spec)["image"], "command": [*fails.command()]}
    spec["initContainers"] = [step]
    return "its init step fails"


def _init_image(spec: JsonObject, rng: Random) -> str:
    spec["initContainers"] = [{"name": "migrate", "image": f"registry.invalid/migrate:{_tag(rng)}"}]
    return "the image of its init step is not there"


FAMILIES: Final[tuple[Family, ...]] = (
    Family("registry-away", "image", _no_registry),
    Family("image-name", "image", _bad_name),
    Family("no-program", "command", _no_program),
    Family("ends", "command", _ends),
    Family("variable-gone", "env", _no_variable),
    Family("variable-wrong", "env", _wrong_variable),
    Family("key-missing", "config", _no_key),
    Family("config-missing", "config", _no_config),
    Family("readiness", "probe", _readiness),
    Family("liveness", "probe", _liveness),
    Family("startup", "probe", _startup),
    Family("too-large", "resources", _too_large),
    Family("limit-too-low", "oom", _too_small),
    Family("growth", "oom", None),
    Family("node-selector", "placement", _selector, _SCHEDULED),
    Family("affinity", "placement", _affinity, _SCHEDULED),
    Family("no-claim", "placement", _no_claim),
    Family("init-fails", "init", _init_fails),
    Family("init-image", "init", _init_image),
)


_PENDING: Final = frozenset({"readiness", "startup", "too-large", "node-selector", "affinity", "no-claim"})


def not_healed_yet(family: Family, workload: Workload) -> str:
    """Why selfheal does not heal this fault on this workload as it stands; empty when it does."""
    if workload.kind == "StatefulSet" and family.name in _PENDING:
        return "delete_pod refuses a pod that is not ready while no container of it has failed; the set waits for it"
    if workload.kind == "StatefulSet" and family.name == "growth":
        return "raising a limit leaves the pod that crashes, for which the set waits for ever"
    if family.name == "liveness" and not workload.handles_term:
        return (
            "its pods are ready for longer than a revision needs to be taken for good: the grace period is not counted"
        )
    return ""


def draw(
    count: int,
    workloads: Sequence[Workload],
    seed: str,
    *,
    families: Sequence[Family] = FAMILIES,
    with_gaps: bool = False,
) -> tuple[Fault, ...]:
    """`count` faults: families in turn, workloads evenly, both in an order of the seed; the same for the same seed.

    What is not healed yet is left out, unless `with_gaps`.  `workloads` has one that fits for each family.
    """

    def fits(family: Family, workload: Workload) -> bool:
        return workload.kind in family.kinds and (with_gaps or not not_healed_yet(family, workload))

    rng = Random(f"faults {seed}")
    faults: list[Fault] = []
    order: list[Family] = []
    waiting: list[Workload] = []
    for number in range(count):
        order = order or rng.sample(families, len(families))
        family = order.pop()
        if not any(fits(family, w) for w in waiting):
            waiting += rng.sample(workloads, len(workloads))
        workload = next(w for w in waiting if fits(family, w))
        waiting.remove(workload)
        faults.append(Fault(number, family, workload, f"{seed}/{number}"))
    return tuple(faults)
