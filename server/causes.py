"""Many symptoms, one cause: whether what was found on one workload is trouble that others share.

The rule: the cause must be named by the evidence (`graph.signals.common_cause`); where it is an object that several
running workloads refer to, nobody waits for the second one to fail.  Neighbour: `server.watcher` opens the incident at
the cause then, and none at the workloads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from graph.incident import Signal
from graph.ports import Ports
from graph.signals.common_cause import LEAST, Basis, CommonCause, Symptom, group
from graph.signals.look import look_at_missing, look_at_root
from graph.signals.messages import find_missing
from graph.signals.missing import users_of
from server.objectwatch import held
from tools.cluster.objects import Workload
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef, absent_uid

MAX_WORKLOADS: Final = 200
"""Of one namespace, looked at for the same trouble; beyond that each stands alone."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose incident it would be: a root owner, an object, or the name of one that is gone."""

    ref: ObjectRef
    uid: str


class Causes:
    """Asks the watch and what is remembered; keeps nothing."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def common(self, signal: Signal, ref: ObjectRef, uid: str) -> CommonCause | None:
        """The cause that `signal` on `ref` shares with other workloads; None when it stands alone.

        Only causes of which a good version is known, or that are in view: nothing can be done at any other.
        """
        if ref.namespace is None or self._ports.mirror.workload(ref.kind, ref.namespace, ref.name) is None:
            return None
        own = self._symptom(signal, ref, uid)
        shared = self._needed_by_others(own)
        if shared is not None:
            return shared
        workloads = self._ports.mirror.workloads(ref.namespace)
        if len(workloads) < LEAST or len(workloads) > MAX_WORKLOADS:
            return None
        found = group([own, *self._of_others(workloads, ref)])
        cause = next((c for c in found.causes if own in c.symptoms), None)
        return cause if cause is not None and self._is_within_reach(cause.object) else None

    def trouble(self, cause: CommonCause) -> tuple[Owner, Signal]:
        """Whose incident it is, and the signal it is opened for: the cause's own where it has one."""
        item = held(cause.object, self._ports)
        first = cause.symptoms[0].signal
        if item is not None:
            return Owner(cause.object, item.uid), first
        own = look_at_missing(cause.object, self._ports.objects, self._ports.clock.now())
        return Owner(cause.object, absent_uid(cause.object)), next(iter(own), first)

    def _needed_by_others(self, own: Symptom) -> CommonCause | None:
        """An object that is gone, was known good, and that other running workloads refer to as well."""
        missing = find_missing(own.signal.message)
        if missing is None or missing.key is not None:
            return None
        try:
            ref = ObjectRef(kind=missing.kind, namespace=own.target.namespace, name=missing.name)
        except ValueError:
            return None
        good = self._remembered(ref)
        if good is None or self._ports.objects.exists(ref) is not False:
            return None
        users = users_of(ref, good, self._ports.mirror)
        others = [user for user in users if user != own.target]
        if not others:
            return None
        more = tuple(self._symptom(own.signal, user, "") for user in others)
        return CommonCause(ref, Basis.NAMED, (own, *more))

    def _of_others(self, workloads: list[Workload], ref: ObjectRef) -> Iterator[Symptom]:
        now = self._ports.clock.now()
        for workload in workloads:
            if workload.ref != ref:
                for signal in look_at_root(workload, self._ports.contexts, now):
                    if signal.confirmed:
                        yield self._symptom(signal, workload.ref, workload.uid)
                        break

    def _symptom(self, signal: Signal, ref: ObjectRef, uid: str) -> Symptom:
        return Symptom(ref, uid, signal)

    def _is_within_reach(self, ref: ObjectRef) -> bool:
        return held(ref, self._ports) is not None or self._remembered(ref) is not None

    def _remembered(self, ref: ObjectRef) -> JsonObject | None:
        journal = self._ports.journal
        return journal.declared(ref) or journal.known_good(ref)
