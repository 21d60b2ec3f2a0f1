"""The channels of the graph.

Values are plain JSON, so that every checkpointer, Studio and a later version of this program can read them; inside a
node they are frozen values (`graph.incident`, `graph.plan`), parsed on entry and dumped on return.  Lists are bounded
and evidence is kept in the ledger by its digest: the SQLite checkpointer copies the whole state at every super-step.

Key names and the shapes behind them are stored in checkpoints; renaming one is a migration.
"""

from __future__ import annotations

from typing import TypedDict

from tools.jsontypes import JsonObject

MAX_REFUSALS = 12
"""How many refusals of earlier plans the reasoner is shown; older ones are in the audit trail."""


class State(TypedDict, total=False):
    """One run is one incident; the thread id is the incident's id."""

    incident_id: str
    """Given by whoever starts the run; the analyzer makes one up when Studio does not."""
    trigger: JsonObject
    """What started it: a `graph.incident.Trigger`."""
    incident: JsonObject
    """`Incident`, from the analyzer on."""
    evidence: str
    """Digest of the newest `Evidence` in the ledger."""
    finding: str
    """The analyzer's word: `wrong`, `clear`, `suppressed` or `unreadable`."""
    proposal: JsonObject
    """`Planned` or `NoPlan`."""
    verdict: JsonObject
    """`Accepted`, `NeedsApproval`, `ObserveOnly` or `Rejected`."""
    decision: JsonObject
    """`Approved` or `Declined`."""
    step: int
    """Index of the step to carry out next."""
    round: int
    """Which call of that step comes next, for a step that takes several."""
    outcome: JsonObject
    """The newest `StepOutcome`."""
    outcomes: list[JsonObject]
    """All outcomes of the present plan, at most one for each call (retries replace each other)."""
    retries: int
    """Transient failures of the present step in a row."""
    attempts: int
    """Plans made so far, rejected ones included."""
    refusals: list[JsonObject]
    """Newest `RefusedPlan` values: what was refused and why; the reasoner must not bring it again."""
    failed: list[str]
    """Digests of actions that were carried out in this incident and did not heal."""
    baseline: JsonObject
    """What was broken before the first write of the present plan."""
    verification: JsonObject
    """The newest `Verification`."""
    undo: JsonObject
    """The newest `UndoOutcome`."""
    resolution: JsonObject
    """The last word: `Resolution`."""
