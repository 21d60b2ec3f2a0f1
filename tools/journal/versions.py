"""Earlier versions of objects by their digest: what the executors that put things back ask for.

The rule: an action names a version by its digest alone; the manifest comes from here and never from whoever proposed
the action.

Neighbours: `tools.executors.kubernetes.objects` takes a `Versions`; the journal's store fulfils it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from tools.jsontypes import JsonObject
from tools.refs import ObjectRef

Source: TypeAlias = Literal["desired", "last_known_good"]
"""`desired`: people declared it so, and it outranks everything.  `last_known_good`: it stood so when the workload that
uses the object was verified healthy."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one object: its normalised manifest (see `compare.normal`) and who vouches for it.

    A `desired` manifest may leave fields out (the server's defaults); a `last_known_good` one is a full earlier state.
    """

    manifest: JsonObject
    source: Source


class Versions(Protocol):
    """Remembers versions of objects."""

    async def version(self, ref: ObjectRef, version: str) -> Version | None:
        """The version of this very object with that digest; None when there is none, or it is of another object."""
        ...
