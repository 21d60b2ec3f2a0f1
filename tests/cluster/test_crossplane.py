"""Crossplane's resources on the real API server, with the double for its controllers and the printed roles for ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from deploy.generate import CROSSPLANE_ACT, CROSSPLANE_READ, crossplane_roles
from graph.incident import Incident, Reason
from graph.plan import ExecutionResult, Status
from graph.ports import Ports, PortsConfig, Timing, open_ports
from graph.runner import Runner, open_checkpointer
from server.service import run_service
from server.settings import Settings
from tests.cluster.harness import build
from tests.cluster.harness.layout import Layout
from tests.cluster.kube import run_kubectl
from tests.support.crossplane.controllers import Double, running
from tests.support.crossplane.model import BUCKET, NAMES, install, managed, wide_rules
from tests.support.crossplane.outside import Outside
from tests.support.process import until
from tools.clock import SystemClock
from tools.cluster.allowlist import READ_RULES, AllowList, Rule
from tools.cluster.client import Cluster
from tools.cluster.resources import NAMESPACE, WriteRequest
from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import EXTERNAL_NAME, PAUSED, REQUESTED
from tools.jsontypes import JsonObject, dig_object, dig_str

pytestmark = pytest.mark.cluster

RULES = (*READ_RULES, *wide_rules(), Rule("create", "", "namespaces"), Rule("delete", "", "namespaces"))
TIMING = Timing(settle=timedelta(seconds=5))


@contextlib.asynccontextmanager
async def staged() -> AsyncIterator[tuple[Cluster, str, Layout]]:
    """A namespace of its own, the definitions, and the rights that the printed roles give to user `healer`."""
    layout = Layout.from_environment()
    if not layout.kubeconfig("admin").exists():
        pytest.skip("the project's Kubernetes is not up: run `make cluster-up`")
    namespace = f"crossplane-{os.getpid()}"
    async with await Cluster.connect(kubeconfig=layout.kubeconfig("admin"), allowlist=AllowList(RULES)) as cluster:
        made: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await cluster.write(WriteRequest("create", NAMESPACE, None, namespace, made), dry_run=False)
        try:
            yield cluster, namespace, layout
        finally:
            await cluster.write(WriteRequest("delete", NAMESPACE, None, namespace, {}), dry_run=False)


@contextlib.asynccontextmanager
async def granted(layout: Layout, namespace: str, folder: Path) -> AsyncIterator[None]:
    """The roles bound as docs/crossplane.md says: reading everywhere, writing in the namespace."""
    group = "rbac.authorization.k8s.io"
    subjects = [{"apiGroup": group, "kind": "User", "name": "healer"}]
    bindings = [
        {
            "apiVersion": f"{group}/v1",
            "kind": kind,
            "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": subjects,
        }
        for kind, role in (("ClusterRoleBinding", CROSSPLANE_READ), ("RoleBinding", CROSSPLANE_ACT))
    ]
    manifest = folder / "roles.yaml"
    manifest.write_text(f"{crossplane_roles(NAMES)}---\n{yaml.safe_dump_all(bindings)}")
    kubectl, admin = build.binaries(layout) / "kubectl", layout.kubeconfig("admin")
    await run_kubectl(kubectl, admin, namespace, ("apply", "-f", str(manifest)))
    try:
        yield
    finally:
        await run_kubectl(kubectl, admin, namespace, ("delete", "--ignore-not-found", "-f", str(manifest)))


@contextlib.asynccontextmanager
async def service(layout: Layout, namespace: str, folder: Path) -> AsyncIterator[Ports]:
    """The service as user `healer`, on auto in the namespace, with one bucket declared."""
    desired = folder / "desired"
    desired.mkdir()
    (desired / "bucket.yaml").write_text(yaml.safe_dump(managed(BUCKET, "paused", namespace=namespace)))
    policy = folder / "policy.yaml"
    policy.write_text(f'version: 1\nnamespaces:\n  "{namespace}": {{mode: auto}}\n')
    config = PortsConfig(
        state_dir=folder / "state",
        kubeconfig=layout.kubeconfig("healer"),
        policy_file=policy,
        namespaces=(namespace,),
        desired_state=str(desired),
        crossplane=NAMES,
        timing=TIMING,
    )
    settings = Settings.model_validate({"state_dir": folder / "state", "insecure_bind": "127.0.0.1", "watch": True})
    async with (
        open_ports(config) as ports,
        open_checkpointer(folder / "state") as checkpointer,
    ):
        await ports.mirror.synced()
        async with run_service(settings, ports, Runner(ports, checkpointer), watch=True):
            yield ports


@pytest.mark.timeout(480)
async def test_resumed_asked_again_and_told(tmp_path: Path) -> None:
    """A paused bucket that is declared running, one whose change no controller saw, and one that is refused outside."""
    async with staged() as (cluster, namespace, layout), granted(layout, namespace, tmp_path):
        catalogue = await install(cluster)
        bucket = catalogue.find(BUCKET)
        assert bucket is not None
        outside = Outside(closed={"west": "AccessDenied: not authorised for CreateBucket"})

        async def make(name: str, region: str = "north") -> None:
            body = managed(BUCKET, name, namespace=namespace, region=region)
            await cluster.write(WriteRequest("create", bucket, namespace, name, body), dry_run=False)

        async def change(name: str, body: JsonObject) -> None:
            request = WriteRequest("patch", bucket, namespace, name, body, "application/merge-patch+json", None, "edit")
            await cluster.write(request, dry_run=False)

        async def held(name: str) -> JsonObject:
            return await cluster.get(bucket, name, namespace)

        async def are_well(*names: str) -> bool:
            said = [facts.condition(await held(n), c) for n in names for c in (facts.SYNCED, facts.READY)]
            return all(c is not None and c.is_true for c in said)

        async with running(Double(cluster, catalogue, SystemClock(), outside)) as double:
            await make("paused")
            await make("stuck")
            await until(lambda: are_well("paused", "stuck"), 60)
            async with service(layout, namespace, tmp_path) as ports:
                await make("refused", "west")
                before = facts.annotation(await held("paused"), EXTERNAL_NAME)
                await change("paused", {"metadata": {"annotations": {PAUSED: "true"}}})
                double.deaf.add("stuck")
                await change("stuck", {"spec": {"forProvider": {"region": "south"}}})

                async def have_ended() -> bool:
                    done = [r for r in await ports.ledger.incidents(namespace=namespace) if r.result is not None]
                    return {r.target.name for r in done} >= {"paused", "stuck", "refused"}

                await until(have_ended, 420)
                records = await ports.ledger.incidents(namespace=namespace)
            ends = {r.target.name: ExecutionResult.model_validate(r.result).status for r in records}
            seen = {r.target.name: {s.reason for s in Incident.model_validate(r.document).signals} for r in records}
            assert ends == {"paused": Status.HEALED, "stuck": Status.HEALED, "refused": Status.ESCALATED}
            assert seen == {
                "paused": {Reason.RECONCILE_PAUSED},
                "stuck": {Reason.RECONCILE_STUCK},
                "refused": {Reason.EXTERNAL_SYNC_FAILED},
            }
            paused, stuck, refused = await asyncio.gather(held("paused"), held("stuck"), held("refused"))
            assert PAUSED not in dig_object(paused, "metadata", "annotations")
            assert facts.annotation(paused, EXTERNAL_NAME) == before
            assert facts.annotation(stuck, REQUESTED) == dig_str(stuck, "status", "lastHandledReconcileAt")
            assert {t.region for t in outside.things.values()} == {"north", "south"}
            notes = dig_object(refused, "metadata", "annotations")
            assert not [key for key in notes if key.startswith("selfheal.dev/")], "nothing was written there"
