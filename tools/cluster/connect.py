"""Where the API server is and who we are to it: kubeconfig, service account, or a plain address.

The rule: exactly one source is used and named in every complaint; nothing is guessed, and environment variables are
read when we connect, not when a module is imported.

Neighbours: `client.Cluster.connect` calls this; `transport` stands on the ApiClient made here.  This is the only module
that imports the `kubernetes` package.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol, cast
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import yaml
from yarl import URL

from tools.clock import Clock, SystemClock
from tools.cluster.allowlist import AllowList
from tools.cluster.faults import NoConfiguration
from tools.cluster.transport import CALL_TIMEOUT, Gate, RawClient, Transport

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CREDENTIALS_AGE: Final = 60.0
"""Seconds after which a token file or an exec plugin is asked again; the official loader uses the same minute."""


class Settings(Protocol):
    """The fields of `kubernetes.aio.client.Configuration` that are set here."""

    host: str
    api_key: dict[str, str]
    ssl_ca_cert: str | None
    proxy: str | None
    client_session_kwargs: dict[str, object] | None
    refresh_api_key_hook: Callable[[Settings], Awaitable[None] | None] | None


class _Loader(Protocol):
    async def load_and_set(self, client_configuration: Settings) -> None: ...


class _Load(Protocol):
    async def __call__(
        self, *, config_file: str, context: str | None, client_configuration: Settings, persist_config: bool
    ) -> _Loader: ...


async def open_transport(
    settings: Settings, allowlist: AllowList, user_agent: str, timeout: timedelta = CALL_TIMEOUT
) -> tuple[Transport, Gate]:
    """Make the HTTP client for `settings` with the gate inside it.

    A proxy is taken from the settings, else from HTTPS_PROXY and NO_PROXY; nothing else of the environment counts.
    """
    from kubernetes.aio.client import ApiClient

    if URL(settings.host).scheme not in ("http", "https") or not URL(settings.host).host:
        raise NoConfiguration(f"{settings.host!r} is no address of an API server; give it as https://HOST:PORT")
    _take_out_password(settings)
    gate = Gate(settings.host, allowlist)
    settings.proxy = settings.proxy or _proxy(settings.host)
    settings.client_session_kwargs = {
        "middlewares": (gate,),
        "cookie_jar": aiohttp.DummyCookieJar(),
        "trust_env": False,  # it would also take passwords from ~/.netrc, and fail every call that bears a token
    }
    api = ApiClient(settings)
    api.user_agent = user_agent
    return Transport(cast("RawClient", api), gate, timeout), gate


async def find_settings(
    kubeconfig: Path | None,
    context: str | None,
    *,
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
    clock: Clock | None = None,
) -> Settings:
    """Find the one configuration to use: `kubeconfig`, else the pod's service account, else the default kubeconfig.

    Raises NoConfiguration when there is none, or when the one that applies cannot be used.
    """
    environ, clock = os.environ if environ is None else environ, clock or SystemClock()
    if kubeconfig is not None:
        return await from_kubeconfig(str(kubeconfig), context, clock)
    if environ.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return from_service_account(environ, service_account, clock)
    default = environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return await from_kubeconfig(default, context, clock)


def from_address(url: str, token: str | None = None) -> Settings:
    """Use a plain address, with a bearer token if the server wants one: `kubectl proxy`, the simulator, tests."""
    settings = _blank()
    settings.host = url.rstrip("/")
    if token is not None:
        settings.api_key["BearerToken"] = f"Bearer {token}"
    return settings


async def from_kubeconfig(paths: str, context: str | None, clock: Clock) -> Settings:
    """Load a kubeconfig (several, separated as in $KUBECONFIG) and keep its credentials fresh."""
    from kubernetes.aio import config
    from kubernetes.aio.config import ConfigException

    if not _some_file(paths):
        raise NoConfiguration(
            f"no kubeconfig at {paths} and no service account in this container; "
            "name a kubeconfig, set KUBECONFIG, or run inside a pod"
        )
    settings = _blank()
    settings.host = ""
    try:
        load = cast("_Load", config.load_kube_config)  # pyright: ignore[reportUnknownMemberType]
        loader = await load(config_file=paths, context=context, client_configuration=settings, persist_config=False)
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoConfiguration(f"kubeconfig {paths} cannot be used: {error}; check it with kubectl") from error
    if not settings.host:
        raise NoConfiguration(f"kubeconfig {paths} names no server for its context; check it with kubectl")

    async def load_again() -> None:
        await loader.load_and_set(settings)
        _take_out_password(settings)  # the loader puts the address back as the file has it

    settings.refresh_api_key_hook = _Refresher(load_again, clock)
    return settings


def from_service_account(environ: Mapping[str, str], folder: Path, clock: Clock) -> Settings:
    """Use the pod's service account: address from the environment, token and CA from files, token read each minute."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    token, authority = folder / "token", folder / "ca.crt"
    if not authority.is_file():
        raise NoConfiguration(f"the service account has no {authority}; mount it (automountServiceAccountToken)")
    settings = _blank()
    settings.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    settings.ssl_ca_cert = str(authority)

    async def read_token() -> None:
        text = (await asyncio.to_thread(token.read_text)).strip()
        if text:
            settings.api_key["BearerToken"] = f"Bearer {text}"

    if not token.read_text().strip():
        raise NoConfiguration(f"the service account token {token} is empty; mount it anew")
    settings.api_key["BearerToken"] = f"Bearer {token.read_text().strip()}"
    settings.refresh_api_key_hook = _Refresher(read_token, clock)
    return settings


def _take_out_password(settings: Settings) -> None:
    """Move `user:password@` from the address, which people are shown, to the credentials; a token goes before it."""
    url = URL(settings.host)
    if url.user is None:
        return
    settings.host = str(url.with_user(None)).rstrip("/")
    pair = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    if not settings.api_key.get("BearerToken", "").startswith("Bearer "):
        settings.api_key["BearerToken"] = f"Basic {pair}"


def _proxy(host: str) -> str | None:
    """The proxy that the environment names for this server, as kubectl would use it."""
    url = URL(host)
    if url.host is None or proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return getproxies_environment().get(url.scheme)


def _some_file(paths: str) -> bool:
    return any(Path(p).expanduser().is_file() for p in paths.split(os.pathsep) if p)


def _blank() -> Settings:
    from kubernetes.aio.client import Configuration

    return cast("Settings", Configuration())


class _Refresher:
    """Renew credentials at most once a minute; when that fails the old ones stay, and the server judges them."""

    def __init__(self, renew: Callable[[], Awaitable[None]], clock: Clock) -> None:
        self._renew = renew
        self._clock = clock
        self._due = clock.monotonic() + CREDENTIALS_AGE

    async def __call__(self, _settings: Settings) -> None:
        from kubernetes.aio.config import ConfigException

        if self._clock.monotonic() < self._due:
            return
        self._due = self._clock.monotonic() + CREDENTIALS_AGE
        try:
            await self._renew()
        except (ConfigException, OSError, ValueError):
            return
