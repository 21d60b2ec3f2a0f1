"""The shape of the ledger on disk, revision by revision, in Alembic's layout.

A revision that was released is never edited: it repeats types and names instead of importing `schema`, which moves on.
"""
