"""The network: one bridge in a namespace of its own, a leg to the host and one to each node's namespace.

::

    host 10.89.0.254 ──┐
    node1 10.89.0.1  ──┼── shbr0 (in namespace selfheal-net)
    node2 10.89.0.2  ──┘

Pods get 10.245.N.0/24 behind their node; nodes and host have routes to them, and the host to the services through
node1.

Rule: each step looks first and makes only what is missing, so a start that was cut off anywhere is completed by the
next. All traffic stays on this machine: the nodes' default route ends at the host, which does not masquerade.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cluster.harness.layout import (
    BRIDGE,
    HOST_ADDRESS,
    HOST_LINK,
    NODES,
    SERVICE_NETWORK,
    SWITCH_NETNS,
    Node,
)
from tests.cluster.harness.processes import run, succeeds


def make() -> None:
    """After it: every namespace, link, address and route of the picture above is there."""
    _ensure_netns(SWITCH_NETNS)
    if not _has_link(SWITCH_NETNS, BRIDGE):
        run("ip", "-n", SWITCH_NETNS, "link", "add", BRIDGE, "type", "bridge")
    run("ip", "-n", SWITCH_NETNS, "link", "set", BRIDGE, "up")
    _ensure_leg(None, HOST_LINK, HOST_ADDRESS)
    for node in NODES:
        _ensure_netns(node.netns)
        _ensure_leg(node.netns, node.link, node.address)
        for server in name_servers():
            if server not in run("ip", "-n", node.netns, "addr", "show", "dev", "lo"):
                run("ip", "-n", node.netns, "addr", "add", f"{server}/32", "dev", "lo")
    for node in NODES:
        _route_node(node)
    run("ip", "route", "replace", SERVICE_NETWORK, "via", NODES[0].address)
    _raise_inotify_limit()


def name_servers() -> list[str]:
    """The machine's IPv4 name servers, in order.  A node has the same addresses on its own loopback, with a resolver of
    its own behind them: an image of a registry that does not exist then fails as it does anywhere ("no such host",
    at once) and not after the ten seconds that a name server takes which no node can reach."""
    words = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    return [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and ":" not in w[1]]


def remove() -> None:
    """After it: nothing of `make` is left.  A namespace takes its links along, and each link its peer."""
    for name in (*(n.netns for n in NODES), SWITCH_NETNS):
        if Path("/run/netns", name).exists():
            run("ip", "netns", "delete", name)
    if _has_link(None, HOST_LINK):
        run("ip", "link", "delete", HOST_LINK)


def remnants() -> list[str]:
    """Names of what `make` made and is still there."""
    spaces = [n for n in (*(n.netns for n in NODES), SWITCH_NETNS) if Path("/run/netns", n).exists()]
    return spaces + ([HOST_LINK] if _has_link(None, HOST_LINK) else [])


def _ip(netns: str | None) -> tuple[str, ...]:
    return ("ip",) if netns is None else ("ip", "-n", netns)


def _has_link(netns: str | None, link: str) -> bool:
    return succeeds(*_ip(netns), "link", "show", "dev", link)


def _ensure_netns(name: str) -> None:
    """A file of that name may be left from before a reboot and be no namespace; then it is made anew."""
    if Path("/run/netns", name).exists() and not succeeds("ip", "netns", "exec", name, "true"):
        Path("/run/netns", name).unlink()
    if not Path("/run/netns", name).exists():
        run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")


def _ensure_leg(netns: str | None, link: str, address: str) -> None:
    """A veth pair: `link` with the address on this side, `link`-b on the bridge."""
    port = f"{link}-b"
    if not (_has_link(netns, link) and _has_link(SWITCH_NETNS, port)):
        for space, name in ((netns, link), (SWITCH_NETNS, port)):  # half a pair is of no use
            if _has_link(space, name):
                run(*_ip(space), "link", "delete", name)
        # Both ends are born where they belong: there is no moment in which a link lies about in another namespace.
        home = netns or str(os.getpid())
        run("ip", "-n", SWITCH_NETNS, "link", "add", port, "type", "veth", "peer", "name", link, "netns", home)
    run("ip", "-n", SWITCH_NETNS, "link", "set", port, "master", BRIDGE, "up")
    shown = json.loads(run(*_ip(netns), "-j", "addr", "show", "dev", link))
    if address not in [a.get("local") for entry in shown for a in entry.get("addr_info", [])]:
        run(*_ip(netns), "addr", "add", f"{address}/24", "dev", link)
    run(*_ip(netns), "link", "set", link, "up")


def _route_node(node: Node) -> None:
    run("ip", "-n", node.netns, "route", "replace", "default", "via", HOST_ADDRESS)
    for other in NODES:
        if other != node:
            run("ip", "-n", node.netns, "route", "replace", other.pod_network, "via", other.address)
    run("ip", "route", "replace", node.pod_network, "via", node.address)
    run("ip", "netns", "exec", node.netns, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def _raise_inotify_limit() -> None:
    """Two kubelets and two containerds need more inotify instances than the usual 128."""
    knob = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(knob.read_text()) < 2048:
        knob.write_text("2048")
