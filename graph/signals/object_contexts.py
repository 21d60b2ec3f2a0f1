"""Builds the contexts of objects that are no pods, from the mirror and from what the journal knows.

The rule: what neither shows is left at its careful default, so that a detector is silent rather than wrong.
Neighbours: one detector module for each kind says what its context means; `wiring` finds Services by label; `look`
uses this; `service_contexts` has the part that is about Services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from graph.signals.applications import ApplicationContext
from graph.signals.autoscalers import AutoscalerContext
from graph.signals.budgets import BudgetContext
from graph.signals.claims import ClaimContext, Said
from graph.signals.contexts import HINT_AGE, is_rolling
from graph.signals.crossplane import ExternalContext
from graph.signals.crowding import crowders, is_short_of_room, newcomers
from graph.signals.deletion import COLLECTED, DeletionContext
from graph.signals.drift import DriftContext, MissingContext
from graph.signals.external_contexts import Externals
from graph.signals.jobpods import Hindrance, hindrance_of
from graph.signals.jobs import CronJobContext, JobContext
from graph.signals.keda import KedaContext, Scaled
from graph.signals.keda_contexts import keda_context, maker_of, scaled_by_keda
from graph.signals.knowledge import Knowledge
from graph.signals.missing import users_of
from graph.signals.nodes import NodeContext, TaintKey, barriers, maintenance_of, taint_key
from graph.signals.object_view import ObjectView
from graph.signals.policies import PolicyContext, admits
from graph.signals.scale import ScaleContext
from graph.signals.service_contexts import service_context
from graph.signals.services import ServiceContext
from graph.signals.symptoms import Symptoms
from graph.signals.wiring import Wiring, is_living
from tools.cluster.catalogue import Catalogue
from tools.cluster.documents import (
    Application,
    Document,
    HorizontalPodAutoscaler,
    NetworkPolicy,
    PersistentVolumeClaim,
    PodDisruptionBudget,
    Service,
)
from tools.cluster.objects import (
    Controller,
    CronJob,
    DaemonSet,
    Job,
    KubeObject,
    LabelSelector,
    Node,
    Pod,
    Workload,
    condition,
)
from tools.cluster.resources import KNOWN
from tools.cluster.structs import Reference
from tools.executors.argocd.decisions import HANGS_AFTER
from tools.executors.crossplane.wake import NOBODY
from tools.executors.models.batch import reruns
from tools.journal.compare import differences
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str
from tools.refs import ObjectRef

ENDED: Final = frozenset({"Succeeded", "Failed"})
_LEAVING: Final = "its namespace is being deleted"


def _nobody_leaves(namespace: str) -> bool:
    del namespace
    return False


def _groups_unknown() -> frozenset[str] | None:
    return None


class ObjectContexts:
    """Contexts over one view.

    `is_leaving` says whether a namespace is being deleted; `api_groups` gives the API groups that the cluster serves,
    None while that is not known.  `symptoms` is this builder's own: an object's uid may be in that of `Contexts` too.
    """

    def __init__(
        self,
        view: ObjectView,
        knowledge: Knowledge,
        *,
        symptoms: Symptoms | None = None,
        is_leaving: Callable[[str], bool] = _nobody_leaves,
        api_groups: Callable[[], frozenset[str] | None] = _groups_unknown,
        hangs_after: timedelta = HANGS_AFTER,
        catalogue: Catalogue = NOBODY,
    ) -> None:
        self.view = view
        self.knowledge = knowledge
        self.symptoms = symptoms if symptoms is not None else Symptoms()
        self.wiring = Wiring(view)
        self.externals = Externals(view, catalogue)
        self._is_leaving = is_leaving
        self.hangs_after = hangs_after
        self.api_groups = api_groups
        """Who can be asked for the groups; set anew by whoever comes to know them."""
        self._met: dict[str, frozenset[TaintKey]] = {}

    def meet(self, node: Node) -> None:
        """Remember the taints that a node has when it is first seen; call it before it is judged."""
        self._met.setdefault(node.uid, frozenset(taint_key(t) for t in node.spec.taints))

    def forget(self, item: KubeObject) -> None:
        """The object is gone."""
        self.symptoms.forget(item.uid)
        self._met.pop(item.uid, None)
        if isinstance(item, Service):
            self.wiring.changed(item, is_gone=True)

    def exists(self, ref: ObjectRef) -> bool | None:
        """Whether the object exists; None for a kind that is not in view."""
        resource = KNOWN.get(ref.kind)
        if resource is None or not self.view.holds(ref.kind, resource.api_version):
            return None
        wanted = Reference(ref.kind, ref.namespace or "", ref.name, "", resource.api_version)
        return self.view.find(wanted) is not None

    def for_service(self, service: Service, now: datetime) -> ServiceContext:
        """Whom a Service leads to."""
        return service_context(
            service,
            self.view,
            self.wiring,
            self.knowledge,
            suppressed=self._suppressed(service),
            seen=self.symptoms.of(service.uid, now),
        )

    def for_claim(self, claim: PersistentVolumeClaim, now: datetime) -> ClaimContext:
        """Who waits for a claim."""
        pods = self.view.pods(claim.namespace)
        waiting = (p for p in pods if p.status.phase == "Pending" and not p.is_being_deleted and uses(p, claim.name))
        return ClaimContext(
            suppressed=self._suppressed(claim),
            seen=self.symptoms.of(claim.uid, now),
            waiting=tuple(sorted(p.name for p in waiting)),
            events=tuple(
                Said(event.reason, event.note)
                for event in self.view.events_for(claim.uid)
                if event.last_time is None or now - event.last_time <= HINT_AGE
            ),
        )

    def for_external(self, item: Document, now: datetime) -> ExternalContext:
        """Where a resource of Crossplane stands.  Before: `externals` gives it a role."""
        suppressed, seen = self._suppressed(item), self.symptoms.of(item.uid, now)
        return self.externals.context(item, self.knowledge, suppressed=suppressed, seen=seen)

    def for_policy(self, policy: NetworkPolicy, now: datetime) -> PolicyContext:
        """Whom a network policy cuts off from everybody."""
        others = [p for p in self.view.documents(NetworkPolicy, policy.namespace) if admits(p.body)]
        made = policy.metadata.creation_timestamp
        services: set[str] = set()
        came_later = True
        for pod in self.view.pods(policy.namespace):
            if not is_living(pod) or not _covers(policy, pod) or any(_covers(p, pod) for p in others):
                continue
            found = self.wiring.services_of(pod.namespace, pod.metadata.labels)
            services.update(found)
            ready = condition(pod.status.conditions, "Ready")
            since = ready.last_transition_time if ready is not None and ready.status == "True" else None
            came_later = came_later and (not found or (made is not None and since is not None and since <= made))
        return PolicyContext(
            suppressed=self._suppressed(policy),
            seen=self.symptoms.of(policy.uid, now),
            services=tuple(sorted(services)),
            is_declared=self.knowledge.declared(policy.ref) is not None,
            came_later=came_later,
        )

    def for_budget(self, budget: PodDisruptionBudget, now: datetime) -> BudgetContext:
        """Whether a budget holds anybody up."""
        closed = {n.name for n in self.view.nodes() if n.spec.unschedulable}
        held: set[str] = set()
        if closed:
            selector = msgspec.convert(dig_object(budget.body, "spec", "selector"), LabelSelector, strict=False)
            held = {
                pod.spec.node_name
                for pod in self.view.pods(budget.namespace)
                if pod.spec.node_name in closed and is_living(pod) and selector.matches(pod.metadata.labels)
            }
        return BudgetContext(
            suppressed=self._suppressed(budget),
            seen=self.symptoms.of(budget.uid, now),
            changed_since_good=self._spec_changed(budget),
            held_nodes=tuple(sorted(held)),
        )

    def for_autoscaler(self, hpa: HorizontalPodAutoscaler, now: datetime) -> AutoscalerContext:
        """What an autoscaler points at."""
        aim = dig_object(hpa.body, "spec", "scaleTargetRef")
        kind, version = dig_str(aim, "kind"), dig_str(aim, "apiVersion")
        target = self.view.find(Reference(kind, hpa.namespace, dig_str(aim, "name"), "", version))
        suppressed = self._suppressed(hpa)
        if target is not None and target.is_being_deleted:
            suppressed = "its target is being deleted"
        elif (maker := maker_of(hpa, self.view)) is not None:
            suppressed = f"KEDA made it of {maker}, which is looked at instead"
        return AutoscalerContext(
            suppressed=suppressed,
            seen=self.symptoms.of(hpa.uid, now),
            target_exists=target is not None if self.view.holds(kind, version) else None,
            target_is_settled=not (isinstance(target, Workload) and is_rolling(target)),
            changed_since_good=self._spec_changed(hpa),
        )

    def for_application(self, app: Application, now: datetime) -> ApplicationContext:
        """When an operation on it hangs."""
        return ApplicationContext(
            suppressed=self._suppressed(app), seen=self.symptoms.of(app.uid, now), hangs_after=self.hangs_after
        )

    def for_keda(self, item: Scaled, now: datetime) -> KedaContext:
        """What KEDA scales by an object of its own."""
        suppressed, seen = self._suppressed(item), self.symptoms.of(item.uid, now)
        return keda_context(item, self.view, self.wiring, self.knowledge, suppressed=suppressed, seen=seen)

    def for_job(self, job: Job, now: datetime) -> JobContext:
        """Who made a Job."""
        suppressed, seen = self._suppressed(job), self.symptoms.of(job.uid, now)
        owner = job.metadata.controller
        redone = any(_does_its_work(self.view.controller(Job.kind, job.namespace, name)) for name in reruns(job.name))
        hindrance = hindrance_of(self.view.pods_of(job.uid))
        if owner is None:
            return JobContext(suppressed=suppressed, seen=seen, is_redone=redone, hindrance=hindrance)
        cron = self.view.controller(owner.kind, job.namespace, owner.name)
        if not isinstance(cron, CronJob) or cron.uid != owner.uid:
            return JobContext(suppressed=suppressed, seen=seen, is_others=True)
        return JobContext(
            suppressed=suppressed,
            seen=seen,
            cron_job=cron,
            is_redone=redone,
            is_newest=not any(_came_after(other, job) for other in self.view.jobs_of(cron.uid)),
            is_listed=any(ref.uid == job.uid for ref in cron.status.active),
            cron_changed_since_good=self.knowledge.changed_since_good(cron.ref) is not None
            or bool(_of_spec(self.knowledge.differences_from_declared(cron))),
        )

    def for_cron_job(self, cron_job: CronJob, now: datetime) -> CronJobContext:
        """Whether a CronJob is meant to run."""
        return CronJobContext(
            suppressed=self._suppressed(cron_job),
            seen=self.symptoms.of(cron_job.uid, now),
            declared_suspended=_is_set(self.knowledge.declared(cron_job.ref), "suspend"),
            good_suspended=self._was_suspended(cron_job),
            hindrance=self._hindrance(cron_job),
        )

    def _hindrance(self, cron_job: CronJob) -> Hindrance | None:
        """Of its newest Job, as long as that is active."""
        made = self.view.jobs_of(cron_job.uid)
        newest = next((job for job in made if not any(_came_after(other, job) for other in made)), None)
        return hindrance_of(self.view.pods_of(newest.uid)) if newest is not None and newest.status.active else None

    def _was_suspended(self, cron_job: CronJob) -> bool | None:
        """As last known good, else before the newest change of it that we saw; None when neither is known."""
        good = _is_set(self.knowledge.known_good(cron_job.ref), "suspend")
        if good is not None:
            return good
        before = self.knowledge.replaced(cron_job.ref, "spec.suspend")
        return None if before is None else before == "true"

    def for_node(self, node: Node, now: datetime) -> NodeContext:
        """Who needs a node, and who works on it."""
        pods = self.view.pods()
        good = self.knowledge.known_good(node.ref)
        return NodeContext(
            suppressed=maintenance_of(node),
            seen=self.symptoms.of(node.uid, now),
            waiting=self._without_crowded_out([p for p in pods if is_unschedulable(p)]),
            is_draining=any(p.spec.node_name == node.name and _is_evicted(p) for p in pods),
            former_taints=self._met.get(node.uid, frozenset()) if good is None else _taints(good),
        )

    def is_newly_closed(self, node: Node) -> bool:
        """Whether people put something up there that was not there before; cheap."""
        closing = barriers(node)
        if not closing or node.spec.unschedulable:
            return bool(closing)
        good = self.knowledge.known_good(node.ref)
        former = self._met.get(node.uid, frozenset()) if good is None else _taints(good)
        return any(taint_key(t) not in former for t in closing)

    def _without_crowded_out(self, waiting: Sequence[Pod]) -> tuple[Pod, ...]:
        """Without those whose room others took just now: then it is not the node's being closed that is new."""
        short = [p for p in waiting if is_short_of_room(p)]
        among = newcomers(short, self.view)
        if not among:
            return tuple(waiting)
        out = {p.uid for p in short if crowders(p, self.view, self.knowledge, among=among)}
        return tuple(p for p in waiting if p.uid not in out)

    def for_scale(self, workload: Workload, now: datetime) -> ScaleContext:
        """How many replicas a workload should have."""
        declared = self.knowledge.declared(workload.ref)
        labels = workload.spec.template.metadata.labels
        services = tuple(sorted(self.wiring.services_of(workload.namespace, labels)))
        return ScaleContext(
            suppressed=self._suppressed(workload),
            seen=self.symptoms.of(workload.uid, now),
            declared_replicas=dig_int(declared, "spec", "replicas"),
            good_replicas=dig_int(self.knowledge.known_good(workload.ref), "spec", "replicas"),
            former_replicas=former_number(self.knowledge.replaced(workload.ref, "spec.replicas")),
            services=services,
            others_serve=bool(services) and self._others_serve(workload, frozenset(services)),
            is_scaled_by_others=scaled_by_keda(workload, self.view) is not None
            or any(_may_mean_zero(hpa) for hpa in self._autoscalers_of(workload)),
            is_declared_paused=_is_set(declared, "paused") is True,
            changed_since_good=isinstance(workload, DaemonSet) and self._template_changed(workload),
        )

    def _template_changed(self, workload: Workload) -> bool:
        """Whether it was changed since it was last good, which it only is while it runs; or is not as declared."""
        if self.knowledge.changed_since_good(workload.ref) is not None:
            return True
        return any(p.startswith("/spec/template") for p in self.knowledge.differences_from_declared(workload))

    def _others_serve(self, workload: Workload, services: frozenset[str]) -> bool:
        """Whether each of the Services has a ready pod that is not the workload's."""
        own = {pod.uid for pod in self.view.pods_of(workload.uid)}
        served: set[str] = set()
        for pod in self.view.pods(workload.namespace):
            if pod.is_ready and is_living(pod) and pod.uid not in own:
                served.update(self.wiring.services_of(pod.namespace, pod.metadata.labels))
        return services <= served

    def for_drift(self, item: KubeObject, found: tuple[str, ...], now: datetime) -> DriftContext:
        """How an object differs from what is declared; `found` are the differences."""
        return DriftContext(
            suppressed=self._suppressed(item),
            seen=self.symptoms.of(item.uid, now),
            differences=found,
            is_autoscaled=isinstance(item, Workload)
            and (bool(self._autoscalers_of(item)) or scaled_by_keda(item, self.view) is not None),
        )

    def for_missing(self, ref: ObjectRef, now: datetime) -> MissingContext:
        """Who would miss an object that is gone."""
        good = self.knowledge.known_good(ref)
        is_owned = good is not None and any(dig(o, "controller") for o in dig_list(good, "metadata", "ownerReferences"))
        return MissingContext(
            suppressed=_LEAVING if self._is_leaving(ref.namespace or "") else "",
            seen=self.symptoms.of(missing_key(ref), now),
            is_declared=self.knowledge.declared(ref) is not None,
            users=() if good is None or is_owned else users_of(ref, good, self.view),
        )

    def for_deletion(self, item: KubeObject, now: datetime) -> DeletionContext:
        """What the deletion of an object waits for."""
        return DeletionContext(
            seen=self.symptoms.of(item.uid, now), waits_for=self._waits_for(item), api_groups=self.api_groups()
        )

    def _waits_for(self, item: KubeObject) -> str:
        if isinstance(item, PersistentVolumeClaim):
            user = next(
                (p for p in self.view.pods(item.namespace) if uses(p, item.name) and p.status.phase not in ENDED), None
            )
            return f"pod {user.name} uses it" if user is not None else ""
        if set(item.metadata.finalizers) <= COLLECTED:
            below = [*self.view.replica_sets_of(item.uid), *self.view.jobs_of(item.uid), *self.view.pods_of(item.uid)]
            return f"{below[0].kind} {below[0].name} is still there" if below else ""
        return ""

    def _autoscalers_of(self, workload: Workload) -> list[HorizontalPodAutoscaler]:
        if isinstance(workload, DaemonSet):
            return []
        return [
            hpa
            for hpa in self.view.documents(HorizontalPodAutoscaler, workload.namespace)
            if dig_str(hpa.body, "spec", "scaleTargetRef", "kind") == workload.kind
            and dig_str(hpa.body, "spec", "scaleTargetRef", "name") == workload.name
        ]

    def _suppressed(self, item: KubeObject) -> str:
        return _LEAVING if item.namespace and self._is_leaving(item.namespace) else ""

    def _spec_changed(self, document: Document) -> bool:
        """Whether the spec is not as it was when last good, or not as declared."""
        good = self.knowledge.known_good(document.ref)
        if good is not None and _of_spec(d.path for d in differences(document.body, good, partial=False)):
            return True
        return bool(_of_spec(self.knowledge.differences_from_declared(document)))


