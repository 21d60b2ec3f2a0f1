"""What may leave this process: a default-deny list of (verb, group, resource, subresource, namespace).

The guard decides whether an action is wise; this list stands behind it and knows nothing of wisdom.  A call that no
rule names is refused, and so is a URL that cannot be read as one plain Kubernetes API call: `read_call` accepts a
strict grammar of its own and never repairs what it is given.

Neighbours: `transport` asks it for every request, twice (the path we mean, the URL that goes out); executors bring
the rules for what they write; `READ_RULES` is what the healer reads.
Verbs and paths: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, get_args
from urllib.parse import parse_qsl

from tools.cluster.resources import KNOWN, SELF_SUBJECT_ACCESS_REVIEW, Resource, Verb
from tools.errors import NotAllowed

NON_RESOURCE_PATHS: Final = frozenset({"/version", "/readyz", "/apis"})
"""The only paths that may be read and belong to no resource: `/apis` names the groups that the cluster serves."""

FORBIDDEN_RESOURCES: Final = frozenset({"secrets", "*"})
"""No rule can name these: a Secret's content is never evidence, and a star is not a decision."""

FORBIDDEN_SUBRESOURCES: Final = frozenset(
    {"exec", "attach", "portforward", "proxy", "ephemeralcontainers", "token", "finalize", "approval", "bind", "*"}
)
"""No rule can name these: each is a way into a workload, an identity or an object's end that no action needs."""

API_VERSION: Final = re.compile(r"v[1-9][0-9]{0,2}((alpha|beta)[1-9][0-9]{0,2})?")
"""A version by Kubernetes' own convention; discovery asks about no other."""

_VERBS: Final = frozenset(get_args(Verb))
_READS: Final = frozenset({"get", "list", "watch"})
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MAX_NAME: Final = 253
_NAMESPACED: Final = frozenset((known.group, known.plural) for known in KNOWN.values() if known.namespaced)


@dataclass(frozen=True, slots=True)
class Rule:
    """One permitted kind of call.

    `namespaces` None means any, and also cluster-wide; a set means these and nothing cluster-wide.
    `dry_run_only` lets the call through only while it changes nothing (observe mode).
    Raises ValueError for an unknown verb, a wildcard, or a resource or subresource that no rule may name.
    """

    verb: Verb
    group: str
    resource: str
    subresource: str = ""
    namespaces: frozenset[str] | None = None
    dry_run_only: bool = False

    def __post_init__(self) -> None:
        if self.verb not in _VERBS:
            raise ValueError(f"{self.verb!r} is no verb of an allow-list rule: use one of {', '.join(sorted(_VERBS))}")
        if self.group == "*" or self.resource in FORBIDDEN_RESOURCES or self.subresource in FORBIDDEN_SUBRESOURCES:
            raise ValueError(f"no rule may name {self.group}/{self.resource}/{self.subresource}")

    def covers(self, call: ApiCall) -> bool:
        """True when this rule alone would let `call` through."""
        return (
            (self.verb, self.group, self.resource, self.subresource)
            == (call.verb, call.group, call.resource, call.subresource)
            and (self.namespaces is None or call.namespace in self.namespaces)
            and (call.dry_run or not self.dry_run_only)
        )


@dataclass(frozen=True, slots=True)
class ApiCall:
    """What one request asks of the API server, in the words authorization uses.

    `namespace` is None for cluster-scoped objects and for collections over all namespaces.
    """

    verb: Verb
    group: str
    resource: str
    subresource: str
    namespace: str | None
    name: str | None
    dry_run: bool = False

    @property
    def is_write(self) -> bool:
        """True when the call may change the cluster."""
        return self.verb not in _READS

    def __str__(self) -> str:
        what = "/".join(part for part in (self.group, self.resource, self.subresource) if part)
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{where}{' (dry run)' if self.dry_run else ''}"


def _reads(group: str, *resources: str) -> tuple[Rule, ...]:
    verbs: tuple[Verb, ...] = ("get", "list", "watch")
    return tuple(Rule(verb, group, resource) for resource in resources for verb in verbs)


