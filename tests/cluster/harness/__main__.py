"""python -m tests.cluster.harness build|up|down|wipe|status|kubeconfig

build       compile the cluster's programs into the cache (no root needed)
up          build if needed, start what does not run, wait until the cluster is usable
down        stop everything; data are kept
wipe        down, and remove the state directory
status      daemons, nodes, pods; exit code 1 when something is down
kubeconfig  print the path of a user's kubeconfig (--user admin|healer|human|observer)

Directories: SELFHEAL_CLUSTER_STATE (default /tmp/selfheal-cluster), SELFHEAL_CLUSTER_CACHE (default
~/.cache/selfheal-cluster).
Exit codes: 0 done, 1 failed, 3 the machine lacks something (one sentence says what).
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.cluster.argocd.system import ArgoCD
from tests.cluster.harness import build, preflight
from tests.cluster.harness.cluster import USER_KUBECONFIGS, Cluster
from tests.cluster.harness.layout import Layout
from tests.cluster.harness.processes import HarnessError
from tests.cluster.keda.system import Keda

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
"""Where runc, nft and ip are; not on everybody's PATH, and containerd looks for runc on the PATH it inherits."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.harness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("build", "up", "down", "wipe", "status", "kubeconfig"))
    parser.add_argument("--install", action="store_true", help="let apt-get install what is missing")
    parser.add_argument("--user", choices=USER_KUBECONFIGS, default="admin", help="for kubeconfig")
    options = parser.parse_args(argv)
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    cluster = Cluster(Layout.from_environment())
    try:
        return _command(options.command, cluster, install=options.install, user=options.user)
    except preflight.NotReadyError as lacking:
        print(f"cluster: {lacking}", file=sys.stderr)
        return 3
    except BrokenPipeError:  # the reader (head, grep -q) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 0
    except HarnessError as failed:
        print(f"cluster: {failed}", file=sys.stderr)
        return 1


def _command(command: str, cluster: Cluster, *, install: bool, user: str) -> int:
    match command:
        case "build":
            preflight.check_go()
            print(build.build(cluster.layout))
        case "up":
            preflight.check(install=install, needs_go=not build.is_built(cluster.layout))
            seconds = cluster.up()
            print(f"up in {seconds:.0f} s; export KUBECONFIG={cluster.layout.kubeconfig('admin')}")
        case "down":
            preflight.check(install=install, needs_go=False)
            _end_addons(cluster)
            cluster.down()
        case "wipe":
            preflight.check(install=install, needs_go=False)
            cluster.wipe()
        case "status":
            return _print_status(cluster)
        case _:
            path = cluster.layout.kubeconfig(user)
            if not path.exists():
                raise HarnessError(f"{path} does not exist: run `python -m tests.cluster.harness up` first")
            print(path)
    return 0


def _end_addons(cluster: Cluster) -> None:
    """What runs beside it goes first, while the API server can still be told."""
    for addon in (ArgoCD(cluster.layout), Keda(cluster.layout)):
        if any(process.pid is not None for process in addon.status()):
            addon.down()


def _print_status(cluster: Cluster) -> int:
    daemons = cluster.status()
    for daemon in daemons:
        print(f"{daemon.name:28} {'down' if daemon.pid is None else f'pid {daemon.pid}':14} {daemon.mebibytes:6} MiB")
    print(f"{'together':28} {'':14} {sum(d.mebibytes for d in daemons):6} MiB")
    if any(d.pid is None for d in daemons):
        return 1
    print(cluster.kubectl("get", "nodes,pods", "-A", "-o", "wide", "--request-timeout=5s"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
