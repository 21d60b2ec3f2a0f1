"""What the ledger raises when it cannot keep its promise.

::

    Permanent
    ├── LedgerError           the ledger cannot be read or written: nothing may be sent to a cluster
    │   ├── StoreCorrupt      the file is not a sound database
    │   ├── SchemaNewer       a later version of this program wrote it
    │   ├── NoSuchEntry       the row that is to be changed does not exist
    │   └── Contradiction     what is to be recorded contradicts what is recorded
    └── Conflict
        └── KeyReused         one idempotency key, two different bodies

A value that no ledger could keep (a time without a zone, half of a surrogate pair) is a ValueError: a defect of the
caller, not a state of the store.
"""

from __future__ import annotations

from tools.errors import Conflict, Permanent


class LedgerError(Permanent):
    """Nothing was recorded.  Remedy: in the message; until then act on nothing."""

    code = "LEDGER_UNAVAILABLE"


class StoreCorrupt(LedgerError):
    """The store is damaged.  Remedy: keep the file for inspection and restore the newest sound copy."""

    code = "STORE_CORRUPT"


class SchemaNewer(LedgerError):
    """A later version wrote the store.  Remedy: run that version, or restore a copy from before its upgrade."""

    code = "SCHEMA_NEWER"


class NoSuchEntry(LedgerError):
    """There is no such row.  Remedy: record it first; ids are never made up by the reader."""

    code = "LEDGER_NO_SUCH_ENTRY"


class Contradiction(LedgerError):
    """A second statement disagrees with the first; the first stands.  Remedy: read the row, then decide."""

    code = "LEDGER_CONTRADICTION"


class KeyReused(Conflict):
    """The caller sent another body under a key it had used.  Remedy: a new key for a new request."""

    code = "IDEMPOTENCY_KEY_REUSED"
