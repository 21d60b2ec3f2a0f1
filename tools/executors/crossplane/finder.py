"""Which of the listed resources the cluster serves, as Crossplane's.

The rule: a name that is listed and is no managed resource, composite or claim there is left out and said, once: it may
be a misspelling, or a definition that a provider has yet to install.

Neighbours: `tools.cluster.discovery` calls it from time to time; `tools.cluster.catalogue` keeps what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from tools.cluster.allowlist import API_VERSION
from tools.cluster.catalogue import Catalogue, DefinitionName, Served, read_resources
from tools.cluster.client import Cluster
from tools.cluster.documents import Document, document_of
from tools.errors import NotFound
from tools.executors.crossplane.facts import PROVIDER_REVISIONS, PROVIDERS, role_of
from tools.jsontypes import JsonObject, dig_list, dig_str

_log = structlog.get_logger(__name__)
_MOST_VERSIONS: Final = 5
"""Of one group, the preferred one first; a definition that is only in older ones than these is not found."""


def catalogue_of(names: Iterable[str]) -> Catalogue:
    """The catalogue of an operator's list; packages are read besides, where anything is listed at all.

    Raises ValueError, which names the form, for what is no name of a definition.
    """
    patched = [DefinitionName.parse(name) for name in names]
    return Catalogue(patched, (PROVIDERS, PROVIDER_REVISIONS) if patched else ())


class Listed:
    """A finder over one catalogue, which it fills."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Nothing is asked yet."""
        self._catalogue = catalogue
        self._said: frozenset[str] = frozenset()

    async def __call__(self, cluster: Cluster, groups: frozenset[str], /) -> Sequence[type[Document]]:
        """The listed kinds that the cluster serves as Crossplane's.  Raises ToolError."""
        for group in sorted(self._catalogue.groups):
            found = await self._served(cluster, group) if group in groups else ()
            self._catalogue.learn(group, (s for s in found if role_of(s.resource.kind, s.categories) is not None))
        self._say()
        return [document_of(one.resource) for one in self._catalogue.served]

    async def _served(self, cluster: Cluster, group: str) -> Sequence[Served]:
        """The listed resources of a group, each in the first version that has it."""
        names = (*self._catalogue.patched, *self._catalogue.read_only)
        wanted = {name.plural for name in names if name.group == group}
        found: list[Served] = []
        try:
            described = await cluster.discover(group)
            for version in _versions(described)[:_MOST_VERSIONS]:
                if not wanted:
                    break
                listed = read_resources(group, version, await cluster.discover(group, version))
                found += [one for one in listed if one.resource.plural in wanted]
                wanted -= {one.resource.plural for one in listed}
        except NotFound:
            return found  # it went while we asked
        return found

    def _say(self) -> None:
        known = {(one.resource.plural, one.resource.group) for one in self._catalogue.served}
        missing = frozenset(str(n) for n in self._catalogue.patched if (n.plural, n.group) not in known)
        if missing - self._said:
            _log.warning("crossplane_not_served", names=sorted(missing))
        self._said = missing


def _versions(group: JsonObject) -> list[str]:
    """The versions of an APIGroup, the preferred one first."""
    preferred = dig_str(group, "preferredVersion", "version")
    others = [dig_str(version, "version") for version in dig_list(group, "versions")]
    return [version for version in dict.fromkeys((preferred, *others)) if API_VERSION.fullmatch(version)]
