"""What the workload controllers share: whose pods, which template, how to make and to remove one."""

from __future__ import annotations

import hashlib

from evals.simulator.api.core import Api, Write, random_suffix
from evals.simulator.api.errors import ApiError
from evals.simulator.api.identity import service_account
from evals.simulator.api.selectors import selects
from evals.simulator.objects import (
    age_seconds,
    child,
    clone,
    condition,
    controller_of,
    is_deleting,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    objects,
    owner_reference,
    parse_time,
    uid_of,
)
from tools.jsontypes import JsonObject, canonical, dig, dig_object, dig_str

_HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def by(controller: str) -> Write:
    """How a built-in controller writes."""
    return Write(service_account("kube-system", controller), "kube-controller-manager")


def template_hash(template: JsonObject) -> str:
    """A short stable hash of a pod template."""
    number = int.from_bytes(hashlib.sha256(canonical(template)).digest()[:8], "big")
    letters: list[str] = []
    for _ in range(10):
        number, rest = divmod(number, len(_HASH_LETTERS))
        letters.append(_HASH_LETTERS[rest])
    return "".join(letters)


def is_active(pod: JsonObject) -> bool:
    """Not ended and not being deleted."""
    return not is_deleting(pod) and dig_str(pod, "status", "phase") not in {"Succeeded", "Failed"}


def owned_pods(api: Api, owner: JsonObject) -> list[JsonObject]:
    """Pods controlled by `owner`."""
    return [o for key, o in api.store.owned_by(uid_of(owner)) if key == "pods"]


def adopt(api: Api, owner: JsonObject) -> None:
    """Take over pods without a controller that the selector matches; they become ours by reference."""
    selector = dig_object(owner, "spec", "selector")
    for pod in api.store.select("pods", namespace_of(owner)):
        if controller_of(pod) is None and is_active(pod) and selector and selects(selector, labels_of(pod)):
            changed = clone(pod)
            refs = child(changed, "metadata").setdefault("ownerReferences", [])
            if isinstance(refs, list):
                refs.append(owner_reference(owner))
                api.store.put("pods", changed)


def is_available(api: Api, pod: JsonObject, min_ready_seconds: int) -> bool:
    """Ready for at least so long."""
    if not is_ready(pod) or not is_active(pod):
        return False
    if not min_ready_seconds:
        return True
    since = parse_time(dig_str(condition(pod, "Ready") or {}, "lastTransitionTime"))
    return since is not None and (api.clock.now() - since).total_seconds() >= min_ready_seconds


def from_template(owner: JsonObject, template: JsonObject, name: str) -> JsonObject:
    """A pod manifest out of a template."""
    meta = dig_object(template, "metadata")
    pod: JsonObject = {"metadata": {"name": name}, "spec": clone(dig_object(template, "spec"))}
    for field in ("labels", "annotations", "finalizers"):
        if meta.get(field):
            child(pod, "metadata")[field] = clone(meta[field])
    child(pod, "metadata")["ownerReferences"] = [owner_reference(owner)]
    return pod


def create_pod(api: Api, owner: JsonObject, template: JsonObject, controller: str, *, name: str = "") -> JsonObject:
    """Create one pod and say so; a refusal becomes a FailedCreate event and is raised again."""
    base = name_of(owner)
    pod = from_template(owner, template, name or f"{base}-{random_suffix()}")
    if not name:
        child(pod, "metadata")["generateName"] = f"{base}-"
    kind = api.kinds.named("Pod")
    try:
        created = api.create(kind, namespace_of(owner), pod, by(controller))
    except ApiError as error:
        if error.details.get("causes") is None or error.code != 403:
            api.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}", controller)
        raise
    api.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}", controller)
    return created


def delete_pod(api: Api, owner: JsonObject, pod: JsonObject, controller: str) -> None:
    """Delete one pod and say so."""
    try:
        api.delete(api.kinds.named("Pod"), namespace_of(pod), name_of(pod), {}, by(controller))
    except ApiError:
        return
    api.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}", controller)


def deletion_order(api: Api, pod: JsonObject) -> tuple[int, int, int, int, float]:
    """Who goes first on scaling down: not scheduled, pending, not ready, restarted most, youngest."""
    phase = {"Pending": 0, "Unknown": 1, "Running": 2}.get(dig_str(pod, "status", "phase"), 0)
    restarts = max(
        (int(str(s.get("restartCount") or 0)) for s in objects(pod, "status", "containerStatuses")), default=0
    )
    scheduled = 1 if dig(pod, "spec", "nodeName") else 0
    return (scheduled, phase, 1 if is_ready(pod) else 0, -restarts, age_seconds(pod, api.clock.now()))
