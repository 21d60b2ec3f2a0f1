from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.cluster.allowlist import READ_RULES, AllowList, ApiCall, Rule, read_call
from tools.cluster.resources import DEPLOYMENT, KNOWN, NAMESPACE, NODE, POD, SELF_SUBJECT_ACCESS_REVIEW, Resource, Verb
from tools.errors import NotAllowed

SECRET = Resource("", "v1", "secrets", "Secret")
WRITES = (
    Rule("patch", "apps", "deployments"),
    Rule("patch", "apps", "deployments", "scale", frozenset({"shop"})),
    Rule("create", "", "pods", "eviction"),
    Rule("delete", "", "pods"),
    Rule("patch", "", "nodes"),
    Rule("create", "batch", "jobs", dry_run_only=True),
    Rule("patch", "", "namespaces"),
)
ALLOWED = AllowList((*READ_RULES, *WRITES), denied_namespaces={"kube-system"})


@pytest.mark.parametrize(
    ("what", "verb", "resource", "subresource", "namespace", "dry_run", "permitted"),
    [
        ("reads a pod", "get", POD, None, "shop", False, True),
        ("reads in a protected namespace", "get", POD, None, "kube-system", False, True),
        ("lists pods everywhere", "list", POD, None, None, False, True),
        ("watches nodes", "watch", NODE, None, None, False, True),
        ("reads a log", "get", POD, "log", "shop", False, True),
        ("lists logs", "list", POD, "log", "shop", False, False),
        ("reads a secret", "get", SECRET, None, "shop", False, False),
        ("lists secrets", "list", SECRET, None, None, False, False),
        ("patches a deployment", "patch", DEPLOYMENT, None, "shop", False, True),
        ("replaces a deployment", "update", DEPLOYMENT, None, "shop", False, False),
        ("deletes a deployment", "delete", DEPLOYMENT, None, "shop", False, False),
        ("patches its status", "patch", DEPLOYMENT, "status", "shop", False, False),
        ("scales in a named namespace", "patch", DEPLOYMENT, "scale", "shop", False, True),
        ("scales in another namespace", "patch", DEPLOYMENT, "scale", "bank", False, False),
        ("scales everywhere at once", "patch", DEPLOYMENT, "scale", None, False, False),
        ("patches in a protected namespace", "patch", DEPLOYMENT, None, "kube-system", False, False),
        ("tries out a patch in a protected namespace", "patch", DEPLOYMENT, None, "kube-system", True, False),
        ("evicts a pod", "create", POD, "eviction", "shop", False, True),
        ("runs a command in a pod", "create", POD, "exec", "shop", False, False),
        ("makes a pod", "create", POD, None, "shop", False, False),
        ("patches a node", "patch", NODE, None, None, False, True),
        ("asks what it may do", "create", SELF_SUBJECT_ACCESS_REVIEW, None, None, False, True),
        ("makes a job while observing", "create", Resource("batch", "v1", "jobs", "Job"), None, "shop", True, True),
        ("makes a job for real", "create", Resource("batch", "v1", "jobs", "Job"), None, "shop", False, False),
        ("same plural, another group", "get", Resource("x.io", "v1", "pods", "Pod"), None, "shop", False, False),
    ],
)
def test_permits(  # noqa: PLR0917
    what: str,
    verb: Verb,
    resource: Resource,
    subresource: str | None,
    namespace: str | None,
    dry_run: bool,
    permitted: bool,
) -> None:
    assert ALLOWED.permits(verb, resource, subresource, namespace, dry_run) is permitted, what
    if permitted:
        ALLOWED.check(verb, resource, subresource, namespace, dry_run)
    else:
        with pytest.raises(NotAllowed, match=verb):
            ALLOWED.check(verb, resource, subresource, namespace, dry_run)


