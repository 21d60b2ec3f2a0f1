"""What the nodes reach the world through, as one frozen value built once per process.

A node takes `Ports` and nothing else: no global, no environment.  `open_ports` builds them from a `PortsConfig` for the
service, the command line and Studio alike; tests build them over the simulator.  The nodes never see a Kubernetes call
or a SQL statement: they ask these ports.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from graph.edges import Limits
from graph.model.build import build_model, mode_of
from graph.model.cache import DiagnosisCache
from graph.model.config import Mode, ModelConfig
from graph.model.trail import trail
from graph.observed import Evidence
from graph.plan import NoPlan, Planned
from graph.recording import Recorder
from graph.signals.contexts import Contexts
from graph.signals.object_contexts import ObjectContexts
from graph.signals.symptoms import Symptoms
from tools import registry
from tools.clock import Clock, SystemClock
from tools.cluster.allowlist import READ_RULES, AllowList
from tools.cluster.catalogue import Catalogue
from tools.cluster.client import Cluster
from tools.cluster.discovery import well_known
from tools.cluster.mirror import Mirror
from tools.cluster.objects import Namespace
from tools.cluster.structs import Reference
from tools.errors import Invalid
from tools.executors.connections import RemoteConfig, open_remotes
from tools.executors.crossplane.finder import Listed, catalogue_of
from tools.executors.crossplane.wake import NOBODY
from tools.guard.door import Door
from tools.guard.policy import Policy, load_policy
from tools.guard.verdict import Refused
from tools.journal.desired import Desired
from tools.journal.good import GoodKeeper
from tools.journal.journal import Journal
from tools.journal.reverts import RevertConfig, Reverts
from tools.journal.versions import Versions
from tools.ledger.ledger import Ledger

READING = frozenset({"get", "list", "watch"})


class Model(Protocol):
    """A model that thinks about evidence.  It proposes; it never acts."""

    name: str

    async def propose(
        self, evidence: Evidence, *, refusals: tuple[Refused, ...], failed: frozenset[str], incident_id: str
    ) -> Planned | NoPlan:
        """A plan, or the reason why there is none; never raises for what a model does.  Before: redacted evidence."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the graph waits for what.  All of it by the clock port."""

    settle: timedelta = timedelta(seconds=30)
    """A recovery counts when it lasted this long, without a break (GR-17: at least 30 s)."""
    verify: timedelta = timedelta(seconds=120)
    """Not recovered within this after the last step: failed."""
    look: timedelta = timedelta(seconds=2)
    """The longest time between two looks while verifying; a change in the watch comes sooner."""
    confirm: timedelta = timedelta(seconds=20)
    """How long an incident whose signals are unconfirmed is watched before it is cleared."""
    approval: timedelta = timedelta(minutes=15)
    """An unanswered question is a no after this (GR-25)."""
    retry: timedelta = timedelta(milliseconds=500)
    """First delay after a transient error; doubled each time."""
    retry_cap: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class PortsConfig:
    """Where the ports lead.  `observe_only` caps every mode at observe, whatever the policy file says."""

    state_dir: Path
    kubeconfig: Path | None = None
    context: str | None = None
    policy_file: Path | None = None
    namespaces: tuple[str, ...] = ()
    """Only these are watched; empty means all."""
    own_namespace: str | None = None
    desired_state: str | None = None
    """A folder of manifests or a Git repository that says how things shall be; None when nothing is declared."""
    observe_only: bool = False
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    ledger_url: str | None = None
    """SQLAlchemy URL; a SQLite file in `state_dir` when None."""
    model: ModelConfig | None = None
    """The model to ask; None for rules alone."""
    reasoner: Mode | None = None
    """Who reasons; None is hybrid with a model and rules without."""
    crossplane: tuple[str, ...] = ()
    """Names of the definitions of Crossplane's resources that may be watched, woken and resumed."""
    remotes: RemoteConfig = field(default_factory=RemoteConfig)
    """Other systems that actions go through: Argo CD, a folder of scripts."""
    reverts: RevertConfig = field(default_factory=RevertConfig)
    """What becomes of a revert that only a repository can take."""
    record_incidents: bool = True
    """Whether the world of each incident is taken down, so that it can be exported and replayed."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside the graph, open and ready."""

    cluster: Cluster
    mirror: Mirror
    contexts: Contexts
    objects: ObjectContexts
    journal: Journal
    good: GoodKeeper
    door: Door
    ledger: Ledger
    policy: Policy
    clock: Clock
    model: Model | None
    timing: Timing
    limits: Limits
    mode: Mode = Mode.HYBRID
    """Who reasons; without a model hybrid is rules."""
    cache: DiagnosisCache | None = None
    """What healed before; None remembers nothing."""
    manifests: Versions | None = None
    """Versions of objects by digest, as actions name them."""
    desired: Desired | None = None
    """What is declared; None when nothing is."""
    catalogue: Catalogue = NOBODY
    """Kinds that are known only at run time, and those that always are."""
    reverts: Reverts | None = None
    """Prepares reverts for repositories; None prepares none."""
    recorder: Recorder | None = None
    """Takes down the world of each incident; None when that is not wanted."""


