"""The drawn graph is the built graph, and every promise of the diagram is an edge."""

from pathlib import Path

import pytest

from graph.build import build_graph
from graph.ports import Ports

DOCS = Path(__file__).parents[2] / "docs" / "architecture.md"


async def no_ports() -> Ports:
    raise AssertionError("drawing must not open anything")


def test_the_diagram_in_the_docs_is_the_graph() -> None:
    drawn = build_graph(no_ports).compile().get_graph().draw_mermaid(with_styles=False).strip()
    block = DOCS.read_text().split("```mermaid\n", 1)[1].split("```", 1)[0].strip()
    assert block == drawn, f"put this into docs/architecture.md:\n{drawn}"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("analyzer", "closer"),
        ("validator", "reasoner"),
        ("validator", "approval"),
        ("enforcer", "enforcer"),
        ("verifier", "enforcer"),
        ("verifier", "undo"),
        ("undo", "reasoner"),
    ],
)
def test_there_is_an_edge(start: str, end: str) -> None:
    edges = build_graph(no_ports).compile().get_graph().edges
    assert any(e.source == start and e.target == end for e in edges)


def test_nothing_but_the_enforcer_reaches_the_verifier() -> None:
    edges = build_graph(no_ports).compile().get_graph().edges
    assert {e.source for e in edges if e.target == "verifier"} == {"enforcer"}
