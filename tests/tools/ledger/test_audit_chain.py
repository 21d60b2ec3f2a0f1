"""Whoever edits, deletes, moves or cuts the audit trail is found, at the place where it was done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from tests.tools.ledger.samples import entry
from tools.jsontypes import canonical
from tools.ledger import audit
from tools.ledger.migrate import bring_up

LENGTH = 230
"""More than one chunk of the verification."""

SEQ = st.integers(min_value=1, max_value=LENGTH)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@pytest.fixture(scope="module")
def tx() -> Iterator[Connection]:
    """One transaction with a sound trail; each example works in a savepoint that is rolled back."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        bring_up(connection)
        for number in range(LENGTH):
            audit.record(connection, entry(f"sentence {number}", incident_id=f"inc-{number % 3}"))
        assert audit.verify(connection) is None
        yield connection
    engine.dispose()


EDITS = {
    "line": "UPDATE audit SET line = :value WHERE seq = :seq",
    "hash": "UPDATE audit SET hash = :value WHERE seq = :seq",
    "incident_id": "UPDATE audit SET incident_id = :value WHERE seq = :seq",
}
ENDS = {
    "base_seq": "UPDATE audit_chain SET base_seq = :value",
    "base_hash": "UPDATE audit_chain SET base_hash = :value",
    "head_seq": "UPDATE audit_chain SET head_seq = :value",
    "head_hash": "UPDATE audit_chain SET head_hash = :value",
}


class Attack:
    """Run statements, verify, roll back."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx

    def finds(self, *statements: tuple[str, dict[str, object]]) -> int | None:
        assert audit.verify(self.tx) is None  # the last example was rolled back
        self.tx.exec_driver_sql("SAVEPOINT attack")
        try:
            for statement, values in statements:
                self.tx.execute(text(statement), values)
            return audit.verify(self.tx)
        finally:
            self.tx.exec_driver_sql("ROLLBACK TO attack")
            self.tx.exec_driver_sql("RELEASE attack")

    def line(self, seq: int) -> str:
        found: str = self.tx.execute(text("SELECT line FROM audit WHERE seq = :seq"), {"seq": seq}).scalar_one()
        return found


@settings(deadline=None)
@given(seq=SEQ, column=st.sampled_from(sorted(EDITS)), value=TEXT)
def test_any_edit_is_found_where_it_was_made(tx: Connection, seq: int, column: str, value: str) -> None:
    assert Attack(tx).finds((EDITS[column], {"seq": seq, "value": value})) == seq


@settings(deadline=None)
@given(
    seq=SEQ,
    change=st.one_of(
        st.fixed_dictionaries({"sentence": TEXT}),
        st.fixed_dictionaries({"actor": st.just("somebody else")}),
        st.fixed_dictionaries({"data": st.dictionaries(TEXT, st.integers(), max_size=2)}),
        st.fixed_dictionaries({"at": st.just("2026-03-29T01:00:00Z")}),
        st.fixed_dictionaries({"more": st.just(1)}),
    ),
)
def test_an_edit_with_a_hash_to_match_is_found_at_the_next_entry(tx: Connection, seq: int, change: object) -> None:
    assert isinstance(change, dict)
    attack = Attack(tx)
    line = canonical({**json.loads(attack.line(seq)), **change}).decode()
    values: dict[str, object] = {"seq": seq, "line": line, "hash": hashlib.sha256(line.encode()).hexdigest()}
    found = attack.finds(("UPDATE audit SET line = :line, hash = :hash WHERE seq = :seq", values))
    assert found == min(seq + 1, LENGTH)


@settings(deadline=None)
@given(seq=SEQ, spaces=st.sampled_from([" ", "\n", "\t"]))
def test_an_edit_that_says_the_same_in_other_bytes_is_found(tx: Connection, seq: int, spaces: str) -> None:
    attack = Attack(tx)
    edit = ("UPDATE audit SET line = :line WHERE seq = :seq", {"seq": seq, "line": attack.line(seq) + spaces})
    assert attack.finds(edit) == seq


@settings(deadline=None)
@given(first=SEQ, last=SEQ)
def test_a_deletion_is_found_at_its_beginning_also_at_the_end_of_the_trail(
    tx: Connection, first: int, last: int
) -> None:
    first, last = sorted((first, last))
    values: dict[str, object] = {"first": first, "last": last}
    assert Attack(tx).finds(("DELETE FROM audit WHERE seq BETWEEN :first AND :last", values)) == first


@settings(deadline=None)
@given(first=SEQ, last=SEQ)
def test_a_deletion_that_closes_the_gap_is_found_at_its_beginning(tx: Connection, first: int, last: int) -> None:
    first, last = sorted((first, last))
    values: dict[str, object] = {"first": first, "last": last, "width": last - first + 1}
    found = Attack(tx).finds(
        ("DELETE FROM audit WHERE seq BETWEEN :first AND :last", values),
        ("UPDATE audit SET seq = -seq WHERE seq > :last", values),
        ("UPDATE audit SET seq = -seq - :width WHERE seq < 0", values),
    )
    assert found == first


@settings(deadline=None)
@given(one=SEQ, other=SEQ)
def test_entries_that_changed_places_are_found_at_the_first(tx: Connection, one: int, other: int) -> None:
    values: dict[str, object] = {"one": one, "other": other}
    found = Attack(tx).finds(
        ("UPDATE audit SET seq = -1 WHERE seq = :one", values),
        ("UPDATE audit SET seq = :one WHERE seq = :other", values),
        ("UPDATE audit SET seq = :other WHERE seq = -1", values),
    )
    assert found == (None if one == other else min(one, other))


@settings(deadline=None)
@given(seq=st.integers(min_value=-5, max_value=0) | st.integers(min_value=LENGTH + 1, max_value=LENGTH + 5), copied=SEQ)
def test_an_entry_put_in_outside_the_trail_is_found(tx: Connection, seq: int, copied: int) -> None:
    forged = "INSERT INTO audit SELECT :seq, incident_id, line, hash FROM audit WHERE seq = :copied"
    assert Attack(tx).finds((forged, {"seq": seq, "copied": copied})) == min(seq, LENGTH + 1)


@settings(deadline=None)
@given(column=st.sampled_from(["base_seq", "head_seq"]), value=st.integers(min_value=-3, max_value=LENGTH + 3))
def test_an_end_that_was_moved_is_found(tx: Connection, column: str, value: int) -> None:
    untouched = value == {"base_seq": 0, "head_seq": LENGTH}[column]
    found = Attack(tx).finds((ENDS[column], {"value": value}))
    assert (found is None) == untouched


@pytest.mark.parametrize("column", ["base_hash", "head_hash"])
def test_a_seal_that_was_changed_is_found(tx: Connection, column: str) -> None:
    assert Attack(tx).finds((ENDS[column], {"value": "x"})) is not None


def test_a_chain_that_was_removed_is_found_and_nothing_is_added_to_it(tx: Connection) -> None:
    assert Attack(tx).finds(("DELETE FROM audit_chain", {})) == 1
