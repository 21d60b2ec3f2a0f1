"""`set_resources`: requests and limits of one container, within bounds relative to what they are.

The rule: a new value is judged by a present one.  It may be at most `factor` times as much and not less than one part
in `factor`; a limit never falls below the request in force; where there is nothing to judge by, nothing is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final

from tools.cluster.resources import WriteRequest
from tools.executors.actions import SetResources
from tools.executors.base import Action, Mark, Permission, Situation
from tools.executors.kubernetes.common import TEMPLATE, containers_of, is_paused, may_patch, refuse
from tools.executors.kubernetes.workload import WorkloadExecutor
from tools.executors.patch import operation, pointer
from tools.guard.verdict import ReasonCode, Refused
from tools.jsontypes import JsonObject, JsonValue, dig, dig_object, dig_str
from tools.quantity import parse_quantity

DEFAULT_FACTOR: Final = 4
_RESOURCES: Final = ("memory", "cpu")


@dataclass(frozen=True, slots=True)
class _Figures:
    """One resource of one container: what is and what would be, in bytes or cores; None is not set."""

    request: Decimal | None
    limit: Decimal | None
    new_request: Decimal | None
    new_limit: Decimal | None

    @property
    def request_after(self) -> Decimal | None:
        """The request in force afterwards: a container with a limit alone requests its limit."""
        return self.new_request or self.request or self.limit_after

    @property
    def limit_after(self) -> Decimal | None:
        """The limit in force afterwards."""
        return self.new_limit or self.limit


class SetResourcesExecutor(WorkloadExecutor[SetResources]):
    """`set_resources`.  `factor` is the policy's bound and does not change."""

    action_type: ClassVar[type[Action]] = SetResources
    description: ClassVar[str] = (
        "Change CPU or memory requests and limits of one container of the pod template. Helps when a container is "
        "killed for want of memory and its limit is plainly too low, or when a request is too large for any node. "
        "Each value may be at most four times the present one (the policy may say otherwise) and a limit never falls "
        "below the request. All pods are replaced within the workload's own maxUnavailable. It does not cure a leak."
    )
    declared_fields: ClassVar[tuple[str, ...]] = (pointer(*TEMPLATE, "spec", "containers", "*", "resources"),)
    permissions: ClassVar[tuple[Permission, ...]] = may_patch("Deployment", "StatefulSet", "DaemonSet")

    def __init__(self, factor: int = DEFAULT_FACTOR) -> None:
        """Raises ValueError for a factor below 1, under which nothing could be set."""
        if factor < 1:
            raise ValueError(f"resources factor {factor}: it must be at least 1")
        self._factor = factor

    def fields(self, action: SetResources, situation: Situation) -> tuple[str, ...]:
        """The resources of this very container."""
        index = _index_of(action, situation.live)
        return () if index is None else (pointer(*TEMPLATE, "spec", "containers", index, "resources"),)

    def precondition(self, action: SetResources, situation: Situation) -> Refused | None:
        """The container exists, something changes, and every value is within its bounds."""
        if is_paused(situation.live):
            return refuse(
                ReasonCode.WORKLOAD_PAUSED, f"{action.target} is paused; new resources would not take effect."
            )
        container = _container(action, situation.live)
        if container is None:
            names = ", ".join(dig_str(c, "name") for c in containers_of(situation.live))
            return refuse(
                ReasonCode.PARAM_OUT_OF_RANGE,
                f"{action.target} has no container {action.container}; its containers: {names}.",
            )
        changed = False
        for resource in _RESOURCES:
            try:
                figures = _figures(action, container, resource)
            except ValueError as error:
                return refuse(ReasonCode.INPUT_UNREADABLE, f"{action.target}: {resource}: {error}.")
            wrong = self._out_of_bounds(figures)
            if wrong is not None:
                return refuse(
                    ReasonCode.PARAM_OUT_OF_RANGE, f"{action.target}, container {action.container}: {resource} {wrong}."
                )
            changed |= figures.new_limit not in {None, figures.limit}
            changed |= figures.new_request not in {None, figures.request}
        if not changed:
            return refuse(
                ReasonCode.NO_CHANGE, f"{action.target}: container {action.container} has these values already."
            )
        return None

    def approval_reasons(self, action: SetResources, situation: Situation) -> tuple[str, ...]:
        """Lowering a limit takes from a running container what it may be using."""
        container = _container(action, situation.live) or {}
        reasons: list[str] = []
        for resource in _RESOURCES:
            f = _figures(action, container, resource)
            if f.new_limit is not None and f.limit is not None and f.new_limit < f.limit:
                reasons.append(f"The {resource} limit of container {action.container} would be lowered.")
        return tuple(reasons)

    def request(self, action: SetResources, situation: Situation, mark: Mark) -> WriteRequest:
        """Put the container's resources as a whole, having tested that it is still the container of that name."""
        index = _index_of(action, situation.live)
        container = _container(action, situation.live) or {}
        path = (*TEMPLATE, "spec", "containers", index if index is not None else 0)
        change = [
            operation("test", pointer(*path, "name"), action.container),
            operation("add", pointer(*path, "resources"), _merged(action, container)),
        ]
        return self.patch(action, situation.live, mark, change)

    def postcondition(self, action: SetResources, before: Situation, after: Situation) -> Refused | None:  # noqa: ARG002
        """Every value that was given is in force."""
        container = _container(action, after.live)
        if container is not None and all(
            f.new_limit in {None, f.limit} and f.new_request in {None, f.request}
            for f in (_figures(action, container, resource) for resource in _RESOURCES)
        ):
            return None
        return refuse(
            ReasonCode.VERIFY_FAILED, f"{action.target}: container {action.container} does not have the new values."
        )

    def _out_of_bounds(self, f: _Figures) -> str | None:
        """What is wrong with the figures, as the end of a sentence; None when nothing is."""
        limit, request = f.limit_after, f.request_after
        if f.new_limit is not None:
            base = f.limit if f.limit is not None else f.request
            wrong = self._far_from(base, f.new_limit, "limit")
            if wrong:
                return wrong
        if f.new_request is not None:
            base = f.request if f.request is not None else f.limit
            wrong = self._far_from(base, f.new_request, "request")
            if wrong:
                return wrong
        if limit is not None and request is not None and request > limit:
            return "request would be above the limit"
        return None

    def _far_from(self, base: Decimal | None, new: Decimal, what: str) -> str | None:
        if new <= 0:
            return f"{what} must be more than zero"
        if base is None or base <= 0:
            return f"{what} has no present value to judge a new one by"
        if new > base * self._factor:
            return f"{what} would be more than {self._factor} times what it is"
        if new * self._factor < base:
            return f"{what} would be less than one part in {self._factor} of what it is"
        return None


