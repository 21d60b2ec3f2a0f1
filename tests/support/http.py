"""A client for servers on loopback that speak plain HTTP: it reads no environment and no list of authorities."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody; loading the usual list takes longer than most tests."""


def plain(base_url: str = "", **options: Any) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` with these options."""
    return httpx.AsyncClient(base_url=base_url, trust_env=False, verify=_NO_TLS, **options)
