"""A Kubernetes cluster in one Python process, for tests, evaluations and the demo.

A Kubernetes API over HTTP on loopback, small controllers, kubelets whose containers follow declared behaviours, and
virtual time.  It depends on nothing of selfheal but the clock port and the JSON types, and nothing of the service
depends on it.  What it does not do is listed in `docs/simulator.md`; where it differs from a real cluster, it is wrong.
"""

from evals.simulator.api.faults import Fault
from evals.simulator.clock import ScaledClock, SimClock, VirtualClock
from evals.simulator.kubelet.behaviour import Behaviour
from evals.simulator.kubelet.registry import Registry
from evals.simulator.simulator import Simulator
from evals.simulator.timings import Timings

__all__ = ["Behaviour", "Fault", "Registry", "ScaledClock", "SimClock", "Simulator", "Timings", "VirtualClock"]
