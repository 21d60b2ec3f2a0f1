"""Kubernetes quantities (`100m`, `64Mi`, `1e3`) as exact numbers, and back in the form the API server prints."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from tools.jsontypes import JsonValue

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    s: Decimal(10) ** p
    for s, p in zip(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), range(-9, 19, 3), strict=True)
}
_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?$")

_ZERO = Decimal(0)
SYNTAX = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(value: JsonValue) -> Decimal:
    """The number a quantity stands for.  Raises ValueError when it is not one; a missing quantity is zero."""
    return _ZERO if value is None else _parse(str(value))


@lru_cache(maxsize=4096)
def _parse(text: str) -> Decimal:
    """The same few quantities stand in thousands of pods."""
    found = _FORM.match(text.strip())
    if found is None:
        raise ValueError(SYNTAX)
    digits, suffix = Decimal(found.group(1)), found.group(2) or ""
    if suffix in _BINARY:
        return digits * _BINARY[suffix]
    if suffix in _DECIMAL:
        return digits * _DECIMAL[suffix]
    return digits * Decimal(f"1{suffix}")


def is_valid(value: JsonValue) -> bool:
    """Whether it can be parsed."""
    try:
        parse(value)
    except ValueError:
        return False
    return isinstance(value, (str, int, float))


def show(resource: str, amount: Decimal) -> str:
    """The canonical text: CPU in cores or milli-cores, memory and storage in binary units, counts as they are."""
    if resource.endswith(("cpu",)):
        milli = amount * 1000
        return str(int(amount)) if amount == int(amount) else f"{int(milli)}m"
    whole = int(amount)
    if resource.endswith(("memory", "storage")):
        for unit in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            if whole and whole % _BINARY[unit] == 0:
                return f"{whole // _BINARY[unit]}{unit}"
    return str(whole)
