"""Subresources: scale, eviction, binding, tokens.  (`status` is part of `core`, `log` needs the kubelet.)"""

from __future__ import annotations

from evals.simulator.api import crds
from evals.simulator.api.core import Api, Write
from evals.simulator.api.errors import ApiError, bad_request, conflict, invalid, no_such_path
from evals.simulator.api.identity import Tokens, service_account
from evals.simulator.api.kinds import POD_KEY, Kind
from evals.simulator.api.patches import json_patch, merge
from evals.simulator.api.selectors import selects
from evals.simulator.objects import integer, is_ready, labels_of, name_of, namespace_of, set_condition, strings, uid_of
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str


def _selector_text(obj: JsonObject) -> str:
    labels = strings(obj, "spec", "selector", "matchLabels")
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items()))


def scale_of(kind: Kind, obj: JsonObject) -> JsonObject:
    """The Scale view of a workload."""
    meta = dig_object(obj, "metadata")
    shown: JsonObject = {
        k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta
    }
    status: JsonObject = {"replicas": integer(obj, "status", "replicas"), "selector": _selector_text(obj)}
    wanted = integer(obj, "spec", "replicas")
    if kind.custom is not None:
        spec_path, status_path, _ = crds.scale_paths(kind)
        wanted, status["replicas"] = crds.get_at(obj, spec_path), crds.get_at(obj, status_path)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": shown,
        "spec": {"replicas": wanted},
        "status": status,
    }


def set_scale(api: Api, kind: Kind, namespace: str, name: str, scale: JsonObject, write: Write) -> JsonObject:  # noqa: PLR0917 - one request, taken apart
    """PUT of a Scale."""
    old = api.get(kind, namespace, name)
    wanted = integer(scale, "spec", "replicas")
    if wanted < 0:
        why = f"Invalid value: {wanted}: must be greater than or equal to 0"
        raise invalid("Scale", "autoscaling", name, [("FieldValueInvalid", "spec.replicas", why)])
    version, uid = dig_str(scale, "metadata", "resourceVersion"), dig_str(scale, "metadata", "uid")
    if version and version != dig_str(old, "metadata", "resourceVersion"):
        raise conflict(kind.resource, name)
    if uid and uid != uid_of(old):
        raise conflict(
            kind.resource, name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(old)}"
        )

    def change(obj: JsonObject) -> JsonObject:
        path = crds.scale_paths(kind)[0] if kind.custom is not None else ["spec", "replicas"]
        crds.set_at(obj, path, wanted)
        return obj

    return scale_of(kind, api.modify(kind, namespace, name, change, write, subresource="scale"))


def patch_scale(  # noqa: PLR0917 - one request, taken apart
    api: Api, kind: Kind, namespace: str, name: str, body: JsonValue, media: str, write: Write
) -> JsonObject:
    """PATCH of a Scale: JSON patch or any of the merges (a Scale has no keyed lists)."""
    current = scale_of(kind, api.get(kind, namespace, name))
    new = json_patch(current, body) if media == "application/json-patch+json" else merge(current, body)
    if not isinstance(new, dict):
        raise bad_request("error decoding patch: the body must be an object")
    return set_scale(api, kind, namespace, name, new, write)


