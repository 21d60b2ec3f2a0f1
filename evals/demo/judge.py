"""Whether an incident ended as it had to; pure, from the service's own account and the cluster's objects."""

from __future__ import annotations

import copy

from evals.demo.faults import Ending, Fault
from server.account import Account
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_object


def differences(account: Account, ending: Ending) -> list[str]:
    """What is not as it had to be, as sentences; empty when all is."""
    result = account.result
    if result is None:
        return [f"it did not end; it is {account.status}"]
    phases = {line.phase for line in account.timeline if line.actor != "selfheal" or line.phase == "undo"}
    found: list[str] = []
    if result.status is not ending.status:
        found.append(f"it is {result.status.value} and not {ending.status.value}: {result.resolution.sentence}")
    if ending.is_free:
        return found
    if ("undo" in phases) is not ending.undone:
        found.append("nothing was undone" if ending.undone else "a plan was undone")
    if ("approval" in phases) is not ending.asked:
        found.append("nobody was asked" if ending.asked else "a person was asked")
    return found


def strays(live: JsonObject | None, fault: Fault) -> list[str]:
    """Fields of the workload's container that are neither as its owners wrote them nor part of the remedy.

    What the API server adds as defaults to fields that the owners left out is not counted.
    """
    wanted = _container(fault.workload.manifest())
    found = _container(live or {})
    return [
        name
        for name in sorted({*wanted, *found})
        if name not in fault.allows and not _holds(found.get(name), wanted.get(name), is_default_ok=name in _DEFAULTED)
    ]


_DEFAULTED = frozenset({"imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"})


def _container(workload: JsonObject) -> JsonObject:
    containers = dig_list(copy.deepcopy(workload), "spec", "template", "spec", "containers")
    return dig_object(containers[0]) if containers else {}


def _holds(live: JsonValue, wanted: JsonValue, *, is_default_ok: bool) -> bool:
    """Whether `live` says all that `wanted` says; keys beside it are defaults."""
    if wanted is None:
        return live is None or is_default_ok
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(_holds(live.get(k), v, is_default_ok=False) for k, v in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(live, list) and len(live) == len(wanted)
        return same and all(_holds(a, b, is_default_ok=False) for a, b in zip(dig_list(live), wanted, strict=True))
    return live == wanted
