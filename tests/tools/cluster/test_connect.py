from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.tools.cluster.hostile import HostileServer, JumpClock, Reply, Request, pod
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.client import Cluster, NoConfiguration
from tools.cluster.connect import find_settings, open_transport
from tools.cluster.resources import POD
from tools.errors import ToolError, Unreachable

RULES = AllowList(READ_RULES)


async def a_pod(_: Request, reply: Reply) -> None:
    await reply.json(200, pod("a", 1))


@dataclass
class Tls:
    """A throw-away authority with one server certificate for 127.0.0.1."""

    folder: Path

    def __post_init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        now = datetime.now(UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
                    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
                ),
                critical=True,
            )
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = self.folder / "ca.crt"
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file = self.folder / "server.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(self.ca, key_file)


def kubeconfig(path: Path, server: str, *, user: str = "{token: abc}", context: str = "main") -> Path:
    path.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: {context}
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {user}}}]
contexts: [{{name: main, context: {{cluster: c, user: u}}}}, {{name: other, context: {{cluster: c, user: nobody}}}}]
"""
    )
    return path


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig of the developer, and not the pod we may be running in."""
    for name in (
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "http_proxy",
        "HTTP_PROXY",
        "NETRC",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


async def test_named_kubeconfig(tmp_path: Path) -> None:
    async with HostileServer(a_pod) as server:
        path = kubeconfig(tmp_path / "config", server.url)
        async with await Cluster.connect(kubeconfig=path, allowlist=RULES, user_agent="selfheal/1") as cluster:
            await cluster.get(POD, "a", "shop")
            assert server.requests[0].headers["authorization"] == "Bearer abc"
            assert server.requests[0].headers["user-agent"] == "selfheal/1"


@pytest.mark.parametrize("by", ["KUBECONFIG", "home"])
async def test_default_kubeconfig_is_looked_up_when_we_connect(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HostileServer(a_pod) as server:
        if by == "KUBECONFIG":
            first = tmp_path / "absent"
            monkeypatch.setenv("KUBECONFIG", f"{first}:{kubeconfig(tmp_path / 'config', server.url)}")
        else:
            (tmp_path / "home" / ".kube").mkdir(parents=True)
            kubeconfig(tmp_path / "home" / ".kube" / "config", server.url)
        async with await Cluster.connect(allowlist=RULES) as cluster:
            assert cluster.host == server.url


async def test_nothing_is_configured(tmp_path: Path) -> None:
    with pytest.raises(NoConfiguration, match="name a kubeconfig, set KUBECONFIG, or run inside a pod"):
        await Cluster.connect(allowlist=RULES)
    with pytest.raises(NoConfiguration, match="missing"):
        await Cluster.connect(kubeconfig=tmp_path / "missing", allowlist=RULES)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("{", "no YAML"),
        ("- a", "a list"),
        ("kind: Config", "nothing in it"),
        ("current-context: x\ncontexts: []\nclusters: []\nusers: []", "a context that is not there"),
    ],
)
async def test_broken_kubeconfig(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ToolError, match="check it with kubectl"):
        await Cluster.connect(kubeconfig=path, allowlist=RULES)


async def test_unknown_context_and_bad_server(tmp_path: Path) -> None:
    good = kubeconfig(tmp_path / "good", "http://127.0.0.1:1")
    with pytest.raises(NoConfiguration, match="nowhere"):
        await Cluster.connect(kubeconfig=good, context="nowhere", allowlist=RULES)
    bad = kubeconfig(tmp_path / "bad", "127.0.0.1:1")
    with pytest.raises(NoConfiguration, match="https://HOST:PORT"):
        await Cluster.connect(kubeconfig=bad, allowlist=RULES)


async def test_kubeconfig_token_file_is_read_again(tmp_path: Path) -> None:
    token, clock = tmp_path / "token", JumpClock()
    token.write_text("one")
    async with HostileServer(a_pod) as server:
        path = kubeconfig(tmp_path / "config", server.url, user=f"{{tokenFile: {token}}}")
        settings = await find_settings(path, None, clock=clock)
        transport, gate = await open_transport(settings, RULES, "selfheal")
        async with Cluster(settings.host, transport, gate) as cluster:
            await cluster.get(POD, "a", "shop")
            token.write_text("two")
            await cluster.get(POD, "a", "shop")
            clock.elapsed += 61
            await cluster.get(POD, "a", "shop")
            token.unlink()
            clock.elapsed += 61
            await cluster.get(POD, "a", "shop")
            sent = [request.headers["authorization"] for request in server.requests]
            assert sent == ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]


async def test_password_file_of_the_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with HostileServer(a_pod) as server:
        for user, sent in (("{token: abc}", "Bearer abc"), ("{}", None)):
            path = kubeconfig(tmp_path / "config", server.url, user=user)
            async with await Cluster.connect(kubeconfig=path, allowlist=RULES) as cluster:
                await cluster.get(POD, "a", "shop")
                assert server.requests[-1].headers.get("authorization") == sent


