"""What all actions on Argo CD have in common: how the Application is read, and how an operation of ours is known again.

The Application itself is read from the API server, where its controller writes it; sync windows and our rights are
asked of Argo CD.  An operation of ours carries the action's id among its `info`.

The rule: only the executors of this package know what a call's arguments mean, and only `port` makes the calls.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final, Protocol, TypeVar

from tools.clock import Clock, SystemClock
from tools.cluster.resources import APPLICATION
from tools.errors import Permanent
from tools.executors.argocd import application as argo
from tools.executors.argocd.client import AppRef
from tools.executors.argocd.decisions import Hindrance
from tools.executors.base import ACTION_ID, INCIDENT_ID, Mark, Reader, Situation
from tools.executors.calls import RemoteRequest
from tools.executors.models.argocd import ApplicationAction
from tools.executors.remote import RemoteExecutor, RemoteInverse
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str
from tools.refs import ObjectRef

PORT: Final = "argocd"

A = TypeVar("A", bound=ApplicationAction)


class Questions(Protocol):
    """The reading half of `client.ArgoClient`, as far as actions need it."""

    async def sync_windows(self, ref: AppRef) -> JsonObject:
        """Active and assigned sync windows, and the server's verdict."""
        ...

    async def may_sync(self, ref: AppRef) -> bool:
        """Whether our account may order operations on it."""
        ...


class NotConfigured(Permanent):
    """There is no connection to Argo CD.  Remedy: set its address and token, or disable its actions."""

    code = "ARGOCD_NOT_CONFIGURED"


class ArgoExecutor(RemoteExecutor[A]):
    """One action on one Application."""

    disrupts: ClassVar[bool] = True
    port: ClassVar[str] = PORT

    def __init__(self, questions: Questions | None = None, clock: Clock | None = None) -> None:
        """Without `questions`, which Argo CD answers, every order is refused."""
        self._questions = questions
        self._clock = clock or SystemClock()

    def kinds(self) -> frozenset[str]:
        """Applications."""
        return frozenset({APPLICATION.kind})

    async def read(self, action: A, cluster: Reader) -> Situation:
        """The Application, its sync windows, our rights, and the moment."""
        if self._questions is None:
            raise NotConfigured("there is no connection to Argo CD: set SELFHEAL_ARGOCD_URL and its token file")
        live = await cluster.get(APPLICATION, action.name, action.namespace)
        ref = ref_of(live)
        windows, may = await asyncio.gather(self._questions.sync_windows(ref), self._questions.may_sync(ref))
        # Only what decides is kept: this goes into the ledger.
        support: JsonObject = {
            "windows": windows,
            "may": may,
            "now": self._clock.now().isoformat(),
            "started": started_of(live),
            "reconciled": dig_str(live, "status", "reconciledAt"),
        }
        return Situation(live, support)

    def reaches(self, action: A, situation: Situation) -> frozenset[str]:  # noqa: ARG002
        """Where the Application delivers to, as it declares and as it lists what it keeps."""
        return delivers_to(situation.live)

    def is_permitted(self, action: A, situation: Situation) -> bool:  # noqa: ARG002
        """Argo CD's own RBAC lets our account do it."""
        return dig(situation.support, "may") is True

    def _call(self, action: A, situation: Situation, mark: Mark, call: str, **more: JsonValue) -> RemoteRequest:
        return RemoteRequest(PORT, action.target, call, {**place_of(situation.live), **more, **signed(mark)})

    def _inverse(
        self, action: A, situation: Situation, mark: Mark, call: str | None, sentence: str, **more: JsonValue
    ) -> RemoteInverse:
        return RemoteInverse(
            target=action.target,
            uid=dig_str(situation.live, "metadata", "uid"),
            port=PORT,
            call=call,
            arguments={**place_of(situation.live), **more},
            sentence=sentence,
            maker=mark.action_id,
        )


def delivers_to(live: JsonObject) -> frozenset[str]:
    """The namespaces of what the Application keeps, as it declares and as it lists them."""
    kept = {found.key.namespace for found in argo.resources(live)}
    return frozenset(kept | {dig_str(live, "spec", "destination", "namespace")}) - {""}


def ref_of(live: JsonObject) -> AppRef:
    """The Application as Argo CD's API names it."""
    place = place_of(live)
    return AppRef(dig_str(place, "name"), dig_str(place, "namespace"), dig_str(place, "project"))


def place_of(live: JsonObject) -> JsonObject:
    """Name, namespace and project; no project means `default`."""
    metadata = dig_object(live, "metadata")
    project = dig_str(live, "spec", "project") or "default"
    return {"name": dig_str(metadata, "name"), "namespace": dig_str(metadata, "namespace"), "project": project}


def signed(mark: Mark) -> JsonObject:
    """Whose call it is, in its arguments."""
    return {"action": mark.action_id, "incident": mark.incident_id}


def info_of(arguments: JsonObject) -> dict[str, str]:
    """What is attached to an operation, so that it is known again."""
    return {ACTION_ID: dig_str(arguments, "action"), INCIDENT_ID: dig_str(arguments, "incident")}


def is_ours(live: JsonObject, action_id: str) -> bool:
    """Whether the latest operation is the one that this action ordered."""
    return (argo.operation(live).info or {}).get(ACTION_ID) == action_id


def started_of(live: JsonObject) -> str:
    """Which operation is the latest, in one text that differs for each."""
    found = argo.operation(live)
    ordered = "ordered" if found.phase is argo.Phase.REQUESTED else ""
    return ordered or (found.started_at.isoformat() if found.started_at is not None else "")


def refused(hindrance: Hindrance | None) -> Refused | None:
    """A reason not to ask Argo CD, as the guard's refusal; its own code stands at the end."""
    if hindrance is None:
        return None
    return Refused(code=ReasonCode.REMOTE_REFUSED, reason=f"{hindrance.sentence.rstrip('.')} ({hindrance.code.value}).")


def failed(live: JsonObject, target: ObjectRef) -> Refused:
    """The operation failed: what Argo CD says of it."""
    why = "; ".join(argo.failures(live)[:3]) or argo.operation(live).message or "Argo CD does not say why"
    return Refused(code=ReasonCode.REMOTE_FAILED, reason=f"The operation on {target} failed: {why}.")
