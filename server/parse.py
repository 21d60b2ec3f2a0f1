"""From the bytes of a request to a trigger, or to one sentence saying which field cannot be read and what to send.

Read here are an Event of `v1` or `events.k8s.io/v1`, as the API server prints it or without kind and apiVersion (as in
a list), and an object reference; `server.alerts` reads the payloads of an Alertmanager.  The rule: an Event is believed
about its own namespace only.  Whoever may create Events in one namespace could otherwise point us at another, so a
differing namespace of the involved object is refused.

Pure: no clock, no cluster.  Neighbours: `server.routes.heal` calls it on what comes in, `server.dispatch` on what a
restart finds in the inbox.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import NoReturn

from pydantic import ValidationError

from graph.incident import FromReference, Source
from tools.cluster.resources import CORE_EVENT, EVENT, KNOWN
from tools.jsontypes import JsonObject, JsonValue, canonical, dig_object, dig_str
from tools.refs import ObjectRef

MAX_BODY_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NOTE = 1024
REFERENCE_FIELDS = frozenset({"apiVersion", "kind", "namespace", "name"})
SHORT_NAMES = {
    "po": "Pod",
    "deploy": "Deployment",
    "rs": "ReplicaSet",
    "sts": "StatefulSet",
    "ds": "DaemonSet",
    "cj": "CronJob",
    "no": "Node",
    "ns": "Namespace",
    "svc": "Service",
    "cm": "ConfigMap",
    "hpa": "HorizontalPodAutoscaler",
    "pdb": "PodDisruptionBudget",
}
FORMS = (
    "send a Kubernetes Event, an Alertmanager payload, "
    'or a reference such as {"kind": "Deployment", "namespace": "shop", "name": "web"}'
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """Understood.  `body` is the document as it came, for the inbox."""

    trigger: FromReference
    body: JsonObject


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Not understood: `field` is the path in the document ("" for all of it), `remedy` a sentence."""

    field: str
    remedy: str


class _StopError(Exception):
    """Carries the first thing that cannot be read out of the nested readers."""

    def __init__(self, field: str, remedy: str) -> None:
        super().__init__(remedy)
        self.answer = Unreadable(field, remedy)


def parse_body(raw: bytes) -> Parsed | Unreadable:
    """Read one request.  Never raises for what is in it."""
    body = read_document(raw)
    if isinstance(body, Unreadable):
        return body
    trigger = parse_document(body)
    return trigger if isinstance(trigger, Unreadable) else Parsed(trigger, body)


def read_document(raw: bytes) -> JsonObject | Unreadable:
    """The JSON object in the bytes, whatever it is about.  Never raises for what is in it."""
    try:
        return _document(raw)
    except _StopError as stop:
        return stop.answer


def parse_document(body: JsonObject) -> FromReference | Unreadable:
    """The trigger in a document that was accepted before."""
    try:
        return _trigger(body)
    except _StopError as stop:
        return stop.answer


def canonical_kind(text: str) -> str | None:
    """`deployment`, `deployments` and `deploy` are Deployment; None for a kind nobody here knows."""
    word = text.lower()
    if word in SHORT_NAMES:
        return SHORT_NAMES[word]
    for kind, resource in KNOWN.items():
        if word in {kind.lower(), resource.plural}:
            return kind
    return None


def parse_reference_text(text: str) -> ObjectRef:
    """Read `NAMESPACE/KIND/NAME` (`KIND/NAME` for what has no namespace) as a person types it.

    Raises ValueError with the form that is expected.
    """
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise ValueError(f"{text!r} is not an object: write NAMESPACE/KIND/NAME, for example shop/deployment/web")
    namespace, kind, name = (None, *parts) if len(parts) == 2 else parts
    try:
        return _reference("", {"kind": canonical_kind(str(kind)) or str(kind), "name": name}, namespace)
    except _StopError as stop:
        raise ValueError(f"{text!r} is not an object: {stop.answer.remedy}") from None


def _document(raw: bytes) -> JsonObject:
    try:
        value: JsonValue = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError:
        _stop("", f"the document is nested deeper than {MAX_DEPTH} levels; {FORMS}")
    except UnicodeDecodeError:
        _stop("", "the body is not UTF-8; send JSON in UTF-8")
    except json.JSONDecodeError as error:
        _stop("", f"the body is not JSON ({error.msg} at line {error.lineno}, column {error.colno}); {FORMS}")
    except ValueError as error:  # a number of thousands of digits, NaN
        _stop("", f"the body is not JSON ({error}); {FORMS}")
    if not isinstance(value, dict):
        _stop("", f"the body is a JSON {type(value).__name__} and must be an object; {FORMS}")
    if _is_too_deep(value):
        _stop("", f"the document is nested deeper than {MAX_DEPTH} levels; {FORMS}")
    try:
        canonical(value)
    except UnicodeEncodeError:
        _stop("", "a string holds half of a surrogate pair; send valid Unicode")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    """An object with the same key twice says two things; whoever reads it first and we may differ in which counts."""
    document = dict(pairs)
    if len(document) != len(pairs):
        _stop("", "an object holds the same key twice; send each key once")
    return document


