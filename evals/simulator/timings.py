"""How fast the simulated cluster's own clockwork runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of the cluster's own clockwork.  Defaults are those of the project's real test cluster where it was
    measured, of Kubernetes otherwise."""

    toleration_seconds: int = 300
    node_grace: float = 40.0
    heartbeat: float = 10.0
    hpa_sync: float = 15.0
    pull: float = 0.4
    sandbox: float = 0.5
    start: float = 0.2
    image_backoff: float = 10.0
    image_backoff_max: float = 300.0
    crash_backoff: float = 10.0
    crash_backoff_max: float = 300.0
    crash_backoff_reset: float = 600.0
    volume_resync: float = 60.0
    volume_refresh: float = 10.0
    config_retry: float = 12.0
    termination: float = 0.3
    create_backoff_max: float = 600.0
