"""What is done to a cluster in a scenario: a closed set of steps, each one value, read from files.

Neighbours: `scenario` holds them, `stagehand` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.cluster.shapes import ScenarioError, as_object, as_text, object_reference, only, text, texts
from tools.jsontypes import JsonObject, JsonValue

PatchType = Literal["strategic", "merge", "json"]
PATCH_TYPES: dict[str, PatchType] = {"strategic": "strategic", "merge": "merge", "json": "json"}


@dataclass(frozen=True)
class Patch:
    """Patch one object, or a subresource of it."""

    kind: str
    name: str
    type: PatchType
    body: JsonValue
    subresource: str = ""


@dataclass(frozen=True)
class Apply:
    """Server-side apply of one manifest."""

    manifest: JsonObject


@dataclass(frozen=True)
class Delete:
    """Delete one object."""

    kind: str
    name: str


@dataclass(frozen=True)
class Kubectl:
    """Run kubectl in the scenario's namespace."""

    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Kubelet:
    """Stop a node's kubelet, or start it again."""

    does: Literal["stop", "start"]
    node: str


@dataclass(frozen=True)
class Heartbeat:
    """From now on to the scenario's end, renew the heartbeat of a node that has no kubelet."""

    node: str


@dataclass(frozen=True)
class Reapply:
    """Apply one object of the scenario's fixtures again."""

    kind: str
    name: str


Step = Reapply | Patch | Apply | Delete | Kubectl | Kubelet | Heartbeat


def parse_step(value: JsonValue, where: str) -> Step:
    """`{VERB: …}` → the value; ScenarioError says where it is wrong."""
    body = as_object(value, where)
    readers: dict[str, Callable[[JsonValue, str], Step]] = {
        "patch": _patch,
        "apply": lambda v, w: Apply(as_object(v, w)),
        "delete": lambda v, w: Delete(*object_reference(as_text(v, w), w)),
        "kubectl": lambda v, w: Kubectl(texts(v, w)),
        "reapply": lambda v, w: Reapply(*object_reference(as_text(v, w), w)),
        "kubelet_stop": lambda v, w: Kubelet("stop", as_text(v, w)),
        "kubelet_start": lambda v, w: Kubelet("start", as_text(v, w)),
        "heartbeat": lambda v, w: Heartbeat(as_text(v, w)),
    }
    if len(body) != 1 or (verb := next(iter(body))) not in readers:
        raise ScenarioError(
            f"{where}: has {', '.join(body) or 'nothing'}; a step has exactly one of {', '.join(readers)}"
        )
    return readers[verb](body[verb], f"{where}.{verb}")


def _patch(value: JsonValue, where: str) -> Patch:
    body = as_object(value, where)
    only(body, {"object", "type", "body", "subresource"}, where)
    kind, name = object_reference(text(body, "object", where), where)
    type_ = text(body, "type", where)
    if type_ not in PATCH_TYPES:
        raise ScenarioError(f"{where}: type is {type_!r}; write strategic, merge or json")
    if "body" not in body:
        raise ScenarioError(f"{where}: body is missing")
    subresource = as_text(body["subresource"], where) if "subresource" in body else ""
    return Patch(kind, name, PATCH_TYPES[type_], body["body"], subresource)