def test_protected_namespace_object_itself_is_not_written() -> None:
    assert ALLOWED.permits("patch", NAMESPACE, None, None, name="shop")
    assert not ALLOWED.permits("patch", NAMESPACE, None, None, name="kube-system")
    with pytest.raises(NotAllowed, match="protected"):
        ALLOWED.check_request("PATCH", "/api/v1/namespaces/kube-system", "")


def test_empty_list_refuses_everything_but_the_question() -> None:
    nothing = AllowList(())
    assert not nothing.permits("get", POD, None, "shop")
    assert nothing.permits("create", SELF_SUBJECT_ACCESS_REVIEW, None, None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rule("get", "", "secrets"),
        lambda: Rule("get", "", "*"),
        lambda: Rule("get", "*", "pods"),
        lambda: Rule("create", "", "pods", "exec"),
        lambda: Rule("create", "", "pods", "*"),
        lambda: Rule("create", "", "serviceaccounts", "token"),
        lambda: Rule("patch", "", "pods", "ephemeralcontainers"),
        lambda: Rule("deletecollection", "", "pods"),  # type: ignore[arg-type]
        lambda: Rule("*", "", "pods"),  # type: ignore[arg-type]
    ],
)
def test_rules_nobody_may_write(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"no rule|no verb"):
        make()


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", "", ApiCall("list", "", "pods", "", None, None)),
        ("GET", "/api/v1/pods", "watch=true", ApiCall("watch", "", "pods", "", None, None)),
        ("GET", "/api/v1/namespaces/a/pods/b", "", ApiCall("get", "", "pods", "", "a", "b")),
        ("GET", "/api/v1/namespaces/a/pods/b/log", "", ApiCall("get", "", "pods", "log", "a", "b")),
        ("GET", "/api/v1/namespaces", "", ApiCall("list", "", "namespaces", "", None, None)),
        ("GET", "/api/v1/namespaces/a", "", ApiCall("get", "", "namespaces", "", None, "a")),
        ("GET", "/apis/x.io/v1/namespaces/a", "", ApiCall("get", "x.io", "namespaces", "", None, "a")),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", "", ApiCall("create", "batch", "jobs", "", "a", None)),
        ("PUT", "/apis/apps/v1/namespaces/a/deployments/b", "", ApiCall("update", "apps", "deployments", "", "a", "b")),
        ("PATCH", "/api/v1/nodes/n.example", "dryRun=All", ApiCall("patch", "", "nodes", "", None, "n.example", True)),
        ("DELETE", "/api/v1/namespaces/a/pods/b", "", ApiCall("delete", "", "pods", "", "a", "b")),
        ("DELETE", "/api/v1/namespaces/a/pods", "", None),
        ("POST", "/api/v1/namespaces/a/pods/b", "", None),
        ("GET", "/api/v1/namespaces/a/pods/b", "watch=true", None),
        ("GET", "/api/v1/pods", "watch=1", None),
        ("GET", "/api/v1/pods", "Watch=true", None),
        ("GET", "/api/v1/pods", "watch=true&watch=false", None),
        ("GET", "/api/v1/pods", "w%61tch=true&x=1", ApiCall("watch", "", "pods", "", None, None)),
        ("PATCH", "/api/v1/nodes/n", "dryRun=All&dryRun=All", None),
        ("PATCH", "/api/v1/nodes/n", "dryRun=all", None),
        ("PATCH", "/api/v1/nodes/n", "dryrun=All", None),
        ("GET", "/api/v1/pods", "dryRun=All", None),
        ("get", "/api/v1/pods", "", None),
        ("HEAD", "/api/v1/pods", "", None),
        ("CONNECT", "/api/v1/namespaces/a/pods/b/exec", "", None),
        ("GET", "/api/v1/namespaces/a/pods/b/proxy/metrics", "", None),
        ("GET", "/api/v1//pods", "", None),
        ("GET", "//api/v1/pods", "", None),
        ("GET", "/api/v1/pods/", "", None),
        ("GET", "api/v1/pods", "", None),
        ("GET", "/api/v1/namespaces/../pods", "", None),
        ("GET", "/api/v1/namespaces/./pods", "", None),
        ("GET", "/api/v1/namespaces/a/pods/b%2flog", "", None),
        ("GET", "/api/v1/namespaces/a/pods/%2e%2e", "", None),
        ("GET", "/API/v1/pods", "", None),
        ("GET", "/api/v1/Pods", "", None),
        ("GET", "/api/v2/pods", "", None),
        ("GET", "/api/v1/namespaces/a/pods/b\n", "", None),
        ("GET", "/apis/apps/v1", "", None),
        ("GET", "/apis", "", None),
        ("GET", "/metrics", "", None),
        ("GET", "", "", None),
        ("GET", "/api/v1/namespaces/a/pods/" + "x" * 254, "", None),
    ],
)
def test_read_call(method: str, path: str, query: str, expected: ApiCall | None) -> None:
    assert read_call(method, path, query) == expected


