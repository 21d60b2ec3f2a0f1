"""Makes the model's reasoner, or none: the one place that loads the client library, and only when it is needed.

Neighbours: `graph.ports.open_ports` calls this; `config` says what can be set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graph.model.config import Mode, ModelConfig
from tools.clock import Clock
from tools.errors import Permanent
from tools.executors.base import Action, Executor

if TYPE_CHECKING:
    from graph.model.reasoner import ModelReasoner
    from graph.model.session import Audit
    from tools.inspect.scope import Source


class ModelMisconfigured(Permanent):
    """The model cannot be used as configured.  Remedy: in the message."""

    code = "MODEL_MISCONFIGURED"


def build_model(
    config: ModelConfig | None,
    *,
    executors: Mapping[str, Executor[Action]],
    clock: Clock,
    source: Source | None = None,
    audit: Audit | None = None,
) -> ModelReasoner | None:
    """The reasoner for `config`; None without one.  Sends nothing; close the reasoner in the end.

    `executors` are the enabled ones: nothing else can be proposed.  `source` is the cluster client phase one reads
    through; `audit` gets one record per request.  Raises ModelMisconfigured when the key file cannot be read.
    """
    if config is None:
        return None
    from graph.model.client import ModelClient  # late: see the module's text
    from graph.model.reasoner import ModelReasoner
    from graph.model.schema import Catalog
    from graph.model.session import no_audit

    catalog = Catalog.of(executors)
    try:
        client = ModelClient(config, clock)
    except OSError as error:
        raise ModelMisconfigured(f"the key file {error.filename} cannot be read: {error.strerror}") from error
    return ModelReasoner(config, client, catalog, clock, source=source, audit=audit or no_audit)


def mode_of(wanted: Mode | None, *, has_model: bool) -> Mode:
    """Who reasons: as wanted, else hybrid with a model and rules without.

    Raises ModelMisconfigured when a model is wanted and there is none: falling back in silence would hide it.
    """
    if wanted is None:
        return Mode.HYBRID if has_model else Mode.RULES
    if wanted is Mode.MODEL and not has_model:
        raise ModelMisconfigured("the reasoner is to ask a model and none is configured: name one, or set it to rules")
    return wanted
