"""Jobs: pods until enough have succeeded, the limit of failures is reached, or the time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.simulator.api.core import Api
from evals.simulator.api.errors import ApiError
from evals.simulator.api.store import Change
from evals.simulator.controllers import pods
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.objects import (
    condition,
    controller_of,
    integer,
    is_deleting,
    is_ready,
    name_of,
    namespace_of,
    objects,
    parse_time,
    set_condition,
    template_of,
    uid_of,
)
from tools.jsontypes import JsonObject, dig, dig_str

if TYPE_CHECKING:
    from evals.simulator.controllers.manager import Manager

NAME = "job-controller"


def is_finished(job: JsonObject) -> str:
    """`Complete`, `Failed`, or "" while it is under way."""
    for type_ in ("Complete", "Failed"):
        if dig(condition(job, type_) or {}, "status") == "True":
            return type_
    return ""


class Jobs(Controller):
    """The Job controller."""

    name, key = NAME, "jobs.batch"

    def __init__(self, api: Api, manager: Manager) -> None:
        super().__init__(api, manager)
        self._retry_at: dict[str, tuple[int, float]] = {}
        self._counted: dict[str, set[str]] = {}

    def related(self, change: Change) -> list[Key]:
        """The owner of a pod that changed."""
        ref = controller_of(change.object) if change.key == "pods" else None
        if ref is None or ref.get("kind") != "Job":
            return []
        return [(namespace_of(change.object), dig_str(ref, "name"))]

    def sync(self, namespace: str, name: str) -> None:
        """Count, decide, act, report."""
        job = self.api.store.get(self.key, namespace, name)
        if job is None or is_deleting(job):
            return
        if is_finished(job):
            self._expire(job)
            return
        owned = pods.owned_pods(self.api, job)
        ended = self._count(job, owned)
        active = [p for p in owned if pods.is_active(p)]
        succeeded, failed = ended
        if dig(job, "spec", "suspend") is True:
            self._suspend(job, active, succeeded, failed)
            return
        started = dig_str(job, "status", "startTime") or self.api.stamp()
        reason, message = self._failure(job, started, failed, active)
        wanted = integer(job, "spec", "completions", default=integer(job, "spec", "parallelism", default=1))
        if reason:
            for pod in active:
                pods.delete_pod(self.api, job, pod, NAME)
            self._finish(job, "Failed", reason, message, started, succeeded, failed + len(active))
            return
        if succeeded >= wanted and not active:
            self._finish(
                job,
                "Complete",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
                started,
                succeeded,
                failed,
            )
            self.api.event(job, "Normal", "Completed", "Job completed", NAME)
            return
        self._report(job, started, active, succeeded, failed)
        self._make(job, active, wanted - succeeded, failed)

    def _count(self, job: JsonObject, owned: list[JsonObject]) -> tuple[int, int]:
        """(succeeded, failed), remembering pods that were deleted after they ended."""
        seen = self._counted.setdefault(uid_of(job), set())
        succeeded, failed = integer(job, "status", "succeeded"), integer(job, "status", "failed")
        for pod in owned:
            phase = dig_str(pod, "status", "phase")
            gone = is_deleting(pod) and phase != "Succeeded"
            if uid_of(pod) in seen or not (phase in {"Succeeded", "Failed"} or gone):
                continue
            seen.add(uid_of(pod))
            if phase == "Succeeded":
                succeeded += 1
            else:
                failed += 1
                self._back_off(job, failed)
        return succeeded, failed

    def _back_off(self, job: JsonObject, failed: int) -> None:
        delay = min(600.0, 10.0 * 2 ** (failed - 1))
        self._retry_at[uid_of(job)] = (failed, self.api.clock.monotonic() + delay)

    def _failure(self, job: JsonObject, started: str, failed: int, active: list[JsonObject]) -> tuple[str, str]:
        deadline = dig(job, "spec", "activeDeadlineSeconds")
        begun = parse_time(started)
        if isinstance(deadline, int) and begun is not None:
            left = deadline - (self.api.clock.now() - begun).total_seconds()
            if left <= 0:
                return "DeadlineExceeded", "Job was active longer than specified deadline"
            self.later(namespace_of(job), name_of(job), left + 0.1)
        restarts = sum(integer(s, "restartCount") for p in active for s in objects(p, "status", "containerStatuses"))
        limit = integer(job, "spec", "backoffLimit", default=6)
        on_failure = dig_str(template_of(job), "spec", "restartPolicy") == "OnFailure"
        if failed > limit or (on_failure and restarts > limit):
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        return "", ""

    def _make(self, job: JsonObject, active: list[JsonObject], missing: int, failed: int) -> None:
        wanted = min(integer(job, "spec", "parallelism", default=1), max(0, missing)) - len(active)
        tries, at = self._retry_at.get(uid_of(job), (0, 0.0))
        left = at - self.api.clock.monotonic()
        if wanted > 0 and tries == failed and left > 0:
            self.later(namespace_of(job), name_of(job), left + 0.01)
            return
        try:
            for _ in range(wanted):
                pods.create_pod(self.api, job, template_of(job), NAME)
        except ApiError:
            self.later(namespace_of(job), name_of(job), 10.0)
        surplus = -wanted
        for pod in active[: max(0, surplus)]:
            pods.delete_pod(self.api, job, pod, NAME)

    def _status(
        self, started: str, active: list[JsonObject], succeeded: int, failed: int, old: JsonObject
    ) -> JsonObject:
        status: JsonObject = {"startTime": started, "ready": sum(1 for p in active if is_ready(p)), "terminating": 0}
        counts = {"active": len(active), "succeeded": succeeded, "failed": failed}
        status |= {k: v for k, v in counts.items() if v}
        status["uncountedTerminatedPods"] = {}
        conditions = objects(old, "status", "conditions")
        if conditions:
            status["conditions"] = [dict(c) for c in conditions]
        return status

    def _report(self, job: JsonObject, started: str, active: list[JsonObject], succeeded: int, failed: int) -> None:
        status = self._status(started, active, succeeded, failed, job)
        suspended = condition(job, "Suspended")
        if suspended is not None and suspended.get("status") == "True":
            set_condition(status, "Suspended", "False", "JobResumed", "Job resumed", now=self.api.clock.now())
            self.api.event(job, "Normal", "Resumed", "Job resumed", NAME)
        self.api.set_status(self.api.kinds.by_key(self.key), job, status)

    def _suspend(self, job: JsonObject, active: list[JsonObject], succeeded: int, failed: int) -> None:
        for pod in active:
            pods.delete_pod(self.api, job, pod, NAME)
        status = self._status("", [], succeeded, failed, job)
        del status["startTime"]
        if set_condition(status, "Suspended", "True", "JobSuspended", "Job suspended", now=self.api.clock.now()):
            self.api.event(job, "Normal", "Suspended", "Job suspended", NAME)
        self.api.set_status(self.api.kinds.by_key(self.key), job, status)

    def _finish(  # noqa: PLR0917 - the parts of one status
        self, job: JsonObject, type_: str, reason: str, message: str, started: str, succeeded: int, failed: int
    ) -> None:
        status = self._status(started, [], succeeded, failed, job)
        now = self.api.clock.now()
        before = "SuccessCriteriaMet" if type_ == "Complete" else "FailureTarget"
        set_condition(status, before, "True", reason, message, now=now)
        set_condition(status, type_, "True", reason, message, now=now)
        if type_ == "Complete":
            status["completionTime"] = self.api.stamp()
        else:
            self.api.event(job, "Warning", reason, message, NAME)
        self.api.set_status(self.api.kinds.by_key(self.key), job, status)
        self._retry_at.pop(uid_of(job), None)

    def _expire(self, job: JsonObject) -> None:
        ttl = dig(job, "spec", "ttlSecondsAfterFinished")
        if not isinstance(ttl, int):
            return
        ended = parse_time(dig_str(condition(job, is_finished(job)) or {}, "lastTransitionTime"))
        left = ttl - (self.api.clock.now() - ended).total_seconds() if ended else 0
        if left > 0:
            self.later(namespace_of(job), name_of(job), left)
        else:
            self.api.delete(
                self.api.kinds.by_key(self.key), namespace_of(job), name_of(job), {"propagationPolicy": "Foreground"}
            )
