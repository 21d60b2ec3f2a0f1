"""Kinds that are known only at run time, under names that no other kind can have.

What a custom resource is called is decided in the cluster, and two groups may each define a `Bucket`.  A reference to
one is therefore qualified by its group, in kubectl's own notation `KIND.GROUP`: `Bucket.storage.example.org`.  Which of
them exist at all a person says, by the name of the definition (`buckets.storage.example.org`, as `kubectl api-resources
-o name` prints it); version, kind, scope and categories are then read from discovery.

The rule: what nobody named is not found here, not watched and not written, whatever the cluster serves.  The names are
fixed when the process starts, so that the transport's allow-list and the roles can be made of the same list.

Neighbours: `resources` has the kinds that are always known; `allowlist` takes `rules`; `discovery` looks from time to
time, and whoever looks calls `learn`; the guard, the executors and the detectors ask `find`.
Names: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from tools.cluster.allowlist import Rule
from tools.cluster.resources import KNOWN, Resource, Verb, qualified
from tools.jsontypes import JsonObject, dig, dig_list, dig_str

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DEFINITION: Final = re.compile(rf"(?P<plural>{_LABEL})\.(?P<group>{_LABEL}(\.{_LABEL})+)")
_READS: Final[tuple[Verb, ...]] = ("get", "list", "watch")


@dataclass(frozen=True, slots=True, order=True)
class DefinitionName:
    """The name of one CustomResourceDefinition: plural and group."""

    plural: str
    group: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PLURAL.GROUP`.  Raises ValueError, which names the form, for anything else and for built-in groups."""
        match = _DEFINITION.fullmatch(text)
        if match is None or len(text) > 253:
            raise ValueError(
                f"{text!r} names no custom resource: write PLURAL.GROUP as `kubectl api-resources -o name` prints it,"
                " for example buckets.storage.example.org"
            )
        group = match["group"]
        if group == "k8s.io" or group.endswith((".k8s.io", ".kubernetes.io")):
            raise ValueError(f"{text}: {group} belongs to Kubernetes itself and is not for this setting")
        return cls(match["plural"], group)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}"


@dataclass(frozen=True, slots=True)
class Served:
    """One resource as discovery describes it; `categories` are the names under which kubectl lists several kinds."""

    resource: Resource
    categories: frozenset[str] = frozenset()


class Catalogue:
    """The named custom resources of one cluster, as far as discovery has shown them yet.

    `patched` may be read and patched, `read_only` only read.  A new catalogue has names and knows no resource.
    """

    def __init__(self, patched: Iterable[DefinitionName] = (), read_only: Iterable[DefinitionName] = ()) -> None:
        """Close the list of names."""
        self.patched: Final = frozenset(patched)
        self.read_only: Final = frozenset(read_only) - self.patched
        self._found: dict[str, Served] = {}

    @property
    def groups(self) -> frozenset[str]:
        """The groups of all names."""
        return frozenset(name.group for name in (*self.patched, *self.read_only))

    @property
    def served(self) -> tuple[Served, ...]:
        """What is known by now, in order of the kinds."""
        return tuple(self._found[kind] for kind in sorted(self._found))

    def __bool__(self) -> bool:
        return bool(self.patched or self.read_only)

    def learn(self, group: str, found: Iterable[Served]) -> None:
        """Take what a group serves now for all that is known of it.  What nobody named is left out."""
        kept = {kind: one for kind, one in self._found.items() if one.resource.group != group}
        for one in found:
            name = DefinitionName(one.resource.plural, one.resource.group)
            if one.resource.group == group and (name in self.patched or name in self.read_only):
                kept[one.resource.kind] = one
        self._found = kept

    def find(self, kind: str) -> Resource | None:
        """The resource that references call `kind`, the kinds that are always known among them; None for any other."""
        found = self._found.get(kind)
        return KNOWN.get(kind) if found is None else found.resource

    def named(self, plural: str, group: str) -> Resource | None:
        """The resource of a definition; None when it is not known."""
        wanted = (plural, group)
        return next((s.resource for s in self.served if (s.resource.plural, s.resource.group) == wanted), None)

    def categories(self, kind: str) -> frozenset[str]:
        """The categories of a custom kind; empty for one that is not known here."""
        found = self._found.get(kind)
        return frozenset() if found is None else found.categories

    def may_patch(self, resource: Resource) -> bool:
        """Whether a person listed it for more than reading."""
        return DefinitionName(resource.plural, resource.group) in self.patched

    def rules(self) -> tuple[Rule, ...]:
        """What the transport lets through for the sake of these names; nothing without names."""
        reads = [Rule(verb, n.group, n.plural) for n in sorted(self.patched | self.read_only) for verb in _READS]
        return (*reads, *(Rule("patch", n.group, n.plural) for n in sorted(self.patched)))


def read_resources(group: str, version: str, listed: JsonObject) -> tuple[Served, ...]:
    """The resources of an APIResourceList, subresources left out, and so is what does not read."""
    found: list[Served] = []
    for entry in dig_list(listed, "resources"):
        plural, kind = dig_str(entry, "name"), dig_str(entry, "kind")
        if not plural or not kind or "/" in plural:
            continue
        resource = Resource(group, version, plural, qualified(kind, group), dig(entry, "namespaced") is True)
        categories = frozenset(c for c in dig_list(entry, "categories") if isinstance(c, str))
        found.append(Served(resource, categories))
    return tuple(found)
