"""A small KEDA for the simulator: its two kinds as far as they are used here, and controllers that follow them.

Nothing of it is there unless it is asked for: a cluster without KEDA is the usual one.
"""

from __future__ import annotations

from evals.simulator.keda.controller import Keda, KedaJobs
from evals.simulator.keda.definitions import DEFINITIONS
from evals.simulator.simulator import Simulator

__all__ = ["DEFINITIONS", "Keda", "install"]


async def install(sim: Simulator) -> Keda:
    """Serve the kinds and begin to follow them; gives the controller, to tell it what triggers say."""
    await sim.apply(DEFINITIONS)
    keda = Keda(sim.api, sim.manager)
    sim.manager.controllers += [keda, KedaJobs(sim.api, sim.manager)]
    return keda
