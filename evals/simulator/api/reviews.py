"""Reviews: who am I, may I, may they, is this token good."""

from __future__ import annotations

from evals.simulator.api.errors import bad_request
from evals.simulator.api.identity import Tokens, User, service_account
from evals.simulator.api.kinds import Kind
from evals.simulator.api.rbac import Question, Rbac
from evals.simulator.objects import texts
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

API_AUDIENCE = "https://kubernetes.default.svc"


def _question(spec: JsonObject) -> Question:
    path = dig_object(spec, "nonResourceAttributes")
    if path:
        return Question(dig_str(path, "verb"), path=dig_str(path, "path"))
    attributes = dig_object(spec, "resourceAttributes")
    if not attributes:
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    return Question(
        dig_str(attributes, "verb"),
        dig_str(attributes, "group"),
        dig_str(attributes, "resource"),
        dig_str(attributes, "subresource"),
        dig_str(attributes, "namespace"),
        dig_str(attributes, "name"),
    )


def _subject(spec: JsonObject) -> User:
    name, groups = dig_str(spec, "user"), tuple(texts(spec, "groups"))
    if name.startswith("system:serviceaccount:") and not groups:
        _, _, namespace, account = name.split(":", 3)
        return service_account(namespace, account)
    return User(name, groups)


def answer(kind: Kind, body: JsonObject, user: User, rbac: Rbac, tokens: Tokens) -> JsonObject:
    """The body with its status, as a POST of that review is answered."""
    spec = dig_object(body, "spec")
    result: JsonObject = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {}, "spec": spec}
    if kind.kind == "SelfSubjectAccessReview":
        result["status"] = _access(rbac, user, _question(spec))
    elif kind.kind in {"SubjectAccessReview", "LocalSubjectAccessReview"}:
        result["status"] = _access(rbac, _subject(spec), _question(spec))
    elif kind.kind == "SelfSubjectRulesReview":
        rules = list(rbac.rules(user, dig_str(spec, "namespace")))
        if "system:masters" in user.groups:
            everything: JsonObject = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            rules = [everything]
        listed: list[JsonValue] = [r for r in rules if "resources" in r]
        paths: list[JsonValue] = [r for r in rules if "nonResourceURLs" in r]
        result["status"] = {"resourceRules": listed, "nonResourceRules": paths, "incomplete": False}
    elif kind.kind == "TokenReview":
        result["status"] = _token(spec, tokens)
    else:
        result["status"] = {"userInfo": _info(user)}
    return result


def _access(rbac: Rbac, user: User, question: Question) -> JsonObject:
    allowed = rbac.allows(user, question)
    return {"allowed": True, "reason": "RBAC: allowed"} if allowed else {"allowed": False}


def _info(user: User) -> JsonObject:
    groups: list[JsonValue] = [*user.groups]
    return {"username": user.name, "groups": groups}


def _token(spec: JsonObject, tokens: Tokens) -> JsonObject:
    user = tokens.find(dig_str(spec, "token"))
    if user is None:
        return {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
    wanted = texts(spec, "audiences") or [API_AUDIENCE]
    have = user.audiences or (API_AUDIENCE,)
    common: list[JsonValue] = [a for a in wanted if a in have]
    if not common:
        shown = " ".join(have)
        error = (
            f"[invalid bearer token, token audiences [{shown}] is invalid for the target audiences "
            f"[{' '.join(wanted)}]]"
        )
        return {"user": {}, "error": error}
    status: JsonObject = {"authenticated": True, "user": _info(user)}
    if dig(spec, "audiences") is not None:
        status["audiences"] = common
    return status
