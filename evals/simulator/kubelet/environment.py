"""What a container finds when it starts: its environment and its volumes, or why it cannot start."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import NamedTuple

from evals.simulator.api.store import Store
from evals.simulator.objects import annotations_of, labels_of, name_of, namespace_of, objects, strings, uid_of
from tools.jsontypes import JsonObject, dig, dig_object, dig_str


class NotConfiguredError(Exception):
    """The kubelet cannot make the container's configuration; the text is what it reports."""


def _source(store: Store, kind: str, namespace: str, ref: JsonObject) -> dict[str, str] | None:
    """The data of a ConfigMap or Secret; None when it is missing and optional."""
    name = dig_str(ref, "name")
    found = store.get("configmaps" if kind == "configmap" else "secrets", namespace, name)
    if found is None:
        if ref.get("optional") is True:
            return None
        raise NotConfiguredError(f'{kind} "{name}" not found')
    data = strings(found, "data")
    return data if kind == "configmap" else {k: base64.b64decode(v).decode(errors="replace") for k, v in data.items()}


def resolve(store: Store, pod: JsonObject, container: JsonObject, pod_ip: str) -> dict[str, str]:
    """The environment.  Raises NotConfiguredError in the words of the kubelet."""
    namespace, env = namespace_of(pod), dict[str, str]()
    for source in objects(container, "envFrom"):
        for field, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
            ref = source.get(field)
            if isinstance(ref, dict):
                prefix = dig_str(source, "prefix")
                env |= {f"{prefix}{k}": v for k, v in (_source(store, kind, namespace, ref) or {}).items()}
    for item in objects(container, "env"):
        value = _value(store, pod, item, pod_ip)
        if value is not None:
            env[dig_str(item, "name")] = value
    return env


def _value(store: Store, pod: JsonObject, item: JsonObject, pod_ip: str) -> str | None:
    namespace, origin = namespace_of(pod), dig_object(item, "valueFrom")
    for field, kind, shown in (("configMapKeyRef", "configmap", "ConfigMap"), ("secretKeyRef", "secret", "Secret")):
        ref = origin.get(field)
        if isinstance(ref, dict):
            data, key = _source(store, kind, namespace, ref), dig_str(ref, "key")
            if data is None:
                return None
            if key not in data:
                if ref.get("optional") is True:
                    return None
                raise NotConfiguredError(f"couldn't find key {key} in {shown} {namespace}/{dig_str(ref, 'name')}")
            return data[key]
    path = dig_str(origin, "fieldRef", "fieldPath")
    if path:
        known = {
            "metadata.name": name_of(pod),
            "metadata.namespace": namespace,
            "metadata.uid": uid_of(pod),
            "spec.nodeName": dig_str(pod, "spec", "nodeName"),
            "spec.serviceAccountName": dig_str(pod, "spec", "serviceAccountName"),
            "status.podIP": pod_ip,
        }
        labels = {f"metadata.labels['{k}']": v for k, v in labels_of(pod).items()}
        notes = {f"metadata.annotations['{k}']": v for k, v in annotations_of(pod).items()}
        return (known | labels | notes).get(path, "")
    return dig_str(item, "value")


def require_user(pod: JsonObject, container: JsonObject) -> None:
    """Raise NotConfiguredError when it must not run as root and nothing says otherwise: the images here have no
    user.
    """
    inner, outer = dig_object(container, "securityContext"), dig_object(pod, "spec", "securityContext")
    wanted = inner.get("runAsNonRoot", outer.get("runAsNonRoot"))
    user = inner.get("runAsUser", outer.get("runAsUser"))
    if wanted is True and (user is None or user == 0):
        whose = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        where = f'(pod: "{whose}", container: {dig_str(container, "name")})'
        raise NotConfiguredError(f"container has runAsNonRoot and image will run as root {where}")


def missing_volumes(store: Store, pod: JsonObject) -> list[tuple[str, str]]:
    """(volume, why) of volumes that cannot be mounted now."""
    namespace, found = namespace_of(pod), list[tuple[str, str]]()
    for volume in objects(pod, "spec", "volumes"):
        for source in _sources(volume):
            if source.is_optional:
                continue
            label, word = dig_str(volume, "name"), source.key.removesuffix("s")
            obj = store.get(source.key, namespace, source.name)
            if obj is None:
                found.append((label, f'{word} "{source.name}" not found'))
                continue
            data = {**dig_object(obj, "data"), **dig_object(obj, "binaryData")}
            lost = [dig_str(i, "key") for i in source.items if dig_str(i, "key") not in data]
            if lost:
                short = "config" if word == "configmap" else "secret"
                found.append((label, f"references non-existent {short} key: {lost[0]}"))
    return found


class _Source(NamedTuple):
    """One ConfigMap or Secret whose content a volume shows."""

    key: str
    """Which collection of the store holds it."""
    name: str
    items: list[JsonObject]
    is_optional: bool


def _sources(volume: JsonObject) -> Iterator[_Source]:
    """The volume's own source, or all of a projected one; a Secret is named differently in the two."""
    for place, name_of_secret in (
        (volume, "secretName"),
        *((p, "name") for p in objects(volume, "projected", "sources")),
    ):
        for field, key, name_field in (("configMap", "configmaps", "name"), ("secret", "secrets", name_of_secret)):
            body = place.get(field)
            if isinstance(body, dict):
                yield _Source(key, dig_str(body, name_field), objects(body, "items"), body.get("optional") is True)


def files(store: Store, pod: JsonObject, container: JsonObject) -> set[str]:
    """Paths of the files that ConfigMaps and Secrets put into the container."""
    found: set[str] = set()
    volumes = {dig_str(v, "name"): v for v in objects(pod, "spec", "volumes")}
    for mount in objects(container, "volumeMounts"):
        volume, base = volumes.get(dig_str(mount, "name"), {}), dig_str(mount, "mountPath").rstrip("/")
        for source in _sources(volume):
            obj = store.get(source.key, namespace_of(pod), source.name)
            shown = [dig_str(i, "path") for i in source.items] if source.items else list(dig_object(obj, "data"))
            sub = dig_str(mount, "subPath")
            # A subPath that names no file is made as an empty folder: nothing that could be read as a file.
            found |= ({base} if sub in shown else set()) if sub else {f"{base}/{k}" for k in shown}
    return found


def file_text(store: Store, pod: JsonObject, container: JsonObject, path: str) -> str:
    """What a file of a ConfigMap volume says now; "" when there is none."""
    folder, _, name = path.rpartition("/")
    volumes = {dig_str(v, "name"): v for v in objects(pod, "spec", "volumes")}
    for mount in objects(container, "volumeMounts"):
        if dig_str(mount, "mountPath").rstrip("/") == folder:
            source = dig_str(volumes.get(dig_str(mount, "name"), {}), "configMap", "name")
            return dig_str(store.get("configmaps", namespace_of(pod), source), "data", name)
    return ""


def memory_limit(container: JsonObject) -> str | None:
    """The memory limit as written."""
    value = dig(container, "resources", "limits", "memory")
    return None if value is None else str(value)
