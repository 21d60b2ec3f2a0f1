"""Bring a store to this program's schema, forward only, in the transaction it is given.

Neighbours: `migrations/` holds the revisions, in Alembic's layout; `schema` names the newest.  Alembic itself is loaded
only when there is something to do.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from tools.ledger.errors import SchemaNewer
from tools.ledger.schema import HEAD

MIGRATIONS = Path(__file__).parent / "migrations"

_ALEMBIC = threading.Lock()


@asynccontextmanager
async def alone() -> AsyncGenerator[None]:
    """Be the only one in this process who migrates: Alembic keeps what it works on in module globals.

    Polled, because the others may sit in this event loop or in another thread's; ledgers are opened seldom.
    """
    while not _ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110 - an event belongs to one loop
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        _ALEMBIC.release()


def bring_up(tx: Connection) -> None:
    """Afterwards the store stands at `HEAD`.  `SchemaNewer` when it stands at a revision this program does not know.

    Call it within `alone`.
    """
    current = revision(tx)
    if current != HEAD:
        _upgrade(tx, current)


def revision(tx: Connection) -> str | None:
    """The revision the store stands at; None when nothing was ever made in it."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    found = tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def _upgrade(tx: Connection, current: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = tx
    try:
        if current is not None:
            ScriptDirectory.from_config(config).get_revision(current)
    except CommandError as error:
        raise SchemaNewer(
            f"the ledger is at schema {current}, this program knows up to {HEAD}: "
            "run the version that wrote it, or restore a copy from before its upgrade"
        ) from error
    command.upgrade(config, "head")
