"""Which deployments of Argo CD's Applications were seen healthy: what proves a candidate for a rollback.

Argo CD's own history says only that something was synced completely.  What was healthy, as declared and at rest for a
while is remembered here, in this process: after a restart nothing is proven until it is seen again, and a person agrees
to what is not proven.

Neighbours: `tools.executors.argocd.history` makes the keys, `journal` hands over what the watch shows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from tools.clock import Clock
from tools.cluster.documents import Application
from tools.executors.argocd.history import healthy_key
from tools.refs import ObjectRef

HOLDS: Final = timedelta(seconds=30)
"""A program that crashes is Healthy for a moment; this long it must stay so."""
KEPT: Final = 5


class Deployed:
    """Fed with every state of every Application."""

    def __init__(self, clock: Clock) -> None:
        """Nothing is known yet."""
        self._clock = clock
        self._proven: dict[ObjectRef, deque[str]] = {}
        self._since: dict[ObjectRef, tuple[str, datetime]] = {}

    def look(self, app: Application) -> None:
        """Take one state in."""
        key = healthy_key(app.body)
        self._settle(app.ref)
        known = self._since.get(app.ref)
        if key is None:
            self._since.pop(app.ref, None)
        elif known is None or known[0] != key:
            self._since[app.ref] = (key, self._clock.now())

    def forget(self, app: Application) -> None:
        """It is gone."""
        self._since.pop(app.ref, None)
        self._proven.pop(app.ref, None)

    def keys(self, application: ObjectRef) -> Collection[str]:
        """Keys of the last deployments that were healthy for long enough, the newest last."""
        self._settle(application)
        return tuple(self._proven.get(application, ()))

    def _settle(self, application: ObjectRef) -> None:
        """What has been healthy until now is proven when it was so for long enough."""
        since = self._since.get(application)
        if since is None or self._clock.now() - since[1] < HOLDS:
            return
        proven = self._proven.setdefault(application, deque(maxlen=KEPT))
        if since[0] not in proven:
            proven.append(since[0])
