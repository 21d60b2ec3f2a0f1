"""How resources of Crossplane hang together: what one is made of, who is made of it, and which package serves it.

The rule: a part that is not in view is not in trouble; then the whole speaks for itself.
Neighbours: `crossplane` judges, `object_contexts` asks; the references are read by `tools.executors.crossplane.facts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graph.signals.context import Seen, SymptomKey
from graph.signals.crossplane import ExternalContext, is_plainly_well, is_troubled
from graph.signals.knowledge import Knowledge
from graph.signals.object_view import ObjectView
from tools.cluster.catalogue import Catalogue
from tools.cluster.documents import Document, document_of
from tools.executors.crossplane import facts
from tools.executors.crossplane.facts import PROVIDER, PROVIDER_REVISION, Role, role_of
from tools.refs import ObjectRef

DEPTH: Final = 5
"""Of composites within composites; a claim is one more."""
MOST: Final = 50
_WHOLES: Final = frozenset({Role.COMPOSITE, Role.CLAIM})


@dataclass(frozen=True, slots=True)
class Externals:
    """Questions about the custom resources in one view."""

    view: ObjectView
    catalogue: Catalogue

    def role(self, item: Document) -> Role | None:
        """What the object is to Crossplane; None for anything that nobody listed."""
        return role_of(item.kind, self.catalogue.categories(item.kind)) if "." in item.kind else None

    def context(
        self,
        item: Document,
        knowledge: Knowledge,
        *,
        suppressed: str,
        seen: Mapping[SymptomKey, Seen],
    ) -> ExternalContext:
        """Where the object stands.  Before: it has a role."""
        role = self.role(item) or Role.MANAGED
        declared = knowledge.declared(item.ref)
        return ExternalContext(
            suppressed=suppressed,
            seen=seen,
            role=role,
            declared_paused=None if declared is None else facts.is_paused(declared),
            troubled_part=self._speaks_instead(item, role),
            troubled_provider=self._provider_trouble(item, role),
        )

    def wholes_of(self, item: Document) -> tuple[ObjectRef, ...]:
        """The composites and claims that are made of it at any height, the nearest first."""
        found: dict[ObjectRef, None] = {}
        level: Sequence[Document] = (item,)
        for _ in range(DEPTH):
            uids = {one.uid for one in level}
            level = [
                whole
                for whole in self._all(*_WHOLES)
                if whole.ref not in found and any(part.uid in uids for part in self._parts(whole))
            ]
            found |= dict.fromkeys(whole.ref for whole in level)
        return tuple(found)[:MOST]

    def served_by(self, package: Document) -> tuple[ObjectRef, ...]:
        """The resources that are not well and whose definition a package installed."""
        served: set[str] = set()
        for revision in self._of_kind(PROVIDER_REVISION):
            if package.uid in (revision.uid, _controller_uid(revision)):
                served |= facts.installed_by(revision.body)
        found = (one.ref for one in self._all(Role.MANAGED) if _definition(one) in served and not is_plainly_well(one))
        return tuple(found)[:MOST]

    def serving(self, item: Document) -> Document | None:
        """The active package revision that installed the definition of a managed resource, as far as it is in view."""
        active = (r for r in self._of_kind(PROVIDER_REVISION) if not facts.is_inactive(r.body))
        return next((r for r in active if _definition(item) in facts.installed_by(r.body)), None)

    def _speaks_instead(self, item: Document, role: Role) -> str:
        if role in _WHOLES:
            part = self._troubled_part(item, DEPTH)
            return str(part.ref) if part is not None else ""
        if item.kind == PROVIDER_REVISION:
            owner = next((p for p in self._of_kind(PROVIDER) if p.uid == _controller_uid(item)), None)
            return owner.name if owner is not None and facts.unhealthy(owner.body) is not None else ""
        return ""

    def _troubled_part(self, item: Document, depth: int) -> Document | None:
        for part in self._parts(item):
            if is_troubled(part):
                below = self._troubled_part(part, depth - 1) if depth > 0 else None
                return below or part
        return None

    def _provider_trouble(self, item: Document, role: Role) -> str:
        """What an active revision says that serves the object, or that is the package's own."""
        for revision in self._of_kind(PROVIDER_REVISION):
            serves = role is Role.MANAGED and _definition(item) in facts.installed_by(revision.body)
            is_own = item.kind == PROVIDER and _controller_uid(revision) == item.uid
            bad = facts.unhealthy(revision.body)
            if (serves or is_own) and bad is not None and not facts.is_inactive(revision.body):
                return f"revision {revision.name}: {bad.text}"
        return ""

    def _parts(self, item: Document) -> Iterator[Document]:
        """The parts that are in view and are Crossplane's own."""
        for ref in facts.made_of(item.body):
            found = self.view.find(ref)
            if isinstance(found, Document) and self.role(found) is not None:
                yield found

    def _all(self, *roles: Role) -> Iterator[Document]:
        for served in self.catalogue.served:
            if role_of(served.resource.kind, served.categories) in roles:
                yield from self.view.documents(document_of(served.resource))

    def _of_kind(self, kind: str) -> Sequence[Document]:
        resource = self.catalogue.find(kind)
        return () if resource is None else self.view.documents(document_of(resource))


def _definition(item: Document) -> str:
    """The name of the definition of its kind."""
    return f"{item.resource.plural}.{item.resource.group}"


def _controller_uid(item: Document) -> str:
    controller = item.metadata.controller
    return controller.uid if controller is not None else ""
