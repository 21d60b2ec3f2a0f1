"""Where reverting a commit would take a deployment back, and where it would not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.executors.argocd.documents import NEW, OLD, OLDER, REPO, app, entry, failed
from tools.executors.argocd.source import NotRevertible, Revertible, revertible
from tools.jsontypes import JsonObject

SOURCE: JsonObject = {"repoURL": REPO, "path": "shop", "targetRevision": "main"}
TWO: list[Any] = [SOURCE, {**SOURCE, "path": "bank"}]
FOUND = Revertible(repository=REPO, path="shop", target="main", bad=NEW, good=OLD)


def source(**changes: Any) -> dict[str, Any]:
    return {"spec": {"source": {**SOURCE, **changes}}}


@pytest.mark.parametrize(
    ("what", "document", "back", "expected"),
    [
        ("the newest goes, the one before comes", app(), 2, FOUND),
        ("an older one", app(), 1, Revertible(REPO, "shop", "main", NEW, OLDER)),
        ("Kustomize", app(status={"sourceType": "Kustomize"}), 2, FOUND),
        (
            "the branch was followed only lately",
            app(status={"history": [entry(2, OLD, source={**SOURCE, "targetRevision": "v1"}), entry(3, NEW)]}),
            2,
            FOUND,
        ),
        (
            "an operation failed before it came into the history",
            app(status={"operationState": failed("d4" * 20)}),
            3,
            Revertible(REPO, "shop", "main", "d4" * 20, NEW),
        ),
        ("several sources", app(spec={"sources": TWO}), 2, "several sources"),
        ("no source", app(spec={"source": None}), 2, "several sources"),
        ("hydrated manifests", app(spec={"sourceHydrator": {}}), 2, "Argo CD writes itself"),
        ("a chart of a registry", app(**source(chart="shop")), 2, "a chart"),
        ("a chart in the repository", app(status={"sourceType": "Helm"}), 2, "a chart"),
        ("values of a chart", app(**source(helm={"values": "a: b"})), 2, "a chart"),
        ("a plugin", app(status={"sourceType": "Plugin"}), 2, "plugin"),
        ("an entry that is gone", app(), 7, "does not hold"),
        ("no history", app(status={"history": []}), 2, "does not hold"),
        ("several revisions", app(status={"history": [entry(2, OLD), entry(3, "", revisions=[NEW, OLD])]}), 2, "one"),
        (
            "another path then",
            app(status={"history": [entry(2, OLD, source={**SOURCE, "path": "x"}), entry(3, NEW)]}),
            2,
            "itself was changed",
        ),
        (
            "another image set in the Application",
            app(**source(kustomize={"images": ["web:3"]})),
            2,
            "itself was changed",
        ),
        ("another repository now", app(**source(repoURL="https://git.example/x")), 2, "itself was changed"),
    ],
)
def test_where_a_revert_would_help(what: str, document: JsonObject, back: int, expected: Revertible | str) -> None:
    match revertible(document, back):
        case Revertible() as found:
            assert found == expected, what
        case NotRevertible(sentence=sentence):
            assert isinstance(expected, str), f"{what}: {sentence}"
            assert expected in sentence, what