def _is_too_deep(value: JsonValue) -> bool:
    layer: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        children: list[JsonValue] = []
        for item in layer:
            if isinstance(item, dict):
                children.extend(item.values())
            elif isinstance(item, list):
                children.extend(item)
        if not children:
            return False
        layer = children
    return True


def _trigger(body: JsonObject) -> FromReference:
    api_version = dig_str(body, "apiVersion")
    if body.get("kind") == "Event" or "involvedObject" in body or "regarding" in body:
        return _from_event(body, api_version)
    return _from_reference(body)


def _from_reference(body: JsonObject) -> FromReference:
    for field in body:
        if field not in REFERENCE_FIELDS:
            near = difflib.get_close_matches(field, REFERENCE_FIELDS, n=1)
            _stop(field, f"did you mean {near[0]}?" if near else f"a reference has no such field; {FORMS}")
    ref = _reference("", body, body.get("namespace"))
    return FromReference(ref=ref, source=Source.REQUEST)


def _from_event(body: JsonObject, api_version: str) -> FromReference:
    about = "regarding" if "regarding" in body else "involvedObject"
    expected = EVENT.api_version if about == "regarding" else CORE_EVENT.api_version
    if api_version and api_version not in {CORE_EVENT.api_version, EVENT.api_version}:
        _stop("apiVersion", f"{api_version} has no Event that is read here; send v1 or events.k8s.io/v1")
    if api_version and api_version != expected and about in body:
        _stop(
            about, f"an Event of {api_version} names its object otherwise; send the Event as the API server prints it"
        )
    involved = dig_object(body, about)
    if not involved:
        _stop(about, "the Event names no object; send the Event as the API server prints it")
    own = dig_str(body, "metadata", "namespace")
    if not own:
        _stop("metadata.namespace", "the Event has no namespace; send the Event as the API server prints it")
    named = involved.get("namespace")
    if named is not None and named not in ("", own):
        _stop(
            f"{about}.namespace",
            f"an Event in namespace {own} cannot speak for an object in another one; "
            "ask for the object itself by a reference",
        )
    resource = KNOWN.get(dig_str(involved, "kind"))
    is_namespaced = resource is None or resource.namespaced
    ref = _reference(about, involved, own if is_namespaced else None)
    return FromReference(ref=ref, source=Source.EVENT, note=_note(body))


def _note(body: JsonObject) -> str:
    """What the Event says, on one line: `Warning BackOff: Back-off restarting failed container`."""
    text = dig_str(body, "note") or dig_str(body, "message")
    head = " ".join(part for part in (dig_str(body, "type"), dig_str(body, "reason")) if part)
    line = f"{head}: {text}" if head and text else head or text
    return "".join(c if c.isprintable() else " " for c in line)[:MAX_NOTE]


def _reference(prefix: str, value: JsonObject, namespace: JsonValue) -> ObjectRef:
    """An `ObjectRef` out of kind, name and apiVersion of `value`; every refusal names its field below `prefix`."""
    at = f"{prefix}." if prefix else ""
    kind = _text(value, "kind", at)
    name = _text(value, "name", at)
    resource = KNOWN.get(kind)
    if resource is None and (near := canonical_kind(kind)) is not None:
        _stop(f"{at}kind", f"{kind!r} is not a kind; did you mean {near}?")
    api_version = value.get("apiVersion")
    if api_version is not None and resource is not None and api_version != resource.api_version:
        _stop(f"{at}apiVersion", f"{kind} is known as {resource.api_version}; send that, or leave apiVersion out")
    if resource is not None and resource.namespaced and not namespace:
        _stop(f"{at}namespace", f"a {kind} lives in a namespace; name it")
    if resource is not None and not resource.namespaced and namespace:
        _stop(f"{at}namespace", f"a {kind} lives in no namespace; leave it out")
    try:
        return ObjectRef.model_validate({"kind": kind, "namespace": namespace or None, "name": name})
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        _stop(f"{at}{field}", f"it does not follow Kubernetes' rules for a {field}; send it as `kubectl get` prints it")


def _text(value: JsonObject, field: str, at: str) -> str:
    found = value.get(field)
    if found is None or found == "":
        _stop(f"{at}{field}", f"it is missing; {FORMS}")
    if not isinstance(found, str):
        _stop(f"{at}{field}", "it must be a string")
    return found


def _stop(field: str, remedy: str) -> NoReturn:
    raise _StopError(field, remedy)