def _covers(policy: NetworkPolicy, pod: Pod) -> bool:
    selector = msgspec.convert(dig_object(policy.body, "spec", "podSelector"), LabelSelector, strict=False)
    return selector.matches(pod.metadata.labels)


def former_number(shown: str | None) -> int | None:
    """A number that a change replaced, as the journal shows it; None when it is none."""
    return int(shown) if shown is not None and shown.isdigit() else None


def missing_key(ref: ObjectRef) -> str:
    """Under what the symptoms of an object that is gone are remembered: it has no uid any more."""
    return f"missing {ref}"


def is_unschedulable(pod: Pod) -> bool:
    """Whether the scheduler has looked for a node and found none."""
    if pod.spec.node_name or pod.status.phase != "Pending" or pod.is_being_deleted:
        return False
    scheduled = condition(pod.status.conditions, "PodScheduled")
    return scheduled is not None and (scheduled.status, scheduled.reason) == ("False", "Unschedulable")


def uses(pod: Pod, claim: str) -> bool:
    """Whether the pod mounts the claim of that name."""
    return any(
        v.persistent_volume_claim is not None and v.persistent_volume_claim.claim_name == claim
        for v in pod.spec.volumes
    )


def _is_evicted(pod: Pod) -> bool:
    target = condition(pod.status.conditions, "DisruptionTarget")
    return target is not None and (target.status, target.reason) == ("True", "EvictionByEvictionAPI")


def _does_its_work(job: Controller | None) -> bool:
    """Whether a Job runs or has come to a good end."""
    if not isinstance(job, Job) or job.is_being_deleted:
        return False
    failed = condition(job.status.conditions, "Failed")
    return failed is None or failed.status != "True"


def _came_after(other: Job, job: Job) -> bool:
    ours, theirs = job.metadata.creation_timestamp, other.metadata.creation_timestamp
    return other.uid != job.uid and ours is not None and theirs is not None and theirs > ours


def _may_mean_zero(hpa: HorizontalPodAutoscaler) -> bool:
    owner = hpa.metadata.controller
    return owner is not None or dig_int(hpa.body, "spec", "minReplicas") == 0


def _taints(node: JsonObject) -> frozenset[TaintKey]:
    taints: list[JsonValue] = dig_list(node, "spec", "taints")
    return frozenset((dig_str(t, "key"), dig_str(t, "value"), dig_str(t, "effect")) for t in taints)


def _is_set(manifest: JsonObject | None, name: str) -> bool | None:
    """A boolean of the spec, false when left out; None without a manifest."""
    return None if manifest is None else dig(manifest, "spec", name) is True


def _of_spec(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path.startswith("/spec")]