@pytest.mark.parametrize(
    ("user", "sent"), [("{token: abc}", "Bearer abc"), ("{}", "Basic aGVhbGVyOmh1bnRlcjI=")], ids=["token", "no token"]
)
async def test_password_in_the_address_is_used_but_not_shown(user: str, sent: str, tmp_path: Path) -> None:
    async with HostileServer(a_pod) as server:
        path = kubeconfig(tmp_path / "config", server.url.replace("//", "//healer:hunter2@"), user=user)
        async with await Cluster.connect(kubeconfig=path, allowlist=RULES) as cluster:
            await cluster.get(POD, "a", "shop")
            assert server.requests[0].headers["authorization"] == sent
            assert cluster.host == server.url


async def test_password_in_the_address_outlives_the_renewal_of_credentials(tmp_path: Path) -> None:
    clock = JumpClock()
    async with HostileServer(a_pod) as server:
        path = kubeconfig(tmp_path / "config", server.url.replace("//", "//healer:hunter2@"), user="{}")
        settings = await find_settings(path, None, clock=clock)
        transport, gate = await open_transport(settings, RULES, "selfheal")
        async with Cluster(settings.host, transport, gate) as cluster:
            for _ in range(3):
                clock.elapsed += 61
                await cluster.get(POD, "a", "shop")
                assert server.requests[-1].headers["authorization"] == "Basic aGVhbGVyOmh1bnRlcjI="
            assert cluster.host == server.url


@pytest.mark.parametrize(("no_proxy", "target"), [("", "proxied"), ("127.0.0.1", "direct")])
async def test_proxy_of_the_environment(
    no_proxy: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HostileServer(a_pod) as server, HostileServer(a_pod) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", no_proxy)
        path = kubeconfig(tmp_path / "config", server.url)
        async with await Cluster.connect(kubeconfig=path, allowlist=RULES) as cluster:
            await cluster.get(POD, "a", "shop")
        assert (len(proxy.requests), len(server.requests)) == ((1, 0) if target == "proxied" else (0, 1))
        assert all(r.target == f"{server.url}/api/v1/namespaces/shop/pods/a" for r in proxy.requests)


@asynccontextmanager
async def in_cluster(folder: Path, server: HostileServer, clock: JumpClock) -> AsyncIterator[Cluster]:
    host, port = server.url.removeprefix("http://").split(":")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "KUBECONFIG": "/must/not/be/read"}
    settings = await find_settings(None, None, environ=environ, service_account=folder, clock=clock)
    transport, gate = await open_transport(settings, RULES, "selfheal")
    async with Cluster(settings.host, transport, gate) as cluster:
        yield cluster


async def test_service_account_files_with_a_token_that_rotates(tmp_path: Path) -> None:
    tls, clock = Tls(tmp_path / "sa"), JumpClock()
    (tls.folder / "token").write_text("first\n")
    async with HostileServer(a_pod, tls=tls.context) as server, in_cluster(tls.folder, server, clock) as cluster:
        assert cluster.host == server.url.replace("http://", "https://")
        await cluster.get(POD, "a", "shop")
        (tls.folder / "token").write_text("second\n")
        clock.elapsed += 59
        await cluster.get(POD, "a", "shop")
        clock.elapsed += 2
        await cluster.get(POD, "a", "shop")
        sent = [request.headers["authorization"] for request in server.requests]
        assert sent == ["Bearer first", "Bearer first", "Bearer second"]


async def test_server_that_another_authority_vouches_for(tmp_path: Path) -> None:
    ours, theirs = Tls(tmp_path / "ours"), Tls(tmp_path / "theirs")
    (ours.folder / "token").write_text("secret")
    async with (
        HostileServer(a_pod, tls=theirs.context) as server,
        in_cluster(ours.folder, server, JumpClock()) as cluster,
    ):
        with pytest.raises(Unreachable, match="certificate-authority"):
            await cluster.get(POD, "a", "shop")
        assert server.requests == [], "the token must not reach a server we do not trust"


@pytest.mark.parametrize("spoil", ["no authority", "empty token"])
async def test_incomplete_service_account(spoil: str, tmp_path: Path) -> None:
    tls = Tls(tmp_path / "sa")
    (tls.folder / "token").write_text(" \n" if spoil == "empty token" else "t")
    if spoil == "no authority":
        tls.ca.unlink()
    with pytest.raises(NoConfiguration, match="mount"):
        await find_settings(
            None, None, environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, service_account=tls.folder, clock=JumpClock()
        )


async def test_address_of_an_ipv6_service(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "sa")
    (tls.folder / "token").write_text("t")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    settings = await find_settings(None, None, environ=environ, service_account=tls.folder)
    assert settings.host == "https://[fd00::1]:6443"
