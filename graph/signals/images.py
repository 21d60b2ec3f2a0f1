"""How new an image reference is: what of it no other revision of the same workload has ever pulled.

The rule: this compares references and knows no registry by name.  When a rollout brings a registry or a repository that
nothing of the workload used before, a pull that fails speaks against the reference, whatever words the kubelet has for
it; when only the version is new, the way to the registry is known to work.  Neighbours: `containers` asks,
`contexts` gathers what the others use.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple


class Novelty(StrEnum):
    """What is new about an image."""

    UNKNOWN = "unknown"
    """Nothing is known of other revisions."""
    NONE = "none"
    """Another revision uses exactly this image."""
    VERSION = "version"
    """Another revision uses the same repository, with another tag or digest."""
    PLACE = "place"
    """No other revision uses this registry, or this repository of it."""


class _Place(NamedTuple):
    host: str
    """ "" is the runtime's default registry."""
    repository: str


def novelty(image: str, others: Collection[str]) -> Novelty:
    """What is new about `image` beside the images `others` that other revisions use."""
    if not others or not image:
        return Novelty.UNKNOWN
    if image in others:
        return Novelty.NONE
    return Novelty.VERSION if _place(image) in {_place(other) for other in others} else Novelty.PLACE


def _place(image: str) -> _Place:
    """Registry and repository, by https://github.com/distribution/reference: a host has a dot or a port."""
    name = image.partition("@")[0]
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, path = (first, rest) if is_host else ("", name)
    return _Place(host, path.partition(":")[0])
