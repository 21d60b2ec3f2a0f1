"""What is new about an image reference."""

from __future__ import annotations

import pytest

from graph.signals.images import Novelty, novelty

DIGEST = "sha256:" + "a" * 64

CASES = {
    "nothing known": ("r.example/a:1", set[str](), Novelty.UNKNOWN),
    "no image": ("", {"r.example/a:1"}, Novelty.UNKNOWN),
    "the same": ("r.example/a:1", {"r.example/a:1"}, Novelty.NONE),
    "one of several is the same": ("r.example/a:1", {"r.example/b:1", "r.example/a:1"}, Novelty.NONE),
    "other tag": ("r.example/a:2", {"r.example/a:1"}, Novelty.VERSION),
    "digest instead of tag": (f"r.example/a@{DIGEST}", {"r.example/a:1"}, Novelty.VERSION),
    "tag and digest": (f"r.example/a:1@{DIGEST}", {"r.example/a"}, Novelty.VERSION),
    "other host": ("q.example/a:1", {"r.example/a:1"}, Novelty.PLACE),
    "other port is another host": ("r.example:5000/a:1", {"r.example/a:1"}, Novelty.PLACE),
    "host with a port, other tag": ("r:5000/a:2", {"r:5000/a:1"}, Novelty.VERSION),
    "other repository": ("r.example/team/b:1", {"r.example/team/a:1"}, Novelty.PLACE),
    "default registry, other tag": ("web:2", {"web:1"}, Novelty.VERSION),
    "first part without a dot is no host": ("team/web:2", {"team/web"}, Novelty.VERSION),
    "default registry and a named one": ("r.example/web:1", {"web:1"}, Novelty.PLACE),
    "localhost is a host": ("localhost/web:2", {"localhost/web:1"}, Novelty.VERSION),
}


@pytest.mark.parametrize(("image", "others", "expected"), CASES.values(), ids=CASES)
def test_novelty(image: str, others: set[str], expected: Novelty) -> None:
    assert novelty(image, others) is expected
