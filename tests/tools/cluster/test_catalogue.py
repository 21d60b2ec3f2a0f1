"""Kinds that are known only at run time: what may be listed, what is learnt, and that nothing else is found."""

from __future__ import annotations

import pytest

from tools.cluster.allowlist import AllowList
from tools.cluster.catalogue import Catalogue, DefinitionName, Served, read_resources
from tools.cluster.resources import DEPLOYMENT, Resource
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

BUCKETS = DefinitionName("buckets", "storage.example.org")
LISTED: JsonObject = {
    "kind": "APIResourceList",
    "resources": [
        {"name": "buckets", "kind": "Bucket", "namespaced": True, "categories": ["crossplane", "managed"]},
        {"name": "buckets/status", "kind": "Bucket", "namespaced": True},
        {"name": "secrets", "kind": "Secret", "namespaced": True},
        {"name": "", "kind": "Nameless"},
        "what is no resource",
    ],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("buckets.storage.example.org", BUCKETS),
        ("xshelves.platform.example", DefinitionName("xshelves", "platform.example")),
    ],
)
def test_a_name_of_a_definition_is_read(text: str, expected: DefinitionName) -> None:
    assert DefinitionName.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ("nothing", ""),
        ("no group", "buckets"),
        ("a group of one word", "buckets.org"),
        ("a star", "*.storage.example.org"),
        ("a star for the group", "buckets.*"),
        ("a kind", "Bucket.storage.example.org"),
        ("a subresource", "buckets/status.storage.example.org"),
        ("a path", "buckets.storage.example.org/../x"),
        ("a line end", "buckets.storage.example.org\n"),
        ("Kubernetes' own", "roles.rbac.authorization.k8s.io"),
        ("Kubernetes' own definitions", "customresourcedefinitions.apiextensions.k8s.io"),
        ("too long", f"buckets.{'a.' * 130}org"),
    ],
)
def test_what_names_no_definition_is_an_error_that_says_what_to_write(why: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"PLURAL\.GROUP|belongs to Kubernetes"):
        DefinitionName.parse(text)


def test_resources_are_read_without_subresources_and_under_qualified_kinds() -> None:
    bucket, secret = read_resources("storage.example.org", "v1beta1", LISTED)
    assert bucket == Served(
        Resource("storage.example.org", "v1beta1", "buckets", "Bucket.storage.example.org"),
        frozenset({"crossplane", "managed"}),
    )
    assert bucket.resource.manifest_kind == "Bucket"
    assert secret.resource.namespaced is True


def test_only_what_was_named_is_learnt_and_only_from_its_own_group() -> None:
    catalogue = Catalogue([BUCKETS])
    served = read_resources("storage.example.org", "v1beta1", LISTED)
    assert catalogue.find("Bucket.storage.example.org") is None
    catalogue.learn("other.example.org", served)
    assert not catalogue.served
    catalogue.learn("storage.example.org", served)
    assert [s.resource.plural for s in catalogue.served] == ["buckets"]
    assert catalogue.find("Secret.storage.example.org") is None
    catalogue.learn("storage.example.org", [])
    assert not catalogue.served


def test_two_groups_may_have_the_same_kind_and_the_known_ones_stay() -> None:
    other = DefinitionName("buckets", "other.example.org")
    catalogue = Catalogue([BUCKETS, other])
    for name in (BUCKETS, other):
        catalogue.learn(name.group, read_resources(name.group, "v1", LISTED))
    one, two = (catalogue.find(f"Bucket.{name.group}") for name in (BUCKETS, other))
    assert one is not None
    assert two is not None
    assert one.path("shop", "b") != two.path("shop", "b")
    assert catalogue.find("Bucket") is None
    assert catalogue.find("Deployment") is DEPLOYMENT
    assert catalogue.named("buckets", "other.example.org") == two


def test_the_transport_lets_through_what_is_listed_and_no_more() -> None:
    revisions = DefinitionName("providerrevisions", "pkg.crossplane.io")
    catalogue = Catalogue([BUCKETS], [revisions])
    allowed = AllowList(catalogue.rules(), {"kube-system"})
    bucket = Resource("storage.example.org", "v1beta1", "buckets", "Bucket.storage.example.org")
    revision = Resource("pkg.crossplane.io", "v1", "providerrevisions", "ProviderRevision.pkg.crossplane.io", False)
    for verb in ("get", "list", "watch", "patch"):
        assert allowed.permits(verb, bucket, None, "shop")
    assert not allowed.permits("patch", bucket, None, "kube-system")
    assert not allowed.permits("patch", bucket, "status", "shop")
    assert not allowed.permits("delete", bucket, None, "shop")
    assert not allowed.permits("create", bucket, None, "shop")
    assert not allowed.permits("update", bucket, None, "shop")
    assert allowed.permits("watch", revision, None, None)
    assert not allowed.permits("patch", revision, None, None)
    assert catalogue.may_patch(bucket)
    assert not catalogue.may_patch(revision)
    assert allowed.check_request("GET", "/apis/storage.example.org/v1beta1", "") == "get"


def test_without_names_there_is_nothing() -> None:
    catalogue = Catalogue()
    assert (bool(catalogue), catalogue.rules(), catalogue.groups) == (False, (), frozenset())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("shop/Bucket.storage.example.org/data", "Bucket.storage.example.org"),
        ("S3Bucket.aws.example.org/data", "S3Bucket.aws.example.org"),
        ("shop/Deployment/web", "Deployment"),
    ],
)
def test_a_reference_may_name_a_qualified_kind(text: str, kind: str) -> None:
    assert ObjectRef.parse(text).kind == kind
    assert str(ObjectRef.parse(text)) == text


@pytest.mark.parametrize(
    "kind", ["bucket.example.org", "Bucket.", "Bucket..org", "Bucket.Org", "Bucket/x", "Bucket.a_b"]
)
def test_what_is_no_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r"kind|is not an object"):
        ObjectRef.parse(f"shop/{kind}/x")
