"""What an intent says of the world before and after its write, for whoever comes after a crash.

`Intent.before` holds the target's identity and versions, what the executor decided on, and the generation and content
that the dry run showed the write to leave: the write is fenced by the version, so the real one leaves the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.cluster.documents import content_of
from tools.executors.base import Situation
from tools.executors.calls import Call, RemoteRequest
from tools.executors.inverse import INVERSES, AnyInverse
from tools.jsontypes import JsonObject, dig, dig_int, dig_object, dig_str
from tools.ledger.records import ActionRecord, ActionState, Intent
from tools.refs import ObjectRef, PlanId, absent_uid

_KEPT = ("name", "namespace", "uid", "resourceVersion", "generation")


def remember(situation: Situation, result: JsonObject | None) -> JsonObject:
    """The situation in short; `result` is the dry run's object, None when the write leaves none."""
    metadata: JsonObject = {key: dig(situation.live, "metadata", key) for key in _KEPT}
    live: JsonObject = {"metadata": metadata}
    return {
        "live": live,
        "support": situation.support,
        "generation_after": None if result is None else dig_int(result, "metadata", "generation"),
        "content_after": None if result is None else content_of(result),
    }


def recall(before: JsonObject) -> Situation:
    """The situation again, with only what `remember` kept of the object."""
    return Situation(dig_object(before, "live"), dig_object(before, "support"))


def generation_after(history: Sequence[ActionRecord], plan_id: PlanId, uid: str) -> int | None:
    """The generation that the plan's newest applied write left on that object; None when it made none there."""
    return dig_int(_newest_before(history, plan_id, uid), "generation_after")


def content_after(history: Sequence[ActionRecord], plan_id: PlanId, uid: str) -> str | None:
    """The same for `documents.content_of`, which tells where no generation is counted."""
    return dig_str(_newest_before(history, plan_id, uid), "content_after") or None


def _newest_before(history: Sequence[ActionRecord], plan_id: PlanId, uid: str) -> JsonObject:
    for record in reversed(history):
        if (record.intent.plan_id, record.intent.target_uid, record.state) == (plan_id, uid, ActionState.APPLIED):
            return record.intent.before
    return {}


def describe(request: Call) -> JsonObject:
    """The exact call, as JSON."""
    if isinstance(request, RemoteRequest):
        return {"port": request.port, "call": request.call, "arguments": request.arguments}
    return {
        "verb": request.verb,
        "path": request.resource.path(request.namespace, request.name, request.subresource),
        "content_type": request.content_type,
        "field_manager": request.field_manager,
        "body": request.body,
    }


def inverse_of(intent: Intent) -> AnyInverse | None:
    """The recorded way back; None when a controller restores, or nothing can.

    Raises pydantic.ValidationError for a record that no version of this program wrote.
    """
    return None if intent.inverse is None else INVERSES.validate_python(intent.inverse)


def uid_of(live: JsonObject) -> str:
    """`metadata.uid`."""
    return dig_str(live, "metadata", "uid")


def life_of(ref: ObjectRef, live: JsonObject) -> str:
    """The uid, or what stands for it while the object is not there."""
    return uid_of(live) or absent_uid(ref)
