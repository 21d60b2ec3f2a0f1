"""Which folder of which Git repository an Application comes from, where reverting a commit takes a deployment back.

Pure.  The rule: only a single source of plain manifests or of Kustomize will do.  What a chart or a plugin makes of a
folder comes from values as well; of several sources nobody knows which one is at fault; and where the Application
itself was changed between the two deployments, no commit alone brings back the one before.

Neighbours: `history` has what was deployed, `tools.journal.reverts` prepares the revert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.executors.argocd.application import Phase, name_of, operation
from tools.executors.argocd.history import history
from tools.jsontypes import JsonObject, dig, dig_int, dig_list, dig_object, dig_str

_PLAIN: Final = frozenset({"", "Directory", "Kustomize"})
"""Kinds of sources whose folder says all there is to say; Argo CD leaves the word out until it has compared."""
_TARGET: Final = "targetRevision"


@dataclass(frozen=True, slots=True)
class Revertible:
    """What was deployed and fails, and what was there before: commits by their full SHA, where it came from Git."""

    repository: str
    path: str
    target: str
    """What is followed: a branch, a tag, a commit; "" is the repository's own branch."""
    bad: str
    good: str


@dataclass(frozen=True, slots=True)
class NotRevertible:
    """No commit alone would take it back, and why."""

    sentence: str


def revertible(app: JsonObject, back: int) -> Revertible | NotRevertible:
    """The commits and where they are; `back` is the entry of the history that should be there again."""
    who = name_of(app)
    source, entries = dig_object(app, "spec", "source"), history(app)
    chosen = next((entry for entry in entries if entry.id == back), None)
    if dig_list(app, "spec", "sources") or not source:
        return NotRevertible(f"{who} has several sources, or none that is known")
    if dig(app, "spec", "sourceHydrator") is not None:
        return NotRevertible(f"{who} is deployed from manifests that Argo CD writes itself: revert what it renders")
    if (
        "chart" in source
        or "helm" in source
        or dig_str(app, "status", "sourceType") not in _PLAIN
        or "plugin" in source
    ):
        return NotRevertible(f"{who} is rendered from a chart or by a plugin, which depends on more than its folder")
    if chosen is None:
        return NotRevertible(f"the history of {who} does not hold the deployment to go back to any more")
    latest = operation(app)
    has_failed = latest.phase in {Phase.FAILED, Phase.ERROR} and latest.revisions != chosen.revisions
    bad = latest.revisions if has_failed and entries[0] == chosen else entries[0].revisions
    if len(bad) != 1 or len(chosen.revisions) != 1:
        return NotRevertible(f"{who} was not deployed from one revision")
    kept = {entries[0].id, chosen.id}
    origins = [dig_object(e, "source") for e in dig_list(app, "status", "history") if dig_int(e, "id") in kept]
    if any(_without_target(origin) != _without_target(source) for origin in origins):
        return NotRevertible(f"{who} itself was changed between the two deployments")
    return Revertible(
        repository=dig_str(source, "repoURL"),
        path=dig_str(source, "path"),
        target=dig_str(source, _TARGET),
        bad=bad[0],
        good=chosen.revisions[0],
    )


def _without_target(source: JsonObject) -> JsonObject:
    return {key: value for key, value in source.items() if key != _TARGET}