READ_RULES: Final[tuple[Rule, ...]] = (
    *_reads(
        "", "pods", "nodes", "namespaces", "services", "configmaps", "persistentvolumeclaims",
        "resourcequotas", "limitranges", "serviceaccounts", "events",
    ),
    Rule("get", "", "pods", "log"),
    *_reads("events.k8s.io", "events"),
    *_reads("apps", "deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"),
    *_reads("batch", "jobs", "cronjobs"),
    *_reads("autoscaling", "horizontalpodautoscalers"),
    *_reads("autoscaling.k8s.io", "verticalpodautoscalers"),
    *_reads("keda.sh", "scaledobjects", "scaledjobs"),
    *_reads("argoproj.io", "applications"),
    *_reads("policy", "poddisruptionbudgets"),
    *_reads("discovery.k8s.io", "endpointslices"),
    *_reads("networking.k8s.io", "networkpolicies"),
    *_reads("rbac.authorization.k8s.io", "roles", "rolebindings"),
    *_reads("coordination.k8s.io", "leases"),
    Rule("get", "", "persistentvolumes"),
    Rule("list", "", "persistentvolumes"),
    Rule("get", "storage.k8s.io", "storageclasses"),
    Rule("list", "storage.k8s.io", "storageclasses"),
)  # fmt: skip
"""What the healer reads.  Never Secrets.  A group that the cluster does not serve costs nothing to name."""

_ACCESS_REVIEW = Rule("create", SELF_SUBJECT_ACCESS_REVIEW.group, SELF_SUBJECT_ACCESS_REVIEW.plural)


class AllowList:
    """The rules of one process, closed at construction.

    Writes into `denied_namespaces`, and writes to those Namespace objects themselves, are refused whatever the rules
    say, dry runs too.  Asking what we may do (SelfSubjectAccessReview) is always allowed: it changes nothing.
    """

    def __init__(self, rules: Iterable[Rule], denied_namespaces: Iterable[str] = frozenset()) -> None:
        """Index the rules; later changes to the iterables have no effect."""
        self._denied = frozenset(denied_namespaces)
        rules = tuple(rules)
        self._groups = frozenset(rule.group for rule in rules if rule.group)
        self._rules: dict[tuple[str, str, str, str], list[Rule]] = {}
        for rule in (*rules, _ACCESS_REVIEW):
            self._rules.setdefault((rule.verb, rule.group, rule.resource, rule.subresource), []).append(rule)

    def permits(
        self,
        verb: Verb,
        resource: Resource,
        subresource: str | None,
        namespace: str | None,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - part of the question, read by name at every call
        *,
        name: str | None = None,
    ) -> bool:
        """Say whether such a call may be made."""
        where = namespace if resource.namespaced else None
        return self.permits_call(
            ApiCall(verb, resource.group, resource.plural, subresource or "", where, name, dry_run)
        )

    def check(
        self,
        verb: Verb,
        resource: Resource,
        subresource: str | None,
        namespace: str | None,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        name: str | None = None,
    ) -> None:
        """Raise NotAllowed unless `permits` says yes."""
        where = namespace if resource.namespaced else None
        self.check_call(ApiCall(verb, resource.group, resource.plural, subresource or "", where, name, dry_run))

    def permits_call(self, call: ApiCall) -> bool:
        """Say whether `call` may be made."""
        if (call.is_write and self._is_protected(call)) or _is_nowhere(call):
            return False
        key = (call.verb, call.group, call.resource, call.subresource)
        return any(rule.covers(call) for rule in self._rules.get(key, ()))

    def check_call(self, call: ApiCall) -> None:
        """Raise NotAllowed, naming the call, unless it may be made."""
        if self.permits_call(call):
            return
        why = "the namespace is protected" if call.is_write and self._is_protected(call) else "no rule names it"
        raise NotAllowed(f"the transport allow-list refused {call}: {why}")

    def check_request(self, method: str, path: str, query: str) -> str:
        """Return the verb of a permitted HTTP request; raise NotAllowed for every other one.

        `path` and `query` are as they stand on the wire, percent-encoding included.
        """
        if method == "GET" and not query and (path in NON_RESOURCE_PATHS or self._is_discovery(path)):
            return "get"
        call = read_call(method, path, query)
        if call is None:
            raise NotAllowed(f"the transport allow-list refused {method} {path!r}: not a plain Kubernetes API call")
        self.check_call(call)
        return call.verb

    def _is_discovery(self, path: str) -> bool:
        """Whether `path` asks what a group that some rule names serves: names and shapes, and no object."""
        match path.split("/"):
            case ["", "apis", group]:
                return group in self._groups
            case ["", "apis", group, version]:
                return group in self._groups and API_VERSION.fullmatch(version) is not None
            case _:
                return False

    def _is_protected(self, call: ApiCall) -> bool:
        return (call.namespace or "") in self._denied or (
            (call.group, call.resource) == ("", "namespaces") and (call.name or "") in self._denied
        )


