"""What Alembic runs to reach the database: the connection it is handed, inside the transaction that is open on it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from tools.ledger.schema import METADATA


def run() -> None:
    """Run the migrations that Alembic has chosen; committing them is the caller's."""
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise TypeError("the ledger's migrations run when the ledger is opened, never from the command line")
    context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


run()
