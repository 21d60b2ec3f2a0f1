"""The definitions, how they come into a cluster, and objects of them as people write them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tools.cluster.allowlist import Rule
from tools.cluster.catalogue import Catalogue
from tools.cluster.client import AlreadyExists, Cluster
from tools.cluster.resources import Resource, WriteRequest
from tools.executors.crossplane import facts
from tools.executors.crossplane.finder import Listed, catalogue_of
from tools.jsontypes import JsonObject, dig_str

NAMES: Final = (
    "buckets.storage.example.org",
    "networks.storage.example.org",
    "volumes.storage.example.org",
    "stores.platform.example.org",
    "xshelves.platform.example.org",
    "shelves.platform.example.org",
)
"""What an operator lists."""
BUCKET: Final = "Bucket.storage.example.org"
NETWORK: Final = "Network.storage.example.org"
VOLUME: Final = "Volume.storage.example.org"
STORE: Final = "Store.platform.example.org"
XSHELF: Final = "XShelf.platform.example.org"
SHELF: Final = "Shelf.platform.example.org"
DEFINITION: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
_FILE: Final = Path(__file__).with_name("definitions.yaml")


def definitions() -> list[JsonObject]:
    """The definitions as they stand in the file; the caller's own."""
    return deepcopy(_read())


@cache
def _read() -> list[JsonObject]:
    found: list[Any] = list(yaml.load_all(_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    return found


def wide_rules() -> tuple[Rule, ...]:
    """What whoever sets the stage may do with them, and the controllers of the double."""
    names = [n for name in (*NAMES, str(facts.PROVIDERS), str(facts.PROVIDER_REVISIONS)) for n in (name.split(".", 1),)]
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    rules = [Rule(verb, group, plural) for plural, group in names for verb in verbs]  # type: ignore[arg-type]
    rules += [Rule("patch", group, plural, "status") for plural, group in names]
    return (
        *rules,
        Rule("create", DEFINITION.group, DEFINITION.plural),
        Rule("create", "", "events"),
    )


async def install(cluster: Cluster, catalogue: Catalogue | None = None, *, patience: float = 20.0) -> Catalogue:
    """Have the cluster serve the definitions, which may be there already; gives a catalogue that knows them.

    `cluster` must be open with `wide_rules`.  Raises TimeoutError when they are not served in time.
    """
    known = catalogue_of(NAMES) if catalogue is None else catalogue
    if len(known.served) == len(definitions()) and await _serves(cluster, known):
        return known
    for definition in definitions():
        request = WriteRequest("create", DEFINITION, None, dig_str(definition, "metadata", "name"), definition)
        try:
            await cluster.write(request, dry_run=False)
        except AlreadyExists:
            continue
    async with asyncio.timeout(patience):
        while not await _serves(cluster, known):
            await asyncio.sleep(0.1)
    return known


async def _serves(cluster: Cluster, catalogue: Catalogue) -> bool:
    found = await Listed(catalogue)(cluster, await cluster.api_groups())
    return len(found) == len(definitions())


def managed(
    kind: str, name: str, *, namespace: str | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> JsonObject:
    """A managed resource as people write it; `spec` goes into forProvider."""
    group = kind.partition(".")[2]
    version = "v1alpha1" if kind == VOLUME else "v1beta1"
    metadata: JsonObject = {"name": name, "annotations": {**(annotations or {})}}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {
        "apiVersion": f"{group}/{version}",
        "kind": kind.partition(".")[0],
        "metadata": metadata,
        "spec": {"forProvider": {"region": "north", **spec}},
    }


def said(
    name: str, status: str, reason: str, *, at: str, message: str = "", generation: int | None = None
) -> JsonObject:
    """One condition."""
    found: JsonObject = {"type": name, "status": status, "reason": reason, "lastTransitionTime": at}
    if message:
        found["message"] = message
    if generation is not None:
        found["observedGeneration"] = generation
    return found


def well(at: str, generation: int = 1) -> Sequence[JsonObject]:
    """The conditions of a resource that is as it should be."""
    return (
        said(facts.SYNCED, "True", "ReconcileSuccess", at=at, generation=generation),
        said(facts.READY, "True", "Available", at=at, generation=generation),
    )
