"""One incident as one file: everything that was seen, thought, decided and done, without secrets, and versioned.

It is put together from the ledger alone, so that a service and a command on the state folder give the same file, and
can be given to somebody who has neither the cluster nor the ledger.  `make evals` replays such files; docs/evals.md
describes them.

The rules: a reader refuses a format it does not know and says what to do; what one attempt saw (`World`) is there when
it was recorded (SELFHEAL_RECORD_INCIDENTS) and not pruned yet, and None otherwise; everything goes through redaction
once more on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field, ValidationError

from graph.incident import Incident, Signal
from graph.plan import ExecutionResult, Resolution, Verification
from graph.recorded import WORLD_FORMAT, LaterReads, World
from prompts.loader import version as prompt_version
from server.account import ActionView, AuditLine, Times, View, WhyNot, account_of, audit_line_of
from tools.conceal import Concealer
from tools.jsontypes import JsonObject, JsonValue, dig, dig_int, dig_list, dig_object, dig_str
from tools.ledger.records import ActionRecord, AuditEntry, IncidentRecord
from tools.refs import IncidentId

if TYPE_CHECKING:
    from tools.ledger.ledger import Ledger

FORMAT: Final = 1
"""Raised whenever a reader of the earlier format would misunderstand; fields that are only added do not raise it."""
KIND: Final = "selfheal-incident"
LINES: Final = 1000
"""Lines of one incident's trail; an incident has some tens."""


class UnreadableExport(ValueError):
    """The file is no export that this version can read.  The message says why and what to do."""


class Versions(View):
    """Who wrote the file, and under which rules the incident was judged."""

    selfheal: str
    kubernetes: str
    """The API server's; "" when it is not known."""
    policy: str
    """Hash of the policy that the newest decision was made under; "" without a decision."""
    prompts: str
    """Version of the prompt templates of the exporting program."""


class Judgement(View):
    """One plan, what became of it before anything was written, and its dry runs."""

    plan: JsonObject
    others: tuple[JsonObject, ...]
    """Plans that it was compared with."""
    chosen: str
    """Id of the plan that the verdict is about; "" when none was reached."""
    verdict: JsonObject | None
    """As `graph.plan.Verdict`; None when the run did not come to one."""
    dry_runs: tuple[JsonObject, ...]
    """For each step the fields that the API server would have changed."""


class Attempt(View):
    """One look at the world, and what was concluded from it."""

    number: int
    at: datetime
    finding: str
    after_undo: bool
    evidence: JsonObject | None
    """As `graph.incident.Evidence` of the version that wrote it; None when it is pruned."""
    world: World | None
    validated_on: LaterReads | None
    """What the validator read besides."""
    diagnosis: JsonObject | None
    """Of a plan or of its absence; None when nothing was concluded."""
    judgements: tuple[Judgement, ...]


class IncidentExport(View):
    """The whole file."""

    kind: Literal["selfheal-incident"] = "selfheal-incident"
    format: int = FORMAT
    versions: Versions
    recorded_on: str = Field(default="", max_length=80)
    """What kind of cluster it was, such as `kubernetes 1.34` or `simulator`: filled in by whoever keeps the file."""
    incident: Incident
    status: str
    signals: tuple[Signal, ...]
    attempts: tuple[Attempt, ...]
    actions: tuple[ActionView, ...]
    """Every write with its outcome, undoing ones too."""
    verification: Verification | None
    undo: JsonObject | None
    resolution: Resolution | None
    seconds: Times
    why_not: tuple[WhyNot, ...]
    account: tuple[AuditLine, ...]
    """The audit trail of the incident, sentence by sentence."""


def read_export(document: JsonValue) -> IncidentExport:
    """A file's content as a value.  Raises `UnreadableExport` with the remedy."""
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise UnreadableExport(f"this is no {KIND} file: make one with `selfheal incident export ID --out FILE`")
    found = document.get("format")
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        remedy = "use the version of selfheal that wrote it" if newer else "export or record the incident again"
        raise UnreadableExport(f"the file has format {found!r} and this version reads {FORMAT}: {remedy}")
    for attempt in dig_list(document, "attempts"):
        inner = dig(attempt, "world", "format")
        if inner not in {None, WORLD_FORMAT}:
            raise UnreadableExport(
                f"the recorded world has format {inner!r} and this version reads {WORLD_FORMAT}: "
                "record the incident again"
            )
    try:
        return IncidentExport.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnreadableExport(
            f"the file does not fit its format ({place}: {first['msg']}): export or record the incident again"
        ) from None


async def export_incident(ledger: Ledger, incident_id: IncidentId) -> IncidentExport | None:
    """The export of one incident; None when there is none of that id."""
    record = await ledger.incident(incident_id)
    if record is None:
        return None
    actions = await ledger.actions_of(incident_id)
    audit = await ledger.audit(incident_id=incident_id, limit=LINES)
    wanted = {dig_str(e.data, key) for e in audit for key in ("evidence", "world")} - {""}
    documents = {digest: await ledger.document(digest) for digest in sorted(wanted)}
    return export_of(record, actions, audit, {d: body for d, body in documents.items() if body is not None})


