"""A node's daemons: containerd, kubelet, kube-proxy, each with its own directories inside the node's network namespace.

Sharp places: without CAP_SYS_RESOURCE runc cannot lower oom_score_adj, hence `restrict_oom_score_adj`; the kubelet
refuses loopback as a node's address, hence the bridge; kube-proxy ends itself when its configuration file is written
again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cluster.harness.images import PAUSE_IMAGE
from tests.cluster.harness.layout import DNS_ADDRESS, NODE_NETWORK, POD_NETWORK, Layout, Node
from tests.cluster.harness.network import name_servers
from tests.cluster.harness.preflight import cni_directory
from tests.cluster.harness.processes import Daemons, make_cgroup, succeeds


def start_runtime(layout: Layout, daemons: Daemons, node: Node) -> None:
    """After it: the node's containerd answers."""
    home = layout.node(node)
    (home / "cni").mkdir(parents=True, exist_ok=True)
    (home / "containerd.toml").write_text(_containerd_config(home))
    (home / "cni/10-pods.conflist").write_text(json.dumps(_cni_config(home, node), indent=1))
    name = f"containerd-{node.name}"
    daemons.start(name, "containerd", "-c", home / "containerd.toml", netns=node.netns)
    daemons.wait_ready(name, lambda: succeeds("ctr", "-a", home / "containerd.sock", "version"), 60)


def start_resolver(layout: Layout, daemons: Daemons, programs: Path, node: Node) -> None:
    """After it: the node's name server runs; it knows no name, like a network with DNS and without an internet."""
    servers = name_servers()
    if not servers:
        return
    corefile = layout.node(node) / "Corefile"
    rule = "template ANY ANY {\n        rcode NXDOMAIN\n    }"
    corefile.write_text(f".:53 {{\n    bind {' '.join(servers)}\n    {rule}\n}}\n")
    daemons.start(f"resolver-{node.name}", programs / "coredns", "-conf", corefile, netns=node.netns)


def start_kubelet(layout: Layout, daemons: Daemons, programs: Path, node: Node) -> None:
    """After it: the kubelet runs (the node becomes Ready some seconds later)."""
    home = layout.node(node)
    make_cgroup(node.cgroup)
    (home / "kubelet.json").write_text(json.dumps(_kubelet_config(layout, node), indent=1))
    daemons.start(
        f"kubelet-{node.name}",
        programs / "kubelet",
        f"--kubeconfig={layout.kubeconfig(f'kubelet-{node.name}')}",
        f"--config={home}/kubelet.json",
        f"--root-dir={home}/kubelet",
        f"--cert-dir={home}/kubelet-certs",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        netns=node.netns,
    )


def start_proxy(layout: Layout, daemons: Daemons, programs: Path, node: Node) -> None:
    """After it: kube-proxy runs."""
    name, config = f"kube-proxy-{node.name}", layout.node(node) / "proxy.json"
    if daemons.pid(name) is None:
        config.write_text(json.dumps(_proxy_config(layout, node), indent=1))
        daemons.start(name, programs / "kube-proxy", f"--config={config}", netns=node.netns)


def forget_runtime(layout: Layout, node: Node) -> None:
    """Clear what a reboot would: containerd's run directory and the addresses of gone pods.  Nothing may run."""
    for name in ("run", "ipam"):
        shutil.rmtree(layout.node(node) / name, ignore_errors=True)
    (layout.node(node) / "containerd.sock").unlink(missing_ok=True)


def _containerd_config(home: Path) -> str:
    return f"""version = 2
root = "{home}/containerd"
state = "{home}/run"

[grpc]
  address = "{home}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  enable_unprivileged_ports = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_directory()}"
    conf_dir = "{home}/cni"
"""


def _cni_config(home: Path, node: Node) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": str(home / "ipam"),
        "ranges": [[{"subnet": node.pod_network}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _kubelet_config(layout: Layout, node: Node) -> dict[str, object]:
    home = layout.node(node)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{layout.pki}/kubelet-{node.name}.crt",
        "tlsPrivateKeyFile": f"{layout.pki}/kubelet-{node.name}.key",
        "containerRuntimeEndpoint": f"unix://{home}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_ADDRESS],
        "maxPods": 100,
        "podLogsDir": f"{home}/podlogs",
        "serializeImagePulls": False,
        "imageMinimumGCAge": "24h",
        "imageGCHighThresholdPercent": 100,  # images come from nowhere but us: none may be collected
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 12,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "evictionPressureTransitionPeriod": "10s",
    }


def _proxy_config(layout: Layout, node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("kube-proxy"))},
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": node.name,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": [NODE_NETWORK],
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"masqueradeAll": True, "minSyncPeriod": "1s"},
    }
