"""Files of manifests, read as the API would read them: YAML or JSON, several documents, Lists.

The rule: a file is read whole or not at all, and what is wrong with it is a sentence with the remedy; a file that
cannot be read keeps what it said before.  Nothing outside the folder is read, whatever a link says.  Pure but for the
reading itself.

Neighbours: `desired` puts the files together.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml
from pydantic import ValidationError

from tools.cluster.resources import KNOWN, qualified
from tools.journal.compare import normal
from tools.jsontypes import JsonObject, JsonValue, dig_list, dig_str, digest
from tools.refs import ObjectRef

MAX_FILE: Final = 1_048_576
MAX_FILES: Final = 5_000
MAX_NODES: Final = 200_000
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
NOT_READ: Final = frozenset(
    {"Secret", "Pod", "ReplicaSet", "Event", "ControllerRevision", "EndpointSlice", "Application"}
)
"""Kinds whose declaration says nothing to us: secret, made by controllers, or itself a delivery of other things."""


@dataclass(frozen=True, slots=True)
class ReadObject:
    """One manifest of a file, in normal form."""

    ref: ObjectRef
    manifest: JsonObject
    digest: str


@dataclass(frozen=True, slots=True)
class FileReading:
    """One file.  `objects` are those of the last time it could be read; None when it never could."""

    stamp: str
    objects: tuple[ReadObject, ...] | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileFault:
    """The folder as a whole could not be read."""

    sentence: str


class UnreadableError(Exception):
    """A file's content is no manifest.  The message says what is wrong and what to do."""


def read_folder(
    folder: Path, before: Mapping[str, FileReading], groups: frozenset[str] = frozenset()
) -> dict[str, FileReading] | FileFault:
    """Every manifest file under `folder`, by its path in it; those that did not change are taken from `before`.

    `groups` are API groups whose kinds, known only at run time, are read as well.

    Folders and files whose names begin with a dot are left out: version control, and the machinery of mounted volumes.
    """
    try:
        root = folder.resolve(strict=True)
        paths = sorted(_files(root))
    except OSError as error:
        why = error.strerror or type(error).__name__
        return FileFault(f"the desired state in {folder} cannot be read ({why}): check that the folder is there")
    if len(paths) > MAX_FILES:
        return FileFault(f"{folder} holds more than {MAX_FILES} manifest files: name the folder that is meant")
    found: dict[str, FileReading] = {}
    for path in paths:
        name = path.relative_to(root).as_posix()
        found[name] = _read(path, name, root, before.get(name), groups)
    return found


def _files(root: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(root, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, n) for n in names if not n.startswith(".") and Path(n).suffix.lower() in SUFFIXES)


def _read(path: Path, name: str, root: Path, before: FileReading | None, groups: frozenset[str]) -> FileReading:
    held = before.objects if before is not None else None
    try:
        if not path.resolve(strict=True).is_relative_to(root):
            return FileReading("", held, (f"{name} leads out of the folder: put the manifest itself there",))
        found = path.stat()
        stamp = f"{found.st_mtime_ns}/{found.st_size}/{found.st_ino}"
        if before is not None and before.stamp == stamp:
            return before
        if found.st_size > MAX_FILE:
            return FileReading(stamp, held, (f"{name} is larger than {MAX_FILE} bytes: split it",))
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        why = error.strerror or type(error).__name__
        return FileReading("", held, (f"{name} cannot be read ({why}): check its permissions",))
    except UnicodeDecodeError:
        return FileReading("", held, (f"{name} is not UTF-8: save it as UTF-8",))
    try:
        objects, problems = read_manifests(text, name, groups)
    except UnreadableError as error:
        kept = "its last good reading counts until then" if held is not None else "nothing of it counts until then"
        return FileReading(stamp, held, (f"{name}: {error}; {kept}",))
    return FileReading(stamp, objects, problems)


def read_manifests(
    text: str, name: str, groups: frozenset[str] = frozenset()
) -> tuple[tuple[ReadObject, ...], tuple[str, ...]]:
    """The objects of one file and what is wrong with some of them.  Raises UnreadableError for the file as a whole."""
    objects: list[ReadObject] = []
    problems: list[str] = []
    for manifest in read_documents(text):
        read = _object(manifest, groups)
        if isinstance(read, ReadObject):
            objects.append(read)
        elif read:
            problems.append(f"{name}: {read}")
    return tuple(objects), tuple(problems)


