"""Admission of objects: namespaces, service accounts, priorities, Pod Security, limit ranges, webhooks nobody answers.

Quotas are in `quota`; faults that tests inject are in `faults`.  Order as in the API server: what fills in comes before
what refuses.
"""

from __future__ import annotations

from evals.simulator import quantity
from evals.simulator.api.errors import ApiError, forbidden, not_found
from evals.simulator.api.kinds import Kind
from evals.simulator.api.selectors import selects
from evals.simulator.api.store import Store
from evals.simulator.objects import child, is_deleting, labels_of, name_of, namespace_of, objects, texts
from tools.jsontypes import JsonObject, dig, dig_list, dig_object, dig_str

_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def admit(store: Store, kind: Kind, obj: JsonObject, operation: str, *, toleration_seconds: int) -> None:
    """Change and check `obj` in place.  `operation` is CREATE, UPDATE or DELETE.  Raises what the API server would."""
    if operation == "CREATE":
        _namespace(store, kind, obj)
        if kind.key == "pods":
            _service_account(store, obj)
            _priority(store, obj)
            _tolerations(obj, toleration_seconds)
            _limit_ranges(store, obj)
            _pod_security(store, obj)
        if kind.key == "persistentvolumeclaims":
            _default_class(store, obj)
    call_webhooks(store, kind, obj, operation)


def _namespace(store: Store, kind: Kind, obj: JsonObject) -> None:
    if not kind.namespaced:
        return
    name = namespace_of(obj)
    namespace = store.get("namespaces", "", name)
    if namespace is None:
        raise not_found("namespaces", name)
    if is_deleting(namespace):
        why = f"unable to create new content in namespace {name} because it is being terminated"
        error = forbidden(kind.resource, name_of(obj), why)
        message = f"namespace {name} is being terminated"
        cause: JsonObject = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
        error.details["causes"] = [cause]
        raise error


def _service_account(store: Store, pod: JsonObject) -> None:
    spec = child(pod, "spec")
    name = dig_str(spec, "serviceAccountName") or dig_str(spec, "serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    namespace = namespace_of(pod)
    if store.get("serviceaccounts", namespace, name) is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden("pods", name_of(pod), why)


def _priority(store: Store, pod: JsonObject) -> None:
    spec = child(pod, "spec")
    name, value = dig_str(spec, "priorityClassName"), 0
    if name in _SYSTEM_PRIORITIES:
        value = _SYSTEM_PRIORITIES[name]
    elif name:
        found = store.get("priorityclasses.scheduling.k8s.io", "", name)
        if found is None:
            raise forbidden("pods", name_of(pod), f"no PriorityClass with name {name} was found")
        raw = found.get("value")
        value = raw if isinstance(raw, int) else 0
    else:
        for candidate in store.scan("priorityclasses.scheduling.k8s.io"):
            raw = candidate.get("value")
            if candidate.get("globalDefault") is True and isinstance(raw, int):
                value, spec["priorityClassName"] = raw, name_of(candidate)
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _tolerations(pod: JsonObject, seconds: int) -> None:
    tolerations = child(pod, "spec").setdefault("tolerations", [])
    if not isinstance(tolerations, list):
        return
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        have = [
            t
            for t in objects(tolerations)
            if dig_str(t, "key") in {key, ""} and t.get("effect") in {None, "", "NoExecute"}
        ]
        if not have:
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds})


