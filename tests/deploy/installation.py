"""selfheal installed on the real cluster by its own manifests, and what a test needs to speak to it.

Rule: the manifests are applied as they stand, through an overlay such as a user writes: another image, another policy.
What an installation brings along itself (the token, a volume) is made here as `docs/install.md` says.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import httpx
import yaml

from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.layout import NODES
from tests.deploy.image import IMAGE, ROOT
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_str

MANIFESTS = ROOT / "deploy/manifests"
NAMESPACE = "selfheal"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:selfheal"
ACCOUNT_GROUP = f"system:serviceaccounts:{NAMESPACE}"
VOLUME = "selfheal-pod-test"
NODE = NODES[1]
"""Where the state is, and therefore the pod: the node without the control plane."""
USER = 65532


class Installation:
    """One installation; `home` is a scratch folder."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self._cluster = cluster
        self._home = home
        self._state = cluster.layout.state / VOLUME
        self.token = secrets.token_hex(32)

    def install(self, policy: JsonObject) -> None:
        """Apply everything; returns before the pod runs."""
        self._cluster.kubectl("apply", "--server-side", "-k", self._overlay(policy))
        self._make_volume()
        token = self._home / "token"
        token.write_text(self.token)
        self._cluster.kubectl("-n", NAMESPACE, "create", "secret", "generic", "selfheal-token", f"--from-file={token}")

    def let_act(self, namespace: str) -> None:
        """Bind the writing role in one namespace, by the example that is shipped."""
        binding = cast("JsonObject", yaml.safe_load((MANIFESTS / "act-in-namespace.yaml").read_text()))
        cast("JsonObject", binding["metadata"])["namespace"] = namespace
        path = self._home / f"act-{namespace}.yaml"
        path.write_text(yaml.safe_dump(binding))
        self._cluster.kubectl("apply", "--server-side", "-f", path)

    def wait_until_ready(self) -> None:
        """Its Deployment is rolled out: /readyz says yes."""
        self._cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/selfheal", "--timeout=120s")

    def address(self) -> str:
        """HOST:PORT of the pod that runs, reachable from this machine."""
        listed = cast("JsonValue", yaml.safe_load(self._kubectl_get("pods")))
        addresses = [
            dig_str(pod, "status", "podIP") for pod in dig_list(listed, "items")
            if "deletionTimestamp" not in cast("JsonObject", cast("JsonObject", pod)["metadata"])
        ]  # fmt: skip
        assert len(addresses) == 1, f"one pod was expected: {addresses}"
        return f"{addresses[0]}:8080"

    def replace_pod(self) -> None:
        """Delete the pod and wait for the next one."""
        self._cluster.kubectl("-n", NAMESPACE, "delete", "pod", "-l", "app.kubernetes.io/name=selfheal", "--wait=true")
        self.wait_until_ready()

    def client(self) -> httpx.AsyncClient:
        """HTTP to the pod, with the token."""
        return httpx.AsyncClient(
            base_url=f"http://{self.address()}", headers={"Authorization": f"Bearer {self.token}"}, timeout=90,
            trust_env=False,
        )  # fmt: skip

    def by_hand(self, *command: str) -> str:
        """Run `selfheal ...` in the pod, as an operator does; its standard output."""
        return self._cluster.kubectl("-n", NAMESPACE, "exec", "deployment/selfheal", "--", "selfheal", *command)

    def memory(self) -> str:
        """What the metrics server says of the pod; empty when it has nothing yet."""
        return self._cluster.kubectl("-n", NAMESPACE, "top", "pods", "--no-headers", check=False).strip()

    def log(self) -> str:
        """What the pod wrote, or why it wrote nothing."""
        kubectl = self._cluster.kubectl
        return kubectl("-n", NAMESPACE, "logs", "deployment/selfheal", "--tail=-1", check=False) or kubectl(
            "-n", NAMESPACE, "describe", "pods", check=False
        )

    def remove(self) -> None:
        """After it: nothing of the installation is left."""
        kubectl = self._cluster.kubectl
        kubectl("delete", "--ignore-not-found", "--wait=true", "--timeout=90s", "-k", MANIFESTS, check=False)
        kubectl("delete", "--ignore-not-found", "pv", VOLUME, "--timeout=30s", check=False)
        shutil.rmtree(self._state, ignore_errors=True)

    def _kubectl_get(self, what: str) -> str:
        return self._cluster.kubectl("-n", NAMESPACE, "get", what, "-o", "yaml")

    def _overlay(self, policy: JsonObject) -> Path:
        """What a user would keep in their own repository."""
        folder = self._home / "overlay"
        folder.mkdir()
        name, _, tag = IMAGE.rpartition(":")
        data: JsonObject = {"policy.yaml": yaml.safe_dump(policy)}
        meta: JsonObject = {"name": "selfheal-policy", "namespace": NAMESPACE}
        patch: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        (folder / "policy.yaml").write_text(yaml.safe_dump(patch))
        kustomization: JsonObject = {
            "resources": [os.path.relpath(MANIFESTS, folder.resolve())],
            "images": [{"name": "selfheal", "newName": name, "newTag": tag}],
            "patches": [{"path": "policy.yaml"}],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return folder

    def _make_volume(self) -> None:
        """A volume for the claim; the test cluster has no provisioner that would make one."""
        shutil.rmtree(self._state, ignore_errors=True)
        self._state.mkdir()
        here: JsonObject = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE.name]}
        volume: JsonObject = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": VOLUME},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "local": {"path": str(self._state)},
                "claimRef": {"namespace": NAMESPACE, "name": "selfheal-state"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            },
        }
        path = self._home / "volume.yaml"
        path.write_text(yaml.safe_dump(volume))
        self._cluster.kubectl("apply", "--server-side", "-f", path)


async def until(what: str, holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait until it holds, looking twice a second; AssertionError naming it otherwise."""
    end = asyncio.get_running_loop().time() + seconds
    while not await holds():
        assert asyncio.get_running_loop().time() < end, f"waited {seconds:.0f} s in vain for {what}"
        await asyncio.sleep(0.5)