def read_documents(text: str) -> tuple[JsonValue, ...]:
    """Every document of one file, items of Lists by themselves.  Raises UnreadableError for the file as a whole."""
    return tuple(manifest for document in _documents(text) for manifest in _unlisted(document))


class _Loader(yaml.CSafeLoader):
    """Safe YAML without dates: a manifest has none, and a version that looks like one is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _documents(text: str) -> list[JsonValue]:
    try:
        return [_json(document) for document in yaml.load_all(text, Loader=_Loader)]
    except yaml.YAMLError as error:
        raise UnreadableError(f"not YAML ({_place(error)}): correct it; templates must be rendered first") from error
    except (RecursionError, ValueError) as error:
        raise UnreadableError(f"not a manifest ({error}): correct it") from error


def _place(error: yaml.YAMLError) -> str:
    """Where it broke, without the text that stands there: it may be a secret."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    what = error.problem if isinstance(error, yaml.MarkedYAMLError) and error.problem else "unreadable"
    what = what if "'" not in what else what.partition("'")[0].rstrip() or "unreadable"
    return f"{what}, line {mark.line + 1}" if mark is not None else what


def _json(document: object) -> JsonValue:
    """The document as JSON has it.  Aliases are written out, within bounds."""
    left = MAX_NODES

    def convert(value: object) -> JsonValue:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"more than {MAX_NODES} values in one document")
        match value:
            case float() if not math.isfinite(value):
                raise ValueError("a number that is none")
            case None | bool() | int() | float() | str():
                return value
            case dict():
                return {_key(k): convert(v) for k, v in cast("dict[object, object]", value).items()}
            case list():
                return [convert(item) for item in cast("list[object]", value)]
            case _:
                raise ValueError(f"a value of type {type(value).__name__}")

    return convert(document)


def _key(key: object) -> str:
    match key:
        case bool():
            return "true" if key else "false"
        case str() | int():
            return str(key)
        case _:
            raise ValueError(f"a key of type {type(key).__name__}")


def _unlisted(document: JsonValue) -> list[JsonValue]:
    """The document, or the items of a List of any kind."""
    if dig_str(document, "kind").endswith("List") and isinstance(document, dict) and "items" in document:
        return [item for one in dig_list(document, "items") for item in _unlisted(one)]
    return [] if document is None else [document]


def _object(manifest: JsonValue, groups: frozenset[str]) -> ReadObject | str:
    """The object; "" for what is none of our business; a sentence for what is wrong."""
    kind, api_version = dig_str(manifest, "kind"), dig_str(manifest, "apiVersion")
    if not isinstance(manifest, dict) or not kind or not api_version:
        return "a document without apiVersion and kind is no manifest: remove it or complete it"
    group = api_version.rpartition("/")[0]
    if group in groups:
        return _custom(manifest, qualified(kind, group))
    resource = KNOWN.get(kind)
    if resource is None or kind in NOT_READ or api_version != resource.api_version:
        return ""
    name, namespace = dig_str(manifest, "metadata", "name"), dig_str(manifest, "metadata", "namespace")
    if not namespace:
        return f"{kind} {name or '(without name)'} names no namespace: write metadata.namespace; it is left out"
    try:
        ref = ObjectRef(kind=kind, namespace=namespace, name=name)
    except ValidationError:
        return f"{kind} {name or '(without name)'} has a name that no object can have: correct metadata.name"
    clean = normal(manifest)
    return ReadObject(ref, clean, digest(clean))


def _custom(manifest: JsonObject, kind: str) -> ReadObject | str:
    """An object of a kind that is known only at run time; whether it has a namespace only the cluster knows."""
    name, namespace = dig_str(manifest, "metadata", "name"), dig_str(manifest, "metadata", "namespace") or None
    try:
        ref = ObjectRef(kind=kind, namespace=namespace, name=name)
    except ValidationError:
        return f"{kind} {name or '(without name)'} has a name that no object can have: correct metadata.name"
    clean = normal(manifest)
    return ReadObject(ref, clean, digest(clean))
