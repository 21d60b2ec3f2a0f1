"""What is wired to what: which Services select a pod, which pods a Service may have meant, what a template refers to.

Services are found by an index by label, made anew when a Service changes: they change seldom and pods all the time.
The rule: the index holds nothing that the view does not, so that it can be thrown away at any time.  Also remembered:
which Services selected nothing when they were last looked at, since a pod that they do *not* select may be meant.
Neighbours: `object_contexts` selects by it, `reach` turns changes into looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Final, Protocol, TypeAlias, TypeVar

from graph.signals.services import selector_of
from tools.cluster.documents import Document, Service
from tools.cluster.objects import Pod, PodTemplate

D = TypeVar("D", bound=Document)
Labels: TypeAlias = Mapping[str, str]
_Filed: TypeAlias = dict[tuple[str, str], list[tuple[str, Labels]]]

ALIKE: Final = 0.6
"""Two values this similar may be the same word, one of them misspelt."""
_SHARED_KEYS: Final = frozenset(
    {
        "instance",
        "part-of",
        "managed-by",
        "version",
        "release",
        "chart",
        "heritage",
        "environment",
        "env",
        "tier",
        "team",
    }
)
"""Labels that many different things bear: having one in common says nothing."""


class ServiceView(Protocol):
    """The part of the mirror that is needed."""

    def documents(self, struct: type[D], namespace: str | None = None) -> list[D]:
        """All objects of a kind that is kept whole, of the cluster or of one namespace."""
        ...


class Wiring:
    """The index over one view.  Tell it of every Service that changes."""

    def __init__(self, view: ServiceView) -> None:
        self._view = view
        self._filed: dict[str, _Filed] = {}
        self._empty: dict[str, set[str]] = {}

    def changed(self, service: Service, *, is_gone: bool = False) -> None:
        """A Service came, went, or selects otherwise: its namespace is read anew when next asked for."""
        self._filed.pop(service.namespace, None)
        if is_gone:
            self.note(service, is_empty=False)

    def note(self, service: Service, *, is_empty: bool) -> None:
        """Whether the Service selected nothing when it was looked at."""
        held = self._empty.setdefault(service.namespace, set())
        if is_empty:
            held.add(service.name)
        else:
            held.discard(service.name)
        if not held:
            del self._empty[service.namespace]

    def empty(self, namespace: str) -> frozenset[str]:
        """Names of the Services of a namespace that selected nothing when they were last looked at."""
        return frozenset(self._empty.get(namespace, ()))

    def services_of(self, namespace: str, labels: Labels) -> Iterator[str]:
        """Names of the Services that select a pod with these labels."""
        if not labels:
            return
        filed = self._filed.get(namespace)
        if filed is None:
            filed = self._filed[namespace] = self._file(namespace)
        for pair in labels.items():
            for name, selector in filed.get(pair, ()):
                if selects(selector, labels):
                    yield name

    def _file(self, namespace: str) -> _Filed:
        """Each Service under one pair of its selector, whichever comes first: a pod it selects bears that one too."""
        filed: _Filed = {}
        for service in self._view.documents(Service, namespace):
            selector = selector_of(service.body)
            if selector and not service.is_being_deleted:
                filed.setdefault(next(iter(sorted(selector.items()))), []).append((service.name, selector))
        return filed


def is_living(pod: Pod) -> bool:
    """Whether it has not ended and is not on its way out: what a Service can lead to, ready or not."""
    return not pod.is_being_deleted and pod.status.phase not in ("Succeeded", "Failed")


def selects(selector: Labels, labels: Labels) -> bool:
    """Whether an object with these labels is selected; an empty selector selects nothing."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def may_be_meant(selector: Labels, labels: Labels) -> bool:
    """Whether a selector that matches nothing may have been written for pods with these labels.

    They have a telling label in common, or one whose value or key is nearly the same word.
    """
    telling = [(k, v) for k, v in selector.items() if k.rpartition("/")[2] not in _SHARED_KEYS]
    values = set(labels.values())
    return any(
        v in values or (k in labels and SequenceMatcher(None, v, labels[k]).ratio() >= ALIKE) for k, v in telling
    )


def config_maps_of(template: PodTemplate) -> frozenset[str]:
    """Names of the ConfigMaps without which a pod of the template cannot start; optional references are left out."""
    found: list[tuple[str, bool]] = []
    for container in (*template.spec.init_containers, *template.spec.containers):
        sources = [v.value_from.config_map_key_ref for v in container.env if v.value_from is not None]
        sources += [source.config_map_ref for source in container.env_from]
        found += [(source.name, source.optional) for source in sources if source is not None]
    for volume in template.spec.volumes:
        mounted = [volume.config_map]
        mounted += [s.config_map for s in volume.projected.sources] if volume.projected is not None else []
        found += [(source.name, source.optional) for source in mounted if source is not None]
    return frozenset(name for name, optional in found if name and not optional)
