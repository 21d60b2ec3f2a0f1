"""Versions of objects that were good, and what stood beside a workload when it was well.

Revision 0002, after 0001.  Only adds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "object_versions",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("vouched_by", sa.Text(), nullable=False),
        sa.Column("first_confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "namespace", "name", "digest", name="pk_object_versions"),
    )
    op.create_index("ix_object_versions_namespace", "object_versions", ["namespace"])
    op.create_index("ix_object_versions_confirmed_at", "object_versions", ["confirmed_at"])
    op.create_table(
        "good_surroundings",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("present", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "namespace", "name", name="pk_good_surroundings"),
    )
    op.create_index("ix_good_surroundings_confirmed_at", "good_surroundings", ["confirmed_at"])
