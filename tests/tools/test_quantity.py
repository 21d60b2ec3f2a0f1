from __future__ import annotations

from decimal import Decimal

import pytest

from tools.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("1", "1"),
        ("100m", "0.1"),
        ("1500m", "1.5"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+5", "5"),
        ("-5", "-5"),
        ("128Mi", "134217728"),
        ("131072Ki", "134217728"),
        ("0.5Gi", "536870912"),
        ("1G", "1000000000"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1e-3", "0.001"),
        ("1E", "1000000000000000000"),
        ("1Ei", "1152921504606846976"),
        ("3n", "3e-9"),
        ("7u", "7e-6"),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_reads(text: str, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 Gi",
        " 1",
        "1\n",
        "Mi",
        "1mi",
        "1gi",
        "1KI",
        "1.2.3",
        "--1",
        "0x10",
        "1e",
        "1e1000",
        "NaN",
        "inf",
        "1MiB",
        "\u0661",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse_quantity(text)


def test_is_exact_where_floating_point_is_not() -> None:
    assert parse_quantity("0.1") * 3 == parse_quantity("300m")
