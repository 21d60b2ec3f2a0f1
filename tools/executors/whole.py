"""Calls on whole objects: making one out of a manifest, deleting exactly the life that was read.

The rule: what is made bears its maker's mark from its first moment (`MADE_BY`, which nothing of ours overwrites), and
what is deleted is named by uid and version.  `patch` is the same for fields.

Neighbours: the executors of the object family build these calls, `lives` takes them back.
"""

from __future__ import annotations

import copy
from typing import Final

from tools.cluster.resources import Resource, WriteRequest
from tools.executors.base import ACTION_ID, INCIDENT_ID, Mark
from tools.jsontypes import JsonObject, JsonValue, dig_object, dig_str

MADE_BY: Final = "selfheal.dev/made-by"
"""The action that made this life of the object.  Later actions on it leave their own marks beside it."""

MARKS: Final = frozenset({ACTION_ID, INCIDENT_ID, MADE_BY})
"""All that we write ourselves under our prefix; what else stands there (`selfheal.dev/mode`) is people's."""

WHOLE: Final = ""
"""The pointer to a whole object: what the maker of one declares, since all of it is new."""

_GIVEN: Final = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)
"""Metadata that the server gives to each life anew."""
_HEADLESS: Final = "None"
_JOB_LABELS: Final = frozenset(
    {"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}
)
"""What the server puts on a Job and on its pods when it makes the selector; two of them hold the uid."""


def blank(document: JsonObject) -> JsonObject:
    """A copy that a server takes for a new object: no status, nothing that belongs to one life.

    A Service leaves its addresses, unless it is headless: they may belong to another one by now.
    """
    made = copy.deepcopy({key: value for key, value in document.items() if key != "status"})
    made["metadata"] = {k: v for k, v in dig_object(made, "metadata").items() if k not in _GIVEN}
    if made.get("kind") == "Service":
        _leave_addresses(dig_object(made, "spec"))
    return made


def create(resource: Resource, manifest: JsonObject, mark: Mark, *, field_manager: str) -> WriteRequest:
    """POST of the manifest with our marks; the server answers AlreadyExists when the name is taken."""
    marks = {ACTION_ID: str(mark.action_id), INCIDENT_ID: str(mark.incident_id), MADE_BY: str(mark.action_id)}
    notes: JsonObject = {**dig_object(manifest, "metadata", "annotations"), **marks}
    metadata: JsonObject = {**dig_object(manifest, "metadata"), "annotations": notes}
    body: JsonObject = {**manifest, "metadata": metadata}
    return WriteRequest(
        verb="create",
        resource=resource,
        namespace=dig_str(metadata, "namespace") or None,
        name=dig_str(metadata, "name"),
        body=body,
        field_manager=field_manager,
    )


def delete(resource: Resource, live: JsonObject, *, field_manager: str) -> WriteRequest:
    """DELETE of the very life and version that `live` shows; 409 for any other.

    What it owns goes with it: left unsaid, the API server would leave a Job's pods behind.
    """
    preconditions: JsonObject = {
        "uid": dig_str(live, "metadata", "uid"),
        "resourceVersion": dig_str(live, "metadata", "resourceVersion"),
    }
    return WriteRequest(
        verb="delete",
        resource=resource,
        namespace=dig_str(live, "metadata", "namespace") or None,
        name=dig_str(live, "metadata", "name"),
        body={
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        },
        field_manager=field_manager,
    )


def maker_of(live: JsonObject) -> str:
    """The action that made this life; empty when it was none of ours."""
    return dig_str(live, "metadata", "annotations", MADE_BY)


def is_deleting(live: JsonObject) -> bool:
    """Whether the object is on its way out."""
    return bool(dig_str(live, "metadata", "deletionTimestamp"))


def _leave_addresses(spec: JsonObject) -> None:
    """Take the addresses out, in place."""
    if spec.get("clusterIP") != _HEADLESS:
        for name in ("clusterIP", "clusterIPs"):
            spec.pop(name, None)
    spec.pop("healthCheckNodePort", None)


def without_assigned(document: JsonObject) -> JsonObject:
    """`blank`, and without the numbers and uids that the server picks anew for each call, dry or not."""
    made = blank(document)
    if made.get("kind") == "Job":
        made = without_job_identity(made)
    if made.get("kind") == "Service":
        spec = dig_object(made, "spec")
        if "ports" in spec:
            spec["ports"] = [_without_node_port(port) for port in _items(spec["ports"])]
    return made


def without_job_identity(job: JsonObject) -> JsonObject:
    """A Job without the selector and the labels that the server makes of its uid; one that brought its own keeps it."""
    spec = dig_object(job, "spec")
    template = dig_object(spec, "template")
    if spec.get("manualSelector") is True:
        return job
    plain: JsonObject = {**spec, "template": {**template, "metadata": _unlabelled(dig_object(template, "metadata"))}}
    plain.pop("selector", None)
    return {**job, "metadata": _unlabelled(dig_object(job, "metadata")), "spec": plain}


def _unlabelled(metadata: JsonObject) -> JsonObject:
    labels: JsonObject = {k: v for k, v in dig_object(metadata, "labels").items() if k not in _JOB_LABELS}
    return {**metadata, "labels": labels}


def _items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _without_node_port(port: JsonValue) -> JsonValue:
    return {k: v for k, v in port.items() if k != "nodePort"} if isinstance(port, dict) else port
