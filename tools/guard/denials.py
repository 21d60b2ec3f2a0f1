"""What the API server means when it forbids something: a right that is missing, or rights that must not be handed on.

The rule: a refusal to hand on rights is told from a missing right, because the remedy is another one: not a wider role
for us, but a person who holds those rights and writes the manifest himself.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from typing import Final

from tools.errors import ToolError
from tools.guard.verdict import ReasonCode
from tools.redact import excerpt
from tools.refs import ObjectRef

SAID: Final = 1000
"""How much of a server's words is kept; they may repeat values, so they are redacted."""
_HANDING_ON: Final = "attempting to grant RBAC permissions not currently held"


def words(error: ToolError) -> str:
    """The server's own words, redacted."""
    return excerpt(str(error), SAID)


def denial(error: ToolError, target: ObjectRef, otherwise: ReasonCode) -> tuple[ReasonCode, str]:
    """The code and the sentence of a refusal; `otherwise` is the code when it is not about handing on rights."""
    if _HANDING_ON not in str(error):
        return otherwise, words(error)
    sentence = (
        f"{target} gives rights that selfheal does not hold itself, so the API server refuses the write: "
        "somebody who holds them must apply the prepared manifest."
    )
    return ReasonCode.RIGHTS_NOT_HELD, sentence