@contextlib.asynccontextmanager
async def open_ports(
    config: PortsConfig, *, clock: Clock | None = None, model: Model | None = None
) -> AsyncGenerator[Ports]:
    """Connect, open the ledger, start watching; close all of it in the reverse order.

    After: the policy is read and the ledger is at the newest schema; the mirror is started and may still be syncing
    (`ports.mirror.synced`).  Raises `ToolError` with the remedy when cluster, policy or ledger are not usable.
    """
    ticking = clock or SystemClock()
    policy = await asyncio.to_thread(load_policy, config.policy_file, registry.ALL)
    if config.observe_only:
        policy = policy.observing()
    desired = _desired(config, ticking)
    reverts = _reverts(config)
    catalogue = _catalogue(config)
    needed = (*registry.allow_rules(), *catalogue.rules())
    if config.observe_only:
        needed = tuple(replace(rule, dry_run_only=rule.verb not in READING) for rule in needed)
    allowlist = AllowList(
        (*READ_RULES, *needed),
        denied_namespaces=policy.protected_namespaces(config.own_namespace),
    )
    async with contextlib.AsyncExitStack() as stack:
        ledger = await Ledger.open(config.ledger_url or f"sqlite+aiosqlite:///{config.state_dir / 'ledger.db'}")
        stack.push_async_callback(ledger.close)
        cluster = await Cluster.connect(kubeconfig=config.kubeconfig, context=config.context, allowlist=allowlist)
        stack.push_async_callback(cluster.close)
        finders = (well_known, Listed(catalogue)) if catalogue else (well_known,)
        mirror = Mirror(cluster, ticking, namespaces=config.namespaces, finders=finders)
        await mirror.start()
        stack.push_async_callback(mirror.stop)
        good = GoodKeeper(ledger, ticking)
        remotes = await open_remotes(config.remotes, stack)
        journal = Journal(cluster, mirror, ledger, ticking, desired)
        await journal.open()
        stack.push_async_callback(_in_background(journal))
        enabled = registry.executors(
            registry.without(
                argocd=remotes.argocd is not None, scripts=remotes.folder is not None, crossplane=bool(catalogue)
            ),
            catalogue=catalogue,
            declared=journal.declared,
            resources_factor=policy.limits.resources_factor,
            storage_factor=policy.limits.storage_factor,
            autoscaler_factor=policy.limits.autoscaler_factor,
            image_registries=policy.image_registries,
            versions=journal.manifests,
            argocd=remotes.argocd,
            proven=journal.deployed,
            hangs_after=remotes.hangs_after,
            scripts=remotes.folder,
            clock=ticking,
        )
        contexts = Contexts(mirror, confirmed=good.confirmed, symptoms=Symptoms())
        asked = remotes.observing() if config.observe_only else remotes.ports()
        door = Door(cluster, ledger, policy, ticking, enabled, config.own_namespace, find=catalogue.find, remotes=asked)
        thinker = model or await _open_model(config.model, cluster, ledger, ticking, enabled, stack)
        mode = mode_of(config.reasoner, has_model=thinker is not None)
        yield Ports(
            cluster=cluster,
            mirror=mirror,
            contexts=contexts,
            objects=ObjectContexts(
                mirror,
                journal,
                is_leaving=partial(_is_leaving, mirror),
                catalogue=catalogue,
                hangs_after=remotes.hangs_after,
            ),
            good=good,
            door=door,
            ledger=ledger,
            policy=policy,
            clock=ticking,
            model=thinker,
            timing=config.timing,
            limits=Limits(attempts=policy.limits.attempts_per_incident, retries=config.limits.retries),
            mode=mode,
            cache=None if mode is Mode.RULES else DiagnosisCache(ticking),
            journal=journal,
            manifests=journal.manifests,
            catalogue=catalogue,
            desired=desired,
            reverts=reverts,
            recorder=Recorder() if config.record_incidents else None,
        )


def _is_leaving(mirror: Mirror, namespace: str) -> bool:
    """Whether a namespace is being deleted, as the watch shows it."""
    found = mirror.find(Reference(Namespace.kind, "", namespace, "", Namespace.api_version))
    return found is not None and found.is_being_deleted


def _catalogue(config: PortsConfig) -> Catalogue:
    """What the operator listed.  Raises Invalid, which names the form, for what is no name of a definition."""
    try:
        return catalogue_of(config.crossplane)
    except ValueError as error:
        raise Invalid(f"the resources of Crossplane: {error}") from error


def _desired(config: PortsConfig, clock: Clock) -> Desired | None:
    """What is declared, not yet read.  Raises Invalid, which names the form, for a location that cannot be meant."""
    if config.desired_state is None:
        return None
    try:
        groups = _catalogue(config).groups
        return Desired(config.desired_state, state_dir=config.state_dir, clock=clock, groups=groups)
    except ValueError as error:
        raise Invalid(f"the desired state: {error}") from error


def _reverts(config: PortsConfig) -> Reverts:
    """What prepares reverts; when the service only observes it pushes nothing.  Raises Invalid for a wrong author."""
    pushes = config.reverts.pushes and not config.observe_only
    try:
        return Reverts(config.state_dir / "reverts", pushes=pushes, author=config.reverts.author)
    except ValueError as error:
        raise Invalid(f"the author of reverts: {error}") from error


def _in_background(journal: Journal) -> Callable[[], Coroutine[None, None, None]]:
    """Start the journal; gives what ends it."""
    running = asyncio.create_task(journal.run(), name="journal")

    async def stop() -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    return stop


async def _open_model(  # noqa: PLR0917 - one caller, in the order in which things are opened
    config: ModelConfig | None,
    cluster: Cluster,
    ledger: Ledger,
    clock: Clock,
    enabled: Mapping[str, registry.AnyExecutor],
    stack: contextlib.AsyncExitStack,
) -> Model | None:
    """The configured model; what its server can do is found out beside the start, which it must not hold up."""
    built = build_model(config, executors=enabled, clock=clock, source=cluster, audit=trail(ledger, clock))
    if built is None:
        return None
    stack.push_async_callback(built.close)
    probing = asyncio.create_task(built.prepare(), name="probe-model")

    async def stop() -> None:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)

    stack.push_async_callback(stop)
    return built
