"""What `selfheal explain NAMESPACE/KIND/NAME` shows, as a document; `server.explain` fills it."""

from __future__ import annotations

from graph.incident import Signal
from server.account import IncidentLine, View
from tools.refs import ObjectRef


class ModeLine(View):
    """Which mode holds for one action, and who says so."""

    action: str
    mode: str
    because: str


class ObjectView(View):
    """One object as the service sees it now."""

    object: ObjectRef
    root: ObjectRef | None
    """The owner an incident would be about; None when the object is not there."""
    sentence: str
    signals: tuple[Signal, ...]
    modes: tuple[ModeLine, ...]
    hindrances: tuple[str, ...]
    """What would keep it from acting now, a sentence each."""
    incidents: tuple[IncidentLine, ...]
    """The newest incidents about the root owner."""
