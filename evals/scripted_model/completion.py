"""Words a reply of the script as the body of a chat completion.

The shape is that of https://platform.openai.com/docs/api-reference/chat/object.  Neighbours: `script`, `server`.
"""

from __future__ import annotations

import json

from evals.scripted_model.script import Reply, ToolCall
from tools.jsontypes import JsonObject, JsonValue

CHARACTERS_PER_TOKEN = 4


def completion(reply: Reply, *, number: int, model: str, prompt_characters: int) -> JsonObject:
    """The body that answers request `number`.  Before: the reply is one that a model can give (no status, no reset)."""
    content: str | None = None
    refusal: str | None = None
    finish = "stop"
    calls: list[JsonValue] = []
    match reply.kind:
        case "text":
            content = reply.text
        case "json":
            content = json.dumps(reply.json_, ensure_ascii=False)
        case "calls":
            calls = [_call(c, number, i) for i, c in enumerate(reply.calls or ())]
            finish = "tool_calls"
        case "refusal":
            refusal = reply.refusal
        case "cut_off":
            content, finish = reply.cut_off, "length"
        case "content_filter":
            content, finish = reply.content_filter, "content_filter"
        case other:
            raise ValueError(f"{other} is not something a model says")
    message: JsonObject = {"role": "assistant", "content": content, "refusal": refusal}
    if calls:
        message["tool_calls"] = calls
    spoken = len(content or "") + len(refusal or "") + len(json.dumps(calls))
    return {
        "id": f"chatcmpl-scripted-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000 + number,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": _usage(reply, prompt_characters, spoken),
    }


def error_body(message: str, *, status: int, code: str | None = None) -> JsonObject:
    """The body of an error answer."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _call(call: ToolCall, number: int, index: int) -> JsonValue:
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
    identity = call.id if call.id is not None else f"call_{number}_{index}"
    return {"id": identity, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _usage(reply: Reply, prompt_characters: int, spoken: int) -> JsonObject:
    prompt = reply.usage.prompt if reply.usage else max(1, prompt_characters // CHARACTERS_PER_TOKEN)
    said = reply.usage.completion if reply.usage else max(1, spoken // CHARACTERS_PER_TOKEN)
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
