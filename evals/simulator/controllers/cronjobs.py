"""CronJobs: a Job at each due time, or a word on why not."""

from __future__ import annotations

from datetime import datetime

from evals.simulator.api.errors import ApiError
from evals.simulator.api.store import Change
from evals.simulator.controllers import pods
from evals.simulator.controllers.base import Controller, Key
from evals.simulator.controllers.jobs import is_finished
from evals.simulator.controllers.schedule import Schedule
from evals.simulator.objects import (
    annotations_of,
    clone,
    controller_of,
    integer,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    object_reference,
    objects,
    owner_reference,
    parse_time,
    stamp,
    uid_of,
)
from tools.jsontypes import JsonObject, dig, dig_object, dig_str

NAME = "cronjob-controller"


class CronJobs(Controller):
    """The CronJob controller."""

    name, key = NAME, "cronjobs.batch"

    def related(self, change: Change) -> list[Key]:
        """The owner of a Job that changed."""
        ref = controller_of(change.object) if change.key == "jobs.batch" else None
        if ref is None or ref.get("kind") != "CronJob":
            return []
        return [(namespace_of(change.object), dig_str(ref, "name"))]

    def sync(self, namespace: str, name: str) -> None:
        """Tidy up, start what is due, and look again at the next due time."""
        cron = self.api.store.get(self.key, namespace, name)
        if cron is None or is_deleting(cron):
            return
        try:
            schedule = Schedule(dig_str(cron, "spec", "schedule"))
        except ValueError as error:
            self.api.event(cron, "Warning", "UnparseableSchedule", f"unparseable schedule: {error}", NAME)
            return
        status = self._tidy(cron)
        if dig(cron, "spec", "suspend") is not True:
            self._due(cron, status, schedule)
            now = self.api.clock.now()
            coming = schedule.after(now)
            if coming is not None:
                self.later(namespace, name, (coming - now).total_seconds() + 0.01)
        self.api.set_status(self.api.kinds.by_key(self.key), cron, status)

    def _jobs(self, cron: JsonObject) -> list[JsonObject]:
        found = [o for key, o in self.api.store.owned_by(uid_of(cron)) if key == "jobs.batch"]
        return sorted(found, key=lambda j: (dig_str(j, "metadata", "creationTimestamp"), name_of(j)))

    def _tidy(self, cron: JsonObject) -> JsonObject:
        """Drop finished Jobs from the active list and delete those beyond the history limits."""
        status: JsonObject = {k: v for k, v in dig_object(cron, "status").items() if k != "active"}
        jobs = {uid_of(j): j for j in self._jobs(cron)}
        active: list[JsonObject] = []
        for ref in objects(cron, "status", "active"):
            job = jobs.get(dig_str(ref, "uid"))
            if job is None:
                self.api.event(cron, "Normal", "MissingJob", f"Active job went missing: {dig_str(ref, 'name')}", NAME)
            elif is_finished(job):
                text = f"Saw completed job: {name_of(job)}, condition: {is_finished(job)}"
                self.api.event(cron, "Normal", "SawCompletedJob", text, NAME)
                if is_finished(job) == "Complete":
                    status["lastSuccessfulTime"] = dig_str(job, "status", "completionTime")
            else:
                active.append(ref)
        for job in jobs.values():
            if not is_finished(job) and uid_of(job) not in {dig_str(r, "uid") for r in active}:
                text = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                self.api.event(cron, "Warning", "UnexpectedJob", text, NAME)
        if active:
            status["active"] = [*active]
        for type_, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            done = [j for j in jobs.values() if is_finished(j) == type_]
            for job in done[: max(0, len(done) - integer(cron, "spec", field, default=1))]:
                self._delete(cron, job)
        return status

    def _delete(self, cron: JsonObject, job: JsonObject) -> None:
        options: JsonObject = {"propagationPolicy": "Background"}
        self.api.delete(self.api.kinds.by_key("jobs.batch"), namespace_of(job), name_of(job), options, pods.by(NAME))
        self.api.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}", NAME)

    def _due(self, cron: JsonObject, status: JsonObject, schedule: Schedule) -> None:
        now = self.api.clock.now()
        last = parse_time(dig_str(status, "lastScheduleTime")) or parse_time(
            dig_str(cron, "metadata", "creationTimestamp")
        )
        due: datetime | None = None
        step = schedule.after(last) if last else None
        while step is not None and step <= now:
            due, step = step, schedule.after(step)
        if due is None:
            return
        limit = dig(cron, "spec", "startingDeadlineSeconds")
        if isinstance(limit, int) and (now - due).total_seconds() > limit:
            text = f"Missed scheduled time to start a job: {due:%a, %d %b %Y %H:%M:%S +0000}"
            self.api.event(cron, "Warning", "MissSchedule", text, NAME)
            return
        policy, active = dig_str(cron, "spec", "concurrencyPolicy"), objects(status, "active")
        if active and policy == "Forbid":
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.api.event(cron, "Normal", "JobAlreadyActive", text, NAME)
            return
        if active and policy == "Replace":
            for ref in active:
                job = self.api.store.get("jobs.batch", namespace_of(cron), dig_str(ref, "name"))
                if job is not None:
                    self._delete(cron, job)
            status.pop("active", None)
        self._start(cron, status, due)

    def _start(self, cron: JsonObject, status: JsonObject, due: datetime) -> None:
        template = dig_object(cron, "spec", "jobTemplate")
        job: JsonObject = {
            "metadata": {
                "name": f"{name_of(cron)}-{int(due.timestamp()) // 60}",
                "labels": {**labels_of(template)},
                "annotations": {
                    **annotations_of(template),
                    "batch.kubernetes.io/cronjob-scheduled-timestamp": stamp(due),
                },
                "ownerReferences": [owner_reference(cron)],
            },
            "spec": clone(dig_object(template, "spec")),
        }
        try:
            made = self.api.create(self.api.kinds.by_key("jobs.batch"), namespace_of(cron), job, pods.by(NAME))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self.api.event(cron, "Warning", "FailedCreate", f"Error creating job: {error.message}", NAME)
            return
        self.api.event(cron, "Normal", "SuccessfulCreate", f"Created job {name_of(made)}", NAME)
        active = status.setdefault("active", [])
        if isinstance(active, list):
            active.append(object_reference(made))
        status["lastScheduleTime"] = stamp(due)
