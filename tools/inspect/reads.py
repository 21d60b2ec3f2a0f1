"""The reads themselves: each takes typed arguments and answers with bounded text; none of them can write.

The rule: whatever goes wrong is an answer and not an exception, and says whether other arguments may help.
Neighbours: `scope` (what may be looked at), `manifests` and `results` (what may be seen of it), `toolbox`.
"""

from __future__ import annotations

from collections.abc import Awaitable

from tools.cluster.resources import CORE_EVENT, ENDPOINT_SLICE, POD, QUOTA, SERVICE
from tools.errors import Denied, Invalid, NotAllowed, NotFound, ToolError, Transient
from tools.inspect.arguments import (
    EventArguments,
    LogArguments,
    NoArguments,
    ObjectArguments,
    ServiceArguments,
    WorkloadArguments,
)
from tools.inspect.manifests import as_yaml, shown
from tools.inspect.results import Answer, cannot_read, facts, try_other
from tools.inspect.scope import LIMIT_RANGE, READABLE, OutOfScopeError, Scope, Source
from tools.journal.diffs import diff_templates
from tools.journal.revisions import read_history, selector_text
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str
from tools.redact import excerpt

ROLLING = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
MAX_OWNERS = 8
MAX_EVENTS = 20
MAX_REVISIONS = 5
MAX_CHANGES = 12
MAX_PODS = 10


class Reads:
    """All reads of one incident."""

    def __init__(self, source: Source, scope: Scope) -> None:
        """Nothing is read yet."""
        self._source = source
        self._scope = scope

    async def get_object(self, wanted: ObjectArguments) -> Answer:
        """The manifest and status of one object."""
        return await _answered(self._object(wanted))

    async def get_owners(self, wanted: ObjectArguments) -> Answer:
        """The chain of owners above one object."""
        return await _answered(self._owners(wanted))

    async def get_events(self, wanted: EventArguments) -> Answer:
        """Events, newest first."""
        return await _answered(self._events(wanted))

    async def get_logs(self, wanted: LogArguments) -> Answer:
        """The end of one container's log."""
        return await _answered(self._logs(wanted))

    async def get_rollout_history(self, wanted: WorkloadArguments) -> Answer:
        """The revisions of a workload, and what going back to each would change."""
        if wanted.kind not in ROLLING:
            return try_other(f"{wanted.kind} has no rollout history; kind is Deployment, StatefulSet or DaemonSet")
        return await _answered(self._history(wanted))

    async def get_endpoints(self, wanted: ServiceArguments) -> Answer:
        """What a Service selects, and which of it is ready."""
        return await _answered(self._endpoints(wanted))

    async def get_quota(self, _: NoArguments) -> Answer:
        """Quotas and limits of the namespace."""
        return await _answered(self._quota())

    async def _object(self, wanted: ObjectArguments) -> str:
        return as_yaml(shown(await self._live(wanted.kind, wanted.name)))

    async def _live(self, kind: str, name: str) -> JsonObject:
        place = self._scope.place_of(kind, name)
        return await self._source.get(READABLE[kind], name, place)

    async def _owners(self, wanted: ObjectArguments) -> str:
        current = await self._live(wanted.kind, wanted.name)
        lines = [f"{wanted.kind}/{wanted.name}"]
        for _ in range(MAX_OWNERS):
            owner = _controller(current)
            if owner is None:
                return "\n".join([*lines, "no further owner"])
            kind, name, uid = (dig_str(owner, k) for k in ("kind", "name", "uid"))
            lines.append(f"owned by {kind}/{name}")
            resource = READABLE.get(kind)
            if resource is None or resource.api_version != dig_str(owner, "apiVersion"):
                return "\n".join([*lines, f"{kind} is not a kind that is read here"])
            current = await self._live(kind, name)
            if dig_str(current, "metadata", "uid") != uid:
                return "\n".join([*lines, f"that {kind} is gone; another of the same name stands there now"])
        return "\n".join([*lines, "the chain goes on"])

    async def _events(self, wanted: EventArguments) -> str:
        pairs = (("involvedObject.kind", wanted.kind), ("involvedObject.name", wanted.name))
        selector = ",".join(f"{key}={value}" for key, value in pairs if value)
        found = await self._source.list(CORE_EVENT, self._scope.namespace, field_selector=selector or None)
        found.sort(key=_last_seen, reverse=True)
        lines = [_event_line(event) for event in found[:MAX_EVENTS]]
        if len(found) > MAX_EVENTS:
            lines.append(f"{len(found) - MAX_EVENTS} older ones are not shown")
        return "\n".join(lines) or "no events"

    async def _logs(self, wanted: LogArguments) -> str:
        text = await self._source.logs(
            self._scope.namespace,
            wanted.pod,
            wanted.container,
            previous=wanted.previous,
            tail_lines=wanted.tail_lines,
            limit_bytes=16384,
        )
        return text.strip() or "the log is empty"

    async def _history(self, wanted: WorkloadArguments) -> str:
        live = await self._live(wanted.kind, wanted.name)
        history = await read_history(self._source, live)
        template = dig_object(live, "spec", "template")
        current = history.current
        lines = [f"current revision: {current.number if current else 'cannot be told'}"]
        for revision in history.earlier[:MAX_REVISIONS]:
            made = revision.created_at.isoformat() if revision.created_at else "at an unknown time"
            lines.append(
                f"revision {revision.number}, made {made}, {revision.ready} pods ready; going back would change:"
            )
            changes = diff_templates(template, revision.template)
            lines += [f"  {c.path}: {c.now or '(absent)'} -> {c.then or '(absent)'}" for c in changes[:MAX_CHANGES]]
            if len(changes) > MAX_CHANGES:
                lines.append(f"  and {len(changes) - MAX_CHANGES} more fields")
        if not history.earlier:
            lines.append("no earlier revision is kept")
        return "\n".join(lines)

    async def _endpoints(self, wanted: ServiceArguments) -> str:
        service = await self._source.get(SERVICE, wanted.name, self._scope.namespace)
        selector = dig_object(service, "spec", "selector")
        ports = [f"{dig(p, 'port')}->{dig(p, 'targetPort')}" for p in dig_list(service, "spec", "ports")]
        lines = [
            f"selector: {_pairs(selector) or '(none: somebody else fills the endpoints)'}",
            f"ports: {', '.join(ports)}",
        ]
        slices = await self._source.list(
            ENDPOINT_SLICE, self._scope.namespace, label_selector=f"kubernetes.io/service-name={wanted.name}"
        )
        for item in slices:
            held = [str(dig(p, "port")) for p in dig_list(item, "ports")]
            for point in dig_list(item, "endpoints"):
                ready = dig(point, "conditions", "ready")
                lines.append(f"endpoint {dig_str(point, 'targetRef', 'name')} ports {','.join(held)} ready={ready}")
        if selector:
            match: JsonObject = {"matchLabels": selector}
            pods = await self._source.list(POD, self._scope.namespace, label_selector=selector_text(match))
            lines.append(f"{len(pods)} pods match the selector")
            lines += [_pod_line(pod) for pod in pods[:MAX_PODS]]
        return "\n".join(lines)

    async def _quota(self) -> str:
        quotas = await self._source.list(QUOTA, self._scope.namespace)
        ranges = await self._source.list(LIMIT_RANGE, self._scope.namespace)
        lines = [
            f"quota {dig_str(q, 'metadata', 'name')}: {key} used {dig_str(q, 'status', 'used', key)} of {limit}"
            for q in quotas
            for key, limit in dig_object(q, "status", "hard").items()
        ]
        lines += [
            f"limit range {dig_str(r, 'metadata', 'name')}: {as_yaml(dig_list(r, 'spec', 'limits')).strip()}"
            for r in ranges
        ]
        return "\n".join(lines) or "the namespace has neither quota nor limit range"


