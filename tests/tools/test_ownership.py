"""The table of owners: how each shows itself, what becomes of a write, and where the write goes instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tools.executors.argocd.documents import app, resource
from tools.cluster.structs import Reference
from tools.jsontypes import JsonObject, JsonValue
from tools.ownership import BY_HAND, REPOSITORY, SAME, Effect, Instead, Known, Owner, claims, ownership

REPLICAS, IMAGE = "/spec/replicas", "/spec/template/spec/containers/0/image"
LIMITS = "/spec/template/spec/containers/0/resources/limits"
NOTHING = Known(applications=(), hpas=(), scaled_objects=(), vpas=())
TRACKED = "shop:apps/Deployment:shop/web"
HEALS: JsonValue = {"selfHeal": True}


def thing(
    kind: str = "Deployment",
    api: str = "apps/v1",
    *,
    labels: JsonObject | None = None,
    annotations: JsonObject | None = None,
    owner: JsonObject | None = None,
    managers: list[JsonValue] | None = None,
) -> JsonObject:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "uid-web",
            "labels": labels or {},
            "annotations": annotations or {},
            "ownerReferences": [owner] if owner else [],
            "managedFields": managers or [],
        },
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "main", "image": "web:1"}]}}},
    }


def by(kind: str, api: str, name: str = "boss", *, controller: bool = True) -> JsonObject:
    return {"apiVersion": api, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": controller}


def wrote(manager: str, fields: JsonValue = None, **more: JsonValue) -> JsonObject:
    owned = fields if fields is not None else {"f:spec": {"f:replicas": {}}}
    return {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": owned, **more}


def scaler(kind: str, *, target: str = "web", of: str = "Deployment", **metadata: JsonValue) -> JsonObject:
    place = "targetRef" if kind == "VerticalPodAutoscaler" else "scaleTargetRef"
    return {
        "metadata": {"name": "scaler", "namespace": "shop", "uid": "uid-scaler", **metadata},
        "spec": {place: {"apiVersion": "apps/v1", "kind": of, "name": target}},
    }


def hpas(*found: JsonObject) -> Known:
    return replace(NOTHING, hpas=found)


def scaled(**annotations: JsonValue) -> Known:
    named: JsonObject = {f"autoscaling.keda.sh/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return replace(NOTHING, scaled_objects=(scaler("ScaledObject", annotations=named),))


def vpas(**spec: JsonValue) -> Known:
    found = scaler("VerticalPodAutoscaler")
    assert isinstance(found["spec"], dict)
    return replace(NOTHING, vpas=({**found, "spec": {**found["spec"], **spec}},))


def apps(document: JsonObject) -> Known:
    return replace(NOTHING, applications=(document,))


BY_ID = thing(annotations={"argocd.argoproj.io/tracking-id": TRACKED})
BY_LABEL = thing(labels={"argocd.argoproj.io/instance": "shop"})
BY_INSTANCE = thing(labels={"app.kubernetes.io/instance": "shop"})
ELSEWHERE = app(status={"resources": [resource(name="other")]})
IGNORES = app(automated=HEALS, spec={
    "syncPolicy": {"automated": HEALS, "syncOptions": ["RespectIgnoreDifferences=true"]},
    "ignoreDifferences": [{"group": "apps", "kind": "Deployment", "jsonPointers": [REPLICAS]}],
})  # fmt: skip
FLUX: JsonObject = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
HELM_RELEASE: JsonObject = {"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "shop"}
RELEASE: JsonObject = {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}
MANAGED: JsonObject = {"app.kubernetes.io/managed-by": "Helm"}
CONTAINER: JsonValue = {"f:spec": {"f:template": {"f:spec": {"f:containers": {
    'k:{"name":"main"}': {".": {}, "f:image": {}, "f:name": {}}}}}}}  # fmt: skip
BY_NAME: JsonValue = {"scaleTargetRef": {"name": "web"}}
KEDA_HPA = scaler("HorizontalPodAutoscaler", ownerReferences=[by("ScaledObject", "keda.sh/v1alpha1", "queue")])
OLD_KEDA_HPA = scaler("HorizontalPodAutoscaler", labels={"scaledobject.keda.sh/name": "queue"})

Row = tuple[JsonObject, Known, list[str], Owner, Effect, str, str]
"""The object, what is known, the fields to write; whose it is, what becomes of it, where it goes, by which action."""
NOWHERE = ("", "")

TABLE: dict[str, Row] = {
    # Nobody
    "nobody": (thing(), NOTHING, [REPLICAS], Owner.NOBODY, Effect.HOLDS, *NOWHERE),
    "written by hand": (
        thing(managers=[wrote("kubectl-edit"), wrote("kubectl-client-side-apply"), wrote("helm"), wrote("k9s")]),
        NOTHING, [REPLICAS], Owner.NOBODY, Effect.HOLDS, *NOWHERE,
    ),
    "written by ourselves": (
        thing(managers=[wrote("selfheal"), wrote("selfheal-undo")]), NOTHING, [REPLICAS], Owner.NOBODY, Effect.HOLDS,
        *NOWHERE,
    ),
    "written by Kubernetes": (
        thing(managers=[wrote("kube-controller-manager")]), NOTHING, [REPLICAS], Owner.NOBODY, Effect.HOLDS, *NOWHERE
    ),
    # Argo CD
    "Argo CD by tracking id, self-heal on": (
        BY_ID, apps(app(automated=HEALS)), [IMAGE], Owner.ARGO_CD, Effect.REVERTED, "Application argocd/shop",
        REPOSITORY,
    ),
    "Argo CD, self-heal on, out of sync": (
        BY_ID, apps(app(automated=HEALS, sync="OutOfSync")), [IMAGE], Owner.ARGO_CD, Effect.REVERTED,
        "Application argocd/shop", "argocd_sync",
    ),
    "Argo CD, new commits only": (
        BY_ID, apps(app(automated={})), [IMAGE], Owner.ARGO_CD, Effect.DRIFTS, "Application argocd/shop", REPOSITORY
    ),
    "Argo CD, by hand": (
        BY_ID, apps(app()), [IMAGE], Owner.ARGO_CD, Effect.DRIFTS, "Application argocd/shop", "argocd_rollback"
    ),
    "Argo CD, by hand, out of sync": (
        BY_ID, apps(app(sync="OutOfSync")), [IMAGE], Owner.ARGO_CD, Effect.DRIFTS, "Application argocd/shop",
        "argocd_sync",
    ),
    "Argo CD ignores the field": (BY_ID, apps(IGNORES), [REPLICAS], Owner.ARGO_CD, Effect.HOLDS, *NOWHERE),
    "Argo CD ignores another field": (
        BY_ID, apps(IGNORES), [REPLICAS, IMAGE], Owner.ARGO_CD, Effect.REVERTED, "Application argocd/shop", REPOSITORY
    ),
    "Argo CD, the application is in another cluster": (
        BY_ID, NOTHING, [IMAGE], Owner.ARGO_CD, Effect.UNKNOWN, "Application shop", "argocd_refresh"
    ),
    "Argo CD, applications were not read": (
        BY_ID, replace(NOTHING, applications=None), [IMAGE], Owner.ARGO_CD, Effect.UNKNOWN, "Application shop",
        "argocd_refresh",
    ),
    "Argo CD, the application does not list it": (
        BY_ID, apps(ELSEWHERE), [IMAGE], Owner.ARGO_CD, Effect.UNKNOWN, "Application shop", "argocd_refresh"
    ),
    "Argo CD, the tracking id was copied from another object": (
        thing(annotations={"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/other"}),
        apps(app(automated=HEALS)), [IMAGE], Owner.NOBODY, Effect.HOLDS, *NOWHERE,
    ),
    "Argo CD, an application of another namespace": (
        thing(annotations={"argocd.argoproj.io/tracking-id": f"argocd_{TRACKED}"}), apps(app(automated=HEALS)), [IMAGE],
        Owner.ARGO_CD, Effect.REVERTED, "Application argocd/shop", REPOSITORY,
    ),
    "Argo CD by its label": (
        BY_LABEL, apps(app(automated=HEALS)), [IMAGE], Owner.ARGO_CD, Effect.REVERTED, "Application argocd/shop",
        REPOSITORY,
    ),
    "Argo CD by its label, which was copied": (
        BY_LABEL, apps(ELSEWHERE), [IMAGE], Owner.NOBODY, Effect.HOLDS, *NOWHERE
    ),
    "Argo CD by its label, applications were not read": (
        BY_LABEL, replace(NOTHING, applications=None), [IMAGE], Owner.ARGO_CD, Effect.UNKNOWN, "Application shop",
        "argocd_refresh",
    ),
    "Argo CD by the common label": (
        BY_INSTANCE, apps(app(automated=HEALS)), [IMAGE], Owner.ARGO_CD, Effect.REVERTED, "Application argocd/shop",
        REPOSITORY,
    ),
    "the common label, and an application that does not list it": (
        BY_INSTANCE, apps(ELSEWHERE), [IMAGE], Owner.NOBODY, Effect.HOLDS, *NOWHERE
    ),
    "the common label, and no application": (BY_INSTANCE, NOTHING, [IMAGE], Owner.NOBODY, Effect.HOLDS, *NOWHERE),
    "Argo CD by its field manager alone": (
        thing(managers=[wrote("argocd-controller", CONTAINER)]), NOTHING, [IMAGE], Owner.ARGO_CD, Effect.UNKNOWN,
        "Deployment shop/web", BY_HAND,
    ),
    # Flux
    "Flux, a Kustomization": (
        thing(labels=FLUX), NOTHING, [IMAGE], Owner.FLUX, Effect.REVERTED, "Kustomization flux-system/apps", REPOSITORY
    ),
    "Flux, told to leave it": (
        thing(labels=FLUX, annotations={"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}), NOTHING, [IMAGE],
        Owner.FLUX, Effect.HOLDS, *NOWHERE,
    ),
    "Flux, told to make it once": (
        thing(labels=FLUX, annotations={"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}), NOTHING, [IMAGE],
        Owner.FLUX, Effect.HOLDS, *NOWHERE,
    ),
    "Flux, a HelmRelease": (
        thing(labels=HELM_RELEASE), NOTHING, [IMAGE], Owner.FLUX, Effect.UNKNOWN, "HelmRelease shop/web", REPOSITORY
    ),
    "Flux, a HelmRelease that looks away": (
        thing(labels=HELM_RELEASE, annotations={"helm.toolkit.fluxcd.io/driftDetection": "disabled"}), NOTHING, [IMAGE],
        Owner.FLUX, Effect.DRIFTS, "HelmRelease shop/web", REPOSITORY,
    ),
    "Flux by its field manager alone": (
        thing(managers=[wrote("kustomize-controller", CONTAINER)]), NOTHING, [IMAGE], Owner.FLUX, Effect.UNKNOWN,
        "Deployment shop/web", BY_HAND,
    ),
    # Helm
    "Helm": (
        thing(labels=MANAGED, annotations=RELEASE), NOTHING, [IMAGE], Owner.HELM, Effect.DRIFTS, " shop/web", REPOSITORY
    ),
    "Helm's label without a release": (thing(labels=MANAGED), NOTHING, [IMAGE], Owner.NOBODY, Effect.HOLDS, *NOWHERE),
    "Helm under a HelmRelease": (
        thing(labels={**MANAGED, **HELM_RELEASE}, annotations=RELEASE), NOTHING, [IMAGE], Owner.FLUX, Effect.UNKNOWN,
        "HelmRelease shop/web", REPOSITORY,
    ),
    # HPA
    "HPA, replicas": (
        thing(), hpas(scaler("HorizontalPodAutoscaler")), [REPLICAS], Owner.HPA, Effect.REVERTED,
        "HorizontalPodAutoscaler shop/scaler", "set_hpa_bounds",
    ),
    "HPA, another field": (
        thing(), hpas(scaler("HorizontalPodAutoscaler")), [IMAGE], Owner.NOBODY, Effect.HOLDS, *NOWHERE
    ),
    "HPA of another workload": (
        thing(), hpas(scaler("HorizontalPodAutoscaler", target="api")), [REPLICAS], Owner.NOBODY, Effect.HOLDS, *NOWHERE
    ),
    "HPA of another kind": (
        thing(), hpas(scaler("HorizontalPodAutoscaler", of="StatefulSet")), [REPLICAS], Owner.NOBODY, Effect.HOLDS,
        *NOWHERE,
    ),
    "HPA of another namespace": (
        thing(), hpas(scaler("HorizontalPodAutoscaler", namespace="cart")), [REPLICAS], Owner.NOBODY, Effect.HOLDS,
        *NOWHERE,
    ),
    "HPA under Argo CD: the replicas are the HPA's": (
        BY_ID, replace(apps(app(automated=HEALS)), hpas=(scaler("HorizontalPodAutoscaler"),)), [REPLICAS], Owner.HPA,
        Effect.REVERTED, "HorizontalPodAutoscaler shop/scaler", "set_hpa_bounds",
    ),
    "HPAs were not read": (
        thing(), replace(NOTHING, hpas=None), [REPLICAS], Owner.UNKNOWN, Effect.UNKNOWN, *NOWHERE
    ),
    "HPAs were not read, another field": (
        thing(), replace(NOTHING, hpas=None), [IMAGE], Owner.NOBODY, Effect.HOLDS, *NOWHERE
    ),
    # KEDA
    "KEDA, replicas": (
        thing(), scaled(), [REPLICAS], Owner.KEDA, Effect.REVERTED, "ScaledObject shop/scaler", "keda_set_bounds"
    ),
    "KEDA, without kind and group": (
        thing(), replace(NOTHING, scaled_objects=({**scaler("ScaledObject"), "spec": BY_NAME},)), [REPLICAS],
        Owner.KEDA, Effect.REVERTED, "ScaledObject shop/scaler", "keda_set_bounds",
    ),
    "KEDA, paused": (
        thing(), scaled(paused="true"), [REPLICAS], Owner.KEDA, Effect.DRIFTS, "ScaledObject shop/scaler", "keda_resume"
    ),
    "KEDA, paused said to be false": (
        thing(), scaled(paused="false"), [REPLICAS], Owner.KEDA, Effect.REVERTED, "ScaledObject shop/scaler",
        "keda_set_bounds",
    ),
    "KEDA, paused at a number": (
        thing(), scaled(paused_replicas="3"), [REPLICAS], Owner.KEDA, Effect.REVERTED, "ScaledObject shop/scaler",
        "keda_resume",
    ),
    "KEDA by the HPA it made": (
        thing(), hpas(KEDA_HPA), [REPLICAS], Owner.KEDA, Effect.REVERTED, "ScaledObject shop/queue", "keda_set_bounds"
    ),
    "KEDA by the HPA it made, known by its label": (
        thing(), hpas(OLD_KEDA_HPA), [REPLICAS], Owner.KEDA, Effect.REVERTED, "ScaledObject shop/queue",
        "keda_set_bounds",
    ),
    "KEDA, its HPA itself": (
        thing("HorizontalPodAutoscaler", "autoscaling/v2", owner=by("ScaledObject", "keda.sh/v1alpha1", "queue")),
        NOTHING, ["/spec/minReplicas"], Owner.KEDA, Effect.REVERTED, "ScaledObject shop/queue", "keda_set_bounds",
    ),
    "ScaledObjects were not read": (
        thing(), replace(NOTHING, scaled_objects=None), [REPLICAS], Owner.UNKNOWN, Effect.UNKNOWN, *NOWHERE
    ),
    # VPA
    "VPA, resources": (
        thing(), vpas(), [LIMITS], Owner.VPA, Effect.REVERTED, "VerticalPodAutoscaler shop/scaler", REPOSITORY
    ),
    "VPA, replicas": (thing(), vpas(), [REPLICAS], Owner.NOBODY, Effect.HOLDS, *NOWHERE),
    "VPA that only recommends": (
        thing(), vpas(updatePolicy={"updateMode": "Off"}), [LIMITS], Owner.VPA, Effect.HOLDS, *NOWHERE
    ),
    "VPA that is off for every container": (
        thing(), vpas(resourcePolicy={"containerPolicies": [{"containerName": "*", "mode": "Off"}]}), [LIMITS],
        Owner.VPA, Effect.HOLDS, *NOWHERE,
    ),
    "VPA that is off for one container": (
        thing(), vpas(resourcePolicy={"containerPolicies": [{"containerName": "main", "mode": "Off"}]}), [LIMITS],
        Owner.VPA, Effect.REVERTED, "VerticalPodAutoscaler shop/scaler", REPOSITORY,
    ),
    "VPAs were not read": (
        thing(), replace(NOTHING, vpas=None), [LIMITS], Owner.UNKNOWN, Effect.UNKNOWN, *NOWHERE
    ),
    # Crossplane
    "Crossplane, for a claim": (
        thing("Bucket", "s3.aws.upbound.io/v1beta1", labels={
            "crossplane.io/composite": "shop-x7", "crossplane.io/claim-name": "shop",
            "crossplane.io/claim-namespace": "team"}, owner=by("XStore", "platform.example.org/v1", "shop-x7")),
        NOTHING, [], Owner.CROSSPLANE, Effect.REVERTED, " team/shop", "crossplane_reconcile_now",
    ),
    "Crossplane, composed without a claim": (
        thing("Bucket", "s3.aws.upbound.io/v1beta1", labels={"crossplane.io/composite": "shop-x7"},
              owner=by("XStore", "platform.example.org/v1", "shop-x7")),
        NOTHING, [], Owner.CROSSPLANE, Effect.REVERTED, "XStore shop/shop-x7", "crossplane_reconcile_now",
    ),
    "Crossplane, the Deployment of a provider": (
        thing(owner=by("ProviderRevision", "pkg.crossplane.io/v1", "aws-1")), NOTHING, [IMAGE], Owner.CROSSPLANE,
        Effect.REVERTED, "ProviderRevision shop/aws-1", REPOSITORY,
    ),
    "Crossplane, a resource that people wrote": (
        thing("Bucket", "s3.aws.upbound.io/v1beta1", annotations={"crossplane.io/external-name": "b"}), NOTHING, [],
        Owner.NOBODY, Effect.HOLDS, *NOWHERE,
    ),
    # Controllers and operators
    "a ReplicaSet of a Deployment": (
        thing("ReplicaSet", owner=by("Deployment", "apps/v1")), NOTHING, [IMAGE], Owner.CONTROLLER, Effect.REVERTED,
        "Deployment shop/boss", SAME,
    ),
    "a pod of a ReplicaSet": (
        thing("Pod", "v1", owner=by("ReplicaSet", "apps/v1")), NOTHING, ["/metadata/labels/a"], Owner.CONTROLLER,
        Effect.DRIFTS, "ReplicaSet shop/boss", SAME,
    ),
    "a Job of a CronJob": (
        thing("Job", "batch/v1", owner=by("CronJob", "batch/v1")), NOTHING, ["/spec/suspend"], Owner.CONTROLLER,
        Effect.DRIFTS, "CronJob shop/boss", SAME,
    ),
    "an operator by its reference": (
        thing(owner=by("Kafka", "kafka.strimzi.io/v1beta2")), NOTHING, [IMAGE], Owner.OPERATOR, Effect.REVERTED,
        "Kafka shop/boss", BY_HAND,
    ),
    "an operator of a project around Kubernetes": (
        thing(owner=by("JobSet", "jobset.x-k8s.io/v1alpha2")), NOTHING, [IMAGE], Owner.OPERATOR, Effect.REVERTED,
        "JobSet shop/boss", BY_HAND,
    ),
    "an owner that does not control": (
        thing(owner=by("Kafka", "kafka.strimzi.io/v1beta2", controller=False)), NOTHING, [IMAGE], Owner.NOBODY,
        Effect.HOLDS, *NOWHERE,
    ),
    "an operator by the field it wrote": (
        thing(managers=[wrote("acme-operator", CONTAINER)]), NOTHING, [IMAGE], Owner.OPERATOR, Effect.UNKNOWN,
        "Deployment shop/web", BY_HAND,
    ),
    "an operator that wrote another field": (
        thing(managers=[wrote("acme-operator", CONTAINER)]), NOTHING, [REPLICAS], Owner.NOBODY, Effect.HOLDS, *NOWHERE
    ),
    "an operator that wrote something above the field": (
        thing(managers=[wrote("acme-operator", {"f:spec": {"f:template": {}}})]), NOTHING, [IMAGE], Owner.OPERATOR,
        Effect.UNKNOWN, "Deployment shop/web", BY_HAND,
    ),
    "an operator that applies": (
        thing(managers=[wrote("acme-operator", CONTAINER, operation="Apply")]), NOTHING, [IMAGE], Owner.OPERATOR,
        Effect.UNKNOWN, "Deployment shop/web", BY_HAND,
    ),
    "an operator that wrote labels and status only": (
        thing(managers=[wrote("acme-operator", {"f:metadata": {"f:labels": {}}, "f:status": {"f:x": {}}}),
                        wrote("acme-operator", {"f:status": {}}, subresource="status")]),
        NOTHING, [], Owner.NOBODY, Effect.HOLDS, *NOWHERE,
    ),
    "an operator that scaled it": (
        thing(managers=[wrote("acme-operator", subresource="scale")]), NOTHING, [REPLICAS], Owner.NOBODY, Effect.HOLDS,
        *NOWHERE,
    ),
    "an operator whose name begins like a tool": (
        thing(managers=[wrote("helm-operator", CONTAINER)]), NOTHING, [IMAGE], Owner.OPERATOR, Effect.UNKNOWN,
        "Deployment shop/web", BY_HAND,
    ),
    # Everything at once
    "the strictest of several": (
        thing(labels={**MANAGED, **FLUX}, annotations=RELEASE, managers=[wrote("acme-operator", CONTAINER)]), NOTHING,
        [IMAGE], Owner.FLUX, Effect.REVERTED, "Kustomization flux-system/apps", REPOSITORY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_ownership(row: Row) -> None:
    live, known, fields, owner, effect, where, action = row
    found = ownership(live, known, fields)
    assert (found.owner, found.effect) == (owner, effect), found
    assert (str(found.instead.ref) if found.instead else "") == where
    assert (found.instead.action if found.instead else "") == action
    assert found.sentence.endswith(".")


def test_without_fields_every_claim_counts() -> None:
    assert ownership(thing(), scaled()).owner is Owner.KEDA
    assert ownership(thing(), Known()).effect is Effect.UNKNOWN


def test_everybody_who_keeps_a_part_is_named() -> None:
    live = thing(labels={**MANAGED, **FLUX}, annotations=RELEASE)
    known = replace(vpas(), hpas=(scaler("HorizontalPodAutoscaler"),))
    assert {claim.owner for claim in claims(live, known)} == {Owner.FLUX, Owner.HELM, Owner.HPA, Owner.VPA}


def test_where_to_go_instead_is_a_reference_with_its_group() -> None:
    found = ownership(BY_ID, apps(app(automated=HEALS)), [IMAGE])
    ref = Reference("Application", "argocd", "shop", "uid-shop", "argoproj.io/v1alpha1")
    assert found.instead == Instead(ref, REPOSITORY)


GARBAGE: list[JsonObject] = [
    {},
    {"metadata": None},
    {"metadata": {"labels": [], "annotations": "x", "ownerReferences": {}, "managedFields": "y"}},
    {"kind": 3, "metadata": {"managedFields": [None, {"fieldsV1": "x"}, {"manager": 1, "fieldsV1": {"f:spec": None}}]}},
    {"metadata": {"ownerReferences": [None, {"controller": True}]}, "spec": {"template": {"x": 1}}},
]


@pytest.mark.parametrize("live", GARBAGE)
def test_garbage_is_no_reason_to_raise(live: JsonObject) -> None:
    known = Known(applications=GARBAGE, hpas=GARBAGE, scaled_objects=GARBAGE, vpas=GARBAGE)
    assert ownership(live, known, [REPLICAS]).sentence


def test_a_manager_of_a_thousand_fields_keeps_the_top_of_the_object() -> None:
    many: JsonObject = {f"f:k{number}": {} for number in range(1000)}
    live = thing("ConfigMap", "v1", managers=[wrote("acme-operator", {"f:data": many})])
    assert ownership(live, NOTHING, ["/data/other"]).owner is Owner.OPERATOR


def test_segments_are_escaped_as_in_a_pointer() -> None:
    live = thing("ConfigMap", "v1", managers=[wrote("acme-operator", {"f:data": {"f:a/b": {}}})])
    assert ownership(live, NOTHING, ["/data/a~1b"]).owner is Owner.OPERATOR
    assert ownership(live, NOTHING, ["/data/a"]).owner is Owner.NOBODY
