"""Reads the world that the checks decide on: the target, its owner and namespace, permission, pauses, history, budgets.

The rule: whatever goes wrong in a read becomes `Unreadable` or `Missing` in the world, and so does an answer that is
not of the promised shape; nothing is raised and nothing is guessed.  It never writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeGuard, TypeVar, cast

from tools.cluster.client import AccessQuestion
from tools.cluster.resources import HPA, KNOWN, NAMESPACE, SCALED_OBJECT, VPA, Resource
from tools.errors import NotFound, ToolError, Transient
from tools.executors.base import Earlier, Situation
from tools.executors.kubernetes.common import WORKLOADS
from tools.executors.remote import RemoteExecutor
from tools.guard.checks.autoscaler import may_write_resources
from tools.guard.ports import ClusterPort, LedgerPort
from tools.guard.world import NOT_READ, AnyExecutor, Counts, Missing, Unreadable, World
from tools.jsontypes import JsonObject, dig_str
from tools.ledger.records import ActionRecord, ActionState, PlanStart
from tools.refs import ObjectRef

RETRY_AFTER: Final = 1.0
"""Seconds to wait after a transient failure when the other side did not say."""

FindResource: TypeAlias = Callable[[str], Resource | None]

T = TypeVar("T")


class _Garbage(Exception):
    """An answer that is not of the promised shape."""


async def attempt(read: Awaitable[object], accept: Callable[[object], T], what: str) -> T | Missing | Unreadable:
    """Wait for a read and accept its answer; every failure becomes a value."""
    try:
        return accept(await read)
    except NotFound:
        return Missing(what)
    except Transient as error:
        delay = error.delay.total_seconds() if error.delay is not None else RETRY_AFTER
        return Unreadable(str(error), retry_after=delay)
    except _Garbage:
        return Unreadable("the answer is not of the promised shape")
    except ToolError as error:
        return Unreadable(str(error))
    except Exception as error:  # noqa: BLE001 - an unreadable input is a no, whatever broke it
        return Unreadable(f"{type(error).__name__}: {error}")


class Observer:
    """Fills a `World` from one cluster and one ledger.  `find` gives the resource of a kind that references name."""

    def __init__(self, cluster: ClusterPort, ledger: LedgerPort, find: FindResource = KNOWN.get) -> None:
        """Keep them; nothing is read yet."""
        self._cluster = cluster
        self._ledger = ledger
        self._find = find

    def resource_of(self, ref: ObjectRef) -> Resource | None:
        """The API resource of a kind we can name; None for any other."""
        return self._find(ref.kind)

    async def observe(self, world: World, executor: AnyExecutor) -> World:
        """The same world with everything read but the dry run and the lock."""
        situation, namespace, autoscalers, permitted, books = await asyncio.gather(
            self.situation(world, executor),
            self._namespace(world),
            self._autoscalers(world, executor),
            self._permitted(world, executor),
            self.books(world),
        )
        if isinstance(situation, Situation):
            situation = _recalled(world, executor, situation, books)
        if isinstance(executor, RemoteExecutor):
            permitted = _of_remote(world, executor, situation)
        owner = await self._owner(world, situation)
        return replace(
            books, situation=situation, namespace=namespace, autoscalers=autoscalers, permitted=permitted, owner=owner
        )

    async def situation(self, world: World, executor: AnyExecutor) -> Situation | Missing | Unreadable:
        """The target, as its executor reads it."""
        target = world.order.action.target
        read = executor.read(world.order.action, self._cluster)

        def accept(answer: object) -> Situation:
            if not isinstance(answer, Situation):
                raise _Garbage
            is_to_be_made = executor.creates and not answer.live
            if not is_to_be_made and not _is_named(answer.live, target.name):
                raise _Garbage
            return answer

        return await attempt(read, accept, str(target))

    async def books(self, world: World) -> World:
        """The same world with what the ledger says: pause, history, last plans, counts."""
        order, now, ledger = world.order, world.now, self._ledger
        where = order.action.target.namespace or ""
        rule = world.policy.limits.quarantine
        back = now - timedelta(seconds=rule.within_seconds + rule.lasts_seconds)
        paused, history, last, lately, counts = await asyncio.gather(
            attempt(ledger.paused_until(where, now), _moment, "the pause"),
            attempt(ledger.actions_of(order.incident_id), _records, "the incident"),
            attempt(ledger.last_plan(order.owner_uid), _plan, "the last plan"),
            attempt(ledger.plans_of(order.owner_uid, since=back), _plans, "the last plans"),
            self.counts(world),
        )
        return replace(
            world,
            paused_until=_present(paused),
            history=_present(history),
            last_plan=_present(last),
            owner_plans=_present(lately),
            counts=counts,
        )

    async def counts(self, world: World) -> Counts | Unreadable:
        """How many plans were started in the windows of the policy."""
        plans, order, now, ledger = world.policy.limits.plans, world.order, world.now, self._ledger

        def since(seconds: int) -> datetime:
            return now - timedelta(seconds=seconds)

        owner, namespace, cluster = await asyncio.gather(
            attempt(ledger.plans_since(since(plans.owner.seconds), owner_uid=order.owner_uid), _count, "plans"),
            attempt(
                ledger.plans_since(since(plans.namespace.seconds), namespace=order.owner.namespace or ""),
                _count,
                "plans",
            ),
            attempt(ledger.plans_since(since(plans.cluster.seconds)), _count, "plans"),
        )
        for found in (owner, namespace, cluster):
            if not isinstance(found, int):
                return _present(found)
        return Counts(_number(owner), _number(namespace), _number(cluster))

    async def live(self, ref: ObjectRef) -> JsonObject | Missing | Unreadable:
        """One object as it stands."""
        resource = self.resource_of(ref)
        if resource is None:
            return Unreadable(f"selfheal does not know how to read a {ref.kind}")
        read = self._cluster.get(resource, ref.name, ref.namespace if resource.namespaced else None)
        return await attempt(read, _named(ref.name), str(ref))

    async def _owner(
        self, world: World, situation: Situation | Missing | Unreadable
    ) -> JsonObject | Missing | Unreadable:
        if world.order.owner == world.order.action.target:
            return situation.live if isinstance(situation, Situation) else situation
        return await self.live(world.order.owner)

    async def _namespace(self, world: World) -> JsonObject | Missing | Unreadable:
        name = world.order.action.target.namespace
        if name is None:
            return Unreadable("the target is in no namespace")
        return await attempt(self._cluster.get(NAMESPACE, name), _named(name), f"namespace {name}")

    async def _permitted(self, world: World, executor: AnyExecutor) -> bool | Unreadable:
        """Ask for every right the call and its undoing need on this very object; for a remote call its executor does.

        Who makes an object names it in the body, which no role looks at: a right to create has no name.
        """
        target = world.order.action.target
        if isinstance(executor, RemoteExecutor):
            return NOT_READ
        needed = executor.rights(world.order.action)
        if not needed:
            return Unreadable(f"{world.order.action.tool} names no right for a {target.kind}")
        for right in needed:
            resource = right.resource
            name = "" if right.verb == "create" and not right.subresource else target.name
            question = AccessQuestion(
                right.verb, resource.group, resource.plural, right.subresource, target.namespace, name
            )
            answer = await attempt(self._cluster.can_i(question), _yes_or_no, "the access review")
            if answer is not True:
                return False if answer is False else _present(answer)
        return True

    async def _autoscalers(self, world: World, executor: AnyExecutor) -> tuple[JsonObject, ...] | Unreadable:
        """Everything in the namespace that may own what is written.  A cluster need not have ScaledObjects, or VPAs."""
        if world.order.action.target.kind not in WORKLOADS:
            return ()
        namespace = world.order.action.target.namespace or ""
        found: list[JsonObject] = []
        wanted = (HPA, SCALED_OBJECT) if executor.moves_replicas else ()
        for resource in (*wanted, *((VPA,) if may_write_resources(executor) else ())):
            listed = await attempt(self._cluster.list(resource, namespace), _objects, resource.plural)
            if isinstance(listed, Missing) and resource is not HPA:
                continue
            if isinstance(listed, Missing | Unreadable):
                return _present(listed)
            found += [{"kind": resource.kind, **item} for item in listed]
        return tuple(found)


def _of_remote(
    world: World, executor: RemoteExecutor[Any], situation: Situation | Missing | Unreadable
) -> bool | Unreadable:
    """Whether the other system lets us, as its executor read it."""
    if isinstance(situation, Unreadable):
        return situation
    if isinstance(situation, Missing):
        return _present(situation)
    return executor.is_permitted(world.order.action, situation)


def _recalled(world: World, executor: AnyExecutor, situation: Situation, books: World) -> Situation | Unreadable:
    """The situation with what this very plan wrote before, and is to write before.

    Of an unreadable history nothing: other checks refuse it.
    """
    history = books.history if isinstance(books.history, tuple) else ()
    earlier = [
        Earlier(r.intent.tool, r.intent.target, r.intent.inverse or {})
        for r in history
        if (r.intent.plan_id, r.state, r.intent.undoes) == (world.order.plan_id, ActionState.APPLIED, None)
    ]
    try:
        recalled = executor.recall(world.order.action, situation, earlier)
        done = {(step.tool, step.target) for step in earlier}
        ahead = [step for step in world.order.ahead if (step.tool, step.target) not in done]
        return executor.foresee(world.order.action, recalled, ahead) if ahead else recalled
    except Exception as error:  # noqa: BLE001 - an unreadable input is a no, whatever broke it
        return Unreadable(f"{type(error).__name__}: {error}")


def _present(value: T | Missing | Unreadable) -> T | Unreadable:
    """What cannot be missing was not read properly when it is."""
    return Unreadable(f"the server has no such thing as {value.what}") if isinstance(value, Missing) else value


def _number(value: int | Missing | Unreadable) -> int:
    return value if isinstance(value, int) else 0


def _is_object(answer: object) -> TypeGuard[JsonObject]:
    return isinstance(answer, dict)


def _is_list(answer: object) -> TypeGuard[list[object]]:
    return isinstance(answer, list)


def _is_named(document: JsonObject, name: str) -> bool:
    return dig_str(document, "metadata", "name") == name and bool(dig_str(document, "metadata", "uid"))


def _named(name: str) -> Callable[[object], JsonObject]:
    def accept(answer: object) -> JsonObject:
        if not _is_object(answer) or not _is_named(answer, name):
            raise _Garbage
        return answer

    return accept


def _objects(answer: object) -> list[JsonObject]:
    if not _is_list(answer):
        raise _Garbage
    items = [item for item in answer if _is_object(item)]
    if len(items) != len(answer):
        raise _Garbage
    return items


def _yes_or_no(answer: object) -> bool:
    if not isinstance(answer, bool):
        raise _Garbage
    return answer


def _moment(answer: object) -> datetime | None:
    if answer is not None and not (isinstance(answer, datetime) and answer.tzinfo is not None):
        raise _Garbage
    return answer


def _records(answer: object) -> tuple[ActionRecord, ...]:
    if not _is_list(answer):
        raise _Garbage
    items = tuple(item for item in answer if isinstance(item, ActionRecord))
    if len(items) != len(answer):
        raise _Garbage
    return items


def _plan(answer: object) -> PlanStart | None:
    if answer is not None and not isinstance(answer, PlanStart):
        raise _Garbage
    return answer


def _plans(answer: object) -> tuple[PlanStart, ...]:
    if not isinstance(answer, list | tuple):
        raise _Garbage
    plans = tuple(plan for plan in cast("Sequence[object]", answer) if isinstance(plan, PlanStart))
    if len(plans) != len(cast("Sequence[object]", answer)):
        raise _Garbage
    return plans


def _count(answer: object) -> int:
    if not isinstance(answer, int) or isinstance(answer, bool) or answer < 0:
        raise _Garbage
    return answer
