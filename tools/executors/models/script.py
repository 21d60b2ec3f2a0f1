"""The model of the action that runs a script of the operator's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tools.executors.base import Action
from tools.executors.models.arguments import Name, Namespace
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

_Text = Annotated[str, Field(max_length=4096)]


class ScriptArgument(BaseModel):
    """One argument by name; what it may hold is said by the schema in the script's manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Name of the argument.")
    value: bool | int | float | _Text | list[_Text] = Field(description="Its value.")


class RunScript(Action):
    """Run one script of the operator's folder about one object."""

    action: Literal["run_script"]
    kind: str = Field(pattern=r"^[A-Z][A-Za-z]{0,62}$", description="Kind of the object the script is run about.")
    namespace: Namespace | None = Field(description="Its namespace; null for a kind that has none.")
    name: Name = Field(description="Its name.")
    script: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="Name of the script, from the list above."
    )
    arguments: tuple[ScriptArgument, ...] = Field(max_length=32, description="Its arguments; empty when it takes none.")

    @field_validator("arguments")
    @classmethod
    def _each_once(cls, value: tuple[ScriptArgument, ...]) -> tuple[ScriptArgument, ...]:
        names = [argument.name for argument in value]
        if len(set(names)) < len(names):
            raise ValueError("an argument is given twice: give each once")
        return value

    @property
    def target(self) -> ObjectRef:
        """The object it is run about."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)

    @property
    def given(self) -> JsonObject:
        """The arguments as the script's schema sees them."""
        given: JsonObject = {}
        for argument in self.arguments:
            value = argument.value
            given[argument.name] = [*value] if isinstance(value, list) else value
        return given
