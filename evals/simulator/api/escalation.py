"""Nobody hands on rights that he does not hold: what the API server asks of writes to roles and their bindings.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from collections.abc import Iterator

from evals.simulator.api.errors import ApiError, not_found
from evals.simulator.api.identity import User
from evals.simulator.api.kinds import Kind
from evals.simulator.api.rbac import Question, Rbac
from evals.simulator.objects import name_of, namespace_of, objects, texts
from tools.jsontypes import JsonObject, dig_object, dig_str

_ROLES = frozenset({"Role", "ClusterRole"})
_BINDINGS = frozenset({"RoleBinding", "ClusterRoleBinding"})


def check(rbac: Rbac, user: User, kind: Kind, new: JsonObject, old: JsonObject | None) -> None:
    """Raises 403 when the write would grant what its author does not hold.  Writes that grant nothing new pass."""
    if kind.kind in _ROLES:
        if old is not None and old.get("rules") == new.get("rules"):
            return
        granted, verb, about = objects(new, "rules"), "escalate", kind.plural
        name = name_of(new)
    elif kind.kind in _BINDINGS:
        if old is not None and all(old.get(field) == new.get(field) for field in ("subjects", "roleRef")):
            return
        reference = dig_object(new, "roleRef")
        verb, about = "bind", "roles" if reference.get("kind") == "Role" else "clusterroles"
        name = dig_str(reference, "name")
        if "system:masters" in user.groups:
            return
        granted = _granted(rbac, about, namespace_of(new), name)
    else:
        return
    where = namespace_of(new)
    if rbac.allows(user, Question(verb, "rbac.authorization.k8s.io", about, namespace=where, name=name)):
        return
    lacking = [q for rule in granted for q in _questions(rule, where) if not rbac.allows(user, q)]
    if lacking:
        groups = " ".join(f'"{group}"' for group in user.groups)
        message = (
            f'{kind.resource} "{name_of(new)}" is forbidden: user "{user.name}" (groups=[{groups}]) '
            f"is attempting to grant RBAC permissions not currently held:{_spelled(lacking)}"
        )
        raise ApiError(403, message, details={"group": kind.group, "kind": kind.plural, "name": name_of(new)})


def _granted(rbac: Rbac, about: str, namespace: str, name: str) -> list[JsonObject]:
    role = rbac.role(about, namespace, name)
    if role is None:
        raise not_found(f"{about}.rbac.authorization.k8s.io", name)
    return objects(role, "rules")


def _questions(rule: JsonObject, namespace: str) -> Iterator[Question]:
    """Every single right of a rule."""
    for verb in texts(rule, "verbs"):
        for url in texts(rule, "nonResourceURLs"):
            yield Question(verb, path=url)
        for group in texts(rule, "apiGroups"):
            for resource in texts(rule, "resources"):
                plain, _, subresource = resource.partition("/")
                for name in texts(rule, "resourceNames") or [""]:
                    yield Question(verb, group, plain, subresource, namespace, name)


def _spelled(lacking: list[Question]) -> str:
    """One line for each thing, with the verbs that are not held on it."""
    verbs: dict[tuple[str, ...], list[str]] = {}
    for q in lacking:
        resource = f"{q.resource}/{q.subresource}" if q.subresource else q.resource
        what = (
            (f'NonResourceURLs:["{q.path}"]',) if q.path else (f'APIGroups:["{q.group}"]', f'Resources:["{resource}"]')
        )
        named = (f'ResourceNames:["{q.name}"]',) if q.name else ()
        verbs.setdefault((*what, *named), []).append(f'"{q.verb}"')
    return "".join(f"\n{{{', '.join(what)}, Verbs:[{' '.join(held)}]}}" for what, held in verbs.items())
