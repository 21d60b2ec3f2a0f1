"""etcd, API server, controller manager and scheduler, all in node1's namespace, on loopback where they can be.

The times are chosen so that faults show quickly: a silent node counts as lost after 16 s, pods leave it after 30 s
more, the autoscaler looks every 5 s.  etcd does not sync to disk: the data need not outlive the machine.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.harness.layout import CONTROL, MANIFESTS, POD_NETWORK, SERVICE_NETWORK, Layout
from tests.cluster.harness.processes import Daemons, succeeds

ETCD_URL = "http://127.0.0.1:2379"
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
"""In order of start; they are stopped in the opposite order."""


def start(layout: Layout, daemons: Daemons, programs: Path) -> None:
    """After it: the API server answers /readyz, controllers and scheduler run."""
    _start_etcd(layout, daemons, programs)
    _start_apiserver(layout, daemons, programs)
    daemons.start(
        "kube-controller-manager",
        programs / "kube-controller-manager",
        f"--kubeconfig={layout.kubeconfig('kube-controller-manager')}",
        f"--service-account-private-key-file={layout.pki}/sa.key",
        f"--root-ca-file={layout.pki}/ca.crt",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cluster-cidr={POD_NETWORK}",
        "--allocate-node-cidrs=false",
        "--node-monitor-period=2s",
        "--node-monitor-grace-period=16s",
        "--horizontal-pod-autoscaler-sync-period=5s",
        netns=CONTROL.netns,
    )
    daemons.start(
        "kube-scheduler",
        programs / "kube-scheduler",
        f"--kubeconfig={layout.kubeconfig('kube-scheduler')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        netns=CONTROL.netns,
    )


def is_ready(layout: Layout, programs: Path) -> bool:
    """Whether the API server says that it is."""
    admin = f"--kubeconfig={layout.kubeconfig('admin')}"
    return succeeds(programs / "kubectl", admin, "--request-timeout=3s", "get", "--raw", "/readyz")


def _start_etcd(layout: Layout, daemons: Daemons, programs: Path) -> None:
    (layout.state / "etcd").mkdir(mode=0o700, exist_ok=True)
    daemons.start(
        "etcd",
        programs / "etcd",
        f"--data-dir={layout.state}/etcd",
        "--unsafe-no-fsync",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        netns=CONTROL.netns,
    )


def _start_apiserver(layout: Layout, daemons: Daemons, programs: Path) -> None:
    pki = layout.pki
    daemons.start(
        "kube-apiserver",
        programs / "kube-apiserver",
        f"--etcd-servers={ETCD_URL}",
        f"--bind-address={CONTROL.address}",
        f"--advertise-address={CONTROL.address}",
        "--secure-port=6443",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",  # there is no DNS for node names
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        "--default-not-ready-toleration-seconds=30",
        "--default-unreachable-toleration-seconds=30",
        f"--audit-policy-file={MANIFESTS}/audit-policy.yaml",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=4000",
        netns=CONTROL.netns,
    )
    daemons.wait_ready("kube-apiserver", lambda: is_ready(layout, programs), 120)