def export_of(
    record: IncidentRecord,
    actions: Sequence[ActionRecord],
    audit: Sequence[AuditEntry],
    documents: Mapping[str, JsonObject],
) -> IncidentExport:
    """The same out of what the ledger holds; `documents` by digest.  Pure."""
    account = account_of(record, actions, audit)
    result = ExecutionResult.model_validate(record.result) if record.result is not None else None
    attempts = _attempts(audit, documents)
    worlds = [a.world for a in attempts if a.world is not None]
    export = IncidentExport(
        versions=Versions(
            selfheal=_own_version(),
            kubernetes=worlds[-1].kubernetes if worlds else "",
            policy=next((p for e in reversed(audit) if (p := dig_str(e.data, "policy"))), ""),
            prompts=prompt_version(),
        ),
        incident=Incident.model_validate(record.document),
        status=record.status,
        signals=account.signals,
        attempts=attempts,
        actions=account.actions,
        verification=result.verification if result is not None else None,
        undo=result.undo.model_dump(mode="json") if result is not None and result.undo is not None else None,
        resolution=result.resolution if result is not None else None,
        seconds=account.seconds,
        why_not=account.why_not,
        account=tuple(audit_line_of(e) for e in audit),
    )
    return IncidentExport.model_validate(Concealer().manifest(export.model_dump(mode="json")))


def _own_version() -> str:
    """This program's version; `source` where it runs out of its folder without being installed."""
    try:
        return metadata.version("selfheal")
    except metadata.PackageNotFoundError:
        return "source"


def _attempts(audit: Sequence[AuditEntry], documents: Mapping[str, JsonObject]) -> tuple[Attempt, ...]:
    """The trail, cut at each gathering of evidence."""
    begins = [i for i, e in enumerate(audit) if e.phase == "evidence"]
    ends = [*begins[1:], len(audit)]
    return tuple(
        _attempt(number, audit[begin:end], documents)
        for number, (begin, end) in enumerate(zip(begins, ends, strict=True), start=1)
    )


def _attempt(number: int, lines: Sequence[AuditEntry], documents: Mapping[str, JsonObject]) -> Attempt:
    first = lines[0]
    judgements = _judgements(lines)
    later = [documents.get(dig_str(e.data, "world")) for e in lines if e.phase == "decision"]
    world = documents.get(dig_str(first.data, "world"))
    thought = [dig_object(e.data, "diagnosis") for e in lines if e.phase == "diagnosis"]
    planned = [dig_object(_chosen(j), "diagnosis") for j in judgements]
    return Attempt(
        number=number,
        at=first.at,
        finding=dig_str(first.data, "finding"),
        after_undo=dig(first.data, "after_undo") is True,
        evidence=documents.get(dig_str(first.data, "evidence")),
        world=World.model_validate(world) if world is not None else None,
        validated_on=next((_only_new(body, world) for body in reversed(later) if body is not None), None),
        diagnosis=next((d for d in reversed([*thought, *planned]) if d), None),
        judgements=judgements,
    )


def _only_new(later: JsonObject, world: JsonObject | None) -> LaterReads:
    """What the validator read, without the objects that stood so in the world already."""
    known = {_life(o) for o in dig_list(world, "objects")}
    return LaterReads.model_validate(
        {**later, "objects": [o for o in dig_list(later, "objects") if _life(o) not in known]}
    )


def _life(body: JsonValue) -> tuple[str, str]:
    return dig_str(body, "metadata", "uid"), dig_str(body, "metadata", "resourceVersion")


def _chosen(judgement: Judgement) -> JsonObject:
    """The plan that the verdict is about; the first without one."""
    plans = (judgement.plan, *judgement.others)
    return next((p for p in plans if judgement.chosen and p.get("id") == judgement.chosen), judgement.plan)


def _judgements(lines: Sequence[AuditEntry]) -> tuple[Judgement, ...]:
    """Each plan with the decision that followed it."""
    found: list[Judgement] = []
    for index, line in enumerate(lines):
        plan = dig_object(line.data, "plan")
        if line.phase != "plan" or not plan:
            continue
        after = lines[index + 1 :]
        ended = next((i for i, e in enumerate(after) if e.phase == "plan" and "plan" in e.data), len(after))
        decided = next((e for e in after[:ended] if e.phase == "decision"), None)
        found.append(
            Judgement(
                plan=plan,
                others=tuple(o for o in dig_list(line.data, "others") if isinstance(o, dict)),
                chosen=dig_str(decided.data, "plan_id") if decided is not None else "",
                verdict=dig_object(decided.data, "verdict") if decided is not None else None,
                dry_runs=tuple(_dry_run(e.data) for e in after[:ended] if e.phase == "plan" and "diff" in e.data),
            )
        )
    return tuple(found)


def _dry_run(data: JsonObject) -> JsonObject:
    return {
        "plan_id": dig_str(data, "plan_id"),
        "step": dig_int(data, "step"),
        "mode": dig_str(data, "mode"),
        "diff": dig(data, "diff"),
    }
