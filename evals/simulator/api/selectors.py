"""Label and field selectors: parsing the text of a query, and matching selector objects of manifests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from evals.simulator.api.errors import ApiError, bad_request
from evals.simulator.objects import labels_of, objects, strings, texts
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str

_SET = re.compile(r"^([\w./-]+)\s+(in|notin)\s*\(([^)]*)\)$")
_EQUAL = re.compile(r"^([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)$")
_EXISTS = re.compile(r"^(!?)\s*([\w./-]+)$")
_SPLIT = re.compile(r",(?![^(]*\))")

Matcher = Callable[[JsonObject], bool]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label.  `operator` is that of a LabelSelector."""

    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether labels satisfy it; NotIn holds for a label that is absent, as in Kubernetes."""
        if self.operator == "In":
            return labels.get(self.key) in self.values and self.key in labels
        if self.operator == "NotIn":
            return labels.get(self.key) not in self.values or self.key not in labels
        if self.operator == "Exists":
            return self.key in labels
        return self.key not in labels


def parse_labels(text: str) -> list[Requirement]:
    """Read `labelSelector`.  Raises 400 with the server's words when it cannot be read."""
    found: list[Requirement] = []
    for raw in _SPLIT.split(text) if text else []:
        part = raw.strip()
        if match := _SET.match(part):
            values = frozenset(v.strip() for v in match.group(3).split(","))
            found.append(Requirement(match.group(1), "In" if match.group(2) == "in" else "NotIn", values))
        elif match := _EQUAL.match(part):
            operator = "NotIn" if match.group(2) == "!=" else "In"
            found.append(Requirement(match.group(1), operator, frozenset({match.group(3)})))
        elif match := _EXISTS.match(part):
            found.append(Requirement(match.group(2), "DoesNotExist" if match.group(1) else "Exists", frozenset()))
        else:
            raise bad_request(f"unable to parse requirement: found '{part}', expected: a label selector")
    return found


def requirements(selector: JsonValue) -> list[Requirement]:
    """Read a LabelSelector object."""
    found = [Requirement(k, "In", frozenset({v})) for k, v in strings(selector, "matchLabels").items()]
    found += [
        Requirement(dig_str(e, "key"), dig_str(e, "operator"), frozenset(texts(e, "values")))
        for e in objects(selector, "matchExpressions")
    ]
    return found


def selects(selector: JsonValue, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector object matches; an absent one matches nothing, an empty one everything."""
    if not isinstance(selector, dict):
        return False
    return all(r.holds(labels) for r in requirements(selector))


def selects_map(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a plain map (Service, nodeSelector) matches; an empty one matches nothing."""
    return bool(selector) and all(labels.get(k) == v for k, v in selector.items())


_FIELDS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "events": frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        }
    ),
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "secrets": frozenset({"type"}),
    "jobs.batch": frozenset({"status.successful"}),
    "replicasets.apps": frozenset({"status.replicas"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
}
_ALIASES = {"regarding": "involvedObject", "reportingController": "reportingComponent"}


def parse_fields(text: str, key: str) -> Matcher | None:
    """Read `fieldSelector` for the resource stored under `key`.  Raises 400 for a field that has no selector."""
    if not text:
        return None
    wanted: list[tuple[str, bool, str]] = []
    for raw in text.split(","):
        name, negated, value = _field_term(raw.strip())
        if name not in {"metadata.name", "metadata.namespace"} and name not in _FIELDS.get(key, frozenset()):
            known = 'only "metadata.name", "metadata.namespace"'
            why = f'Unable to find "{key}" that match field selector "{text}": "{name}" is not a known field: {known}'
            raise ApiError(400, why)
        wanted.append((name, negated, value))
    return lambda obj: all((_field(obj, name) == value) != negated for name, negated, value in wanted)


def _field_term(part: str) -> tuple[str, bool, str]:
    for sign, negated in (("!=", True), ("==", False), ("=", False)):
        if sign in part:
            name, _, value = part.partition(sign)
            return name, negated, value
    raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")


def _field(obj: JsonObject, name: str) -> str:
    head, _, rest = name.partition(".")
    path = [_ALIASES.get(head, head), *(rest.split(".") if rest else [])]
    if path == ["source"]:
        path = ["source", "component"]
    value = dig(obj, *path)
    if isinstance(value, bool):
        return "true" if value else "false"
    if path == ["spec", "unschedulable"] and value is None:
        return "false"
    return "" if value is None else str(value)


def matcher(label_text: str, field_text: str, key: str) -> Matcher | None:
    """One predicate for both selectors of a query; None when there is nothing to ask."""
    labels = parse_labels(label_text)
    fields = parse_fields(field_text, key)
    if not labels:
        return fields

    def matches(obj: JsonObject) -> bool:
        have = labels_of(obj)
        return all(r.holds(have) for r in labels) and (fields is None or fields(obj))

    return matches


def node_terms_match(terms: JsonValue, node: JsonObject) -> bool:
    """Whether any term of a NodeSelector holds for the node (expressions and fields)."""
    labels = labels_of(node)
    for term in objects(terms, "nodeSelectorTerms"):
        expressions, on_fields = objects(term, "matchExpressions"), objects(term, "matchFields")
        if not expressions and not on_fields:
            continue
        name = {"metadata.name": dig_str(node, "metadata", "name")}
        if all(_node_expression(e, labels) for e in expressions) and all(_node_expression(e, name) for e in on_fields):
            return True
    return False


def _node_expression(expression: JsonObject, labels: dict[str, str]) -> bool:
    key, operator, values = dig_str(expression, "key"), dig_str(expression, "operator"), texts(expression, "values")
    if operator in {"Gt", "Lt"}:
        have = labels.get(key, "")
        if not have.lstrip("-").isdigit() or not values or not values[0].lstrip("-").isdigit():
            return False
        return int(have) > int(values[0]) if operator == "Gt" else int(have) < int(values[0])
    return Requirement(key, operator, frozenset(values)).holds(labels)


def affinity_term(term: JsonObject, labels: dict[str, str]) -> bool:
    """Whether a pod (anti-)affinity term's label selector matches a pod's labels."""
    return selects(dig_object(term, "labelSelector"), labels)
