"""Argo CD as four processes: Redis, repo server, application controller, API server; the last three are one program.

It runs in the control node's network namespace, so that its ports are nobody else's, and serves its API there by TLS
with a certificate of the cluster's CA.  Its times are short: it compares every 20 s and heals after seconds.

Neighbours: `accounts` makes the tokens, `repository` the git repository, `manifests` what is applied.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.cluster.argocd import accounts
from tests.cluster.argocd.repository import Repository
from tests.cluster.harness.addon import Addon, answers
from tests.cluster.harness.certificates import Identity, make_pair
from tests.cluster.harness.gomodule import Source
from tests.cluster.harness.layout import CONTROL
from tests.cluster.harness.processes import succeeds
from tools.executors.argocd.client import ArgoConfig
from tools.jsontypes import JsonObject, JsonValue

VERSION = "3.2.11"
"""The last that compiles as a module: 3.2.12 does not, and from 3.3 on its engine is not served as one."""
PORT = 8483
REDIS_PORT, REPO_PORT = 8480, 8481
CONTROLLER_METRICS, REPO_METRICS, SERVER_METRICS = 8482, 8484, 8485
URL = f"https://{CONTROL.address}:{PORT}"
COMPARES_EVERY_S = 20
FORGIVES_S = 10
"""For so long a source that cannot be read is not told (its own value is 180 s)."""
_EMPTY_CONFIG = ("ssh-known-hosts-cm", "tls-certs-cm", "gpg-keys-cm", "cmd-params-cm")


class ArgoCD(Addon):
    """Argo CD, with plain YAML from repositories of this machine."""

    name = "argocd"
    title = "Argo CD"
    source = Source(
        "github.com/argoproj/argo-cd/v3",
        f"v{VERSION}",
        {"argocd": "cmd"},
        ldflags=f"-s -w -X github.com/argoproj/argo-cd/v3/common.version={VERSION}",
    )
    definitions = "manifests/crds"
    resources = ("applications.argoproj.io", "appprojects.argoproj.io", "applicationsets.argoproj.io")
    processes: ClassVar[tuple[str, ...]] = ("argocd-redis", "argocd-repo", "argocd-controller", "argocd-server")
    needs: ClassVar[Mapping[str, str]] = {"redis-server": "redis-server", "redis-cli": "redis-tools", "git": "git"}

    @property
    def ca(self) -> Path:
        """The certificate that signed the API server's."""
        return self.layout.pki / "ca.crt"

    def config(self, account: str = accounts.HEALER) -> ArgoConfig:
        """How the service reaches it, as one of the accounts."""
        return ArgoConfig(url=URL, token_file=self.token_file(account), namespace=self.name, ca_file=self.ca)

    def token_file(self, account: str = accounts.HEALER) -> Path:
        """The file with the account's API token."""
        return self.home / f"{account}.token"

    def repository(self, name: str) -> Repository:
        """A repository that it can read; made when it is not there."""
        return Repository(self.home / "git" / name)

    def _start(self, kubeconfig: Path) -> None:
        self.apply(*self._settings())
        self._start_redis()
        redis, repo = f"--redis=127.0.0.1:{REDIS_PORT}", f"--repo-server=127.0.0.1:{REPO_PORT}"
        common = [f"--kubeconfig={kubeconfig}", f"--namespace={self.name}", redis, repo, "--repo-server-plaintext"]
        self._part("repo-server", "argocd-repo", REPO_METRICS,
                   "--address=127.0.0.1", f"--port={REPO_PORT}", f"--metrics-address={CONTROL.address}",
                   f"--metrics-port={REPO_METRICS}", "--disable-tls", redis)  # fmt: skip
        self._part("application-controller", "argocd-controller", CONTROLLER_METRICS,
                   *common, f"--metrics-port={CONTROLLER_METRICS}", f"--app-resync={COMPARES_EVERY_S}",
                   "--app-resync-jitter=0", f"--repo-error-grace-period-seconds={FORGIVES_S}")  # fmt: skip
        # Its gateway speaks to itself by loopback, so one address is not enough.
        self.run("argocd-server", self.programs / "argocd",
                 *common, "--address=0.0.0.0", f"--port={PORT}", "--metrics-address=127.0.0.1",
                 f"--metrics-port={SERVER_METRICS}", holds=lambda: answers(f"{URL}/api/version", self.ca),
                 environment=self._environment("server"))  # fmt: skip
        accounts.mint_tokens(self)

    def _start_redis(self) -> None:
        self.run("argocd-redis", "redis-server", "--port", str(REDIS_PORT), "--bind", "127.0.0.1",
                 "--save", "", "--appendonly", "no", "--dir", self.home,
                 holds=lambda: succeeds("nsenter", f"--net=/run/netns/{CONTROL.netns}", "--",
                                        "redis-cli", "-p", str(REDIS_PORT), "ping"))  # fmt: skip

    def _part(self, part: str, process: str, metrics: int, *argv: str) -> None:
        """One of its servers; each says on its metrics port whether it is healthy."""
        self.run(process, self.programs / "argocd", *argv,
                 holds=lambda: answers(f"http://{CONTROL.address}:{metrics}/healthz"),
                 environment=self._environment(part))  # fmt: skip

    def _environment(self, part: str) -> dict[str, str]:
        """Which part it is, folders that its image would have, and the permission to call the cluster its own."""
        folders = {name: self.home / name for name in ("tls", "ssh", "gpg", "tmp")}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        return {
            "ARGOCD_BINARY_NAME": f"argocd-{part}",
            "KUBECONFIG": str(self.layout.kubeconfig(self.name)),  # for "its own cluster"; the flag is not enough
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_TLS_DATA_PATH": str(folders["tls"]),
            "ARGOCD_SSH_DATA_PATH": str(folders["ssh"]),
            "ARGOCD_GPG_DATA_PATH": str(folders["gpg"]),
            "ARGOCD_GNUPGHOME": str(folders["gpg"]),
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_RECONCILIATION_TIMEOUT": f"{COMPARES_EVERY_S}s",
            "TMPDIR": str(folders["tmp"]),
        }

    def _settings(self) -> list[JsonObject]:
        make_pair(self.layout, Identity("argocd-server", "/CN=argocd-server", (f"IP:{CONTROL.address}",)))
        pair = {end: (self.layout.pki / f"argocd-server.{end}").read_bytes() for end in ("crt", "key")}
        return [
            self._own("ConfigMap", "argocd-cm", data={
                **{f"accounts.{account}": "apiKey" for account in accounts.ALL},
                "timeout.reconciliation": f"{COMPARES_EVERY_S}s",
            }),
            self._own("ConfigMap", "argocd-rbac-cm", data={"policy.csv": accounts.POLICY}),
            *(self._own("ConfigMap", f"argocd-{name}") for name in _EMPTY_CONFIG),
            self._own("Secret", "argocd-secret"),
            self._own("Secret", "argocd-server-tls", type="kubernetes.io/tls", data={
                f"tls.{end}": base64.b64encode(content).decode() for end, content in pair.items()
            }),
        ]  # fmt: skip

    def _own(self, kind: str, name: str, **fields: JsonValue) -> JsonObject:
        """An object of its own, with the label by which it finds them."""
        labels = {"app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/name": name}
        metadata: JsonObject = {"name": name, "namespace": self.name, "labels": {**labels}}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}
