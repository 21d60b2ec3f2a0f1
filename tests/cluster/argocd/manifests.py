"""Applications and projects of Argo CD as documents.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tools.jsontypes import JsonObject, JsonValue

NAMESPACE = "argocd"
_API = "argoproj.io/v1alpha1"
IN_CLUSTER = "https://kubernetes.default.svc"


def application(
    name: str,
    url: str,
    into: str,
    *,
    project: str = "default",
    automated: JsonObject | None = None,
    options: Sequence[str] = (),
    path: str = ".",
    retry: int | None = None,
) -> JsonObject:
    """An Application of one repository for the namespace `into`.  `automated` as in Argo CD: `{}` is auto-sync,
    `selfHeal` and `prune` widen it; None means syncs by hand."""
    policy: JsonObject = {"syncOptions": list(options)}
    if automated is not None:
        policy["automated"] = automated
    if retry is not None:
        policy["retry"] = {"limit": retry, "backoff": {"duration": "1s", "factor": 1}}
    return {
        "apiVersion": _API,
        "kind": "Application",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "project": project,
            "source": {"repoURL": url, "path": path, "targetRevision": "HEAD"},
            "destination": {"server": IN_CLUSTER, "namespace": into},
            "syncPolicy": policy,
        },
    }


def project(name: str, windows: Sequence[JsonObject] = ()) -> JsonObject:
    """A project that permits every source and destination, with sync windows."""
    anywhere: list[JsonValue] = [{"server": "*", "namespace": "*"}]
    anything: list[JsonValue] = [{"group": "*", "kind": "*"}]
    return {
        "apiVersion": _API,
        "kind": "AppProject",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": anywhere,
            "clusterResourceWhitelist": anything,
            "syncWindows": list(windows),
        },
    }


def window(kind: str, *, by_hand: bool = False) -> JsonObject:
    """A sync window that is open at every moment (`allow` or `deny`), for every application of its project."""
    return {"kind": kind, "schedule": "* * * * *", "duration": "1h", "applications": ["*"], "manualSync": by_hand}
