"""PersistentVolumeClaims: bound to a volume that fits, provisioned by a class, or waiting."""

from __future__ import annotations

from evals.simulator import quantity
from evals.simulator.api.store import Change
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.objects import (
    child,
    clone,
    is_deleting,
    name_of,
    namespace_of,
    object_reference,
    objects,
    texts,
    uid_of,
)
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

NAME = "persistentvolume-controller"
_CLASSES = "storageclasses.storage.k8s.io"
_NO_PROVISIONER = "kubernetes.io/no-provisioner"


class Claims(Controller):
    """The persistent volume controller."""

    name, key = NAME, "persistentvolumeclaims"

    def related(self, change: Change) -> list[Key]:
        """Claims that wait, when a volume, a class or a pod comes."""
        if change.key not in {"persistentvolumes", _CLASSES, "pods"} or change.type == "DELETED":
            return []
        if change.key == "pods" and change.type != "ADDED":
            return []
        found = self.api.store.scan(self.key)
        return [(namespace_of(c), name_of(c)) for c in found if dig_str(c, "status", "phase") != "Bound"]

    def sync(self, namespace: str, name: str) -> None:
        """Bind, grow, or say what is missing."""
        claim = self.api.store.get(self.key, namespace, name)
        if claim is None or is_deleting(claim):
            return
        if dig_str(claim, "status", "phase") == "Bound":
            self._grow(claim)
            return
        named = dig_str(claim, "spec", "volumeName")
        volume = self.api.store.get("persistentvolumes", "", named) if named else self._match(claim)
        if volume is not None:
            self._bind(claim, volume)
        elif not named:
            self._provision(claim)

    def _match(self, claim: JsonObject) -> JsonObject | None:
        size = quantity.parse(dig(claim, "spec", "resources", "requests", "storage"))
        fitting = [v for v in self.api.store.select("persistentvolumes") if self._fits(v, claim)]
        fitting = [v for v in fitting if quantity.parse(dig(v, "spec", "capacity", "storage")) >= size]
        return min(fitting, key=lambda v: quantity.parse(dig(v, "spec", "capacity", "storage")), default=None)

    def _fits(self, volume: JsonObject, claim: JsonObject) -> bool:
        ref = dig_object(volume, "spec", "claimRef")
        if ref:
            mine = dig_str(ref, "namespace") == namespace_of(claim) and dig_str(ref, "name") == name_of(claim)
            if not mine or dig_str(ref, "uid") not in {"", uid_of(claim)}:
                return False
        elif dig_str(volume, "status", "phase") not in {"", "Available", "Pending"}:
            return False
        if dig_str(volume, "spec", "storageClassName") != dig_str(claim, "spec", "storageClassName"):
            return False
        return set(texts(claim, "spec", "accessModes")) <= set(texts(volume, "spec", "accessModes"))

    def _bind(self, claim: JsonObject, volume: JsonObject) -> None:
        bound_volume = clone(volume)
        child(bound_volume, "spec")["claimRef"] = object_reference(claim)
        bound_volume["status"] = {"phase": "Bound"}
        self.api.store.put("persistentvolumes", bound_volume)
        bound = clone(claim)
        child(bound, "spec")["volumeName"] = name_of(volume)
        capacity = dig(volume, "spec", "capacity", "storage")
        modes: list[JsonValue] = [*texts(volume, "spec", "accessModes")]
        bound["status"] = {"phase": "Bound", "accessModes": modes, "capacity": {"storage": capacity}}
        self.api.store.put(self.key, bound)

    def _provision(self, claim: JsonObject) -> None:
        name = dig_str(claim, "spec", "storageClassName")
        if not name:
            text = "no persistent volumes available for this claim and no storage class is set"
            self.api.event(claim, "Normal", "FailedBinding", text, NAME)
            return
        found = self.api.store.get(_CLASSES, "", name)
        provisioner = dig_str(found or {}, "provisioner")
        if found is None:
            text = f'storageclass.storage.k8s.io "{name}" not found'
            if any(dig_str(v, "spec", "storageClassName") == name for v in self.api.store.scan("persistentvolumes")):
                text = "no persistent volumes available for this claim and no storage class is set"
            self.api.event(claim, "Warning", "ProvisioningFailed", text, NAME)
            self.later(namespace_of(claim), name_of(claim), 15.0)
        elif provisioner == _NO_PROVISIONER or not self._may_provision(claim, found):
            text = "waiting for first consumer to be created before binding"
            self.api.event(claim, "Normal", "WaitForFirstConsumer", text, NAME)
        else:
            self._make(claim, found)

    def _may_provision(self, claim: JsonObject, storage_class: JsonObject) -> bool:
        if storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
            return True
        for pod in self.api.store.select("pods", namespace_of(claim)):
            names = [dig_str(v, "persistentVolumeClaim", "claimName") for v in objects(pod, "spec", "volumes")]
            if name_of(claim) in names:
                return True
        return False

    def _make(self, claim: JsonObject, storage_class: JsonObject) -> None:
        name = f"pvc-{uid_of(claim)}"
        modes: list[JsonValue] = [*texts(claim, "spec", "accessModes")]
        manifest: JsonObject = {
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": dig(claim, "spec", "resources", "requests", "storage")},
                "accessModes": modes,
                "storageClassName": name_of(storage_class),
                "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy"),
                "hostPath": {"path": f"/var/lib/simulator/{name}"},
            },
        }
        volume = self.api.create(self.api.kinds.named("PersistentVolume"), "", manifest)
        text = f"Successfully provisioned volume {name}"
        self.api.event(claim, "Normal", "ProvisioningSucceeded", text, dig_str(storage_class, "provisioner"))
        self._bind(claim, volume)

    def _grow(self, claim: JsonObject) -> None:
        wanted = dig(claim, "spec", "resources", "requests", "storage")
        have = dig(claim, "status", "capacity", "storage")
        found = self.api.store.get(_CLASSES, "", dig_str(claim, "spec", "storageClassName"))
        if (
            quantity.parse(wanted) <= quantity.parse(have)
            or found is None
            or found.get("allowVolumeExpansion") is not True
        ):
            return
        status: JsonObject = {**dig_object(claim, "status"), "capacity": {"storage": wanted}}
        self.api.set_status(self.api.kinds.by_key(self.key), claim, status)
        self.api.event(
            claim, "Normal", "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded", "kubelet"
        )


