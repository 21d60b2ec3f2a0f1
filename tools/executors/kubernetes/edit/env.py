"""`set_env`: one variable of a container's environment, as plain text or from a ConfigMap's key.

The rule: secrets are none of its business.  A value that looks like one is refused, and so is any change of a variable
that comes from a Secret; of the ConfigMap it is known only whether the key is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tools.cluster.resources import CONFIG_MAP
from tools.errors import NotFound
from tools.executors.base import Action, Reader, Situation
from tools.executors.kubernetes.edit.template import ContainerEditExecutor, container_of, in_containers, out_of_range
from tools.executors.kubernetes.edit.wanted import Path, Put, Take, Wanted
from tools.executors.models.edit import SetEnv
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str
from tools.redact import redact_value, visible


class SetEnvExecutor(ContainerEditExecutor[SetEnv]):
    """`set_env`."""

    action_type: ClassVar[type[Action]] = SetEnv
    description: ClassVar[str] = (
        "Add, change or remove one environment variable of a container. For a setting that was missing, misspelt or "
        "wrong from the start. The value is plain text or comes from an existing key of a ConfigMap; never a secret, "
        "and a variable that comes from a Secret is left alone."
    )
    declared_fields: ClassVar[tuple[str, ...]] = in_containers("env")

    async def read(self, action: SetEnv, cluster: Reader) -> Situation:
        """Read the workload, and whether the ConfigMap has the key.  Raises `ToolError`."""
        situation = await super().read(action, cluster)
        if action.config_map is None:
            return situation
        try:
            found = await cluster.get(CONFIG_MAP, action.config_map, action.namespace)
        except NotFound:
            return Situation(situation.live, {"config_map": False, "key": False})
        return Situation(situation.live, {"config_map": True, "key": action.key in dig_object(found, "data")})

    def of_container(self, action: SetEnv, container: JsonObject, path: Path) -> tuple[Wanted, ...] | Refused:
        """The one entry of that name; a new one goes last, so that it can refer to those before it."""
        names = _names(container)
        if names.count(action.variable) > 1:
            what = f"container {action.container} has {action.variable} more than once; a person must say which counts."
            return out_of_range(action, what)
        place = names.index(action.variable) if action.variable in names else len(names)
        if action.operation != "remove":
            return (Put((*path, "env", place), _entry(action)),)
        if action.variable not in names:
            return ()
        return (Take((*path, "env", place) if len(names) > 1 else (*path, "env")),)

    def objection(self, action: SetEnv, situation: Situation) -> Refused | None:
        """No secret goes in or out, and what is referred to exists."""
        if _is_from_secret(container_of(situation.live, action.container), action.variable):
            return out_of_range(action, f"{action.variable} comes from a Secret; only a person changes that.")
        value = action.value or ""
        if redact_value(action.variable, value) != value:
            what = f"the value for {action.variable} looks like a secret; a person puts it into a Secret."
            return out_of_range(action, what)
        if visible(value) != value:
            return out_of_range(action, f"the value for {action.variable} has characters that cannot be seen.")
        if action.config_map is None:
            return None
        if situation.support.get("config_map") is not True:
            return out_of_range(action, f"there is no ConfigMap {action.config_map} in the namespace.")
        if situation.support.get("key") is not True:
            return out_of_range(action, f"ConfigMap {action.config_map} has no key {action.key}.")
        return None


def _names(container: JsonObject) -> Sequence[str]:
    return [dig_str(entry, "name") for entry in dig_list(container, "env")]


def _entry(action: SetEnv) -> JsonObject:
    """The entry as the server keeps it: an empty value is none."""
    if action.config_map is not None:
        reference: JsonObject = {"name": action.config_map, "key": action.key}
        return {"name": action.variable, "valueFrom": {"configMapKeyRef": reference}}
    return {"name": action.variable, "value": action.value} if action.value else {"name": action.variable}


def _is_from_secret(container: JsonObject, variable: str) -> bool:
    return any(
        dig_str(entry, "name") == variable and "secretKeyRef" in dig_object(entry, "valueFrom")
        for entry in dig_list(container, "env")
    )
