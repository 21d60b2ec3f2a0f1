"""Manifests the checks start from."""

from __future__ import annotations

import copy
from typing import Any

from evals.simulator import Behaviour

from .cluster import IMAGE, Obj

SERVING = Behaviour(listens=8080, serves=("/healthz",))


def container(**more: Any) -> Obj:
    base: Obj = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "1000000"],
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
    }
    return base | more


def pod(name: str = "p", *, labels: dict[str, str] | None = None, spec: Obj | None = None, **more: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container(**more)], **(spec or {})},
    }


def config(name: str = "c", data: dict[str, str] | None = None, **meta: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data or {"a": "1"}}


def workload(kind: str, name: str, replicas: int | None = 1, spec: Obj | None = None, **more: Any) -> Obj:
    body: Obj = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container(**more)]},
        },
    }
    if replicas is not None:
        body["replicas"] = replicas
    if kind == "StatefulSet":
        body["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body | (spec or {})}


def deployment(name: str = "web", replicas: int = 1, spec: Obj | None = None, **more: Any) -> Obj:
    return workload("Deployment", name, replicas, spec, **more)


def serving(name: str = "web", replicas: int = 2, spec: Obj | None = None) -> Obj:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    return deployment(
        name, replicas, spec, command=SERVING.command(), ports=[{"containerPort": 8080}], readinessProbe=probe
    )


def service(name: str = "web", **spec: Any) -> Obj:
    base: Obj = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": base | spec}


def job(name: str = "j", code: int = 0, **spec: Any) -> Obj:
    inner = container(command=["sh", "-c", f"exit {code}"])
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [inner]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def budget(name: str = "web", **spec: Any) -> Obj:
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": selector, **spec},
    }


def without(manifest: Obj, *path: str | int) -> Obj:
    """A copy with one field removed."""
    result = copy.deepcopy(manifest)
    inner: Any = result
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return result


def changed(manifest: Obj, value: Any, *path: str | int) -> Obj:
    """A copy with one field set."""
    result = copy.deepcopy(manifest)
    inner: Any = result
    for step in path[:-1]:
        inner = inner[step] if isinstance(step, int) else inner.setdefault(step, {})
    inner[path[-1]] = value
    return result


def dig(value: Any, path: str) -> Any:
    for step in path.split("/"):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value
