"""Claims of who delivers: Argo CD, Flux and Helm, by the labels and annotations they leave.

Applications are often kept in another cluster than what they deliver.  A tracking id whose application cannot be found
is therefore no leftover: what Argo CD would do is unknown then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tools.claims.claim import REPOSITORY, Claims, Effect, Instead, Known, Owner, Ownership, itself
from tools.cluster.structs import Reference
from tools.executors.argocd import application as argo
from tools.executors.argocd.application import ResourceKey, Sync
from tools.executors.argocd.decisions import Reversal, reversal
from tools.jsontypes import JsonObject, dig_object, dig_str

_APPLICATION: Final = ("argoproj.io/v1alpha1", "Application")
_EFFECTS: Final = {
    Reversal.NEVER: Effect.HOLDS,
    Reversal.NEXT_SYNC: Effect.DRIFTS,
    Reversal.AT_ONCE: Effect.REVERTED,
}
_SAID: Final = {
    Reversal.NEVER: "leaves these fields as they are",
    Reversal.NEXT_SYNC: "takes changes back when it is synced next",
    Reversal.AT_ONCE: "heals itself and takes changes back at once",
}
_KUSTOMIZE: Final = "kustomize.toolkit.fluxcd.io"
_HELM: Final = "helm.toolkit.fluxcd.io"


def by_argo(live: JsonObject, known: Known, fields: Sequence[str]) -> Claims:
    """An application that tracks the object, by annotation, or by a label that its own list of resources confirms."""
    key, metadata = ResourceKey.of(live), dig_object(live, "metadata")
    by_id = argo.tracked_by(dig_str(metadata, "annotations", argo.TRACKING_ID), key)
    by_label = dig_str(metadata, "labels", "argocd.argoproj.io/instance")
    name = by_id or by_label or dig_str(metadata, "labels", "app.kubernetes.io/instance")
    if not name:
        return
    app = next((found for found in known.applications or () if _is_named(found, name)), None)
    if app is not None and argo.tracked(app, key) is not None:
        yield _claim(app, key, fields)
    elif by_id or (by_label and app is None):
        ref = Reference(_APPLICATION[1], "", name, api_version=_APPLICATION[0])
        why = "was not read" if app is None else "does not list it now"
        sentence = f"Argo CD's application {name} keeps it; it {why}, so what becomes of a change is unknown."
        yield Ownership(Owner.ARGO_CD, Effect.UNKNOWN, sentence, Instead(ref, "argocd_refresh"))


def by_flux(live: JsonObject) -> Claims:
    """A Kustomization, which applies again and again, or a HelmRelease, which may."""
    labels, annotations = (dig_object(live, "metadata", part) for part in ("labels", "annotations"))
    name = dig_str(labels, f"{_KUSTOMIZE}/name")
    if name:
        ref = Reference(
            "Kustomization", dig_str(labels, f"{_KUSTOMIZE}/namespace"), name, api_version=f"{_KUSTOMIZE}/v1"
        )
        is_off = dig_str(annotations, f"{_KUSTOMIZE}/reconcile").lower() == "disabled"
        if is_off or dig_str(annotations, f"{_KUSTOMIZE}/ssa").lower() in {"ignore", "ifnotpresent"}:
            yield Ownership(Owner.FLUX, Effect.HOLDS, f"{ref} is told to leave it as it is.")
        else:
            sentence = f"{ref} applies it again and again."
            yield Ownership(Owner.FLUX, Effect.REVERTED, sentence, Instead(ref, REPOSITORY))
    name = dig_str(labels, f"{_HELM}/name")
    if name:
        ref = Reference("HelmRelease", dig_str(labels, f"{_HELM}/namespace"), name, api_version=f"{_HELM}/v2")
        is_off = dig_str(annotations, f"{_HELM}/driftDetection").lower() == "disabled"
        effect = Effect.DRIFTS if is_off else Effect.UNKNOWN
        said = "until its next upgrade" if is_off else "and takes changes back if its drift detection is on"
        yield Ownership(Owner.FLUX, effect, f"{ref} keeps it, {said}.", Instead(ref, REPOSITORY))


def by_helm(live: JsonObject) -> Claims:
    """A release: it holds what is written until it is upgraded."""
    labels, annotations = (dig_object(live, "metadata", part) for part in ("labels", "annotations"))
    release = dig_str(annotations, "meta.helm.sh/release-name")
    if release and dig_str(labels, "app.kubernetes.io/managed-by") == "Helm":
        ref = Reference("", dig_str(annotations, "meta.helm.sh/release-namespace"), release)
        sentence = f"The Helm release {ref.namespace}/{release} writes it anew at its next upgrade."
        yield Ownership(Owner.HELM, Effect.DRIFTS, sentence, Instead(ref, REPOSITORY))


def _claim(app: JsonObject, key: ResourceKey, fields: Sequence[str]) -> Ownership:
    becomes = reversal(app, key, fields)
    sentence = f"Argo CD's application {argo.name_of(app)} keeps it and {_SAID[becomes]}."
    instead = None if becomes is Reversal.NEVER else Instead(itself(app, *_APPLICATION), _action(app))
    return Ownership(Owner.ARGO_CD, _EFFECTS[becomes], sentence, instead)


def _action(app: JsonObject) -> str:
    """What can be done there: sync away a difference; else go back, which needs auto-sync to be off."""
    if argo.sync(app) is Sync.OUT_OF_SYNC:
        return "argocd_sync"
    return REPOSITORY if argo.auto_sync(app).is_on else "argocd_rollback"


def _is_named(app: JsonObject, name: str) -> bool:
    """Applications outside Argo CD's own namespace are called NAMESPACE_NAME."""
    metadata = dig_object(app, "metadata")
    own = dig_str(metadata, "name")
    return name in {own, f"{dig_str(metadata, 'namespace')}_{own}"}