async def _answered(read: Awaitable[str]) -> Answer:
    """Errors as answers: what other arguments may cure, and what they may not."""
    try:
        return facts(await read)
    except OutOfScopeError as error:
        return try_other(str(error))
    except NotFound as error:
        return try_other(f"no such object: {excerpt(str(error), 300)}")
    except Invalid as error:
        return try_other(excerpt(str(error), 300))
    except (Denied, NotAllowed) as error:
        return cannot_read(f"not permitted ({error.code})")
    except Transient as error:
        return cannot_read(f"the API server does not answer now ({error.code})")
    except (ToolError, ValueError) as error:
        return cannot_read(excerpt(str(error), 300) or type(error).__name__)


def _controller(item: JsonObject) -> JsonValue:
    return next((o for o in dig_list(item, "metadata", "ownerReferences") if dig(o, "controller") is True), None)


def _last_seen(event: JsonObject) -> str:
    return (
        dig_str(event, "series", "lastObservedTime")
        or dig_str(event, "lastTimestamp")
        or dig_str(event, "eventTime")
        or dig_str(event, "metadata", "creationTimestamp")
    )


def _event_line(event: JsonObject) -> str:
    about = f"{dig_str(event, 'involvedObject', 'kind')}/{dig_str(event, 'involvedObject', 'name')}"
    count = dig_int(event, "series", "count") or dig_int(event, "count") or 1
    note = excerpt(dig_str(event, "message") or dig_str(event, "note"), 400)
    return f"{_last_seen(event)} {dig_str(event, 'type')} {dig_str(event, 'reason')} {about} x{count}: {note}"


def _pod_line(pod: JsonObject) -> str:
    ready = next(
        (dig_str(c, "status") for c in dig_list(pod, "status", "conditions") if dig(c, "type") == "Ready"), "Unknown"
    )
    return f"pod {dig_str(pod, 'metadata', 'name')} {dig_str(pod, 'status', 'phase')} Ready={ready}"


def _pairs(selector: JsonObject) -> str:
    return ",".join(f"{key}={value}" for key, value in selector.items())
