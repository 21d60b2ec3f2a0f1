"""Who may speak to us: static bearer tokens, compared in constant time.

The rule it keeps: without a token the service does not start, unless it is bound to a loopback address on purpose
(`SELFHEAL_INSECURE_BIND`).  Two tokens may be valid at once, so that one is rotated without a gap; a token file is read
again when it changes, as a mounted Secret does.  Neighbour: `server.auth.gate` asks here for each request.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from server.settings import MAX_TOKENS, MIN_TOKEN_BYTES, Settings, SettingsError

_BEARER = re.compile(r"^bearer +([A-Za-z0-9\-._~+/]+=*) *$", re.IGNORECASE)


class Tokens(Protocol):
    """Says whether the presented token is one of the active ones."""

    def caller_of(self, token: str) -> str | None:
        """A stable name for the token's holder that reveals nothing of the token; None when it is not valid."""
        ...


@dataclass(frozen=True, slots=True)
class FixedTokens:
    """Tokens that were given at the start."""

    digests: tuple[bytes, ...]

    @classmethod
    def parse(cls, text: str, *, source: str) -> FixedTokens:
        """Split at commas, blanks and line ends.  Raises `SettingsError` for none, too many or too short ones."""
        tokens = [t for t in re.split(r"[,\s]+", text) if t]
        if not 1 <= len(tokens) <= MAX_TOKENS:
            raise SettingsError(f"{source} holds {len(tokens)} tokens: one or two are possible")
        for token in tokens:
            if len(token.encode()) < MIN_TOKEN_BYTES:
                raise SettingsError(
                    f"{source} holds a token of less than {MIN_TOKEN_BYTES} bytes: make one with `openssl rand -hex 32`"
                )
            if _BEARER.match(f"Bearer {token}") is None:
                raise SettingsError(
                    f"{source} holds a token with characters that no HTTP header carries: use hex digits"
                )
        return cls(tuple(_digest(t) for t in tokens))

    def caller_of(self, token: str) -> str | None:
        """Compare against every active token, always all of them, digest against digest."""
        presented = _digest(token)
        found: bytes | None = None
        for active in self.digests:
            if hmac.compare_digest(active, presented):
                found = active
        return f"token-{found.hex()[:8]}" if found is not None else None


class FileTokens:
    """Tokens of a file that may change while we run.  A file that became unreadable keeps the tokens last read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp, self._tokens = self._read()

    def caller_of(self, token: str) -> str | None:
        """As `FixedTokens.caller_of`, on the file as it stands."""
        self._refresh()
        return self._tokens.caller_of(token)

    def _refresh(self) -> None:
        try:
            if _stamp(self._path) != self._stamp:
                self._stamp, self._tokens = self._read()
        except SettingsError:
            return  # half-written: the old tokens hold until the file is whole again

    def _read(self) -> tuple[tuple[int, int, int], FixedTokens]:
        stamp = _stamp(self._path)
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(f"SELFHEAL_TOKEN_FILE {self._path} cannot be read: {problem}") from problem
        return stamp, FixedTokens.parse(text, source=f"SELFHEAL_TOKEN_FILE {self._path}")


def open_tokens(settings: Settings) -> Tokens | None:
    """The active tokens; None when the service is bound to loopback without any, on purpose.

    Raises `SettingsError` when there is neither a token nor such a bind: an open door is never the default.
    """
    if settings.token is not None:
        return FixedTokens.parse(settings.token.get_secret_value(), source="SELFHEAL_TOKEN")
    if settings.token_file is not None:
        return FileTokens(settings.token_file)
    if settings.insecure_bind is not None:
        return None
    raise SettingsError(
        "no token: set SELFHEAL_TOKEN_FILE (or SELFHEAL_TOKEN, at least 32 bytes), "
        "or SELFHEAL_INSECURE_BIND=127.0.0.1 to try it out on this machine without one"
    )


def presented_token(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer ...` header; None when there is none in that form."""
    match = _BEARER.match(authorization or "")
    return match[1] if match else None


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when the file is replaced or rewritten."""
    try:
        info = path.stat()
    except OSError as problem:
        raise SettingsError(f"SELFHEAL_TOKEN_FILE {path} cannot be read: {problem.strerror}") from problem
    return info.st_ino, info.st_mtime_ns, info.st_size


def _digest(token: str) -> bytes:
    """Equal lengths for the comparison, whatever was presented."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
