"""Certificates and kubeconfigs, made with openssl.

Rule: a pair is trusted only when its stamp (subject, names, digest of the CA) is there and right; the stamp is
written last, so a pair cut off in the middle is made anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.harness.layout import API_SERVICE_ADDRESS, API_URL, CONTROL, NODES, Layout
from tests.cluster.harness.processes import run

DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """A certificate: its file name, its subject (CN is the user, O the group) and the names it serves under."""

    name: str
    subject: str
    alternative_names: tuple[str, ...] = ()

    def stamp(self, ca_digest: str) -> str:
        """What the pair was made from."""
        return "\n".join((self.subject, *self.alternative_names, ca_digest))


SERVER_NAMES = (
    "DNS:localhost",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
    "IP:127.0.0.1",
)
USERS = (
    Identity("admin", "/O=system:masters/CN=admin"),
    Identity("human", "/O=system:masters/CN=human"),
    Identity("observer", "/CN=observer"),
    Identity("healer", "/CN=healer"),
    Identity("kube-controller-manager", "/CN=system:kube-controller-manager"),
    Identity("kube-scheduler", "/CN=system:kube-scheduler"),
    Identity("kube-proxy", "/CN=system:kube-proxy"),
    *(
        Identity(f"kubelet-{n.name}", f"/O=system:nodes/CN=system:node:{n.name}", (f"DNS:{n.name}", f"IP:{n.address}"))
        for n in NODES
    ),
)
SERVERS = (
    Identity("apiserver", "/CN=kube-apiserver", (*SERVER_NAMES, f"IP:{API_SERVICE_ADDRESS}", f"IP:{CONTROL.address}")),
    Identity("front-proxy", "/CN=front-proxy"),
)


def make_all(layout: Layout) -> None:
    """After it: a CA, the service account key, every pair and every kubeconfig are there.  Repeatable."""
    layout.pki.mkdir(parents=True, exist_ok=True)
    layout.pki.chmod(0o700)
    _make_ca(layout)
    _make_service_account_key(layout)
    for identity in (*USERS, *SERVERS):
        make_pair(layout, identity)
    for user in USERS:
        _write_kubeconfig(layout, user.name)


def mint_run_identity(layout: Layout, run: str) -> Path:
    """A kubeconfig of user `healer` whose extra group names the run: the audit log then tells this healer from others.

    Authorization goes by the user, so it may do just what `healer.conf` may.  `forget_run_identity` removes it.
    """
    identity = Identity(f"healer-{run}", f"/O={run_group(run)}/CN=healer")
    make_pair(layout, identity)
    _write_kubeconfig(layout, identity.name)
    return layout.kubeconfig(identity.name)


def forget_run_identity(layout: Layout, run: str) -> None:
    """Remove the run's key, certificate and kubeconfig."""
    layout.kubeconfig(f"healer-{run}").unlink(missing_ok=True)
    for suffix in ("key", "csr", "ext", "crt", "stamp"):
        (layout.pki / f"healer-{run}.{suffix}").unlink(missing_ok=True)


def run_group(run: str) -> str:
    """The group that marks the run's healer."""
    return f"selfheal-run-{run}"


def make_pair(layout: Layout, identity: Identity) -> None:
    """After it the identity's key and certificate (`NAME.key`, `NAME.crt`), signed by the cluster's CA, are there."""
    pki, name = layout.pki, identity.name
    stamp = identity.stamp(hashlib.sha256((pki / "ca.crt").read_bytes()).hexdigest())
    stamp_file = pki / f"{name}.stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp:
        return
    run(
        "openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", identity.subject, "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.csr",
    )  # fmt: skip
    extensions = ["extendedKeyUsage=serverAuth,clientAuth"]
    if identity.alternative_names:
        extensions.append("subjectAltName=" + ",".join(identity.alternative_names))
    (pki / f"{name}.ext").write_text("\n".join(extensions) + "\n")
    run(
        "openssl", "x509", "-req", "-in", pki / f"{name}.csr", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key",
        "-CAcreateserial", "-days", DAYS, "-extfile", pki / f"{name}.ext", "-out", pki / f"{name}.crt",
    )  # fmt: skip
    stamp_file.write_text(stamp)


def make_user(layout: Layout, identity: Identity, namespace: str = "") -> Path:
    """A kubeconfig for the identity, whose commands go to `namespace` when they name none."""
    make_pair(layout, identity)
    _write_kubeconfig(layout, identity.name, namespace)
    return layout.kubeconfig(identity.name)


def _make_ca(layout: Layout) -> None:
    pki = layout.pki
    if (pki / "ca.stamp").exists():
        return
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS,
        "-subj", "/CN=selfheal-cluster-ca", "-keyout", pki / "ca.key", "-out", pki / "ca.crt",
    )  # fmt: skip
    (pki / "ca.stamp").touch()


def _make_service_account_key(layout: Layout) -> None:
    key, public = layout.pki / "sa.key", layout.pki / "sa.pub"
    if public.exists() and public.stat().st_size:
        return
    run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key)
    run("openssl", "ec", "-in", key, "-pubout", "-out", public)


def _write_kubeconfig(layout: Layout, user: str, namespace: str = "") -> None:
    """JSON is YAML; the context carries the user's name so that a prompt shows who one is."""

    def embedded(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": user,
        "clusters": [
            {"name": "selfheal", "cluster": {"server": API_URL, "certificate-authority-data": embedded("ca.crt")}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": embedded(f"{user}.crt"),
                    "client-key-data": embedded(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": user, "context": {"cluster": "selfheal", "user": user, "namespace": namespace}}],
    }
    path = layout.kubeconfig(user)
    half = path.with_suffix(".half")
    half.touch(mode=0o600)
    half.write_text(json.dumps(config, indent=1))
    half.replace(path)
