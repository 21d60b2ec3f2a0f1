"""Which revisions have proved themselves: watched from when they stand well until they have stood long enough.

The rule: a good that could not be written down is tried again with the next one; until then it is not known good.
Neighbours: `watcher` says what changed, `tools.journal` keeps what is good, `timers` wakes it.
"""

from __future__ import annotations

from graph.ports import Ports
from server.causes import Owner
from server.logging import get_logger
from server.timers import Timers
from tools.cluster.mirror import Mirror
from tools.cluster.objects import Pod, Workload
from tools.cluster.owners import root_owner
from tools.cluster.structs import KubeObject
from tools.errors import ToolError
from tools.refs import ObjectRef

_LOG = get_logger(__name__)


def seen_root(mirror: Mirror, item: KubeObject) -> Owner:
    """The topmost owner that we see; what lies above it is unknown to us."""
    top = root_owner(item, mirror.find).highest_seen
    return Owner(ObjectRef(kind=top.kind, namespace=top.namespace or None, name=top.name), top.uid)


class Proving:
    """Tells the keeper of good revisions how workloads stand, and has it settle what is due."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._timers: Timers[str] = Timers(ports.clock)

    def look(self, item: Pod | Workload) -> None:
        """Tell the keeper how the workload of this object stands now."""
        owner = seen_root(self._ports.mirror, item)
        workload = self._ports.mirror.workload(owner.ref.kind, owner.ref.namespace, owner.ref.name)
        if workload is None:
            return
        due = self._ports.good.observe(workload, self._ports.mirror.pods_of(workload.uid))
        if due is None:
            self._timers.drop(workload.uid)
        else:
            self._timers.at(workload.uid, due)

    async def confirm(self) -> None:
        """Record what has proved itself, until cancelled."""
        while True:
            await self._timers.due()
            try:
                for good in await self._ports.good.settle():
                    self._ports.journal.confirmed(good.owner)
            except ToolError as error:
                _LOG.warning("watcher.good_unwritten", code=error.code, error=str(error))

    async def load(self, owner_uid: str) -> None:
        """Remember what was good before; an owner whose record cannot be read has no good revision for now."""
        try:
            await self._ports.good.load(owner_uid)
        except ToolError as error:
            _LOG.warning("watcher.good_unread", code=error.code, error=str(error))
