"""The client against a server that speaks the protocol, well and badly: one request, and a coded error."""

from __future__ import annotations

import gzip
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.tools.cluster.hostile import Answer, HostileServer, Reply, Request
from tests.tools.executors.argocd.documents import NEW, OLD, app, operation_state, windows
from tests.tools.executors.argocd.double import SHOP, TOKEN, ArgoDouble, argo
from tools.errors import Conflict, Denied, Invalid, NotFound, Overloaded, ToolError, Undecodable, Unreachable
from tools.executors.argocd.application import operation
from tools.executors.argocd.client import AppRef, ArgoClient, ArgoConfig, SyncRequest, open_client
from tools.executors.argocd.decisions import Gate, gate
from tools.executors.argocd.faults import Misconfigured

# --- what it is for -------------------------------------------------------------------------------------------------


async def test_an_application_is_read(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, _, server):
        assert await client.application(SHOP) == app(sync="OutOfSync")
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/api/v1/applications/shop")
    assert request.query == {"appNamespace": "argocd", "project": "default"}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(("is_hard", "word"), [(False, "normal"), (True, "hard")])
async def test_a_refresh_gives_the_application_afterwards(tmp_path: Path, is_hard: bool, word: str) -> None:
    async with argo(tmp_path) as (client, _, server):
        found = await client.refresh(SHOP, is_hard=is_hard)
    assert server.requests[0].query["refresh"] == word
    assert found["status"]["reconciledAt"] == "2026-03-01T13:00:00Z"  # type: ignore[index,call-overload]


async def test_a_sync_is_ordered_with_our_mark_and_never_prunes(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, double, server):
        found = await client.sync(SHOP, SyncRequest(revision=OLD, info={"selfheal.dev/action-id": "act-1"}))
    ordered = operation(found)
    assert ordered.is_under_way
    assert ordered.revisions == (OLD,)
    assert ordered.info == {"selfheal.dev/action-id": "act-1"}
    assert server.requests[0].json()["prune"] is False
    assert double.apps["argocd", "shop"]["operation"]["sync"]["prune"] is False


async def test_a_rollback_is_ordered_by_the_number_in_the_history(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, _, server):
        assert operation(await client.rollback(SHOP, 2)).revisions == (OLD,)
    sent = server.requests[0].json()
    assert (sent["id"], sent["prune"], sent["dryRun"]) == (2, False, False)


async def test_a_running_operation_is_stopped(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, double, _):
        double.put(app(ordered={"sync": {}}, status={"operationState": operation_state("Running")}))
        await client.terminate(SHOP)
        assert double.apps["argocd", "shop"]["status"]["operationState"]["phase"] == "Terminating"


async def test_windows_project_rights_and_version_are_read(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, double, server):
        double.windows = windows(can_sync=False)
        double.denied = {"sync"}
        assert gate(await client.sync_windows(SHOP)) is Gate.CLOSED
        assert (await client.project("default"))["metadata"] == {"name": "default"}
        assert [await client.can("get", SHOP), await client.can("sync", SHOP)] == [True, False]
        assert await client.can("get", AppRef("cart", "team", "p"))
        assert await client.version() == "v3.2.11"
    assert [r.path for r in server.requests][-2:] == [
        "/api/v1/account/can-i/applications/get/p/team/cart",
        "/api/version",
    ]


async def test_an_argo_cd_below_a_path_is_found(tmp_path: Path) -> None:
    async with argo(tmp_path, prefix="/argo/") as (client, double, server):
        double.fault = answering(200, b'{"Version": "v3"}')
        await client.version()
    assert server.requests[0].path == "/argo/api/version"


# --- what it refuses ------------------------------------------------------------------------------------------------