def _default_class(store: Store, claim: JsonObject) -> None:
    if dig(claim, "spec", "storageClassName") is not None:
        return
    for candidate in store.scan("storageclasses.storage.k8s.io"):
        if dig(candidate, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class") == "true":
            child(claim, "spec")["storageClassName"] = name_of(candidate)


def _limit_ranges(store: Store, pod: JsonObject) -> None:
    ranges = [limit for r in store.select("limitranges", namespace_of(pod)) for limit in objects(r, "spec", "limits")]
    if not ranges:
        return
    why: list[str] = []
    for limit in (r for r in ranges if r.get("type") == "Container"):
        for container in [*objects(pod, "spec", "initContainers"), *objects(pod, "spec", "containers")]:
            _fill(container, limit)
            why += _outside(container, limit)
    if why:
        raise forbidden("pods", name_of(pod), why[0] if len(why) == 1 else "[" + ", ".join(why) + "]")


def _fill(container: JsonObject, limit: JsonObject) -> None:
    had_limits = dict(dig_object(container, "resources", "limits"))
    for name, value in dig_object(limit, "default").items():
        child(container, "resources", "limits").setdefault(name, value)
    for name, value in dig_object(limit, "defaultRequest").items():
        child(container, "resources", "requests").setdefault(name, had_limits.get(name, value))


def _outside(container: JsonObject, limit: JsonObject) -> list[str]:
    limits, requests = dig_object(container, "resources", "limits"), dig_object(container, "resources", "requests")
    why: list[str] = []
    for name, bound in dig_object(limit, "max").items():
        have = limits.get(name)
        if have is None:
            why.append(f"maximum {name} usage per Container is {bound}.  No limit is specified")
        elif quantity.parse(have) > quantity.parse(bound):
            why.append(f"maximum {name} usage per Container is {bound}, but limit is {have}")
    for name, bound in dig_object(limit, "min").items():
        have = requests.get(name, limits.get(name))
        if have is None:
            why.append(f"minimum {name} usage per Container is {bound}.  No request is specified")
        elif quantity.parse(have) < quantity.parse(bound):
            why.append(f"minimum {name} usage per Container is {bound}, but request is {have}")
    return why


def _pod_security(store: Store, pod: JsonObject) -> None:
    namespace = store.get("namespaces", "", namespace_of(pod))
    labels = labels_of(namespace) if namespace else {}
    level = labels.get("pod-security.kubernetes.io/enforce", "privileged")
    version = labels.get("pod-security.kubernetes.io/enforce-version", "latest")
    why = security_violations(dig_object(pod, "spec"), level)
    if why:
        raise forbidden("pods", name_of(pod), f'violates PodSecurity "{level}:{version}": ' + ", ".join(why))


def _named(containers: list[JsonObject]) -> str:
    names = ", ".join(f'"{dig_str(c, "name")}"' for c in containers)
    return f"container{'s' if len(containers) > 1 else ''} {names}"


def security_violations(spec: JsonObject, level: str) -> list[str]:
    """What a pod spec violates at a Pod Security level; empty at `privileged`.  A subset of the standards' checks."""
    if level not in {"baseline", "restricted"}:
        return []
    containers = [*objects(spec, "initContainers"), *objects(spec, "containers")]
    why: list[str] = []
    if any(spec.get(f) is True for f in ("hostNetwork", "hostPID", "hostIPC")):
        shown = ", ".join(f"{f}=true" for f in ("hostNetwork", "hostPID", "hostIPC") if spec.get(f) is True)
        why.append(f"host namespaces ({shown})")
    privileged = [c for c in containers if dig(c, "securityContext", "privileged") is True]
    if privileged:
        why.append(f"privileged ({_named(privileged)} must not set securityContext.privileged=true)")
    host_paths = [dig_str(v, "name") for v in objects(spec, "volumes") if "hostPath" in v]
    if host_paths:
        why.append("hostPath volumes (volume " + ", ".join(f'"{n}"' for n in host_paths) + ")")
    host_ports = [c for c in containers if any(dig(p, "hostPort") for p in objects(c, "ports"))]
    if host_ports:
        why.append(f"hostPort ({_named(host_ports)} uses hostPort)")
    return why + (_restricted(spec, containers) if level == "restricted" else [])


def _restricted(spec: JsonObject, containers: list[JsonObject]) -> list[str]:
    why: list[str] = []
    escalating = [c for c in containers if dig(c, "securityContext", "allowPrivilegeEscalation") is not False]
    if escalating:
        need = "must set securityContext.allowPrivilegeEscalation=false"
        why.append(f"allowPrivilegeEscalation != false ({_named(escalating)} {need})")
    capable = [c for c in containers if "ALL" not in dig_list(c, "securityContext", "capabilities", "drop")]
    if capable:
        why.append(f'unrestricted capabilities ({_named(capable)} must set securityContext.capabilities.drop=["ALL"])')
    if dig(spec, "securityContext", "runAsNonRoot") is not True:
        rooted = [c for c in containers if dig(c, "securityContext", "runAsNonRoot") is not True]
        if rooted:
            why.append(f"runAsNonRoot != true (pod or {_named(rooted)} must set securityContext.runAsNonRoot=true)")
    good = {"RuntimeDefault", "Localhost"}
    if dig(spec, "securityContext", "seccompProfile", "type") not in good:
        loose = [c for c in containers if dig(c, "securityContext", "seccompProfile", "type") not in good]
        if loose:
            need = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
            why.append(f"seccompProfile (pod or {_named(loose)} {need})")
    return why


def call_webhooks(store: Store, kind: Kind, obj: JsonObject, operation: str) -> None:
    """Webhooks are configured like the real ones, but nobody answers them here: a matching one that must not
    fail, fails.
    """
    if kind.group == "admissionregistration.k8s.io":
        return
    for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        for configuration in store.scan(f"{plural}.admissionregistration.k8s.io"):
            for hook in objects(configuration, "webhooks"):
                if _hook_matches(store, hook, kind, obj, operation) and hook.get("failurePolicy", "Fail") == "Fail":
                    raise _hook_failed(store, hook)


def _hook_matches(store: Store, hook: JsonObject, kind: Kind, obj: JsonObject, operation: str) -> bool:
    if kind.namespaced and "namespaceSelector" in hook:
        namespace = store.get("namespaces", "", namespace_of(obj))
        if not selects(hook["namespaceSelector"], labels_of(namespace) if namespace else {}):
            return False
    if "objectSelector" in hook and not selects(hook["objectSelector"], labels_of(obj)):
        return False
    for rule in objects(hook, "rules"):
        groups, plurals, operations = texts(rule, "apiGroups"), texts(rule, "resources"), texts(rule, "operations")
        if {"*", kind.group} & set(groups) and {"*", kind.plural} & set(plurals) and {"*", operation} & set(operations):
            return True
    return False


def _hook_failed(store: Store, hook: JsonObject) -> ApiError:
    name, seconds = dig_str(hook, "name"), dig(hook, "timeoutSeconds") or 10
    service = dig_object(hook, "clientConfig", "service")
    target, namespace = dig_str(service, "name"), dig_str(service, "namespace")
    url = dig_str(hook, "clientConfig", "url")
    if service:
        port = dig(service, "port") or 443
        url = f"https://{target}.{namespace}.svc:{port}{dig_str(service, 'path') or '/'}"
        missing = store.get("services", namespace, target) is None
        why = f'service "{target}" not found' if missing else f'no endpoints available for service "{target}"'
    else:
        why = "dial tcp: connect: connection refused"
    message = (
        f'Internal error occurred: failed calling webhook "{name}": failed to call webhook: Post '
        f'"{url}?timeout={seconds}s": {why}'
    )
    return ApiError(500, message)
