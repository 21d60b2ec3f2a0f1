"""Where everything of the cluster is: directories, addresses, names.  Nothing is touched here.

Rule: each name the kernel sees (namespaces, interfaces, cgroups) begins with `selfheal` or `sh`, and each address
lies in 10.89/24, 10.97/16 or 10.245/16, so that the harness can tell its own things from those of others and remove
no more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ASSETS = HERE / "assets"
MANIFESTS = HERE / "manifests"

SWITCH_NETNS = "selfheal-net"
"""The bridge's own namespace: in the host's it would be subject to the host's FORWARD rules (Docker drops)."""
BRIDGE = "shbr0"
HOST_LINK = "shhost"
HOST_ADDRESS = "10.89.0.254"
NODE_NETWORK = "10.89.0.0/24"
POD_NETWORK = "10.245.0.0/16"
SERVICE_NETWORK = "10.97.0.0/16"
API_SERVICE_ADDRESS = "10.97.0.1"
DNS_ADDRESS = "10.97.0.10"
DAEMON_CGROUP = "selfheal-daemons"
OWNER_FILE = Path("/run/selfheal-cluster.owner")
"""Names the state directory of the cluster that runs: names and addresses above allow for one on a machine."""


@dataclass(frozen=True)
class Node:
    """One node: a network namespace with its own containerd, kubelet and kube-proxy."""

    name: str
    address: str
    pod_network: str
    netns: str
    link: str
    cgroup: str


NODES = (
    Node("node1", "10.89.0.1", "10.245.0.0/24", "selfheal-node1", "shn1", "selfheal-node1"),
    Node("node2", "10.89.0.2", "10.245.1.0/24", "selfheal-node2", "shn2", "selfheal-node2"),
)
CONTROL = NODES[0]
"""The node whose namespace also holds etcd, API server, controllers and scheduler."""
API_URL = f"https://{CONTROL.address}:6443"


@dataclass(frozen=True)
class Layout:
    """The two directories a user may choose, and every path derived from them."""

    state: Path
    cache: Path

    @classmethod
    def from_environment(cls) -> Layout:
        """`SELFHEAL_CLUSTER_STATE` and `SELFHEAL_CLUSTER_CACHE`, or /tmp and ~/.cache of the invoking user."""
        state = os.environ.get("SELFHEAL_CLUSTER_STATE") or "/tmp/selfheal-cluster"
        cache = os.environ.get("SELFHEAL_CLUSTER_CACHE") or "~/.cache/selfheal-cluster"
        return cls(Path(state).expanduser().resolve(), Path(cache).expanduser().resolve())

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log file per daemon, and the API server's audit log."""
        return self.state / "log"

    @property
    def audit_log(self) -> Path:
        """JSON lines, one per finished request."""
        return self.logs / "audit.log"

    def kubeconfig(self, user: str) -> Path:
        """Kubeconfig of one identity (`admin`, `healer`, `human`, `observer`, ...)."""
        return self.state / f"{user}.conf"

    def node(self, node: Node) -> Path:
        """What belongs to one node: containerd's root, kubelet's root, CNI configuration."""
        return self.state / node.name