def _container(action: SetResources, live: JsonObject) -> JsonObject | None:
    return next((c for c in containers_of(live) if c.get("name") == action.container), None)


def _index_of(action: SetResources, live: JsonObject) -> int | None:
    names = [dig_str(c, "name") for c in containers_of(live)]
    return names.index(action.container) if action.container in names else None


def _wanted(action: SetResources, resource: str) -> tuple[str | None, str | None]:
    if resource == "memory":
        return action.memory_request, action.memory_limit
    return action.cpu_request, action.cpu_limit


def _figures(action: SetResources, container: JsonObject, resource: str) -> _Figures:
    """Raises ValueError when a present or a new value is no quantity."""
    new_request, new_limit = _wanted(action, resource)
    return _Figures(
        request=_number(dig(container, "resources", "requests", resource)),
        limit=_number(dig(container, "resources", "limits", resource)),
        new_request=_number(new_request),
        new_limit=_number(new_limit),
    )


def _number(value: JsonValue) -> Decimal | None:
    return None if value is None else parse_quantity(str(value))


def _merged(action: SetResources, container: JsonObject) -> JsonObject:
    """The container's resources with the given values put in; what is not given stays, extended resources too."""
    resources = dig_object(container, "resources")
    requests, limits = {**dig_object(resources, "requests")}, {**dig_object(resources, "limits")}
    for resource in _RESOURCES:
        new_request, new_limit = _wanted(action, resource)
        if new_request is not None:
            requests[resource] = new_request
        if new_limit is not None:
            limits[resource] = new_limit
    merged: JsonObject = {**resources}
    if requests:
        merged["requests"] = requests
    if limits:
        merged["limits"] = limits
    return merged
