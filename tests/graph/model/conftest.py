"""Every test here speaks to loopback alone; a connection elsewhere fails the test that made it."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator

import pytest

_SEEN: list[str] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(address := arguments[1], tuple):
        host = str(address[0])
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            _SEEN.append(host)


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[None]:
    _SEEN.clear()
    yield
    assert _SEEN == []