@pytest.mark.parametrize(
    ("method", "path", "query", "permitted"),
    [
        ("GET", "/version", "", True),
        ("GET", "/apis", "", True),
        ("GET", "/apis/apps", "", True),
        ("GET", "/apis/apps/v1", "", True),
        ("GET", "/apis/apps/v1", "watch=true", False),
        ("GET", "/apis/apps/secrets", "", False),
        ("GET", "/apis/apps/", "", False),
        ("GET", "/apis/nobody.named/v1", "", False),
        ("POST", "/apis/apps/v1", "", False),
        ("POST", "/apis", "", False),
        ("GET", "/readyz", "", True),
        ("GET", "/readyz", "verbose", False),
        ("GET", "/readyz/", "", False),
        ("GET", "/readyz/etcd", "", False),
        ("POST", "/version", "", False),
        ("GET", "/livez", "", False),
        ("GET", "/Version", "", False),
        ("GET", "/version/..", "", False),
        ("GET", "/openapi/v2", "", False),
        ("GET", "/logs", "", False),
    ],
)
def test_paths_outside_the_api(method: str, path: str, query: str, permitted: bool) -> None:
    if permitted:
        assert ALLOWED.check_request(method, path, query) == "get"
    else:
        with pytest.raises(NotAllowed):
            ALLOWED.check_request(method, path, query)


# The oracle: every permitted request, written down as regular expressions straight from the rules.

_DNS = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_SHAPES = {
    "get": ("GET", True), "list": ("GET", False), "watch": ("GET", False), "create": ("POST", False),
    "update": ("PUT", True), "patch": ("PATCH", True), "delete": ("DELETE", True),
}  # fmt: skip


def _pattern(rule: Rule) -> str:
    method, is_named = _SHAPES[rule.verb]
    base = r"/api/v1" if not rule.group else rf"/apis/{re.escape(rule.group)}/[a-z0-9]+"
    spaces = _DNS if rule.namespaces is None else "|".join(rule.namespaces)
    somewhere = any((r.group, r.plural, r.namespaced) == (rule.group, rule.resource, True) for r in KNOWN.values())
    is_bound = rule.namespaces is not None or (somewhere and (is_named or rule.verb == "create"))
    scope = rf"(?:/namespaces/(?:{spaces}))" + ("" if is_bound else "?")
    name = rf"/{_DNS}" if is_named or rule.subresource else ""
    sub = f"/{rule.subresource}" if rule.subresource else ""
    return rf"{method} {base}{scope}/{rule.resource}{name}{sub}"


REVIEW = r"POST /apis/authorization\.k8s\.io/[a-z0-9]+(?:/namespaces/[a-z0-9.-]+)?/selfsubjectaccessreviews"
PLAIN = ("GET /version", "GET /readyz", "GET /apis")
GROUPS = "|".join(sorted({re.escape(r.group) for r in (*READ_RULES, *WRITES) if r.group}))
DISCOVERY = rf"GET /apis/(?:{GROUPS})(?:/v[0-9]+(?:(?:alpha|beta)[0-9]+)?)?"
ORACLE = re.compile("|".join([*(_pattern(r) for r in (*READ_RULES, *WRITES)), REVIEW, *PLAIN, DISCOVERY]))