def evict(api: Api, namespace: str, name: str, eviction: JsonObject, write: Write) -> JsonObject:
    """POST pods/eviction.  Raises 429 with the budget's cause, 500 when several budgets select the pod."""
    pods, budgets = api.kinds.named("Pod"), api.kinds.named("PodDisruptionBudget", "policy")
    pod = api.get(pods, namespace, name)
    options = dig_object(eviction, "deleteOptions")
    dry_run = write.dry_run or bool(options.get("dryRun"))
    ended = dig_str(pod, "status", "phase") in {"Succeeded", "Failed", "Pending"} or bool(
        dig(pod, "metadata", "deletionTimestamp")
    )
    guarding = [
        b
        for b in api.store.select(budgets.key, namespace)
        if selects(dig_object(b, "spec").get("selector"), labels_of(pod))
    ]
    if len(guarding) > 1:
        raise ApiError(
            500, "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if guarding and not ended:
        budget = guarding[0]
        _ask_budget(budget, pod)
        if not dry_run and _is_guarded(budget, pod):
            status = {**dig_object(budget, "status")}
            status["disruptionsAllowed"] = integer(status, "disruptionsAllowed") - 1
            status["disruptedPods"] = {**dig_object(status, "disruptedPods"), name: api.stamp()}
            api.set_status(budgets, budget, status)
    api.delete(pods, namespace, name, options, Write(write.user, write.manager, dry_run=dry_run))
    if not dry_run:
        _mark_disrupted(api, pods, pod)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _is_guarded(budget: JsonObject, pod: JsonObject) -> bool:
    """An unready pod does not cost an allowed disruption while enough are healthy."""
    if is_ready(pod):
        return True
    if dig_str(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return False
    healthy, desired = integer(budget, "status", "currentHealthy"), integer(budget, "status", "desiredHealthy")
    return not (desired > 0 and healthy >= desired)


def _ask_budget(budget: JsonObject, pod: JsonObject) -> None:
    if not _is_guarded(budget, pod):
        return
    name = name_of(budget)
    if integer(budget, "status", "observedGeneration") < integer(budget, "metadata", "generation"):
        cause: JsonObject = {
            "reason": "DisruptionBudget",
            "message": f"The disruption budget {name} is still being processed by the server.",
        }
        raise ApiError(
            429,
            "Cannot evict pod as it would violate the pod's disruption budget.",
            details={"causes": [cause]},
            retry_after=10,
        )
    if integer(budget, "status", "disruptionsAllowed") <= 0:
        healthy, desired = integer(budget, "status", "currentHealthy"), integer(budget, "status", "desiredHealthy")
        said = f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        cause = {"reason": "DisruptionBudget", "message": said}
        message = "Cannot evict pod as it would violate the pod's disruption budget."
        raise ApiError(429, message, details={"causes": [cause]})


def _mark_disrupted(api: Api, pods: Kind, pod: JsonObject) -> None:
    current = api.store.get(pods.key, namespace_of(pod), name_of(pod))
    if current is not None:
        status = {**dig_object(current, "status")}
        conditions = status.get("conditions")
        status["conditions"] = list(conditions) if isinstance(conditions, list) else []
        set_condition(
            status, "DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting", now=api.clock.now()
        )
        api.set_status(pods, current, status)


def bind(api: Api, namespace: str, name: str, binding: JsonObject, write: Write) -> JsonObject:
    """POST pods/binding: what a scheduler does."""
    node = dig_str(binding, "target", "name")
    pods = api.kinds.named("Pod")
    pod = api.get(pods, namespace, name)
    if not node:
        raise invalid("Binding", "", name, [("FieldValueRequired", "target.name", "Required value")])
    if dig(pod, "spec", "nodeName"):
        have = dig_str(pod, "spec", "nodeName")
        raise conflict("pods/binding", name, f'pod {name} is already assigned to node "{have}"')
    if not write.dry_run:
        assign(api, pod, node)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def assign(api: Api, pod: JsonObject, node: str) -> JsonObject:
    """Write the node and the PodScheduled condition."""
    status = {**dig_object(pod, "status")}
    conditions = status.get("conditions")
    status["conditions"] = list(conditions) if isinstance(conditions, list) else []
    set_condition(status, "PodScheduled", "True", now=api.clock.now())
    bound: JsonObject = {
        **pod,
        "metadata": dict(dig_object(pod, "metadata")),
        "spec": {**dig_object(pod, "spec"), "nodeName": node},
        "status": status,
    }
    return api.store.put(POD_KEY, bound)


def issue_token(api: Api, tokens: Tokens, namespace: str, name: str, request: JsonObject) -> JsonObject:
    """POST serviceaccounts/token."""
    account = api.get(api.kinds.named("ServiceAccount"), namespace, name)
    audiences = request.get("spec")
    wanted = dig(audiences, "audiences")
    user = service_account(namespace, name_of(account))
    if isinstance(wanted, list) and wanted:
        named = tuple(str(a) for a in wanted)
        user = type(user)(user.name, user.groups, named)
    status: JsonObject = {"token": tokens.issue(user), "expirationTimestamp": api.stamp()}
    meta: JsonObject = {"name": name, "namespace": namespace, "creationTimestamp": api.stamp()}
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": meta,
        "spec": dict(dig_object(request, "spec")),
        "status": status,
    }


def require(kind: Kind, subresource: str) -> None:
    """Raise 404 when the resource has no such subresource."""
    if subresource not in kind.subresources:
        raise no_such_path()
