"""The graph, as the diagram in docs/architecture.md shows it.

START ─ analyzer ─ reasoner ─ validator ─┬ accepted ───────── enforcer ─ verifier ─┬ healed ── closer ─ END
                      ▲                  ├ needs approval ─── approval             ├ next step ─ enforcer
                      │                  ├ observe / refused ─ closer              └ failed ─── undo ─ reasoner
                      └── rejected ──────┘

All routing is in `graph.edges`; this file only draws it.
"""

# LangGraph leaves type variables open here.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from functools import partial

from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy

from graph.edges import (
    Limits,
    after_analyzer,
    after_approval,
    after_enforcer,
    after_reasoner,
    after_undo,
    after_validator,
    after_verifier,
)
from graph.nodes.analyzer import analyzer
from graph.nodes.approval import approval
from graph.nodes.closer import closer
from graph.nodes.common import PortsSource
from graph.nodes.enforcer import enforcer
from graph.nodes.reasoner import reasoner
from graph.nodes.undo import undo
from graph.nodes.validator import validator
from graph.nodes.verifier import verifier
from graph.state import State
from tools.errors import Transient

READ_AGAIN = RetryPolicy(
    initial_interval=0.25, backoff_factor=2.0, max_interval=5.0, max_attempts=6, retry_on=Transient
)
"""For nodes that only read: a transient error is worth another look.  LangGraph's default would retry a 400 as well.
The enforcer and undo have none: their retries go through the door, which knows what was already sent."""


def build_graph(source: PortsSource, limits: Limits | None = None) -> StateGraph[State]:
    """The uncompiled graph; the service compiles it with its checkpointer, Studio without one."""
    bounds = limits or Limits()
    graph = StateGraph(State)
    graph.add_node("analyzer", analyzer(source), retry_policy=READ_AGAIN)
    graph.add_node("reasoner", reasoner(source), retry_policy=READ_AGAIN)
    graph.add_node("validator", validator(source), retry_policy=READ_AGAIN)
    graph.add_node("approval", approval(source))
    graph.add_node("enforcer", enforcer(source))
    graph.add_node("verifier", verifier(source), retry_policy=READ_AGAIN)
    graph.add_node("undo", undo(source))
    graph.add_node("closer", closer(source))

    graph.add_edge(START, "analyzer")
    graph.add_conditional_edges("analyzer", after_analyzer, ["reasoner", "closer"])
    graph.add_conditional_edges("reasoner", after_reasoner, ["validator", "closer"])
    graph.add_conditional_edges(
        "validator", partial(after_validator, limits=bounds), ["enforcer", "approval", "reasoner", "closer"]
    )
    graph.add_conditional_edges("approval", after_approval, ["enforcer", "closer"])
    graph.add_conditional_edges(
        "enforcer", partial(after_enforcer, limits=bounds), ["verifier", "enforcer", "undo", "reasoner", "closer"]
    )
    graph.add_conditional_edges(
        "verifier", partial(after_verifier, limits=bounds), ["enforcer", "undo", "reasoner", "closer"]
    )
    graph.add_conditional_edges("undo", partial(after_undo, limits=bounds), ["reasoner", "closer"])
    graph.add_edge("closer", END)
    return graph
