"""KEDA as two processes: the operator, and the metrics API server through which autoscalers ask for its metrics.

The API server reaches the second as it would in a pod: an APIService names a Service, whose one endpoint is the
control node's address.  Without it no trigger's metric reaches an HPA, and fallbacks do not count.

Neighbour: `manifests` writes ScaledObjects and ScaledJobs.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import ClassVar

from tests.cluster.harness.addon import Addon, answers
from tests.cluster.harness.certificates import Identity, make_pair
from tests.cluster.harness.gomodule import Source
from tests.cluster.harness.layout import CONTROL
from tools.jsontypes import JsonObject

GRPC_PORT, ADAPTER_PORT = 9666, 9667
OPERATOR_METRICS, OPERATOR_HEALTH, ADAPTER_METRICS = 9668, 9669, 9670
ADAPTER = "keda-adapter"
_SERVICE = "keda-metrics-apiserver"
_EXTERNAL = "v1beta1.external.metrics.k8s.io"


class Keda(Addon):
    """KEDA: ScaledObjects and ScaledJobs."""

    name = "keda"
    title = "KEDA"
    source = Source(
        "github.com/kedacore/keda/v2",
        "v2.20.2",
        {"keda-operator": "cmd/operator", "keda-metrics-adapter": "cmd/adapter"},
    )
    definitions = "config/crd/bases"
    resources = ("scaledobjects.keda.sh", "scaledjobs.keda.sh", "triggerauthentications.keda.sh")
    processes: ClassVar[tuple[str, ...]] = ("keda-operator", ADAPTER)
    withdrawn: ClassVar[tuple[str, ...]] = (f"apiservice/{_EXTERNAL}",)

    def metrics_down(self) -> None:
        """End the metrics API server; `up` brings it back."""
        self.daemons.stop(ADAPTER)

    def _start(self, kubeconfig: Path) -> None:
        certificates = self._certificates()
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "KEDA_CLUSTER_OBJECT_NAMESPACE": self.name,
            "POD_NAMESPACE": self.name,
            "WATCH_NAMESPACE": "",
        }
        self.run(
            "keda-operator", self.programs / "keda-operator",
            f"--cert-dir={certificates}", "--enable-cert-rotation=false", "--leader-elect=false",
            f"--metrics-bind-address=127.0.0.1:{OPERATOR_METRICS}",
            f"--health-probe-bind-address={CONTROL.address}:{OPERATOR_HEALTH}",
            f"--metrics-service-bind-address=127.0.0.1:{GRPC_PORT}",
            holds=lambda: answers(f"http://{CONTROL.address}:{OPERATOR_HEALTH}/readyz"), environment=environment,
        )  # fmt: skip
        self.apply(*self._external_metrics())
        self.run(
            ADAPTER, self.programs / "keda-metrics-adapter",
            f"--secure-port={ADAPTER_PORT}", f"--bind-address={CONTROL.address}", f"--port={ADAPTER_METRICS}",
            f"--cert-dir={certificates}",
            f"--tls-cert-file={certificates}/tls.crt", f"--tls-private-key-file={certificates}/tls.key",
            f"--metrics-service-address=127.0.0.1:{GRPC_PORT}",
            *(f"--{what}-kubeconfig={kubeconfig}" for what in ("lister", "authentication", "authorization")),
            holds=self._is_available, environment=environment,
        )  # fmt: skip

    def _certificates(self) -> Path:
        """One pair for both: the operator asks its caller for one that the same CA has signed."""
        names = ("IP:127.0.0.1", f"DNS:keda-operator.{self.name}.svc", f"DNS:{_SERVICE}.{self.name}.svc")
        make_pair(self.layout, Identity("keda-operator", "/CN=keda-operator", names))
        folder = self.home / "certificates"
        folder.mkdir(exist_ok=True, mode=0o700)
        for kept, wanted in (("keda-operator.crt", "tls.crt"), ("keda-operator.key", "tls.key"), ("ca.crt", "ca.crt")):
            shutil.copyfile(self.layout.pki / kept, folder / wanted)
        return folder

    def _is_available(self) -> bool:
        """Whether the API server says that it reaches the metrics API server."""
        status = 'jsonpath={.status.conditions[?(@.type=="Available")].status}'
        return self.cluster.kubectl("get", "apiservice", _EXTERNAL, "-o", status, check=False) == "True"

    def _external_metrics(self) -> list[JsonObject]:
        own: JsonObject = {"name": _SERVICE, "namespace": self.name}
        ca = base64.b64encode((self.layout.pki / "ca.crt").read_bytes()).decode()
        return [
            {"apiVersion": "v1", "kind": "Service", "metadata": own,
             "spec": {"ports": [{"name": "https", "port": 443, "targetPort": ADAPTER_PORT}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
             "metadata": {**own, "labels": {"kubernetes.io/service-name": _SERVICE}},
             "addressType": "IPv4", "ports": [{"name": "https", "port": ADAPTER_PORT}],
             "endpoints": [{"addresses": [CONTROL.address], "conditions": {"ready": True}}]},
            {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": _EXTERNAL},
             "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "caBundle": ca,
                      "service": {"name": _SERVICE, "namespace": self.name},
                      "groupPriorityMinimum": 100, "versionPriority": 100}},
        ]  # fmt: skip
