"""`argocd_set_auto_sync`: whether Argo CD follows the repository of one Application by itself.

Unlike the other actions on Argo CD it is a write to the API server: the Application is what people and Argo CD itself
read, so the bytes can be shown in a dry run and taken back to the byte.

The rule: an Application that is declared somewhere is changed there.  Its policy is taken out whole, and not merely
disabled: only the newest versions know how to disable one.

Neighbours: `actions` has what is asked over Argo CD's API; a rollback needs automated sync to be off.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tools.cluster.resources import APPLICATION, Resource, WriteRequest
from tools.executors.argocd import application as argo
from tools.executors.argocd import decisions
from tools.executors.argocd.form import delivers_to, refused
from tools.executors.base import Action, Mark, Permission, Situation
from tools.executors.kubernetes.common import refuse
from tools.executors.kubernetes.patching import PatchExecutor
from tools.executors.models.argocd import ArgocdSetAutoSync
from tools.executors.patch import operation, pointer, put
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, dig

_POLICY: Final = ("spec", "syncPolicy")
_AUTOMATED: Final = (*_POLICY, "automated")
_ENABLED: Final = (*_AUTOMATED, "enabled")


class ArgocdSetAutoSyncExecutor(PatchExecutor[ArgocdSetAutoSync]):
    """One field of an Application, whole."""

    action_type: ClassVar[type[Action]] = ArgocdSetAutoSync
    description: ClassVar[str] = (
        "Turn automated sync of an Argo CD Application on or off. Turned off, Argo CD no longer follows the repository "
        "by itself and permits argocd_rollback, which it refuses otherwise: do that in the next step, when the newest "
        "revision fails and the one before is wanted back before the repository is put right. Somebody has to turn it "
        "on again afterwards. Refused for an Application that is itself declared by another one or in Git. A person "
        "always decides."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*_POLICY),)
    permissions: ClassVar[tuple[Permission, ...]] = (Permission("patch", APPLICATION),)
    disrupts: ClassVar[bool] = True
    waits_for_rollout: ClassVar[bool] = False
    resource: ClassVar[Resource] = APPLICATION
    moves_generation: ClassVar[bool] = False
    """It does, but so does every write of the status: the kind has no status subresource, so the count says nothing."""

    def fields(self, action: ArgocdSetAutoSync, situation: Situation) -> tuple[str, ...]:
        """The policy for automation; what is above it where that is to be made, or the switch in it."""
        if action.enabled and dig(situation.live, *_ENABLED) is False:
            return (pointer(*_ENABLED),)
        return (pointer(*(_AUTOMATED if isinstance(dig(situation.live, *_POLICY), dict) else _POLICY)),)

    def precondition(self, action: ArgocdSetAutoSync, situation: Situation) -> Refused | None:
        """It is the other way round, and nobody declares it so."""
        live = situation.live
        parent = argo.parent(live)
        if parent is not None:
            sentence = f"{action.target} is declared by {parent}, which would take it back: change it there."
            return refuse(ReasonCode.OWNED_BY_GITOPS, sentence)
        if argo.auto_sync(live).is_on is action.enabled:
            return refuse(ReasonCode.NO_CHANGE, f"Automated sync of {action.target} is {_said(action)} already.")
        return refused(decisions.refresh_hindrance(live))

    def approval_reasons(self, action: ArgocdSetAutoSync, situation: Situation) -> tuple[str, ...]:
        """Always: how a team delivers is the team's to say."""
        target, live = action.target, situation.live
        if not action.enabled:
            heals = ", nor takes back what is changed in the cluster" if argo.auto_sync(live).heals else ""
            sentence = f"Until somebody turns it on again, Argo CD does not follow the repository of {target}{heals}."
        else:
            revisions = ", ".join(argo.declared_revisions(live)) or "what its repository holds"
            sentence = f"Argo CD then deploys {revisions} for {target} at once, and later revisions as they come."
        more = ("It declares other applications, which may change too.",) if argo.children(live) else ()
        return (sentence, *more)

    def reaches(self, action: ArgocdSetAutoSync, situation: Situation) -> frozenset[str]:  # noqa: ARG002
        """Where the Application delivers to."""
        return delivers_to(situation.live)

    def request(self, action: ArgocdSetAutoSync, situation: Situation, mark: Mark) -> WriteRequest:
        """Take the policy out, or put in one that neither prunes nor heals; one that is disabled loses its switch."""
        return self.patch(action, situation.live, mark, _change(action, situation.live))

    def postcondition(self, action: ArgocdSetAutoSync, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """It is as it was to be."""
        if argo.auto_sync(after.live).is_on is action.enabled:
            return None
        return refuse(ReasonCode.VERIFY_FAILED, f"Automated sync of {action.target} is not {_said(action)}.")


def _change(action: ArgocdSetAutoSync, live: JsonObject) -> list[JsonObject]:
    if not action.enabled:
        return [operation("remove", pointer(*_AUTOMATED))]
    if dig(live, *_ENABLED) is False:
        return [operation("remove", pointer(*_ENABLED))]
    return put(live, _AUTOMATED, {})


def _said(action: ArgocdSetAutoSync) -> str:
    return "on" if action.enabled else "off"
