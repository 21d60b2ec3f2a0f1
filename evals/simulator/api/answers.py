"""Shapes of answers: JSON, Status, tables and metadata as the client asks for them."""

from __future__ import annotations

import msgspec
from aiohttp import web

from evals.simulator.api.errors import ApiError, bad_request
from evals.simulator.api.kinds import Kind
from evals.simulator.api.rbac import Question
from evals.simulator.api.requests import Target
from evals.simulator.objects import name_of, uid_of
from tools.jsontypes import JsonObject, JsonValue, dig_object

_encode = msgspec.json.Encoder().encode


def require_kind(kind: Kind, body: JsonObject) -> None:
    """Raise 400 when the body is of another kind than the path."""
    api_version, name = body.get("apiVersion"), body.get("kind")
    if api_version not in {None, kind.api_version} or name not in {None, kind.kind}:
        message = (
            f'{name} in version "{api_version}" cannot be handled as a {kind.kind}: the API version in the data '
            f"({api_version}) does not match the expected API version ({kind.api_version})"
        )
        raise bad_request(message)


def manager_of(request: web.Request) -> str:
    """The field manager: as asked for, or the program that asks."""
    named = request.query.get("fieldManager")
    return named or request.headers.get("User-Agent", "unknown").split("/", 1)[0]


def form_of(request: web.Request) -> str:
    """What the client wants first: `Table`, `PartialObjectMetadata` or "" for the object itself."""
    first = request.headers.get("Accept", "").split(",", 1)[0]
    options = dict(p.strip().split("=", 1) for p in first.split(";")[1:] if "=" in p)
    wanted = options.get("as", "")
    return wanted.removesuffix("List")


def partial_metadata(obj: JsonObject) -> JsonObject:
    """Nothing but the metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": dig_object(obj, "metadata")}


def deleted_status(kind: Kind, obj: JsonObject) -> JsonObject:
    """The Status that answers a deletion."""
    details: JsonObject = {"name": name_of(obj), "kind": kind.plural, "uid": uid_of(obj)}
    if kind.group:
        details["group"] = kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def json_response(value: JsonValue, code: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=_encode(value), status=code, content_type="application/json")


def refusal(error: ApiError) -> web.Response:
    """The answer to a refused request."""
    response = json_response(error.status(), error.code)
    if error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def cut_connection(request: web.Request) -> None:
    """End the connection without a word."""
    transport = request.transport
    if transport is not None:
        transport.abort()


def question_of(where: Target, verb: str) -> Question:
    """What RBAC is asked for a request."""
    return Question(verb, where.kind.group, where.kind.plural, where.subresource, where.namespace, where.name)
