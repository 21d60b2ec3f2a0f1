"""From a URL to a store that may be used: made if it was never there, checked, and at the schema of this program.

The rule: a ledger that was there is never replaced.  A new SQLite file is built aside and linked into place complete,
so an empty or half-made file under the final name is damage, not a beginning.  Two processes may open at once: one of
the two files wins, and migrations run under the writer's lock.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from tools.ledger import migrate
from tools.ledger.errors import LedgerError, StoreCorrupt
from tools.ledger.store import Store
from tools.ledger.ways import FileWay, ServerWay

BUSY_MILLISECONDS = 10_000
"""How long a writer waits for another process before it gives up."""

_EVERY_CONNECTION = (
    f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # in WAL mode the default lets the last commits die with the machine
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
)
_READERS = 4


async def open_store(url: str) -> Store:
    """Open, and on the first time make, the store at `url`.

    `sqlite+aiosqlite:///PATH`: the parent folder is made with mode 0700 and the file with 0600; folders and files that
    exist keep theirs; the transactions run in threads of `ways`, not in the driver's.  Any other URL goes to
    SQLAlchemy with the driver it names, which must be an async one.
    Raises `StoreCorrupt`, `SchemaNewer`, or `LedgerError` when the store cannot be reached; each names the remedy.
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError as error:
        raise LedgerError("the ledger's URL cannot be read: write sqlite+aiosqlite:///PATH") from error
    if parsed.get_backend_name() != "sqlite":
        return await _migrated(_connect_server(parsed))
    path = _sqlite_path(parsed)
    try:
        _refuse_lost_database(path)
        if not path.exists():
            await _make(path)
        _refuse_no_database(path)
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be opened ({error}): make its folder writable") from error
    return await _migrated(_connect_file(path))


def _sqlite_path(url: URL) -> Path:
    if url.drivername != "sqlite+aiosqlite" or url.query:
        raise LedgerError("a SQLite ledger is opened by path alone: write sqlite+aiosqlite:///PATH")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise LedgerError("a ledger in memory would forget its intents: write sqlite+aiosqlite:///PATH")
    return Path(url.database).absolute()


def _refuse_lost_database(path: Path) -> None:
    """A log without its database must not be played into a new one."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > 0 and not path.exists():
        raise StoreCorrupt(
            f"the ledger {path} is gone but its write-ahead log is there: restore the file beside its log"
        )


def _refuse_no_database(path: Path) -> None:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise LedgerError(f"the ledger {path} is not a file: name a file, not a folder")
    if found.st_size == 0:
        raise StoreCorrupt(f"the ledger {path} is empty: restore the newest sound copy, or remove it to begin anew")


async def _make(path: Path) -> None:
    """Build a complete store aside and link it into place; losing that race to another process is as good."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        fresh = Path(folder) / "ledger"
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        await (await _migrated(_connect_file(fresh))).close()
        with suppress(FileExistsError):
            os.link(fresh, path)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make the new name durable: flushing a file does not flush the folder that names it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _migrated(store: Store) -> Store:
    """The same store, checked and at this program's schema; closed again when that fails."""
    try:
        await store.read(_refuse_damage)
        async with migrate.alone():
            await store.write(migrate.bring_up)
    except BaseException:
        await store.close()
        raise
    return store


def _refuse_damage(tx: Connection) -> None:
    """Read every page once (SQLite's quick_check; a hundred megabytes take a few seconds at most)."""
    if tx.dialect.name != "sqlite":
        return
    if (mode := tx.exec_driver_sql("PRAGMA journal_mode").scalar_one()) != "wal":
        raise LedgerError(f"SQLite cannot keep a write-ahead log here (mode {mode}): put the ledger on a local disk")
    findings = [str(row[0]) for row in tx.exec_driver_sql("PRAGMA quick_check(3)")]
    if findings != ["ok"]:
        raise StoreCorrupt(
            f"the ledger is damaged ({'; '.join(findings)}): keep the file, restore the newest sound copy"
        )


def _connect_server(url: URL) -> Store:
    try:
        engine = create_async_engine(url, pool_size=_READERS + 1, max_overflow=0, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError) as error:
        raise LedgerError(f"no async driver for the ledger's URL ({error}): install the one that it names") from error
    # A reader's statements share one snapshot, as they do in SQLite: else a growing audit trail would look cut.
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Store(writer=ServerWay(engine), reader=ServerWay(reader), where=url.render_as_string(hide_password=True))


def _connect_file(path: Path) -> Store:
    url = URL.create("sqlite", database=str(path))
    writer = create_engine(url, pool_size=1, max_overflow=0)
    reader = create_engine(url, pool_size=_READERS, max_overflow=0)
    _prepare(writer, begin="BEGIN IMMEDIATE")
    _prepare(reader, begin="BEGIN", last="PRAGMA query_only = ON")
    return Store(writer=FileWay(writer, 1), reader=FileWay(reader, _READERS), where=str(path))


class _Cursor(Protocol):
    def execute(self, statement: str) -> object: ...
    def close(self) -> None: ...


class _DriverConnection(Protocol):
    """What we use of the driver's connection."""

    isolation_level: str | None

    def cursor(self) -> _Cursor: ...


def _prepare(engine: Engine, *, begin: str, last: str | None = None) -> None:
    """Take transactions out of the driver's hands: it would begin them late, after what they read."""

    def on_connect(connection: _DriverConnection, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
        connection.isolation_level = None
        cursor = connection.cursor()
        for statement in (*_EVERY_CONNECTION, *([last] if last else [])):
            cursor.execute(statement)
        cursor.close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
