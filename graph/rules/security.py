"""The namespace demands tighter pods, or an image of root must not run as root: the container is tightened.

What the API server or the kubelet demands is in its message, field by field; nothing is loosened, and a person agrees,
because whether the program runs under another user id is known to nobody here.
"""

from __future__ import annotations

import re
from typing import Final

from graph.incident import Reason, Signal
from graph.plan import Step
from graph.rules.case import Answer, Case, Remedy
from graph.rules.objects.case import action
from graph.rules.words import name_of, said_of, sentence
from graph.signals.messages import Refusal, classify_refusal, is_root_refusal

NOBODY: Final = 65_534
"""The user id that owns nothing."""
MAX_STEPS: Final = 5
_QUOTED: Final = re.compile(r'"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)"')
_BEYOND: Final = re.compile(
    r"host namespaces|hostPath|hostPort|privileged \(|restricted volume types|procMount|sysctls|runAsUser=0|AppArmor"
    r"|SELinux|hostProcess|non-default capabilities"
)
"""Demands that cannot be met by tightening one container."""


class Tighten:
    """Give each container that is refused the settings that the message asks for."""

    name = "tighten"
    safe_because = (
        "It only takes powers away from a container, it waits for a person, and it is taken back by one step."
    )

    def judge(self, case: Case) -> Answer | None:
        """The edits; None when the refusal is about something else, or tightening does not meet it."""
        refused = next((s for s in case.present if _is_refused(s)), None)
        if refused is None or _BEYOND.search(refused.message):
            return None
        steps = [s for name in _names(refused, case) if not case.was_tried((s := _tighten(name, refused, case)).action)]
        if not steps or len(steps) > MAX_STEPS:
            return None
        return Remedy(
            cause="pod_security",
            sentence=sentence(f"{name_of(case.workload.ref)} is not as tight as is demanded ({said_of(refused)})."),
            confidence=0.75,
            steps=tuple(steps),
            reasons=(refused.reason,),
            needs_person=("whether the program runs with less is known to its owners alone",),
        )


def _is_refused(signal: Signal) -> bool:
    match signal.reason:
        case Reason.PODS_REFUSED:
            return classify_refusal(signal.message) is Refusal.SECURITY
        case Reason.CONTAINER_START_FAILED:
            return is_root_refusal(signal.message)
        case _:
            return False


def _names(signal: Signal, case: Case) -> list[str]:
    """The containers that the message is about."""
    known = [c.name for c in case.evidence.containers]
    if signal.container is not None:
        return [signal.container] if signal.container in known else []
    quoted = {match[1] for match in _QUOTED.finditer(signal.message)}
    return [name for name in known if name in quoted]


def _tighten(container: str, signal: Signal, case: Case) -> Step:
    text = signal.message
    as_root = signal.reason is Reason.CONTAINER_START_FAILED
    ref = case.workload.ref
    edit = action(
        "set_security_context",
        ref,
        kind=ref.kind,
        container=container,
        run_as_non_root=as_root or "runAsNonRoot" in text,
        run_as_user=NOBODY if as_root or "runAsNonRoot" in text else None,
        forbid_privilege_escalation="allowPrivilegeEscalation" in text,
        drop_all_capabilities="capabilities" in text,
        runtime_default_seccomp="seccompProfile" in text,
        read_only_root_filesystem=False,
    )
    return Step(action=edit, why=f"Container {container} gets what the message asks for, and nothing more.")