async def test_what_argo_cd_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, double, _):
        double.windows = windows(can_sync=False)
        with pytest.raises(Denied, match="blocked by sync window"):
            await client.sync(SHOP, SyncRequest())
        double.put(app(automated={}))
        with pytest.raises(Conflict, match="auto-sync is enabled"):
            await client.rollback(SHOP, 2)
        double.put(app())
        with pytest.raises(Invalid, match="does not have deployment with id 99"):
            await client.rollback(SHOP, 99)
        with pytest.raises(Invalid, match="No operation is in progress"):
            await client.terminate(SHOP)
        double.put(app(ordered={"sync": {}}))
        double.windows = windows()
        with pytest.raises(Conflict, match="another operation is already in progress"):
            await client.sync(SHOP, SyncRequest())
        with pytest.raises(NotFound, match="not found"):
            await client.application(AppRef("other", "argocd", "default"))
        with pytest.raises(Denied):
            await client.application(AppRef("shop", "argocd", "other"))


# --- faults ---------------------------------------------------------------------------------------------------------


def answering(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    async def answer(_: Request, reply: Reply) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await reply.send(status, body, headers=named)

    return answer


def raw(data: bytes, *, then: str = "cut") -> Answer:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.raw(data)
        await getattr(reply, then)()

    return answer


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
HALF = HEAD + b"Content-Length: 500\r\n\r\n" + b'{"metadata": {'
ENDLESS = HEAD + b"Content-Length: 100000000\r\n\r\n" + b" " * 2**20
OTHER_APP = b'{"metadata": {"name": "other", "namespace": "argocd", "uid": "u"}, "spec": {"project": "default"}}'
NO_UID = b'{"metadata": {"name": "shop", "namespace": "argocd"}, "spec": {"project": "default"}}'
NO_SPEC = b'{"metadata": {"name": "shop", "namespace": "argocd", "uid": "u"}}'

# What a read says, and what a write says.  A write is Unreachable wherever it may have happened.
FAULTS: dict[str, tuple[Answer, type[ToolError], type[ToolError]]] = {
    "401": (answering(401), Denied, Denied),
    "403": (answering(403), Denied, Denied),
    "404": (answering(404), NotFound, NotFound),
    "408": (answering(408), Overloaded, Unreachable),
    "409": (answering(409), Conflict, Conflict),
    "400": (answering(400, b'{"message": "no", "code": 3}'), Invalid, Invalid),
    "400 about the state": (answering(400, b'{"message": "no", "code": 9}'), Conflict, Conflict),
    "413": (answering(413), Invalid, Invalid),
    "429": (answering(429), Overloaded, Overloaded),
    "500": (answering(500, b'{"message": "boom", "code": 13}'), Overloaded, Unreachable),
    "502 in HTML": (answering(502, b"<html>Bad Gateway</html>"), Overloaded, Unreachable),
    "503": (answering(503), Overloaded, Unreachable),
    "504": (answering(504), Overloaded, Unreachable),
    "301": (answering(301, b"", Location="/elsewhere"), Undecodable, Undecodable),
    "302 to another host": (answering(302, b"", Location="http://169.254.169.254/"), Undecodable, Undecodable),
    "307, which keeps the method": (answering(307, b"", Location="/again"), Undecodable, Undecodable),
    "broken JSON": (answering(200, b'{"metadata": {"name": "shop"'), Undecodable, Unreachable),
    "HTML of a login page": (answering(200, b"<html>Sign in</html>"), Undecodable, Unreachable),
    "JSON that is no object": (answering(200, b"[]"), Undecodable, Unreachable),
    "an empty body": (answering(200, b""), Undecodable, Unreachable),
    "204": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), Undecodable, Unreachable),
    "an empty object": (answering(200, b"{}"), Undecodable, Unreachable),
    "another application": (answering(200, OTHER_APP), Undecodable, Unreachable),
    "an application without a uid": (answering(200, NO_UID), Undecodable, Unreachable),
    "an application without a spec": (answering(200, NO_SPEC), Undecodable, Unreachable),
    "not UTF-8": (answering(200, b'{"metadata": "\xff"}'), Undecodable, Unreachable),
    "nested without end": (answering(200, b"[" * 100_000), Undecodable, Unreachable),
    "compressed": (answering(200, gzip.compress(b"{}"), Content_Encoding="gzip"), Undecodable, Unreachable),
    "more than anybody wants": (raw(ENDLESS * 20), Undecodable, Unreachable),
    "half an answer": (raw(HALF), Unreachable, Unreachable),
    "half an answer, then a reset": (raw(HALF, then="reset"), Unreachable, Unreachable),
    "half an answer, then silence": (raw(HALF, then="silence"), Unreachable, Unreachable),
    "half a head": (raw(b"HTTP/1.1 200 O"), Unreachable, Unreachable),
    "no answer at all": (raw(b""), Unreachable, Unreachable),
    "a reset": (raw(b"", then="reset"), Unreachable, Unreachable),
    "silence": (raw(b"", then="silence"), Unreachable, Unreachable),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Unreachable, Unreachable),
}  # fmt: skip
CALLS: dict[str, tuple[Callable[[ArgoClient], Awaitable[object]], bool]] = {
    "read": (lambda client: client.application(SHOP), False),
    "sync": (lambda client: client.sync(SHOP, SyncRequest(revision=NEW)), True),
}


