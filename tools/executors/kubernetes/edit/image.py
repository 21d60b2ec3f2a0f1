"""`set_image`: another image for one container, from a registry that the policy names.

The rule: no registry is allowed until the policy allows it, and a reference must say which build it means: a digest, or
a tag other than `latest`.  A name without a registry is refused, since what it means is each node's own choice.
Syntax: https://github.com/distribution/reference
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from tools.executors.base import Action, Situation
from tools.executors.kubernetes.edit.template import ContainerEditExecutor, container_of, in_containers, out_of_range
from tools.executors.kubernetes.edit.wanted import Path, Put, Wanted
from tools.executors.models.edit import SetImage
from tools.guard.verdict import Refused
from tools.jsontypes import JsonObject, dig_str

_REFERENCE: Final = re.compile(
    r"(?P<repository>(?:localhost(?::[0-9]{1,5})?|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+(?::[0-9]{1,5})?|:[0-9]{1,5}))"
    r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MOVING: Final = frozenset({None, "latest"})


@dataclass(frozen=True, slots=True)
class ImageName:
    """A reference taken apart.  `repository` has the registry in it."""

    repository: str
    tag: str | None
    digest: str | None


def parse_image(reference: str) -> ImageName | None:
    """Take a whole reference apart; None when it is none, or names no registry."""
    match = _REFERENCE.fullmatch(reference)
    return None if match is None else ImageName(match["repository"], match["tag"], match["digest"])


class SetImageExecutor(ContainerEditExecutor[SetImage]):
    """`set_image`.  `registries` is the policy's list and does not change."""

    action_type: ClassVar[type[Action]] = SetImage
    description: ClassVar[str] = (
        "Give one container another image. For an image that was wrong from the start, with no earlier revision to go "
        "back to. Only from registries that the policy allows, and only with a digest or a tag other than latest."
    )
    declared_fields: ClassVar[tuple[str, ...]] = in_containers("image")

    def __init__(self, registries: Iterable[str] = ()) -> None:
        """Each is a host, with a port or a path below it if wanted; none means that every image is refused."""
        self._registries = tuple(registries)

    def of_container(self, action: SetImage, container: JsonObject, path: Path) -> tuple[Wanted, ...] | Refused:  # noqa: ARG002
        """The image alone; the pull policy stays."""
        return (Put((*path, "image"), action.image),)

    def objection(self, action: SetImage, situation: Situation) -> Refused | None:  # noqa: ARG002
        """The reference is whole and fixed, and its registry allowed."""
        image = parse_image(action.image)
        if image is None:
            what = f"{action.image} is no whole image reference: write registry/path:tag or registry/path@digest."
            return out_of_range(action, what)
        if image.digest is None and image.tag in _MOVING:
            return out_of_range(action, f"{action.image} may mean another build tomorrow: give a tag or a digest.")
        if any(image.repository == r or image.repository.startswith(f"{r}/") for r in self._registries):
            return None
        if not self._registries:
            remedy = "the policy allows no registry. Name those that images may come from under image_registries."
            return out_of_range(action, remedy)
        allowed = ", ".join(self._registries)
        return out_of_range(action, f"{image.repository} is in no allowed registry; the policy allows {allowed}.")

    def approval_reasons(self, action: SetImage, situation: Situation) -> tuple[str, ...]:
        """Another repository is another program."""
        present = dig_str(container_of(situation.live, action.container), "image")
        old, new = parse_image(present), parse_image(action.image)
        if old is not None and new is not None and old.repository == new.repository:
            return ()
        return (f"The image of container {action.container} would come from another repository than {present}.",)
