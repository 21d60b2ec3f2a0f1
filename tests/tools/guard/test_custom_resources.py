"""What the guard says about resources that are known only at run time: where they are, and who keeps a note on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.crossplane.model import BUCKET, VOLUME, managed
from tests.tools.executors.objects import UID
from tests.tools.guard.setting import AUTO, NOW, context, namespace
from tests.tools.guard.test_checks import answer
from tools import registry
from tools.cluster.catalogue import Served
from tools.cluster.resources import Resource
from tools.executors.base import Situation
from tools.executors.crossplane.facts import PAUSED, REQUESTED
from tools.executors.crossplane.finder import catalogue_of
from tools.guard.checks import gitops, mode, protected
from tools.guard.checks.mode import declared_mode
from tools.guard.policy import Mode
from tools.guard.verdict import ReasonCode
from tools.guard.world import Counts, World
from tools.jsontypes import JsonObject, JsonValue, dig_object
from tools.refs import ObjectRef, Pin

R = ReasonCode
RESUME, WAKE = "crossplane_resume", "crossplane_reconcile_now"
KNOWN = catalogue_of(["buckets.storage.example.org", "volumes.storage.example.org"])
KNOWN.learn(
    "storage.example.org",
    [
        Served(Resource("storage.example.org", "v1beta1", "buckets", BUCKET), frozenset({"managed"})),
        Served(
            Resource("storage.example.org", "v1alpha1", "volumes", VOLUME, namespaced=False), frozenset({"managed"})
        ),
    ],
)
COMPOSED: JsonObject = {
    "kind": "Store",
    "name": "s",
    "uid": "s",
    "controller": True,
    "apiVersion": "platform.example.org/v1",
}


def wrote(manager: str, *notes: str, subresource: str = "") -> JsonObject:
    fields: JsonObject = {f"f:{note}": {} for note in notes}
    return {"manager": manager, "subresource": subresource, "fieldsV1": {"f:metadata": {"f:annotations": fields}}}


def live(kind: str = BUCKET, *, namespace: str | None = "shop", **metadata: JsonValue) -> JsonObject:
    made = managed(kind, "web", namespace=namespace, annotations={PAUSED: "true"})
    return {**made, "metadata": {**dig_object(made, "metadata"), "uid": UID, "resourceVersion": "7", **metadata}}


def world(tool: str, document: JsonObject, *, kind: str = BUCKET, where: str | None = "shop") -> World:
    ref = ObjectRef(kind=kind, namespace=where, name="web")
    pinned = Pin(ref=ref, uid=UID, resource_version="7", generation=None)
    asked = context(scope=(pinned,), owner=ref, owner_uid=UID).order(
        registry.parse(tool, {"kind": kind, "namespace": where, "name": "web"})
    )
    return World(
        order=asked,
        policy=AUTO,
        own_namespace="selfheal",
        now=NOW,
        executor=registry.executors([tool], catalogue=KNOWN)[tool],
        situation=Situation(document),
        owner=document,
        namespace=namespace(),
        autoscalers=(),
        permitted=True,
        paused_until=None,
        history=(),
        last_plan=None,
        owner_plans=(),
        counts=Counts(0, 0, 0),
        holds_lock=True,
    )


@pytest.mark.parametrize(
    ("why", "kind", "document", "where", "code"),
    [
        ("in its namespace", BUCKET, live(), "shop", None),
        ("in no namespace, as its kind is", VOLUME, live(VOLUME, namespace=None), None, None),
        ("named in a namespace, and in none", VOLUME, live(VOLUME, namespace=None), "shop", R.TARGET_PROTECTED),
        ("named without its namespace", BUCKET, live(), None, R.TARGET_PROTECTED),
        ("named in another", BUCKET, live(namespace="lab"), "shop", R.TARGET_PROTECTED),
        ("in a protected namespace", BUCKET, live(namespace="kube-system"), "kube-system", R.TARGET_PROTECTED),
    ],
)
def test_it_is_where_it_says_itself(
    why: str, kind: str, document: JsonObject, where: str | None, code: ReasonCode | None
) -> None:
    assert answer(protected.check, world(RESUME, document, kind=kind, where=where)) is code


def test_what_is_in_no_namespace_is_never_automatic() -> None:
    asked = world(RESUME, live(VOLUME, namespace=None), kind=VOLUME, where=None)
    assert answer(mode.check, asked) in {None, R.MODE_OFF}
    assert declared_mode(asked) is not Mode.AUTO
    open_as_can_be = AUTO.model_copy(update={"cluster_mode": Mode.APPROVE})
    assert declared_mode(replace(asked, policy=open_as_can_be)) is Mode.APPROVE


ARGO: JsonObject = {"argocd.argoproj.io/instance": "shop"}


@pytest.mark.parametrize(
    ("why", "tool", "document", "code"),
    [
        ("nobody else", RESUME, live(managedFields=[wrote("kubectl-annotate", PAUSED)]), None),
        ("a composition made it, a person paused it", RESUME,
         live(ownerReferences=[COMPOSED], managedFields=[wrote("kubectl-annotate", PAUSED)]), None),
        ("a composition made it and paused it", RESUME,
         live(ownerReferences=[COMPOSED], managedFields=[wrote("apiextensions.crossplane.io/composed/ab", PAUSED)]),
         R.OWNED_BY_GITOPS),
        ("a composition of v1 paused it", RESUME, live(managedFields=[wrote("crossplane", PAUSED)]), R.OWNED_BY_GITOPS),
        ("Argo CD delivers it, a person paused it", RESUME,
         live(labels=ARGO, managedFields=[wrote("kubectl-edit", PAUSED)]), None),
        ("Argo CD delivers the pause", RESUME,
         live(labels=ARGO, managedFields=[wrote("argocd-controller", PAUSED)]), R.OWNED_BY_GITOPS),
        ("Flux and a person both say it", RESUME,
         live(managedFields=[wrote("kubectl-edit", PAUSED), wrote("kustomize-controller", PAUSED)]), R.OWNED_BY_GITOPS),
        ("Argo CD delivers it, and nobody knows whose the note is", RESUME, live(labels=ARGO), R.OWNED_BY_GITOPS),
        ("Argo CD delivers it, and nobody asked yet", WAKE, live(labels=ARGO), None),
        ("a composition made it, and nobody asked yet", WAKE, live(ownerReferences=[COMPOSED]), None),
        ("Argo CD delivers a request", WAKE,
         live(annotations={REQUESTED: "x"}, managedFields=[wrote("argocd-controller", REQUESTED)]), R.OWNED_BY_GITOPS),
    ],
)  # fmt: skip
def test_who_keeps_a_note(why: str, tool: str, document: JsonObject, code: ReasonCode | None) -> None:
    assert answer(gitops.check, world(tool, document)) is code
