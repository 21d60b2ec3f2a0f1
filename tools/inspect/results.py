"""What a read answers: facts, "retry with other arguments", or "failed, choose otherwise".

The rule: an answer is text of at most `MAX_BYTES`, redacted and with invisible characters made visible.
Neighbours: `reads` makes answers, `toolbox` gives them to a model.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from tools.redact import excerpt, redact, visible

MAX_BYTES = 4096


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str


class Facts(_Answer):
    """The read succeeded."""

    kind: Literal["facts"] = "facts"


class TryOther(_Answer):
    """Nothing was read because of the arguments; the text says which would do."""

    kind: Literal["try_other"] = "try_other"


class CannotRead(_Answer):
    """This read will fail again whatever the arguments: look elsewhere."""

    kind: Literal["cannot_read"] = "cannot_read"


Answer: TypeAlias = Annotated[Facts | TryOther | CannotRead, Field(discriminator="kind")]


def facts(text: str) -> Facts:
    """A successful read, made safe and cut to size."""
    return Facts(text=bounded(text))


def try_other(text: str) -> TryOther:
    """Ask for other arguments."""
    return TryOther(text=bounded(f"RETRY with other arguments: {text}", 1024))


def cannot_read(text: str) -> CannotRead:
    """Say that this way is closed."""
    return CannotRead(text=bounded(f"FAILED, choose otherwise: {text}", 1024))


def bounded(text: str, limit: int = MAX_BYTES) -> str:
    """Redacted, visible, at most `limit` bytes of UTF-8; a longer one loses its middle and says so."""
    whole = visible(redact(text))
    if len(whole.encode()) <= limit:
        return whole
    mark = f"\n[{len(whole)} characters, the middle is left out]"
    room = limit - len(mark.encode())
    size = room
    while len((cut := excerpt(whole, size)).encode()) > room:
        size -= max(1, (len(cut.encode()) - room) // 4)
    return cut + mark
