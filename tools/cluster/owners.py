"""Who owns an object, and who owns that: the chain of controllers up to the one worth speaking of.

The rule: follow the controller ownerReference and nothing else, believe a uid and never only a name, and say how the
chain ended.  A chain that ends at something unknown or missing is an answer, not an error.

Neighbours: `mirror.find` is the usual lookup; incidents take their fingerprint from `OwnerChain.root`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tools.cluster.client import Cluster
from tools.cluster.mirror import Mirror
from tools.cluster.objects import Identity, decode_json
from tools.cluster.resources import KNOWN, Resource
from tools.cluster.structs import KubeObject, Reference
from tools.errors import NotFound
from tools.refs import ObjectRef

MAX_DEPTH: Final = 8
"""Links followed at most; Kubernetes' own chains have three, operators add a few."""

WORKS: Final = frozenset(
    {"Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ScaledJob", "Node"}
)
"""Kinds that run pods or have them made; a Node those whose manifests lie on it.

Anything can be named as an owner, a ConfigMap too, so that the garbage collector takes both away together.
"""


class ChainEnd(Enum):
    """Why a chain goes no further."""

    ROOT = "root"
    """The last link exists and has no controller."""
    UNKNOWN_KIND = "unknown_kind"
    """The last link is of a kind we do not read (a custom resource): some operator manages what is below it."""
    MISSING = "missing"
    """The last link is referred to by uid, and no object with that uid exists: what is below it is orphaned."""
    CYCLE = "cycle"
    """The last link is already in the chain: the references are broken."""
    TOO_DEEP = "too_deep"
    """The last link is the limit; it may have a controller itself."""


@dataclass(frozen=True, slots=True)
class OwnerChain:
    """From the object itself (first) to the last owner that is named (last), and why it ends there.

    The last link of an UNKNOWN_KIND or MISSING chain is what the reference says, since nobody showed us the object.
    """

    links: tuple[Reference, ...]
    end: ChainEnd

    @property
    def root(self) -> Reference:
        """The last link."""
        return self.links[-1]

    @property
    def highest_seen(self) -> Reference:
        """The last link that exists for us and runs what is below it: what can be looked at and acted on.

        An owner above the topmost workload that runs nothing is left out; in a chain without a workload, none is.
        """
        seen = self.links[:-1] if self.end in (ChainEnd.UNKNOWN_KIND, ChainEnd.MISSING) else self.links
        return next((link for link in reversed(seen) if link.kind in WORKS), seen[-1])

    @property
    def is_complete(self) -> bool:
        """True when every link exists and was seen."""
        return self.end is ChainEnd.ROOT

    def __str__(self) -> str:
        return f"{' < '.join(str(link) for link in self.links)} ({self.end.value})"


Lookup = Callable[[Reference], KubeObject | None]
LiveLookup = Callable[[Reference], Awaitable[KubeObject | None]]


def root_owner(start: KubeObject, lookup: Lookup) -> OwnerChain:
    """The owner chain of `start`; `lookup` finds an object by reference, or gives None when it is not there."""
    walk = _walk(start, start.reference)
    try:
        wanted = next(walk)
        while True:
            wanted = walk.send(lookup(wanted))
    except StopIteration as done:
        return _chain(done)


async def root_owner_live(start: KubeObject, lookup: LiveLookup, *, named: Reference | None = None) -> OwnerChain:
    """The same with a lookup that may ask the server; what it raises comes out.

    `named` is who `start` is, where the object itself does not know its kind (`Identity`).
    """
    walk = _walk(start, named or start.reference)
    try:
        wanted = next(walk)
        while True:
            wanted = walk.send(await lookup(wanted))
    except StopIteration as done:
        return _chain(done)


@dataclass(frozen=True, slots=True)
class Root:
    """The topmost owner that exists, as people name it, which life of it, and how we came there."""

    ref: ObjectRef
    uid: str
    chain: OwnerChain


async def find_root(
    ref: ObjectRef, mirror: Mirror, cluster: Cluster, *, find: Callable[[str], Resource | None] = KNOWN.get
) -> Root:
    """The topmost owner of the object that `ref` names, from the mirror and, where that is silent, from the server.

    `find` gives the resource of a kind.  Raises NotFound when the object does not exist or is of a kind we do not read;
    what `Cluster.get` raises otherwise.
    """
    resource = find(ref.kind)
    if resource is None:
        raise NotFound(f"{ref}: a kind that is not looked after; name one of {', '.join(sorted(KNOWN))}")
    wanted = Reference(ref.kind, ref.namespace or "", ref.name, "", resource.api_version)
    start = mirror.find(wanted) or decode_json(await cluster.get(resource, ref.name, ref.namespace), Identity)
    named = Reference(ref.kind, start.namespace, start.name, start.uid, resource.api_version)
    chain = await root_owner_live(start, mirror_or_server(mirror, cluster), named=named)
    top = chain.highest_seen
    return Root(ObjectRef(kind=top.kind, namespace=top.namespace or None, name=top.name), top.uid, chain)


def mirror_or_server(mirror: Mirror, cluster: Cluster) -> LiveLookup:
    """A lookup in the mirror first, then at the server: the mirror may be a moment behind, or not hold the kind.

    Raises what `Cluster.get` raises, except NotFound, which is None.
    """

    async def look(ref: Reference) -> KubeObject | None:
        held = mirror.find(ref)
        if held is not None:
            return held
        resource = _resource(ref)
        if resource is None:
            return None
        try:
            found = await cluster.get(resource, ref.name, ref.namespace or None)
        except NotFound:
            return None
        return decode_json(found, Identity)

    return look


def _walk(start: KubeObject, named: Reference) -> Generator[Reference, KubeObject | None, OwnerChain]:
    """Yield each reference to look up, be sent what was found, return the chain: one walk for both kinds of lookup."""
    links = [named]
    current = start
    while True:
        owner = current.metadata.controller
        if owner is None:
            return OwnerChain(tuple(links), ChainEnd.ROOT)
        wanted = owner.reference(start.namespace)
        resource = _resource(wanted)
        if resource is not None and not resource.namespaced:
            wanted = owner.reference("")  # a static pod belongs to its Node
        if any((link.uid, link.kind, link.name) == (wanted.uid, wanted.kind, wanted.name) for link in links):
            return OwnerChain(tuple(links), ChainEnd.CYCLE)
        if len(links) > MAX_DEPTH:
            return OwnerChain(tuple(links), ChainEnd.TOO_DEEP)
        links.append(wanted)
        if resource is None:
            return OwnerChain(tuple(links), ChainEnd.UNKNOWN_KIND)
        found = yield wanted
        if found is None or found.uid != wanted.uid:
            return OwnerChain(tuple(links), ChainEnd.MISSING)
        current = found


def _chain(done: StopIteration) -> OwnerChain:
    chain: object = done.value
    assert isinstance(chain, OwnerChain)  # noqa: S101 - what `_walk` returns
    return chain


def _resource(ref: Reference) -> Resource | None:
    """Which resource a reference means; the group counts, since others have a StatefulSet or a Job of their own."""
    known = KNOWN.get(ref.kind)
    return known if known is not None and known.group == ref.group else None
