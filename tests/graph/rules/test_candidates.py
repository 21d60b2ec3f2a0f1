"""Which earlier revisions are ways back, in which order, and whether the trouble followed a rollout."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from graph.observed import Health
from graph.rules.candidates import MAX_CANDIDATES, MAX_CHANGES, RECENT, candidate_reverts, follows_rollout
from tools.journal.revisions import History, Revision
from tools.jsontypes import JsonObject
from tools.ledger.records import GoodRevision
from tools.refs import ObjectRef

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")


def template(image: str, **container: object) -> JsonObject:
    body: JsonObject = {"name": "app", "image": image}
    body |= {k: str(v) for k, v in container.items()}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [body]}}


def revision(number: int, *, ready: int = 0, age: timedelta = timedelta(days=1), image: str = "") -> Revision:
    return Revision(
        number=number,
        hash=f"h{number}",
        name=f"web-h{number}",
        created_at=NOW - age,
        template=template(image or f"web:{number}"),
        ready=ready,
    )


def history(*revisions: Revision, current: int | None = None, rolled_at: datetime | None = None) -> History:
    newest = tuple(sorted(revisions, key=lambda r: -r.number))
    wanted = newest[0].number if current is None else current
    return History(WEB, "uid", next((r for r in newest if r.number == wanted), None), newest, rolled_at)


def good(number: int, minutes_ago: float = 60, uid: str = "uid") -> GoodRevision:
    at = NOW - timedelta(minutes=minutes_ago)
    return GoodRevision(owner_uid=uid, owner=WEB, revision_hash=f"h{number}", confirmed_at=at)


ALL = history(revision(1), revision(2), revision(3, ready=1), revision(4))

ORDERS = {
    "serving before unknown, unknown by recency": (ALL, [], [], [], [(3, "serving"), (2, "unknown"), (1, "unknown")]),
    "confirmed before serving": (ALL, [good(1)], [], [], [(1, "confirmed"), (3, "serving"), (2, "unknown")]),
    "of two confirmed the one confirmed last": (
        ALL,
        [good(1, 5), good(2, 50)],
        [],
        [],
        [(1, "confirmed"), (2, "confirmed"), (3, "serving")],
    ),
    "failing now: bad, though it was confirmed": (
        ALL,
        [good(2)],
        ["h2", "h4"],
        [],
        [(3, "serving"), (1, "unknown"), (2, "bad")],
    ),
    "tried in vain: bad": (ALL, [good(3)], [], ["h3"], [(2, "unknown"), (1, "unknown"), (3, "bad")]),
    "confirmed for another life of the workload: unknown": (
        ALL,
        [good(2, uid="another")],
        [],
        [],
        [(3, "serving"), (2, "unknown"), (1, "unknown")],
    ),
    "the present revision is never a way back, confirmed or not": (
        history(revision(1), revision(2)),
        [good(2)],
        [],
        [],
        [(1, "unknown")],
    ),
    "gone back: the newest number is present, an older template": (
        history(revision(2), revision(5)),
        [],
        [],
        [],
        [(2, "unknown")],
    ),
    "liveness loop emptied the old revision: the confirmed one still": (
        history(revision(1), revision(2), revision(3, ready=2)),
        [good(1)],
        ["h3"],
        [],
        [(1, "confirmed"), (2, "unknown")],
    ),
    "liveness loop, nothing known of either: the one that was current before": (
        history(revision(1), revision(2), revision(3, ready=2)),
        [],
        ["h3"],
        [],
        [(2, "unknown"), (1, "unknown")],
    ),
    "two bad ones in a row over one that serves": (
        history(revision(1, ready=2), revision(2), revision(3)),
        [],
        ["h2", "h3"],
        [],
        [(1, "serving"), (2, "bad")],
    ),
    "two bad ones in a row, the pods of the first are gone already": (
        history(revision(1, ready=2), revision(2), revision(3)),
        [],
        ["h3"],
        [],
        [(1, "serving"), (2, "unknown")],
    ),
    "two bad ones in a row, the good one scaled to nothing and confirmed": (
        history(revision(1), revision(2), revision(3)),
        [good(1)],
        ["h3"],
        [],
        [(1, "confirmed"), (2, "unknown")],
    ),
    "gone back to and undone: renumbered, the newest of all, and bad": (
        history(revision(1), revision(2), revision(4), revision(5)),
        [],
        ["h5"],
        ["h4"],
        [(2, "unknown"), (1, "unknown"), (4, "bad")],
    ),
    "one revision only": (history(revision(1)), [], [], [], []),
}


@pytest.mark.parametrize(("past", "known", "failing", "tried", "expected"), ORDERS.values(), ids=ORDERS)
def test_order(
    past: History, known: list[GoodRevision], failing: list[str], tried: list[str], expected: list[tuple[int, str]]
) -> None:
    found = candidate_reverts(past, good=known, failing=failing, tried=tried)
    assert [(c.to_revision, c.health.value) for c in found] == expected


def test_nothing_is_a_way_back_from_an_unknown_place() -> None:
    assert candidate_reverts(history(revision(1), revision(2), current=99), good=[good(1)], failing=[]) == ()


def test_a_candidate_says_what_going_there_changes() -> None:
    found = candidate_reverts(history(revision(1), revision(2)), good=[], failing=[])[0]
    assert [(c.path, c.now, c.then) for c in found.changes] == [("containers[app].image", "web:2", "web:1")]
    assert (found.truncated, found.loosens, found.health) == (False, (), Health.UNKNOWN)


def test_many_differences_are_cut_and_said_to_be() -> None:
    wide = Revision(2, "h2", "n2", NOW, {"spec": {"nodeSelector": {f"k{i}": "v" for i in range(60)}}}, 0)
    found = candidate_reverts(history(Revision(1, "h1", "n1", NOW, {"spec": {}}, 0), wide), good=[], failing=[])[0]
    assert (len(found.changes), found.truncated) == (MAX_CHANGES, True)


def test_there_are_at_most_ten() -> None:
    many = history(*(revision(n) for n in range(1, 30)))
    assert len(candidate_reverts(many, good=[], failing=[])) == MAX_CANDIDATES


def test_going_back_to_what_is_less_safe_is_said() -> None:
    tight: JsonObject = {"spec": {"securityContext": {"runAsNonRoot": True}, "containers": [{"name": "app"}]}}
    loose: JsonObject = {"spec": {"containers": [{"name": "app"}]}}
    past = history(Revision(1, "h1", "n1", NOW, loose, 0), Revision(2, "h2", "n2", NOW, tight, 0))
    assert candidate_reverts(past, good=[], failing=[])[0].loosens == ("running as root is allowed",)


YOUNG = revision(4, age=timedelta(minutes=2))
OLD = revision(4, age=RECENT + timedelta(minutes=1))

ROLLOUTS: dict[str, tuple[History, list[str], list[str], bool, bool]] = {
    "in progress, its pods fail": (history(revision(3), OLD), ["h4"], [], True, True),
    "in progress, nothing but the workload speaks": (history(revision(3), OLD), [], [], True, True),
    "in progress, only pods of the revision before fail": (history(revision(3), OLD), ["h3"], [], True, False),
    "in progress, to a revision that was confirmed": (history(revision(3), OLD), ["h4"], ["h4"], True, False),
    "done a moment ago (liveness loop)": (history(revision(3), YOUNG), ["h4"], [], False, True),
    "done long ago": (history(revision(3), OLD), ["h4"], [], False, False),
    "gone back to an old revision a moment ago": (
        history(revision(3), OLD, rolled_at=NOW - timedelta(minutes=1)),
        ["h4"],
        [],
        False,
        True,
    ),
    "first revision there is": (history(YOUNG), ["h4"], [], True, False),
    "present revision unknown": (history(revision(3), YOUNG, current=99), ["h4"], [], True, False),
}


@pytest.mark.parametrize(("past", "failing", "confirmed", "rolling", "expected"), ROLLOUTS.values(), ids=ROLLOUTS)
def test_follows_rollout(
    past: History, failing: list[str], confirmed: list[str], rolling: bool, expected: bool
) -> None:
    said = follows_rollout(past, failing=failing, confirmed=confirmed, rollout_in_progress=rolling, now=NOW)
    assert said is expected
