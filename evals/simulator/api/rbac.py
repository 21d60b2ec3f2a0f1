"""Role-based access control over the real Role, ClusterRole and binding objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evals.simulator.api.errors import ApiError
from evals.simulator.api.identity import User
from evals.simulator.api.store import Store
from evals.simulator.objects import objects, texts
from tools.jsontypes import JsonObject, dig_object, dig_str

_GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Question:
    """May somebody do this?  `path` is set for requests that name no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def _role(name: str, *rules: JsonObject) -> JsonObject:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "rules": list(rules),
    }


def _binding(name: str, role: str, group: str) -> JsonObject:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": _GROUP, "kind": "Group", "name": group}],
    }


_READ: list[JsonObject] = [{"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": ["*"]}]
_EDIT: JsonObject = {"verbs": ["*"], "apiGroups": ["", "apps", "batch", "autoscaling", "policy"], "resources": ["*"]}
_SELF: JsonObject = {
    "verbs": ["create"],
    "apiGroups": ["authorization.k8s.io", "authentication.k8s.io"],
    "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"],
}
_PATHS: JsonObject = {
    "verbs": ["get"],
    "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"],
}
_HEALTH: JsonObject = {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"]}

BOOTSTRAP: tuple[JsonObject, ...] = (
    _role(
        "cluster-admin",
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ),
    _role("admin", _EDIT),
    _role("edit", _EDIT),
    _role("view", *_READ),
    _role("system:basic-user", _SELF),
    _role("system:discovery", _PATHS),
    _role("system:public-info-viewer", _HEALTH),
    _role(
        "system:auth-delegator",
        {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"]},
    ),
    _binding("cluster-admin", "cluster-admin", "system:masters"),
    _binding("system:basic-user", "system:basic-user", "system:authenticated"),
    _binding("system:discovery", "system:discovery", "system:authenticated"),
    _binding("system:public-info-viewer", "system:public-info-viewer", "system:authenticated"),
    _binding("system:public-info-viewer-anonymous", "system:public-info-viewer", "system:unauthenticated"),
)


class Rbac:
    """Answers `Question`s from the objects in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allows(self, user: User, question: Question) -> bool:
        """Whether any rule bound to the user covers the question; `system:masters` may do everything."""
        if "system:masters" in user.groups:
            return True
        return any(_covers(rule, question) for rule in self.rules(user, question.namespace))

    def rules(self, user: User, namespace: str) -> Iterator[JsonObject]:
        """All rules that hold for the user in a namespace ("" for the cluster scope)."""
        bindings = [(b, "") for b in self._store.scan(f"clusterrolebindings.{_GROUP}")]
        if namespace:
            bindings += [(b, namespace) for b in self._store.select(f"rolebindings.{_GROUP}", namespace)]
        for binding, where in bindings:
            if any(_is_subject(s, user, where) for s in objects(binding, "subjects")):
                yield from self._role_rules(dig_object(binding, "roleRef"), where)

    def role(self, plural: str, namespace: str, name: str) -> JsonObject | None:
        """One of the `roles` or `clusterroles`; None when there is none of that name."""
        return self._store.get(f"{plural}.{_GROUP}", namespace if plural == "roles" else "", name)

    def _role_rules(self, ref: JsonObject, namespace: str) -> list[JsonObject]:
        plural = "roles" if ref.get("kind") == "Role" else "clusterroles"
        role = self.role(plural, namespace, dig_str(ref, "name"))
        return objects(role, "rules") if role else []


def _is_subject(subject: JsonObject, user: User, namespace: str) -> bool:
    kind, name = dig_str(subject, "kind"), dig_str(subject, "name")
    if kind == "User":
        return name == user.name
    if kind == "Group":
        return name in user.groups
    return user.name == f"system:serviceaccount:{dig_str(subject, 'namespace') or namespace}:{name}"


def _covers(rule: JsonObject, question: Question) -> bool:
    if not _any(rule, "verbs", question.verb):
        return False
    if question.path:
        urls = texts(rule, "nonResourceURLs")
        return any(u in {"*", question.path} or (u.endswith("*") and question.path.startswith(u[:-1])) for u in urls)
    names = texts(rule, "resourceNames")
    resource = f"{question.resource}/{question.subresource}" if question.subresource else question.resource
    resources = texts(rule, "resources")
    covered = (
        "*" in resources or resource in resources or (question.subresource and f"*/{question.subresource}" in resources)
    )
    return bool(covered) and _any(rule, "apiGroups", question.group) and (not names or question.name in names)


def _any(rule: JsonObject, field: str, value: str) -> bool:
    have = texts(rule, field)
    return "*" in have or value in have


def denied(user: User, question: Question) -> ApiError:
    """403 in the words of the API server."""
    if question.path:
        message = f'forbidden: User "{user.name}" cannot {question.verb} path "{question.path}"'
        return ApiError(403, message, details={})
    resource = f"{question.resource}.{question.group}" if question.group else question.resource
    subject = f'{resource} "{question.name}"' if question.name else resource
    what = f"{question.resource}/{question.subresource}" if question.subresource else question.resource
    scope = f'in the namespace "{question.namespace}"' if question.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {question.verb} resource "{what}" '
        f'in API group "{question.group}" {scope}'
    )
    details: JsonObject = {"kind": question.resource}
    if question.group:
        details["group"] = question.group
    if question.name:
        details["name"] = question.name
    return ApiError(403, message, details=details)
