"""Who may do what: RBAC, reviews, tokens, impersonation."""

from __future__ import annotations

from typing import Any

import pytest

from .cluster import Answer, Cluster
from .manifests import config

RULES = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]


def _headers(cluster: Cluster, account: str = "reader") -> dict[str, str]:
    return {"Impersonate-User": f"system:serviceaccount:{cluster.namespace}:{account}"}


async def _grant(cluster: Cluster, rules: list[dict[str, Any]]) -> None:
    group = "rbac.authorization.k8s.io"
    await cluster.made({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    await cluster.made({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": rules})
    await cluster.made(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": cluster.namespace}],
        }
    )

    async def works() -> bool:
        answer = await cluster.call("GET", cluster.path("ConfigMap"), headers=_headers(cluster))
        return answer.code == 200

    if rules is RULES:
        await cluster.until(works)


async def test_nothing_is_allowed_without_a_binding(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("ConfigMap"), headers=_headers(cluster, "nobody"))
    assert (answer.code, answer.reason) == (403, "Forbidden")
    account = f"system:serviceaccount:{cluster.namespace}:nobody"
    assert answer.message == (
        f'configmaps is forbidden: User "{account}" cannot list resource "configmaps" in API group "" '
        f'in the namespace "{cluster.namespace}"'
    )


async def test_a_named_object_is_named_in_the_refusal(cluster: Cluster) -> None:
    answer = await cluster.call("GET", cluster.path("Deployment", "web"), headers=_headers(cluster, "nobody"))
    assert answer.message.startswith('deployments.apps "web" is forbidden: User ')
    assert 'cannot get resource "deployments" in API group "apps"' in answer.message


async def test_the_cluster_scope_is_named_in_the_refusal(cluster: Cluster) -> None:
    answer = await cluster.call("GET", "/api/v1/nodes", headers=_headers(cluster, "nobody"))
    assert answer.message.endswith('cannot list resource "nodes" in API group "" at the cluster scope')


@pytest.mark.parametrize(
    ("method", "kind", "name", "code"),
    [
        ("GET", "ConfigMap", "", 200),
        ("GET", "ConfigMap", "kube-root-ca.crt", 200),
        ("DELETE", "ConfigMap", "kube-root-ca.crt", 403),
        ("POST", "ConfigMap", "", 403),
        ("GET", "Secret", "", 403),
        ("GET", "Pod", "", 403),
    ],
)
async def test_a_role_allows_what_it_says(cluster: Cluster, method: str, kind: str, name: str, code: int) -> None:
    await cluster.until(lambda: cluster.find("ConfigMap", "kube-root-ca.crt"))
    await _grant(cluster, RULES)
    body = config() if method == "POST" else None
    answer = await cluster.call(method, cluster.path(kind, name), body, headers=_headers(cluster))
    assert answer.code == code


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        ({"verb": "get", "resource": "configmaps"}, True),
        ({"verb": "list", "resource": "configmaps"}, True),
        ({"verb": "delete", "resource": "configmaps"}, False),
        ({"verb": "get", "resource": "configmaps", "subresource": "status"}, False),
        ({"verb": "get", "resource": "configmaps", "group": "apps"}, False),
        ({"verb": "get", "resource": "secrets"}, False),
    ],
    ids=["get", "list", "delete", "subresource", "group", "secrets"],
)
async def test_a_subject_access_review(cluster: Cluster, attributes: dict[str, str], allowed: bool) -> None:
    await _grant(cluster, RULES)
    spec = {"resourceAttributes": {**attributes, "namespace": cluster.namespace}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = await cluster.call("POST", path, review, headers=_headers(cluster))
    assert answer.code == 201
    assert answer.body["status"]["allowed"] is allowed


async def test_resource_names_limit_a_rule(cluster: Cluster) -> None:
    await cluster.until(lambda: cluster.find("ConfigMap", "kube-root-ca.crt"))
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["kube-root-ca.crt"]}
    await _grant(cluster, [rule])

    async def works() -> bool:
        answer = await cluster.call("GET", cluster.path("ConfigMap", "kube-root-ca.crt"), headers=_headers(cluster))
        return answer.code == 200

    await cluster.until(works)
    answer = await cluster.call("GET", cluster.path("ConfigMap", "other"), headers=_headers(cluster))
    assert answer.code == 403


async def test_subject_access_review_of_another(cluster: Cluster) -> None:
    await _grant(cluster, RULES)
    user = f"system:serviceaccount:{cluster.namespace}:reader"
    attributes = {"verb": "list", "resource": "configmaps", "namespace": cluster.namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = await cluster.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.body["status"]["allowed"] is True


async def _token(cluster: Cluster, audiences: list[str] | None = None) -> str:
    await cluster.made({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}})
    spec = {"audiences": audiences} if audiences else {}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = await cluster.call("POST", cluster.path("ServiceAccount", "bot", "token"), body)
    assert answer.code == 201, answer.body
    return str(answer.body["status"]["token"])


async def _review(cluster: Cluster, token: str, audiences: list[str] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"token": token} | ({"audiences": audiences} if audiences else {})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    answer = await cluster.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
    assert answer.code == 201
    return dict(answer.body["status"])


async def test_a_token_of_a_service_account_is_reviewed(cluster: Cluster) -> None:
    status = await _review(cluster, await _token(cluster))
    assert status["authenticated"] is True
    assert status["user"]["username"] == f"system:serviceaccount:{cluster.namespace}:bot"
    assert "system:serviceaccounts" in status["user"]["groups"]


async def test_a_made_up_token_is_not_authenticated(cluster: Cluster) -> None:
    status = await _review(cluster, "made-up")
    assert not status.get("authenticated")
    assert status["error"]


async def test_a_token_for_another_audience_is_not_authenticated(cluster: Cluster) -> None:
    status = await _review(cluster, await _token(cluster), ["somebody-else"])
    assert not status.get("authenticated")
    assert "error" in status


async def test_an_unknown_bearer_token_is_unauthorized(cluster: Cluster) -> None:
    if cluster.is_real:
        pytest.skip("the suite's client certificate would authenticate the request")
    answer = await cluster.call("GET", "/api/v1/nodes", headers={"Authorization": "Bearer nonsense"})
    assert (answer.code, answer.reason) == (401, "Unauthorized")


async def test_nobody_hands_on_rights_that_he_does_not_hold(cluster: Cluster) -> None:
    group = "rbac.authorization.k8s.io"
    roles: dict[str, Any] = {"apiGroups": [group], "resources": ["roles", "rolebindings"], "verbs": ["create", "patch"]}
    rules = [*RULES, roles]
    await _grant(cluster, rules)

    def role(name: str, *verbs: str) -> dict[str, Any]:
        granted = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}]
        head = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": name}}
        return {**head, "rules": granted}

    async def post(manifest: dict[str, Any]) -> Answer:
        where, asked = cluster.path(manifest["kind"]), {"dryRun": "All"}
        return await cluster.call("POST", where, manifest, params=asked, headers=_headers(cluster))

    async def held() -> bool:
        return (await post(role("held", "get"))).code == 201

    await cluster.until(held)
    refused = await post(role("more", "get", "delete"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert "is attempting to grant RBAC permissions not currently held:\n" in refused.message
    assert '{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}' in refused.message
    await cluster.made(role("theirs", "delete"))
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "theirs"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "theirs"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": cluster.namespace}],
    }
    bound = await post(binding)
    assert (bound.code, "not currently held" in bound.message) == (403, True)
    await cluster.made(binding)
    same = await cluster.call(
        "PATCH",
        cluster.path("RoleBinding", "theirs"),
        {"metadata": {"labels": {"seen": "yes"}}},
        media="application/merge-patch+json",
        headers=_headers(cluster),
    )
    assert same.code == 200, same.body
