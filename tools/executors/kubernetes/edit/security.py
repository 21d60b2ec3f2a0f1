"""`set_security_context`: a container may do less than before.

The rule: only tightening.  What the template after the change may do is compared with what it may do now
(`podsecurity.added_powers`), and one new power refuses the whole edit.  Where a field is set for the whole pod, the
container's own value stands before it.
"""

from __future__ import annotations

from typing import ClassVar

from tools.executors.base import Action, Situation
from tools.executors.kubernetes.common import TEMPLATE, template_of
from tools.executors.kubernetes.edit.template import ContainerEditExecutor, container_of, in_containers, out_of_range
from tools.executors.kubernetes.edit.wanted import Path, Put, Wanted, applied
from tools.executors.kubernetes.podsecurity import added_powers
from tools.executors.models.edit import SetSecurityContext
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_object, dig_str


class SetSecurityContextExecutor(ContainerEditExecutor[SetSecurityContext]):
    """`set_security_context`."""

    action_type: ClassVar[type[Action]] = SetSecurityContext
    description: ClassVar[str] = (
        "Tighten the security context of a container: a user id that is not root, no privilege escalation, no "
        "capabilities, the default seccomp profile, a read-only root file system. For pods that the namespace's "
        "security level refuses, and for an image of root that must not run as root. It never loosens anything."
    )
    declared_fields: ClassVar[tuple[str, ...]] = in_containers("securityContext")

    def of_container(
        self, action: SetSecurityContext, container: JsonObject, path: Path  # noqa: ARG002
    ) -> tuple[Wanted, ...] | Refused:  # fmt: skip
        """The fields that are asked for."""
        context = (*path, "securityContext")
        asked: tuple[tuple[bool, Path, JsonValue], ...] = (
            (action.run_as_non_root, ("runAsNonRoot",), True),
            (action.run_as_user is not None, ("runAsUser",), action.run_as_user),
            (action.forbid_privilege_escalation, ("allowPrivilegeEscalation",), False),
            (action.drop_all_capabilities, ("capabilities", "drop"), ["ALL"]),
            (action.runtime_default_seccomp, ("seccompProfile",), {"type": "RuntimeDefault"}),
            (action.read_only_root_filesystem, ("readOnlyRootFilesystem",), True),
        )
        return tuple(Put((*context, *field), value) for is_asked, field, value in asked if is_asked)

    def objection(self, action: SetSecurityContext, situation: Situation) -> Refused | None:
        """Nothing that is stricter or chosen by a person is replaced, and no power is added."""
        live = situation.live
        own = dig_object(container_of(live, action.container), "securityContext")
        pod = dig_object(live, *TEMPLATE, "spec", "securityContext")
        user = _in_force(own, pod, "runAsUser")
        if action.run_as_user is not None and user not in {None, 0, action.run_as_user}:
            return out_of_range(action, f"container {action.container} runs as user {user} already; that stays.")
        if action.run_as_non_root and user == 0 and action.run_as_user is None:
            return out_of_range(action, f"container {action.container} is set to user 0: give a user id as well.")
        profile = dig_str(_seccomp(own, pod), "type")
        if action.runtime_default_seccomp and profile == "Localhost":
            return out_of_range(action, f"container {action.container} has a seccomp profile of its own; it stays.")
        wanted = self.wanted(action, live)
        if isinstance(wanted, Refused):
            return wanted
        if powers := added_powers(template_of(live), template_of(applied(live, wanted))):
            return out_of_range(action, f"it would loosen what pods may do: {'; '.join(powers)}.")
        return None


def _in_force(own: JsonObject, pod: JsonObject, field: str) -> int | None:
    found = dig_int(own, field)
    return found if found is not None else dig_int(pod, field)


def _seccomp(own: JsonObject, pod: JsonObject) -> JsonValue:
    found = dig(own, "seccompProfile")
    return found if found is not None else dig(pod, "seccompProfile")
