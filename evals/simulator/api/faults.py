"""Faults on demand: refuse, delay, hang or cut requests that match, so many times.

A fault is looked for before a request is handled (`Answer`, `Hang`, `Reset`), after it was handled but before the
answer
leaves (`Lost`: the write happened, the client does not know), or while a watch runs (`Sever`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Effect = Literal["answer", "hang", "reset", "lost", "sever", "gone", "delay"]


@dataclass(slots=True)
class Fault:
    """What happens to matching requests.  Empty fields match everything; `times` counts down, None means always."""

    effect: Effect
    verb: str = ""
    resource: str = ""
    subresource: str | None = None
    namespace: str = ""
    name: str = ""
    user: str = ""
    dry_run: bool | None = None
    code: int = 500
    reason: str | None = None
    message: str = "injected fault"
    retry_after: int = 0
    seconds: float = 0.0
    times: int | None = 1
    hits: int = field(default=0, init=False)


@dataclass(frozen=True, slots=True)
class Call:
    """What a request is, as faults and the audit see it."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: str
    dry_run: bool


class Faults:
    """The list of faults; the oldest that matches wins."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Arm a fault; keep it to read `hits` or to `remove` it."""
        self._faults.append(fault)
        return fault

    def answer(
        self,
        code: int,
        *,
        verb: str = "",
        resource: str = "",
        name: str = "",
        message: str = "injected fault",
        reason: str | None = None,
        retry_after: int = 0,
        dry_run: bool | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Matching requests are answered with that HTTP code instead of being handled."""
        return self.add(
            Fault("answer", verb, resource, name=name, code=code, message=message, reason=reason,
            retry_after=retry_after,
                  dry_run=dry_run, times=times)
        )  # fmt: skip

    def refuse(self, *, resource: str, message: str, verb: str = "", name: str = "", times: int | None = None) -> Fault:
        """An admission refusal: 403 for writes, dry runs included."""
        text = f'admission webhook "policy.simulator.local" denied the request: {message}'
        return self.answer(403, verb=verb, resource=resource, name=name, message=text, times=times)

    def hang(self, *, verb: str = "", resource: str = "", times: int | None = 1) -> Fault:
        """Matching requests are never answered."""
        return self.add(Fault("hang", verb, resource, times=times))

    def reset(self, *, verb: str = "", resource: str = "", times: int | None = 1) -> Fault:
        """The connection is cut before the request is handled."""
        return self.add(Fault("reset", verb, resource, times=times))

    def lose_answer(self, *, verb: str = "", resource: str = "", times: int | None = 1) -> Fault:
        """The request is handled, then the connection is cut: did it happen?"""
        return self.add(Fault("lost", verb, resource, dry_run=False, times=times))

    def delay(self, seconds: float, *, verb: str = "", resource: str = "", times: int | None = None) -> Fault:
        """Matching requests wait so many seconds of the simulator's clock first."""
        return self.add(Fault("delay", verb, resource, seconds=seconds, times=times))

    def expire_watches(self, *, resource: str = "", times: int | None = 1) -> Fault:
        """New watches are answered 200 and an ERROR event with code 410."""
        return self.add(Fault("gone", "watch", resource, times=times))

    def remove(self, fault: Fault) -> None:
        """Disarm."""
        if fault in self._faults:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Disarm all."""
        self._faults.clear()

    def take(self, call: Call, *effects: Effect) -> Fault | None:
        """The fault that hits this call, counted; None when there is none."""
        for fault in self._faults:
            if fault.effect in effects and _matches(fault, call):
                fault.hits += 1
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None


def _matches(fault: Fault, call: Call) -> bool:
    pairs = (
        (fault.verb, call.verb),
        (fault.resource, call.resource),
        (fault.namespace, call.namespace),
        (fault.name, call.name),
        (fault.user, call.user),
    )
    if any(wanted not in {"", have} for wanted, have in pairs):
        return False
    if fault.subresource is not None and fault.subresource != call.subresource:
        return False
    return fault.dry_run is None or fault.dry_run == call.dry_run
