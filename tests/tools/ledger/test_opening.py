"""A ledger is made once, checked each time, and never replaced."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from tests.tools.ledger.samples import NOW, entry, incident
from tools.errors import ToolError
from tools.ledger.errors import LedgerError, SchemaNewer, StoreCorrupt
from tools.ledger.ledger import Ledger
from tools.ledger.migrate import MIGRATIONS
from tools.ledger.opening import open_store
from tools.ledger.schema import HEAD, METADATA


def at(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A ledger with an entry in it, closed."""
    made = tmp_path / "ledger.db"
    async with await Ledger.open(at(made)) as ledger:
        await ledger.record(entry())
    return made


async def test_the_folder_and_the_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    async with await Ledger.open(at(path)) as ledger:
        await ledger.record(entry())
        assert _modes(path.parent.parent) == {"state": 0o700}
        assert _modes(path.parent) == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)
    assert _modes(path.parent) == {"ledger.db": 0o600}


async def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    _folder(tmp_path / "state", 0o750)
    async with await Ledger.open(at(tmp_path / "state" / "ledger.db")):
        assert _modes(tmp_path) == {"state": 0o750}


@pytest.mark.parametrize("turns", [1, 5, 20, 60, 150, 400])
async def test_a_cancelled_opening_leaves_nothing_half_made(tmp_path: Path, turns: int) -> None:
    opening = asyncio.create_task(Ledger.open(at(tmp_path / "ledger.db")))
    for _ in range(turns):
        await asyncio.sleep(0)
    opening.cancel()
    try:
        await (await opening).close()
    except asyncio.CancelledError:
        assert set(_modes(tmp_path)) <= {"ledger.db"}
    async with await Ledger.open(at(tmp_path / "ledger.db")) as ledger:
        assert await ledger.record(entry()) == 1


async def test_every_connection_is_set_to_lose_nothing(tmp_path: Path) -> None:
    def settings(tx: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
        return tuple(tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names)

    store = await open_store(at(tmp_path / "ledger.db"))
    assert await store.write(settings) == ("wal", 2, 1, 10_000, 0)
    assert await store.read(settings) == ("wal", 2, 1, 10_000, 1)
    await store.close()


async def test_what_was_written_is_there_after_opening_again(path: Path) -> None:
    async with await Ledger.open(at(path)) as ledger:
        assert len(await ledger.audit()) == 1


async def test_the_migrations_make_exactly_the_tables_of_the_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as migrated:
        made = _shape(migrated)
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    connection = engine.raw_connection()
    wanted = _shape(connection.driver_connection)  # type: ignore[arg-type]
    connection.close()
    engine.dispose()
    assert made == wanted


async def test_the_migrations_and_the_schema_agree_in_the_eyes_of_alembic(url: str) -> None:
    store = await open_store(url)
    differences = await store.read(
        lambda tx: compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), METADATA)
    )
    await store.close()
    assert differences == []


def test_the_schema_names_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_opened_many_times_at_once_it_is_made_once(url: str) -> None:
    ledgers = await asyncio.gather(*(Ledger.open(url) for _ in range(4)))
    for number, ledger in enumerate(ledgers):
        await ledger.open_incident(incident(f"i{number}"))
        await ledger.record(entry(str(number)))
    for ledger in ledgers:
        assert [one.id for one in await ledger.incidents()] == ["i0"]
        assert await ledger.verify_audit() is None
        await ledger.close()


async def test_a_store_of_a_later_version_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaNewer, match=r"9999.*run the version that wrote it"):
        await Ledger.open(at(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def _overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * 512)


def _overwrite_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _replace_by_text(path: Path) -> None:
    path.write_text("not a database, whatever it says\n" * 100)


@pytest.mark.parametrize("damage", [_overwrite_header, _overwrite_pages, _cut, _empty, _replace_by_text])
async def test_a_damaged_file_is_told_and_never_replaced(path: Path, damage: object) -> None:
    assert callable(damage)
    damage(path)
    found = _content(path)
    with pytest.raises(StoreCorrupt, match="restore") as told:
        await Ledger.open(at(path))
    assert isinstance(told.value, ToolError)
    assert told.value.code == "STORE_CORRUPT"
    assert _content(path) == found


async def test_damage_that_shows_only_later_is_told_as_such(path: Path) -> None:
    async with await Ledger.open(at(path)) as ledger:
        await ledger.put_document("k", {"a": "x" * 200_000}, NOW)
        await ledger.close()
    ledger = await Ledger.open(at(path))
    _overwrite_pages(path)
    with pytest.raises(StoreCorrupt):
        await ledger.prune(NOW)
    await ledger.close()


async def test_a_log_without_its_database_is_not_played_into_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    _write(path.with_name("ledger.db-wal"), b"x" * 100)
    with pytest.raises(StoreCorrupt, match="restore the file beside its log"):
        await Ledger.open(at(path))
    assert set(_modes(tmp_path)) == {"ledger.db-wal"}


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file:x?uri=true",
        "sqlite:///ledger.db",
        "not a url",
    ],
)
async def test_a_url_that_could_not_keep_a_promise_is_refused(url: str) -> None:
    with pytest.raises(LedgerError, match="write sqlite\\+aiosqlite:///PATH"):
        await Ledger.open(url)


@pytest.mark.parametrize("url", ["postgresql+nosuchdriver://u:hidden@127.0.0.1/x", "nosuchdatabase://u:hidden@h/x"])
async def test_a_driver_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(LedgerError, match="install") as told:
        await Ledger.open(url)
    assert "hidden" not in str(told.value)


async def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="name a file"):
        await Ledger.open(at(tmp_path))


async def test_a_parent_that_is_a_file_is_told(path: Path) -> None:
    with pytest.raises(LedgerError, match="make its folder writable"):
        await Ledger.open(at(path / "ledger.db"))


async def test_somebody_elses_tables_are_told_and_left(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE incidents (mine TEXT)")
    with pytest.raises(LedgerError, match="already exists"):
        await Ledger.open(at(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("incidents",)]


def _modes(folder: Path) -> dict[str, int]:
    """What lies in a folder, and who may touch it."""
    return {found.name: stat.S_IMODE(found.stat().st_mode) for found in folder.iterdir()}


def _folder(path: Path, mode: int) -> None:
    path.mkdir(mode=mode)


def _content(path: Path) -> bytes:
    return path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _shape(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    rows = db.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version' ORDER BY name"
    )
    return [(type_, name, " ".join(sql.split())) for type_, name, sql in rows]
