"""Several workloads that fail for one object: one incident, at the object, over the simulated API server."""

from datetime import timedelta
from pathlib import Path

from graph.incident import Incident
from graph.plan import Status
from tests.support.healing import bench, end_of

SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {MODE: production}
"""


def user(name: str) -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - {{name: app, image: "registry.example/shop/{name}:1", envFrom: [{{configMapRef: {{name: settings}}}}]}}
"""


async def test_what_two_workloads_need_is_one_incident(tmp_path: Path) -> None:
    declared = tmp_path / "declared"
    declared.mkdir()
    (declared / "settings.yaml").write_text(SETTINGS)
    async with bench(tmp_path, desired=declared) as it:
        await it.sim.apply(SETTINGS)
        for name in ("one", "two"):
            await it.sim.apply(user(name))
            await it.sim.until(lambda n=name: it.sim.ready("Deployment", "shop", n), seconds=60)
        it.sim.api.delete(it.sim.kind("ConfigMap"), "shop", "settings")
        for name in ("one", "two"):
            for pod in it.sim.pods("shop", app=name):
                it.sim.api.delete(it.sim.kind("Pod"), "shop", pod["metadata"]["name"])
        result = await end_of(it, "settings")
        assert result.status is Status.HEALED, result
        assert result.plan is not None
        assert [s.action.action for s in result.plan.steps] == ["restore_object"]
        await it.sim.clock.sleep(timedelta(seconds=60))
        records = await it.ports.ledger.incidents(namespace="shop")
        assert [r.target.name for r in records] == ["settings"], "none at the workloads"
        opened = Incident.model_validate(records[0].document)
        assert {ref.name for ref in opened.affected} == {"one", "two"}
        assert it.writes() == ["create configmaps/settings"]