OBJECT = re.compile(rf"(/(?:{'|'.join(sorted({r.resource for r in (*READ_RULES, *WRITES)} - {'namespaces'}))})/)[^/]+")
"""The name of an object, but of a namespace."""

_TRAPS = [
    "secrets", "exec", "attach", "proxy", "portforward", "ephemeralcontainers", "token", "finalize", "status", "scale",
    "eviction", "log", "..", ".", "", "%2f", "%2e%2e", "%00", "a%2fb", "A", "Pods", "watch", "pods", "namespaces", "v1",
    "api", "apis", "apps", "batch", "kube-system", "shop", "deployments", "nodes", "serviceaccounts", "x", "*", "\\",
    ";", "pods;x", " ", "\t", "\u017fecrets", "\uff50ods", "-", "a..b",
]  # fmt: skip
_METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "get", "Get", ""])
_QUERIES = st.sampled_from(
    ["", "watch=true", "watch=false", "dryRun=All", "dryRun=", "watch", "limit=5", "%", "a=b&&c=d"]
)
_HEADS = st.sampled_from([["", "api", "v1"], ["", "apis", "apps", "v1"], ["", "apis", "batch", "v1"], [""], []])
_PATHS = st.one_of(
    st.builds(lambda head, tail: "/".join([*head, *tail]), _HEADS, st.lists(st.sampled_from(_TRAPS), max_size=6)),
    st.builds(lambda head, tail: "/".join([*head, *tail]), _HEADS, st.lists(st.text(max_size=6), max_size=5)),
    st.text(max_size=40),
)


@settings(max_examples=1500, deadline=None)
@given(method=_METHODS, path=_PATHS, query=_QUERIES)
def test_whatever_gets_through_is_in_the_rules(method: str, path: str, query: str) -> None:
    try:
        verb = ALLOWED.check_request(method, path, query)
    except NotAllowed:
        return
    assert ORACLE.fullmatch(f"{method} {path}")
    bare = OBJECT.sub(r"\1x", path)  # an object may be called anything, also `secrets`
    assert not re.search(r"secrets|exec|attach|proxy|ephemeral|token|finalize|%|\.\.|//|[A-Z]", bare)
    is_write = verb not in ("get", "list", "watch")
    assert not (is_write and "/kube-system" in bare and "selfsubject" not in bare)


_GOOD_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@settings(max_examples=300, deadline=None)
@given(rule=st.sampled_from([*READ_RULES, *WRITES]), namespace=_GOOD_NAMES, name=_GOOD_NAMES)
def test_what_the_rules_name_gets_through(rule: Rule, namespace: str, name: str) -> None:
    method, is_named = _SHAPES[rule.verb]
    space = next(iter(rule.namespaces)) if rule.namespaces else namespace
    is_namespaced = rule.resource not in ("nodes", "namespaces")
    resource = Resource(rule.group, "v1", rule.resource, "Any", namespaced=is_namespaced)
    path = resource.path(space, name if is_named or rule.subresource else None, rule.subresource or None)
    query = "watch=true" if rule.verb == "watch" else "dryRun=All" if rule.dry_run_only else ""
    assert ALLOWED.check_request(method, path, query) == rule.verb


@settings(max_examples=500, deadline=None)
@given(namespace=st.text(min_size=1, max_size=12), name=st.text(max_size=12), sub=st.sampled_from([None, "log", "x/y"]))
def test_no_name_is_taken_for_another_place(namespace: str, name: str, sub: str | None) -> None:
    try:
        path = POD.path(namespace, name, sub)
    except (ValueError, UnicodeEncodeError):
        return
    call = read_call("GET", path, "")
    assert call is None or (call.resource, call.namespace, call.name, call.subresource) == (
        "pods", namespace, name, sub or "",
    )  # fmt: skip
    assert read_call("GET", quote(path), "") in (None, call)
