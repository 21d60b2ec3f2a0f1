"""Arguments of the investigation tools: one frozen model each; the descriptions are what a model is shown.

No model has a namespace: it is fixed by the incident (see `scope`).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from tools.inspect.scope import Kind
from tools.refs import DNS_NAME

Name: TypeAlias = Annotated[str, Field(pattern=DNS_NAME, max_length=253)]


class Arguments(BaseModel):
    """Base: nothing unknown, no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ObjectArguments(Arguments):
    """One object of the incident's namespace, or a node of its pods."""

    kind: Kind = Field(description="Kind of the object.")
    name: Name = Field(description="Name of the object.")


class EventArguments(Arguments):
    """Events about one object, or about all of the namespace."""

    kind: Kind | None = Field(description="Kind of the object the events are about; null for any.")
    name: Name | None = Field(description="Name of that object; null for any.")


class LogArguments(Arguments):
    """The end of one container's log."""

    pod: Name = Field(description="Name of the pod.")
    container: Name = Field(description="Name of the container.")
    previous: bool = Field(description="True for the log of the container's last life, before it restarted.")
    tail_lines: int = Field(ge=1, le=200, description="How many lines from the end, 1 to 200.")


class WorkloadArguments(Arguments):
    """One Deployment, StatefulSet or DaemonSet."""

    kind: Kind = Field(description="Deployment, StatefulSet or DaemonSet.")
    name: Name = Field(description="Name of the workload.")


class ServiceArguments(Arguments):
    """One Service."""

    name: Name = Field(description="Name of the Service.")


class NoArguments(Arguments):
    """Nothing to say."""
