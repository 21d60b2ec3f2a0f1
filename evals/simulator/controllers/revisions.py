"""ControllerRevisions: the template history of StatefulSets and DaemonSets."""

from __future__ import annotations

from evals.simulator.api.core import Api
from evals.simulator.controllers import pods
from evals.simulator.objects import (
    child,
    clone,
    integer,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    strings,
    template_of,
    uid_of,
)
from tools.jsontypes import JsonObject, canonical, dig_object

KEY = "controllerrevisions.apps"
HASH = "controller-revision-hash"


def history(api: Api, owner: JsonObject) -> list[JsonObject]:
    """The owner's revisions, oldest first."""
    found = [o for key, o in api.store.owned_by(uid_of(owner)) if key == KEY]
    return sorted(found, key=lambda r: integer(r, "revision"))


def _data(template: JsonObject) -> JsonObject:
    return {"spec": {"template": {**clone(template), "$patch": "replace"}}}


def current(api: Api, owner: JsonObject, *, hash_only: bool) -> JsonObject:
    """The revision of the owner's template now; made, or made the newest again, when it is not.

    `hash_only`: pods carry only the hash in their label (DaemonSet); otherwise the whole name (StatefulSet).
    """
    past = history(api, owner)
    data = _data(template_of(owner))
    newest = integer(past[-1], "revision") if past else 0
    for revision in past:
        if canonical(dig_object(revision, "data")) == canonical(data):
            if integer(revision, "revision") == newest:
                return revision
            again = clone(revision)
            again["revision"] = newest + 1
            return api.store.put(KEY, again)
    digest = pods.template_hash(template_of(owner))
    name = f"{name_of(owner)}-{digest}"
    labels: JsonObject = {**strings(template_of(owner), "metadata", "labels"), HASH: digest if hash_only else name}
    manifest: JsonObject = {
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner_reference(owner)]},
        "data": data,
        "revision": newest + 1,
    }
    return api.create(api.kinds.by_key(KEY), namespace_of(owner), manifest)


def label_of(revision: JsonObject) -> str:
    """What the pods of a revision carry."""
    return labels_of(revision)[HASH]


def template_at(revision: JsonObject) -> JsonObject:
    """The template a revision recorded."""
    return {k: v for k, v in clone(dig_object(revision, "data", "spec", "template")).items() if k != "$patch"}


def prune(api: Api, owner: JsonObject, live: set[str]) -> None:
    """Forget revisions beyond the limit that no pod has."""
    keep = integer(owner, "spec", "revisionHistoryLimit", default=10)
    idle = [r for r in history(api, owner)[:-1] if label_of(r) not in live]
    for revision in idle[: max(0, len(idle) - keep)]:
        api.delete(api.kinds.by_key(KEY), namespace_of(owner), name_of(revision))


def stamped(template: JsonObject, label: str) -> JsonObject:
    """A template whose pods carry the revision label."""
    copy = clone(template)
    child(copy, "metadata", "labels")[HASH] = label
    return copy
