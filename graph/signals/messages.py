"""What a message of the kubelet, the scheduler or the API server means, as far as a decision hangs on it.

The rule: a message only refines what object status has shown; it never starts an incident by itself.  What a message
does not say clearly is UNKNOWN, and unknown is treated with the longer patience.  Names in quotes are taken out before
words are looked for: an image may be called `timeout`.
Sources: kubelet `pkg/kubelet/images`, `kuberuntime`, scheduler plugins, admission plugins of Kubernetes 1.30 to 1.34.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_QUOTED: Final = re.compile(r"\"[^\"]{0,1000}\"|'[^']{0,1000}'")


class Pull(StrEnum):
    """Why an image pull failed."""

    LASTING = "lasting"
    """The registry answered, or its name does not exist: the same pull will fail again."""
    PASSING = "passing"
    """The registry was slow, overloaded or out of reach: the same pull may work later."""
    UNTRUSTED = "untrusted"
    """The signature of the image is not accepted."""
    UNKNOWN = "unknown"
    """The message does not say."""


_UNTRUSTED: Final = re.compile(r"(?i)signature ?validation|signature (?:required|rejected|mismatch)")
_LASTING_PULL: Final = re.compile(
    r"(?i)not found|manifest unknown|name unknown|no such host|does not exist|unauthorized|authentication required"
    r"|pull access denied|access denied|insufficient.scope|40[134] (?:unauthorized|forbidden|not found)|denied: "
    r"|invalid reference|invalid tag|no matching manifest|no match for platform|not present with pull policy"
)
_PASSING_PULL: Final = re.compile(
    r"(?i)too ?many ?requests|rate.?limit|\b429\b|time(?:d )?out|deadline exceeded|connection (?:refused|reset)|\beof\b"
    r"|\btls\b|x509|\b50[0234]\b|bad gateway|service unavailable|internal server error|temporary failure"
    r"|server misbehaving|no route to host|network is unreachable|broken pipe|registry ?unavailable"
)


def classify_pull(message: str) -> Pull:
    """Say why a pull failed.  A message that names both kinds of cause is LASTING: the registry did answer."""
    bare = _QUOTED.sub(" ", message)
    if _UNTRUSTED.search(bare):
        return Pull.UNTRUSTED
    if _LASTING_PULL.search(bare):
        return Pull.LASTING
    return Pull.PASSING if _PASSING_PULL.search(bare) else Pull.UNKNOWN


@dataclass(frozen=True, slots=True)
class Missing:
    """What something refers to and is not there; `key` is None when the whole object is missing."""

    kind: str
    name: str
    key: str | None = None

    def __str__(self) -> str:
        return f"key {self.key} of {self.kind} {self.name}" if self.key else f"{self.kind} {self.name}"

    @property
    def needle(self) -> str:
        """The part that a template would have to mention to be the cause."""
        return self.key or self.name


_KINDS: Final = {
    "configmap": "ConfigMap",
    "secret": "Secret",
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "serviceaccount": "ServiceAccount",
}
_MISSING_KEY: Final = re.compile(r"couldn't find key (\S+) in (ConfigMap|Secret) (?:[^/\s]+/)?([^\s,;]+)")
_MISSING_OBJECT: Final = re.compile(
    r"(?i)\b(configmap|secret|persistentvolumeclaim|serviceaccount)s?(?:\.\w+)?"
    r" \\?\"(?:[^\"/]+/)?([^\"\\]+)\\?\" not found"
)
_MISSING_FILE: Final = re.compile(r"references non-existent (config|secret) key: (\S+)")
_MISSING_CLASS: Final = re.compile(
    r"no PriorityClass with name (\S+) was found|RuntimeClass(?:\.\S+)? \\?\"([^\"\\]+)\\?\" not found"
)


def find_missing(message: str) -> Missing | None:
    """The object or key that a message says is not there; None when it says no such thing."""
    if match := _MISSING_KEY.search(message):
        return Missing(match[2], match[3], match[1])
    if match := _MISSING_OBJECT.search(message):
        return Missing(_KINDS[match[1].lower()], match[2])
    if match := _MISSING_FILE.search(message):
        kind = "ConfigMap" if match[1] == "config" else "Secret"
        return Missing(kind, "that a volume mounts", match[2])
    if match := _MISSING_CLASS.search(message):
        return Missing("PriorityClass", match[1]) if match[1] else Missing("RuntimeClass", match[2])
    return None


class Refusal(StrEnum):
    """Why the API server does not let a controller create pods."""

    ACCOUNT = "account"
    """The service account that the template names is not there."""
    QUOTA = "quota"
    """A ResourceQuota is used up."""
    NEEDS = "needs"
    """A LimitRange or quota wants other requests or limits."""
    SECURITY = "security"
    """Pod Security admission finds the template too permissive for its namespace."""
    CLASS = "class"
    """A PriorityClass or RuntimeClass that the template names is not there."""
    WEBHOOK = "webhook"
    """An admission webhook could not be asked."""
    DENIED = "denied"
    """An admission webhook or policy said no."""
    INVALID = "invalid"
    """The pod does not validate."""
    LEAVING = "leaving"
    """The namespace is being deleted: intended."""
    UNKNOWN = "unknown"
    """The message does not say."""


_REFUSALS: Final = (
    (Refusal.LEAVING, re.compile(r"(?i)because it is being terminated")),
    (Refusal.WEBHOOK, re.compile(r"(?i)failed calling webhook|failed to call webhook")),
    (Refusal.DENIED, re.compile(r"(?i)admission webhook .{0,300} denied|ValidatingAdmissionPolicy .{0,300} denied")),
    (Refusal.ACCOUNT, re.compile(r"(?i)service ?account")),
    (
        Refusal.NEEDS,
        re.compile(r"(?i)failed quota: .{0,300}must specify|(?:maximum|minimum) \S+ usage per|LimitRequest"),
    ),
    (Refusal.QUOTA, re.compile(r"(?i)exceeded quota")),
    (Refusal.SECURITY, re.compile(r"(?i)violates PodSecurity")),
    (Refusal.CLASS, re.compile(r"(?i)PriorityClass|RuntimeClass")),
    (Refusal.INVALID, re.compile(r"(?i) is invalid: |Invalid value|Unsupported value|Required value")),
)


def classify_refusal(message: str) -> Refusal:
    """Say why pods were refused."""
    return next((kind for kind, pattern in _REFUSALS if pattern.search(message)), Refusal.UNKNOWN)


_PASSING_PLACE: Final = re.compile(
    r"(?i)unbound immediate|waiting for|node\.kubernetes\.io/(?:not-ready|unreachable|network-unavailable)"
    r"|node\.cloudprovider\.kubernetes\.io/uninitialized|being deleted|preemption in progress"
)
_FREED: Final = re.compile(
    r"(?i)insufficient|too many pods|free ports|anti-?affinity|max volume|volume.{0,20}in use|spread"
)
_CLAUSES: Final = re.compile(r"nodes? (?:are|is) available: ?(.*?)(?:\. (?:preemption|no new claims)|\.?$)", re.DOTALL)


def place_may_come(message: str) -> bool:
    """Whether each reason the scheduler gives passes by itself (a node that starts, a claim that binds)."""
    match = _CLAUSES.search(message)
    clauses = [c for c in (match[1] if match else message).split(",") if c.strip()]
    return bool(clauses) and all(_PASSING_PLACE.search(c) for c in clauses)


def place_is_taken(message: str) -> bool:
    """Whether a pod that goes away could make the place that this one needs."""
    return _FREED.search(message) is not None


_OWN_USAGE: Final = re.compile(
    r"(?i)ephemeral local storage usage exceeds|exceeded its local ephemeral storage limit|usage of EmptyDir volume"
)


def is_own_eviction(message: str) -> bool:
    """Whether the kubelet evicted the pod for breaking a limit of its own, not because the node was in need."""
    return _OWN_USAGE.search(message) is not None


_REJECTED: Final = re.compile(
    r"^(?:OutOf\w[\w./-]*|NodeAffinity|TopologyAffinityError|SMTAlignmentError|SysctlForbidden|AppArmor|PodOS\w+"
    r"|UnexpectedAdmissionError|InitContainerRestartPolicyForbidden|SupplementalGroupsPolicyNotSupported)\b"
)


def is_rejection(message: str) -> bool:
    """Whether the kubelet did not take the pod at all: what it asks for does not fit the node that it was given.

    Kubernetes 1.34, pkg/kubelet/lifecycle/predicate.go and the admit handlers beside it; measured for OutOfcpu.
    """
    return _REJECTED.match(message) is not None


_ROOT_IMAGE: Final = re.compile(r"(?i)runAsNonRoot|non-root|run as root")
_CACHE_LAG: Final = re.compile(r"(?i)failed to sync (?:configmap|secret) cache|timed out waiting")
_BUSY_RUNTIME: Final = re.compile(r"(?i)deadline exceeded|is reserved for|timed? ?out|connection refused|unavailable")


def is_root_refusal(message: str) -> bool:
    """Whether the kubelet refuses because the image would run as root."""
    return _ROOT_IMAGE.search(message) is not None


def is_cache_lag(message: str) -> bool:
    """Whether the kubelet itself had not caught up with ConfigMaps or Secrets."""
    return _CACHE_LAG.search(message) is not None


_OOM_AT_START: Final = re.compile(r"(?i)init was OOM-killed|memory limit too low")


def is_start_out_of_memory(message: str) -> bool:
    """Whether the runtime says that the limit is too low even to start the process."""
    return _OOM_AT_START.search(message) is not None


def is_busy_runtime(message: str) -> bool:
    """Whether the runtime was slow or away, which says nothing about the container."""
    return _BUSY_RUNTIME.search(message) is not None


_PROBE_KILL: Final = re.compile(r"Container (\S+) failed (?:liveness|startup) probe")


def nobody_listens(note: str) -> bool:
    """Whether a failed probe found no process that listens yet: a wrong answer would be one."""
    return " probe failed: " in note and "connection refused" in note


def probe_victim(note: str) -> str | None:
    """The container that a Killing event says was killed for its probe."""
    match = _PROBE_KILL.search(note)
    return match[1] if match else None
