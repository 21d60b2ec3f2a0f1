"""YAML with line numbers, without YAML's surprises: `off` is a word and not a boolean, and a key counts once.

The rule: nothing is repaired.  Aliases are refused (a small file can expand without bound), so are tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from tools.jsontypes import JsonObject, JsonValue

_MAX_BYTES: Final = 1_000_000
_MAX_DEPTH: Final = 20
_BOOLEANS: Final = {"true": True, "false": False}
_NULLS: Final = {"", "~", "null"}


class PolicySyntax(ValueError):
    """The text is not the YAML we accept; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        """Keep the line apart from the message."""
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Located:
    """A document and where its parts stand."""

    value: JsonValue
    lines: dict[tuple[str, ...], int]

    def line_of(self, place: Sequence[str]) -> int:
        """The line of a key, or of the nearest key above it that is in the file."""
        for length in range(len(place), -1, -1):
            if tuple(place[:length]) in self.lines:
                return self.lines[tuple(place[:length])]
        return 1


def read_yaml(raw: bytes) -> Located:
    """Parse one document.  Raises PolicySyntax."""
    if len(raw) > _MAX_BYTES:
        raise PolicySyntax(f"larger than {_MAX_BYTES} bytes", 1)
    try:
        node = yaml.compose(raw.decode(), Loader=yaml.SafeLoader)  # pyright: ignore[reportUnknownMemberType]
    except UnicodeDecodeError as error:
        raise PolicySyntax("not UTF-8 text", raw[: error.start].count(b"\n") + 1) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicySyntax(f"no YAML: {error.problem or error.context}", line) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicySyntax(f"no YAML: {error}", 1) from error
    lines: dict[tuple[str, ...], int] = {(): 1}
    if node is None:
        return Located(None, lines)
    return Located(_build(node, (), lines, seen=set()), lines)


def _build(node: yaml.Node, place: tuple[str, ...], lines: dict[tuple[str, ...], int], seen: set[int]) -> JsonValue:
    line: int = node.start_mark.line + 1
    if id(node) in seen:
        raise PolicySyntax("aliases are not accepted; write the value out", line)
    seen.add(id(node))
    if not str(node.tag).startswith("tag:yaml.org,2002:"):
        raise PolicySyntax("tags are not accepted", line)
    if len(place) > _MAX_DEPTH:
        raise PolicySyntax(f"nested deeper than {_MAX_DEPTH} levels", line)
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, place, lines, seen)
    if isinstance(node, yaml.SequenceNode):
        items: list[yaml.Node] = node.value
        for index, item in enumerate(items):
            lines[*place, str(index)] = item.start_mark.line + 1
        return [_build(item, (*place, str(index)), lines, seen) for index, item in enumerate(items)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(str(node.value), is_plain=node.style is None)
    raise PolicySyntax("a value of unknown kind", line)


def _build_mapping(
    node: yaml.MappingNode, place: tuple[str, ...], lines: dict[tuple[str, ...], int], seen: set[int]
) -> JsonObject:
    built: JsonObject = {}
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    for key_node, value_node in pairs:
        line: int = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise PolicySyntax("a key must be a word", line)
        key = str(key_node.value)
        if key in built:
            raise PolicySyntax(f"{'.'.join((*place, key))}: given twice", line)
        lines[*place, key] = line
        built[key] = _build(value_node, (*place, key), lines, seen)
    return built


def _scalar(text: str, *, is_plain: bool) -> JsonValue:
    """A quoted scalar is text; a plain one may be a number, `true`, `false` or null, and is text otherwise."""
    if not is_plain:
        return text
    if text.lower() in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    try:
        return int(text)
    except ValueError:
        return text