def _is_nowhere(call: ApiCall) -> bool:
    """Whether it names, or writes, an object of a namespaced kind without saying where: no server has such a path."""
    is_about_one = call.name is not None or call.is_write
    return call.namespace is None and is_about_one and (call.group, call.resource) in _NAMESPACED


def read_call(method: str, path: str, query: str) -> ApiCall | None:
    """Read one request as an API call, or return None when it is anything but a plain one.

    Accepts `/api/v1/...` and `/apis/GROUP/VERSION/...` with lower-case DNS names as segments.  Percent-encoding, empty
    or dotted segments, upper case, proxy paths, deletion of collections and unknown methods are all None.
    """
    place = _read_path(path)
    options = _read_query(query)
    if place is None or options is None:
        return None
    group, resource, namespace, name, subresource = place
    watch, dry_run = options
    verb = _verb(method, named=name is not None, sub=bool(subresource), watch=watch)
    if verb is None or (dry_run and verb in _READS):
        return None
    return ApiCall(verb, group, resource, subresource, namespace, name, dry_run)


def _read_path(path: str) -> tuple[str, str, str | None, str | None, str] | None:
    """(group, resource, namespace, name, subresource)."""
    head, *segments = path.split("/")
    if head or not all(_NAME.fullmatch(s) and len(s) <= _MAX_NAME for s in segments):
        return None
    match segments:
        case ["api", "v1", *rest]:
            group = ""
        case ["apis", group, version, *rest] if _LABEL.fullmatch(version):
            pass
        case _:
            return None
    namespace: str | None = None
    match rest:
        case ["namespaces"] | ["namespaces", _] if not group:
            pass  # the Namespace objects themselves
        case ["namespaces", namespace, _, *_]:
            rest = rest[2:]
        case _:
            pass
    return _read_tail(group, namespace, rest)


def _read_tail(
    group: str, namespace: str | None, rest: list[str]
) -> tuple[str, str, str | None, str | None, str] | None:
    match rest:
        case [resource]:
            return group, resource, namespace, None, ""
        case [resource, name]:
            return group, resource, namespace, name, ""
        case [resource, name, subresource]:
            return group, resource, namespace, name, subresource
        case _:
            return None


def _read_query(query: str) -> tuple[bool, bool] | None:
    """(watch, dry run); None when either is said twice, in another case, or in a way we do not speak."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        return None
    watch = [(key, value) for key, value in pairs if key.lower() == "watch"]
    dry_run = [(key, value) for key, value in pairs if key.lower() == "dryrun"]
    if watch not in ([], [("watch", "true")]) or dry_run not in ([], [("dryRun", "All")]):
        return None
    return bool(watch), bool(dry_run)


def _verb(method: str, *, named: bool, sub: bool, watch: bool) -> Verb | None:
    match method:
        case "GET" if named:
            return None if watch else "get"
        case "GET":
            return "watch" if watch else "list"
        case "POST" if named == sub and not watch:
            return "create"
        case "PUT" if named and not watch:
            return "update"
        case "PATCH" if named and not watch:
            return "patch"
        case "DELETE" if named and not sub and not watch:
            return "delete"
        case _:
            return None
