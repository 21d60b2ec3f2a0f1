"""Asking the cluster's authorizer what an account may do."""

from __future__ import annotations

from tests.cluster.checks import CanI
from tests.cluster.kube import Kube, KubeError
from tools.jsontypes import JsonObject, dig


async def may(kube: Kube, namespace: str, check: CanI) -> str | None:
    """None when the answer is the wanted one, else one sentence."""
    attributes: JsonObject = {"namespace": namespace, "verb": check.verb, "resource": check.resource}
    review: JsonObject = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{namespace}:{check.account}", "resourceAttributes": attributes},
    }
    try:
        answer = await kube.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
    except KubeError as refused:
        return f"the authorizer does not answer: {refused}"
    allowed = dig(answer, "status", "allowed") is True
    said = "may" if allowed else "may not"
    return None if allowed is check.allowed else f"{check.account} {said} {check.verb} {check.resource}"