def patience(fault: str) -> float:
    """Seconds: only silence is waited for; anything else comes, however busy the machine is."""
    return 0.2 if fault.endswith("silence") else 20


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_a_coded_error_after_one_request(tmp_path: Path, fault: str, call: str) -> None:
    answer, read, write = FAULTS[fault]
    make, is_write = CALLS[call]
    async with argo(tmp_path, timeout=patience(fault)) as (client, double, server):
        double.fault = answer
        with pytest.raises(ToolError) as caught:
            await make(client)
        assert type(caught.value) is (write if is_write else read), caught.value
        assert len(server.requests) == 1
        assert TOKEN not in str(caught.value)
        if is_write and write is Unreachable:
            assert "it may have happened" in str(caught.value)


@pytest.mark.parametrize(
    "fault", ["broken JSON", "an empty body", "500", "half an answer", "silence", "a reset", "429"]
)
async def test_the_other_calls_do_not_guess_either(tmp_path: Path, fault: str) -> None:
    others: list[Callable[[ArgoClient], Awaitable[object]]] = [
        lambda client: client.refresh(SHOP),
        lambda client: client.rollback(SHOP, 2),
        lambda client: client.terminate(SHOP),
        lambda client: client.sync_windows(SHOP),
        lambda client: client.project("default"),
        lambda client: client.can("sync", SHOP),
        lambda client: client.version(),
    ]
    async with argo(tmp_path, timeout=patience(fault)) as (client, double, server):
        double.fault = FAULTS[fault][0]
        for make in others:
            with pytest.raises(ToolError):
                await make(client)
        assert len(server.requests) == len(others)


@pytest.mark.parametrize("body", [b"{}", b'{"value": "maybe"}', b'{"Version": ""}', b'{"metadata": {"name": "x"}}'])
async def test_an_answer_that_says_something_else_is_no_answer(tmp_path: Path, body: bytes) -> None:
    async with argo(tmp_path) as (client, double, _):
        double.fault = answering(200, body)
        for make in (client.can("sync", SHOP), client.version(), client.project("default")):
            with pytest.raises(Undecodable):
                await make


DELAYS = {"7": 7.0, "0": None, "": None, "-1": None, "soon": None, "999999999": 300.0, "9" * 50: None}


@pytest.mark.parametrize(("text", "seconds"), DELAYS.items(), ids=DELAYS)
async def test_retry_after_is_believed_within_bounds(tmp_path: Path, text: str, seconds: float | None) -> None:
    async with argo(tmp_path) as (client, double, _):
        double.fault = answering(429, Retry_After=text)
        with pytest.raises(Overloaded) as caught:
            await client.application(SHOP)
    assert caught.value.delay == (timedelta(seconds=seconds) if seconds is not None else None)


async def test_a_redirect_takes_the_token_nowhere(tmp_path: Path) -> None:
    async with HostileServer(ArgoDouble().answer) as other, argo(tmp_path) as (client, double, _):
        double.fault = answering(302, b"", Location=other.url + "/api/v1/applications/shop")
        with pytest.raises(Undecodable, match="never follow"):
            await client.application(SHOP)
        assert other.requests == []


async def test_nobody_listens(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, _, server):
        await server.__aexit__(None, None, None)
        with pytest.raises(Unreachable, match="no connection"):
            await client.sync(SHOP, SyncRequest())
        await server.__aenter__()


