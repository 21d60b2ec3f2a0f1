"""Kubernetes quantities (`100m`, `64Mi`, `1e3`) as exact numbers, to compare them and to bound one by another.

The rule: no floating point.  A quantity that cannot be read is a ValueError, never zero: bounds that rest on a guess
are no bounds.  Grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_SCALE: Final[dict[str, Decimal]] = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal("1e3"), "M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"), "P": Decimal("1e15"),
    "E": Decimal("1e18"),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip
_FORM: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}))(?P<suffix>[A-Za-z]{0,2}|[eE][+-]?[0-9]{1,2})"
)


def parse_quantity(text: str) -> Decimal:
    """The exact number `text` stands for: cores for CPU, bytes for memory.

    Raises ValueError, naming the form, for anything that is no quantity (blanks, unknown units and missing digits too).
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity: write a number with a unit, such as 500m or 128Mi")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix in _SCALE:
        return number * _SCALE[suffix]
    if suffix[:1] in {"e", "E"} and len(suffix) > 1:
        return number.scaleb(int(suffix[1:]))
    raise ValueError(f"{text!r} is no quantity: {suffix!r} is no unit; use m, k, M, G, T, Ki, Mi, Gi or Ti")
