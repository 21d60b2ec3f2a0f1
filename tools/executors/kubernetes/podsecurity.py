"""What a pod template may do to its node and to the API, so that a revert which gives back a power is seen.

The rule: powers are compared as sets.  Whatever the template after the change has and the present one has not is a
lowering of the pod's security, and a person must agree to it.  What a field allows when it is not set is a power too.
Fields: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from tools.jsontypes import JsonObject, JsonValue, dig, dig_list, dig_object, dig_str

_WRITES = "may write to its root file system"
_ACCOUNT = "runs as service account "
_HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")


def added_powers(present: JsonObject, wanted: JsonObject) -> tuple[str, ...]:
    """Powers that `wanted` has and `present` has not, as phrases in order; both are pod templates."""
    return tuple(sorted(powers(wanted) - powers(present)))


def lowered(present: JsonObject, wanted: JsonObject) -> tuple[str, ...]:
    """Those of `added_powers` that lower the level of the Pod Security Standards.

    A root file system that may be written to is within the restricted standard, and an account that the workload had
    before gives it back nothing that it was not given then.
    """
    return tuple(p for p in added_powers(present, wanted) if not p.endswith(_WRITES) and not p.startswith(_ACCOUNT))


def powers(template: JsonObject) -> frozenset[str]:
    """Everything a pod of this template may do beyond the restricted standard."""
    spec = dig_object(template, "spec")
    found = {f"uses the node's {name.removeprefix('host')}" for name in _HOST_NAMESPACES if spec.get(name) is True}
    account = dig_str(spec, "serviceAccountName") or "default"
    found.add(f"{_ACCOUNT}{account}")
    for volume in dig_list(spec, "volumes"):
        path = dig_str(volume, "hostPath", "path")
        if path:
            found.add(f"mounts {path} of the node")
    for kind in ("initContainers", "containers"):
        for container in dig_list(spec, kind):
            found |= {f"container {dig_str(container, 'name')} {what}" for what in _of_container(spec, container)}
    return frozenset(found)


def _of_container(spec: JsonObject, container: JsonValue) -> set[str]:
    own, pod = dig_object(container, "securityContext"), dig_object(spec, "securityContext")

    def setting(name: str) -> JsonValue:
        return own[name] if own.get(name) is not None else pod.get(name)

    found: set[str] = set()
    if own.get("privileged") is True:
        found.add("is privileged")
    if own.get("allowPrivilegeEscalation") is not False:
        found.add("may gain privileges")
    if own.get("readOnlyRootFilesystem") is not True:
        found.add(_WRITES)
    if setting("runAsNonRoot") is not True:
        found.add("may run as root")
    if setting("runAsUser") == 0:
        found.add("runs as user 0")
    if dig_str(setting("seccompProfile"), "type") in {"", "Unconfined"}:
        found.add("has no seccomp profile")
    if dig_str(own, "procMount") == "Unmasked":
        found.add("sees an unmasked /proc")
    if "ALL" not in dig_list(own, "capabilities", "drop"):
        found.add("keeps the default capabilities")
    found |= {f"has capability {name}" for name in dig_list(own, "capabilities", "add") if isinstance(name, str)}
    for port in dig_list(container, "ports"):
        number = dig(port, "hostPort")
        if isinstance(number, int) and number:
            found.add(f"listens on port {number} of the node")
    return found
