"""Claims by managedFields: who wrote which fields, as the API server keeps it.

The rule: tools that people use write once and do not come back; everything else we do not know may.

Format: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from tools.claims.claim import BY_HAND, Claims, Effect, Instead, Known, Owner, Ownership, itself
from tools.jsontypes import JsonObject, dig_list, dig_object, dig_str

_BY_HAND: Final = ("kubectl", "k9s", "Mozilla", "dashboard", "Terraform", "HashiCorp", "pulumi", "curl")
"""Beginnings of the names of tools that people use."""
_HARMLESS: Final = frozenset(
    {"helm", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver", "before-first-apply"}
)
_KNOWN: Final = {
    "argocd-controller": Owner.ARGO_CD,
    "argocd-application-controller": Owner.ARGO_CD,
    "kustomize-controller": Owner.FLUX,
    "helm-controller": Owner.FLUX,
    "keda-operator": Owner.KEDA,
    "keda": Owner.KEDA,
}
_NOT_SPEC: Final = frozenset({"f:metadata", "f:status", "f:apiVersion", "f:kind", "."})
_MOST: Final = 500
"""Pointers of one manager; beyond it the top of the object counts."""


def by_manager(live: JsonObject, known: Known, already: Collection[Owner]) -> Claims:
    """Who wrote fields of the spec, beside those who have shown themselves `already`."""
    for entry in dig_list(live, "metadata", "managedFields"):
        manager = dig_str(entry, "manager")
        owner = owner_of(manager)
        if dig_str(entry, "subresource") or owner in already or _is_harmless(manager, known):
            continue
        spec: JsonObject = {k: v for k, v in dig_object(entry, "fieldsV1").items() if k not in _NOT_SPEC}
        fields = _pointers(spec)
        if fields:
            sentence = f"{manager or 'somebody without a name'} wrote fields of it and may write them again."
            yield Ownership(owner, Effect.UNKNOWN, sentence, Instead(itself(live, "", ""), BY_HAND), fields)


def owner_of(manager: str) -> Owner:
    """Whose field manager this is, by its name; an operator that we do not know for any other."""
    return _KNOWN.get(manager, Owner.OPERATOR)


def _is_harmless(manager: str, known: Known) -> bool:
    return manager in _HARMLESS or manager.startswith((*_BY_HAND, *known.own_managers))


def _pointers(fields: JsonObject) -> tuple[str, ...]:
    found: list[str] = []
    for pointer in _leaves(fields, ""):
        found.append(pointer)
        if len(found) > _MOST:
            return tuple(f"/{_segment(key)}" for key in fields)
    return tuple(found)


def _leaves(fields: JsonObject, above: str) -> Iterator[str]:
    for key, below in fields.items():
        if key == ".":
            continue
        pointer = f"{above}/{_segment(key)}"
        if isinstance(below, dict) and any(inner != "." for inner in below):
            yield from _leaves(below, pointer)
        else:
            yield pointer


def _segment(key: str) -> str:
    """`f:NAME` is a field; items of lists (`k:`, `v:`, `i:`) are any item here."""
    return key[2:].replace("~", "~0").replace("/", "~1") if key.startswith("f:") else "*"