async def test_secrets_in_an_error_of_the_server_are_hidden(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, double, _):
        double.fault = answering(500, b'{"message": "clone https://bot:hunter2hunter2@git.example/x failed"}')
        with pytest.raises(Overloaded) as caught:
            await client.application(SHOP)
    assert "hunter2" not in str(caught.value)


# --- the token ------------------------------------------------------------------------------------------------------


async def test_a_token_that_was_exchanged_is_read_again(tmp_path: Path) -> None:
    async with argo(tmp_path) as (client, double, server):
        await client.version()
        double.tokens = {"another-t0ken"}
        with pytest.raises(Denied):
            await client.version()
        (tmp_path / "new").write_text("another-t0ken")
        (tmp_path / "new").rename(tmp_path / "token")
        assert await client.version()
    assert [r.headers["authorization"] for r in server.requests][-1] == "Bearer another-t0ken"
    assert len(server.requests) == 3, "a refused token is not tried again by itself"


BAD_TOKENS = {
    "nothing": b"",
    "only white space": b" \n",
    "two lines": b"first-t0ken\nsecond-t0ken\n",
    "a header in it": b"t0ken-t0ken\r\nX-Evil: 1",
    "no text": b"\xff\xfe\x00\x01\xff\xfe\x00\x01",
    "far too long": b"x" * 20_000,
}


@pytest.mark.parametrize("contents", BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_a_file_without_a_token_sends_nothing(tmp_path: Path, contents: bytes) -> None:
    async with argo(tmp_path) as (client, _, server):
        (tmp_path / "token").write_bytes(contents)
        with pytest.raises(Misconfigured, match="one line") as caught:
            await client.version()
        assert server.requests == []
    assert "t0ken" not in str(caught.value)


async def test_a_missing_token_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        async with open_client(ArgoConfig("https://argocd.example", tmp_path / "none")):
            pass


# --- the address ----------------------------------------------------------------------------------------------------

ADDRESSES = [
    "http://argocd.example",
    "ftp://argocd.example",
    "file:///var/run/secrets/token",
    "gopher://argocd.example",
    "argocd.example",
    "",
    "https://",
    "https://argocd.example@evil.example",
    "https://user:secret@argocd.example",
    "https://argocd.example?x=1",
    "https://argocd.example#x",
    "https://169.254.169.254/",
    "https://[::ffff:169.254.169.254]/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0.0.0.0/",
    "https://argo cd.example",
    "https://argocd.example:99999",
]


@pytest.mark.parametrize("url", ADDRESSES)
async def test_what_is_no_address_of_an_argo_cd(tmp_path: Path, url: str) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with pytest.raises(Misconfigured, match="https"):
        async with open_client(ArgoConfig(url, tmp_path / "token")):
            pass


@pytest.mark.parametrize("name", ["../x", "a/b", "a?b", "A", "", "a" * 300, "a%2fb", "a\nb"])
async def test_a_name_that_is_none_is_never_sent(tmp_path: Path, name: str) -> None:
    async with argo(tmp_path) as (client, _, server):
        with pytest.raises(Misconfigured):
            await client.application(AppRef(name, "argocd", "default"))
        with pytest.raises(Misconfigured):
            await client.project(name)
        assert server.requests == []


def certificate(folder: Path) -> ssl.SSLContext:
    """A server certificate for 127.0.0.1, signed by itself; `ca.pem` is what to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "argocd")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def test_tls_is_verified_against_the_ca_file_and_never_left_out(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    async with HostileServer(ArgoDouble().answer, certificate(tmp_path)) as server:
        url = server.url.replace("http://", "https://")
        async with open_client(ArgoConfig(url, tmp_path / "token", ca_file=tmp_path / "ca.pem")) as client:
            assert await client.version() == "v3.2.11"
        async with open_client(ArgoConfig(url, tmp_path / "token")) as client:
            with pytest.raises(Unreachable, match="check the CA file"):
                await client.version()
    assert len(server.requests) == 1


async def test_a_ca_file_that_holds_no_certificate_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    for name in ("token", "none"):
        with pytest.raises(Misconfigured, match="no certificates"):
            async with open_client(ArgoConfig("https://argocd.example", tmp_path / "token", ca_file=tmp_path / name)):
                pass
