"""CustomResourceDefinitions: serving what they define, and checking objects against their schema."""

from __future__ import annotations

from evals.simulator.api import schema as schemas
from evals.simulator.api.errors import invalid
from evals.simulator.api.kinds import Kind, KindTable
from evals.simulator.objects import name_of, objects, put, texts
from tools.jsontypes import JsonObject, dig, dig_object, dig_str


def check_definition(crd: JsonObject) -> None:
    """Raise 422 for a definition that cannot be served."""
    spec = dig_object(crd, "spec")
    plural, group = dig_str(spec, "names", "plural"), dig_str(spec, "group")
    causes: list[tuple[str, str, str]] = []
    if name_of(crd) != f"{plural}.{group}":
        why = f'Invalid value: "{name_of(crd)}": must be spec.names.plural+"."+spec.group'
        causes.append(("FieldValueInvalid", "metadata.name", why))
    if dig_str(spec, "scope") not in {"Namespaced", "Cluster"}:
        causes.append(("FieldValueRequired", "spec.scope", "Required value"))
    stored = [v for v in objects(spec, "versions") if v.get("storage") is True]
    if len(stored) != 1:
        why = "Invalid value: must have exactly one version marked as storage version"
        causes.append(("FieldValueInvalid", "spec.versions", why))
    for index, version in enumerate(objects(spec, "versions")):
        if not dig_object(version, "schema", "openAPIV3Schema"):
            field = f"spec.versions[{index}].schema.openAPIV3Schema"
            causes.append(("FieldValueRequired", field, "Required value: schemas are required"))
    if causes:
        raise invalid("CustomResourceDefinition", "apiextensions.k8s.io", name_of(crd), causes)


def serve(table: KindTable, crd: JsonObject) -> None:
    """Put every served version into the table."""
    spec = dig_object(crd, "spec")
    names, group = dig_object(spec, "names"), dig_str(spec, "group")
    table.remove(group, dig_str(names, "plural"))
    for version in objects(spec, "versions"):
        if version.get("served") is not True:
            continue
        subs = dig_object(version, "subresources")
        kind = Kind(
            group=group,
            version=dig_str(version, "name"),
            plural=dig_str(names, "plural"),
            kind=dig_str(names, "kind"),
            namespaced=dig_str(spec, "scope") == "Namespaced",
            short=tuple(texts(names, "shortNames")),
            subresources=tuple(s for s in ("status", "scale") if s in subs),
            categories=tuple(texts(names, "categories")),
            custom=version,
            status_is_separate="status" in subs,
        )
        table.add(kind, preferred=version.get("storage") is True)


def drop(table: KindTable, crd: JsonObject) -> None:
    """Stop serving it."""
    table.remove(dig_str(crd, "spec", "group"), dig_str(crd, "spec", "names", "plural"))


def established(crd: JsonObject, now: str) -> JsonObject:
    """The status of a definition that is served."""
    conditions: list[JsonObject] = [
        {"type": t, "status": "True", "reason": r, "message": m, "lastTransitionTime": now}
        for t, r, m in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [dig_str(v, "name") for v in objects(crd, "spec", "versions") if v.get("storage") is True]
    return {
        "acceptedNames": dig_object(crd, "spec", "names"),
        "conditions": [*conditions],
        "storedVersions": [*stored],
    }


def shape(kind: Kind, obj: JsonObject) -> JsonObject:
    """Prune, default and check a custom object; the answer is a new object.  Raises 422."""
    schema = dig_object(kind.custom, "schema", "openAPIV3Schema")
    pruned = schemas.prune(obj, schema)
    assert isinstance(pruned, dict)  # noqa: S101 - an object stays an object
    schemas.fill(pruned, schema)
    body = {k: v for k, v in pruned.items() if k != "metadata"}
    causes = [c for c in schemas.check(body, schema) if not c[1].startswith("metadata")]
    if causes:
        raise invalid(kind.kind, kind.group, name_of(obj), causes)
    return pruned


def scale_paths(kind: Kind) -> tuple[list[str], list[str], str]:
    """(path of spec replicas, of status replicas, of the label selector) of the scale subresource."""
    scale = dig_object(kind.custom, "subresources", "scale")

    def path(name: str) -> list[str]:
        return [p for p in dig_str(scale, name).split(".") if p]

    return path("specReplicasPath"), path("statusReplicasPath"), dig_str(scale, "labelSelectorPath")


def set_at(obj: JsonObject, path: list[str], value: int) -> None:
    """Write a number at a path of a clone."""
    put(obj, value, *path)


def get_at(obj: JsonObject, path: list[str]) -> int:
    """Read a number at a path; zero when absent."""
    value = dig(obj, *path)
    return value if isinstance(value, int) else 0