class Volumes(Controller):
    """Phases of PersistentVolumes."""

    name, key = NAME, "persistentvolumes"

    def related(self, change: Change) -> list[Key]:
        """The volume of a claim that went."""
        if change.key == "persistentvolumeclaims" and change.type == "DELETED":
            volume = dig_str(change.object, "spec", "volumeName")
            return [("", volume)] if volume else []
        return []

    def sync(self, namespace: str, name: str) -> None:  # noqa: ARG002 - cluster-scoped
        """Available, Bound, Released, or deleted with its claim."""
        volume = self.api.store.get(self.key, "", name)
        if volume is None or is_deleting(volume):
            return
        ref = dig_object(volume, "spec", "claimRef")
        phase = dig_str(volume, "status", "phase")
        claim = (
            self.api.store.get("persistentvolumeclaims", dig_str(ref, "namespace"), dig_str(ref, "name"))
            if ref
            else None
        )
        if not dig_str(ref, "uid"):
            wanted = "Available"
        elif claim is None or uid_of(claim) != dig_str(ref, "uid"):
            wanted = "Released"
        else:
            wanted = "Bound"
        if wanted == "Released" and dig_str(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete":
            self.api.delete(self.api.kinds.by_key(self.key), "", name)
        elif phase != wanted:
            self.api.set_status(self.api.kinds.by_key(self.key), volume, {"phase": wanted})
