"""What the journal knows of an object, as far as a detector asks: how it was declared, and how it last was good.

The rule: None and empty mean "not known", never "not so"; a detector that needs the knowledge is silent without it.
Neighbours: `tools.journal` and the desired state answer; `object_contexts` asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from tools.cluster.objects import KubeObject
from tools.jsontypes import JsonObject
from tools.refs import ObjectRef


class Knowledge(Protocol):
    """Answers from memory, at once: it is asked at each look."""

    def declared(self, ref: ObjectRef) -> JsonObject | None:
        """The manifest that people declared; None when the object is not declared or nothing is."""
        ...

    def known_good(self, ref: ObjectRef) -> JsonObject | None:
        """The object as it was when what uses it was last verified healthy, also for one that is gone by now."""
        ...

    def differences_from_declared(self, item: KubeObject) -> tuple[str, ...]:
        """JSON pointers into the live object where it says something else than declared; empty when nothing differs."""
        ...

    def changed_since_good(self, ref: ObjectRef) -> datetime | None:
        """When the object left its known good state; None when it stands so, or nothing is known."""
        ...

    def owners_when_good(self, ref: ObjectRef) -> frozenset[ObjectRef] | None:
        """Root owners of the pods that a Service led to when it was last good; None when that was not taken down."""
        ...

    def declared_refs(self) -> Iterable[ObjectRef]:
        """Every object that is declared."""
        ...

    def replaced(self, ref: ObjectRef, path: str) -> str | None:
        """What the newest change of that field took the place of (`spec.replicas`); None when we saw none."""
        ...


class NoKnowledge:
    """Nothing is declared and nothing was seen before."""

    def declared(self, ref: ObjectRef) -> JsonObject | None:
        """Nothing is declared."""
        del ref
        return None

    def known_good(self, ref: ObjectRef) -> JsonObject | None:
        """Nothing was seen before."""
        del ref
        return None

    def differences_from_declared(self, item: KubeObject) -> tuple[str, ...]:
        """Nothing is declared."""
        del item
        return ()

    def changed_since_good(self, ref: ObjectRef) -> datetime | None:
        """Nothing was seen before."""
        del ref
        return None

    def owners_when_good(self, ref: ObjectRef) -> frozenset[ObjectRef] | None:
        """Nothing was seen before."""
        del ref
        return None

    def declared_refs(self) -> Iterable[ObjectRef]:
        """Nothing is declared."""
        return ()

    def replaced(self, ref: ObjectRef, path: str) -> str | None:
        """Nothing was seen to change."""
        del ref, path
        return None
