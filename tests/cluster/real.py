"""The harness's Kubernetes as a ground: an API server over TLS, kubelets, a probe pod, and an audit log to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from tests.cluster.audit import AuditTail
from tests.cluster.authorizer import may
from tests.cluster.checks import Asked, CanI, ExecOk, HttpOk
from tests.cluster.harness import nodes
from tests.cluster.harness.build import binaries
from tests.cluster.harness.certificates import forget_run_identity, mint_run_identity, run_group
from tests.cluster.harness.layout import NODES, Layout
from tests.cluster.harness.processes import Daemons, run
from tests.cluster.kube import Kube, KubeError, run_kubectl
from tests.cluster.mirror import Mirror, View, fresh_view
from tests.cluster.oracles import pods_of
from tests.cluster.rights import healer_role
from tools.clock import SystemClock
from tools.jsontypes import JsonObject, dig_str

_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/stand-in-"
_APPLY = "application/apply-patch+yaml"
_OWNED = {"fieldManager": "cluster-tests", "force": "true"}


class RealGround:
    """One run on the harness's cluster; open it with `real_ground`."""

    name = "real"
    offers = frozenset({"kubelet", "metrics", "dns", "kubelet_stop", "rbac"})
    look_s = 0.25

    def __init__(self, layout: Layout, run_id: str, human: Kube, observer: Kube, mirror: Mirror) -> None:
        self.clock = SystemClock()
        self.layout = layout
        self.human = human
        self.trail = AuditTail(layout.audit_log, "healer", run_group(run_id))
        self.healer_kubeconfig = mint_run_identity(layout, run_id)
        self._observer = observer
        self._mirror = mirror
        self._kubectl = binaries(layout) / "kubectl"

    def view(self, namespace: str) -> View:
        """From the mirror; may lag by milliseconds."""
        return self._mirror.view(namespace)

    async def fresh_view(self, namespace: str) -> View:
        """Every kind read now."""
        return await fresh_view(self._observer, namespace)

    async def kubectl(self, namespace: str, arguments: Sequence[str], *, as_healer: bool = False) -> None:
        """The real kubectl, as `human` or with the healer's identity."""
        kubeconfig = self.healer_kubeconfig if as_healer else self.human.kubeconfig
        await run_kubectl(self._kubectl, kubeconfig, namespace, tuple(arguments))

    async def kubelet(self, node: str, *, runs: bool) -> None:
        """End the node's kubelet daemon, or start it."""
        found = next(n for n in NODES if n.name == node)
        daemons = Daemons(self.layout)
        if runs:
            await asyncio.to_thread(nodes.start_kubelet, self.layout, daemons, binaries(self.layout), found)
        else:
            await asyncio.to_thread(daemons.stop, f"kubelet-{node}")

    async def alias(self, image: str, name: str) -> None:
        """A second tag in each node's containerd."""
        for node in NODES:
            socket = self.layout.node(node) / "containerd.sock"
            await asyncio.to_thread(
                run, "ctr", "-a", socket, "-n", "k8s.io", "images", "tag", "--force", image, name, check=True
            )

    async def ask(self, namespace: str, check: Asked) -> str | None:
        """Asked again once where the network is in it: on a loaded machine one lookup in a thousand takes too long."""
        match check:
            case HttpOk():
                return await self._http(namespace, check) and await self._http(namespace, check)
            case ExecOk():
                return await self._exec(namespace, check) and await self._exec(namespace, check)
            case CanI():
                return await may(self.human, namespace, check)

    async def _exec(self, namespace: str, check: ExecOk) -> str | None:
        pods = [p for p in pods_of(self.view(namespace), check.selector) if dig_str(p, "status", "phase") == "Running"]
        if not pods:
            return "no running pod to execute a command in"
        arguments = ("exec", dig_str(pods[0], "metadata", "name"), "--", *check.command)
        try:
            async with asyncio.timeout(8):
                await self.kubectl(namespace, arguments)
        except TimeoutError:
            return f"{check.command[0]} does not end in a pod"
        except KubeError as failed:
            return str(failed)
        return None

    async def _http(self, namespace: str, check: HttpOk) -> str | None:
        """A fresh lookup and connection by a probe pod; None when the answer is 200 with the wanted text."""
        pods = [p for p in self._mirror.view("probe").all("Pod") if dig_str(p, "status", "phase") == "Running"]
        if not pods:
            return "no probe pod runs in namespace probe"
        path = f"/api/v1/namespaces/probe/pods/{dig_str(pods[0], 'metadata', 'name')}:8080/proxy/cgi-bin/get"
        host = f"{check.service}.{namespace}.svc.cluster.local"
        params = {"host": host, "port": str(check.port), "path": check.path}
        try:
            answer = await self._observer.text("GET", path, params=params)
        except KubeError as broken:
            return f"http {check.service}: {broken}"
        status, _, body = answer.partition("\n")
        good = status.startswith("HTTP/1.") and status.split()[1:2] == ["200"] and check.contains in body
        return None if good else f"http {check.service}{check.path}: {status.strip() or 'no answer'}"


@asynccontextmanager
async def real_ground(layout: Layout, run_id: str, *, unlimited: bool = False) -> AsyncGenerator[RealGround]:
    """Connections, mirror and audit trail for one run; the run's own identity is gone at the end.

    `unlimited`: that identity may do anything, for the stand-in whose remedies are a person's.
    """
    async with Kube(layout.kubeconfig("human")) as human, Kube(layout.kubeconfig("observer")) as observer:
        await grant_healer(human)
        if unlimited:
            await human.request("PATCH", _BINDINGS + run_id, params=_OWNED, body=_unlimited(run_id), kind=_APPLY)
        async with Mirror(observer) as mirror:
            ground = RealGround(layout, run_id, human, observer, mirror)
            try:
                yield ground
            finally:
                forget_run_identity(layout, run_id)
                await human.delete(_BINDINGS + run_id)


async def grant_healer(human: Kube) -> None:
    """After it user `healer` may do what the shipped roles say, and no more."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/healer"
    await human.request("PATCH", path, params=_OWNED, body=healer_role(), kind=_APPLY)


def _unlimited(run_id: str) -> JsonObject:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"stand-in-{run_id}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": run_group(run_id)}],
    }
