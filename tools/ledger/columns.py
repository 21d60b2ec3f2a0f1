"""Column types that mean the same in SQLite and in PostgreSQL.

The rule: what comes out equals what went in.  Times go in with a zone and come out in UTC; JSON is kept as its
canonical text, because a database's own JSON type reorders keys and refuses some strings.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from tools.jsontypes import JsonObject, canonical

ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A key the database counts up: SQLite does so for the exact type INTEGER only."""


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; ValueError for a time without a zone, which names no moment."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: give a timezone-aware datetime")
    return moment.astimezone(UTC)


class UtcTime(TypeDecorator[datetime]):
    """A moment.  SQLite keeps fixed-width text in UTC, which sorts as the moments do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, and for SQLite without the zone it could not store."""
        if value is None:
            return None
        moment = utc(value)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class CanonicalJson(TypeDecorator[JsonObject]):
    """A JSON object, kept as its canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: JsonObject | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the port
        """The canonical text."""
        return None if value is None else canonical(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> JsonObject | None:  # noqa: ARG002 - the port
        """The object again."""
        if value is None:
            return None
        parsed: JsonObject = json.loads(value)
        return parsed
