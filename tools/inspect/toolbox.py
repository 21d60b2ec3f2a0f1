"""The investigation tools as typed LangChain tools, made for one incident.

The rule: a tool never raises for what a model sends; a wrong argument, a missing object and a closed way are answers.
The artifact of the tool message is the typed `Answer`; its content is the same as text.
Neighbours: `reads` does the work, `graph.model.investigate` offers these to the model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from langchain_core.tools import StructuredTool
from pydantic import ValidationError

from tools.inspect.arguments import (
    Arguments,
    EventArguments,
    LogArguments,
    NoArguments,
    ObjectArguments,
    ServiceArguments,
    WorkloadArguments,
)
from tools.inspect.reads import Reads
from tools.inspect.results import Answer, try_other
from tools.inspect.scope import Scope, Source

A = TypeVar("A", bound=Arguments)


def inspect_tools(source: Source, scope: Scope) -> tuple[StructuredTool, ...]:
    """Every read, bound to one scope; in a fixed order, so that prompts stay the same."""
    reads = Reads(source, scope)
    return (
        _tool("get_object", "Read one object: its spec and status. Never a Secret.", ObjectArguments, reads.get_object),
        _tool("get_owners", "Read who owns an object, up to the root.", ObjectArguments, reads.get_owners),
        _tool(
            "get_events", "Read the latest events, newest first. Hints, not proof.", EventArguments, reads.get_events
        ),
        _tool("get_logs", "Read the end of a container's log.", LogArguments, reads.get_logs),
        _tool(
            "get_rollout_history",
            "Read the revisions of a workload and what going back to each would change.",
            WorkloadArguments,
            reads.get_rollout_history,
        ),
        _tool(
            "get_endpoints",
            "Read what a Service selects and which pods it reaches.",
            ServiceArguments,
            reads.get_endpoints,
        ),
        _tool("get_quota", "Read quotas and limit ranges of the namespace.", NoArguments, reads.get_quota),
    )


def _tool(name: str, description: str, arguments: type[A], read: Callable[[A], Awaitable[Answer]]) -> StructuredTool:
    async def run(**given: object) -> tuple[str, Answer]:
        answer = await read(arguments.model_validate(given))
        return answer.text, answer

    return StructuredTool.from_function(
        coroutine=run,
        name=name,
        description=description,
        args_schema=arguments,
        response_format="content_and_artifact",
        handle_validation_error=_explain,
    )


def _explain(error: object) -> str:
    """Which arguments do not fit, without repeating what was sent."""
    if not isinstance(error, ValidationError):
        return try_other("the arguments do not fit the tool").text
    places = [
        f"{'.'.join(str(p) for p in e['loc']) or 'arguments'}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False)
    ]
    return try_other("; ".join(places[:5])).text
