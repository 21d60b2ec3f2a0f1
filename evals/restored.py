"""From a recorded world back to a running process: the cluster, the ledger, what is declared, what was remembered.

Neighbours: `graph.recording` took it down, `replay` runs on it.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from msgspec import structs

from evals.simulator.api.kinds import Kind
from evals.simulator.api.rbac import Question
from evals.simulator.clock import SimClock
from evals.simulator.still import ANYTHING, Refused, SavedLog, StillCluster
from graph.incident import Family, Signal
from graph.ports import Ports
from graph.recorded import FirstSeen, FormerTaint, LaterReads, Read, Remembered, World
from tools.cluster.objects import Node, Taint
from tools.errors import Denied, NotFound
from tools.journal.changes import Entry
from tools.journal.diffs import Change
from tools.jsontypes import JsonObject, dig_str, digest
from tools.ledger.ledger import Ledger
from tools.ledger.records import GoodRevision, ObjectVersion, Surroundings
from tools.refs import ObjectRef

_NOT_THERE: Final = NotFound.code
_FORBIDDEN: Final = Denied.code


@contextlib.asynccontextmanager
async def still_cluster(world: World, later: LaterReads | None, clock: SimClock) -> AsyncGenerator[StillCluster]:
    """The recorded world behind an API server: what the validator read besides is part of it, as far as it was new."""
    reads = (*world.reads, *(later.reads if later is not None else ()))
    objects = (*world.objects, *(later.objects if later is not None else ()))
    cluster = StillCluster(clock)
    cluster.load(objects, custom=list(_custom(reads, objects, cluster)))
    cluster.say(_logs(reads))
    cluster.refuse([*_forbidden(reads), *(Refused(resource) for resource in world.unseen)])
    cluster.deny(_denied(reads))
    async with cluster:
        yield cluster


async def fill_ledger(ledger: Ledger, known: Remembered) -> None:
    """What the ledger knew.  Versions get the digest of what they say now: hiding secrets changed some of them."""
    for good in known.good:
        await ledger.keep_version(
            ObjectVersion(
                ref=good.ref,
                digest=digest(good.manifest),
                manifest=good.manifest,
                vouched_by=good.vouched_by,
                first_confirmed_at=good.first_confirmed_at,
                confirmed_at=good.confirmed_at,
            )
        )
    for template in known.good_templates:
        await ledger.confirm_good(
            GoodRevision(
                owner_uid=template.owner_uid,
                owner=template.owner,
                revision_hash=template.revision_hash,
                confirmed_at=template.confirmed_at,
            )
        )
    for stood in known.surroundings:
        await ledger.keep_surroundings(
            Surroundings(owner=stood.owner, present=stood.present, confirmed_at=stood.confirmed_at)
        )


def write_declared(known: Remembered, folder: Path) -> str | None:
    """The declared manifests as a folder of files; None when nothing was declared."""
    if not known.declares:
        return None
    folder.mkdir()
    for number, manifest in enumerate(known.declared):
        (folder / f"{number:04}.json").write_text(json.dumps(manifest), encoding="utf-8")
    return str(folder)


async def recall(world: World, ports: Ports) -> None:
    """What the process remembered beside its ledger.  Before: the mirror shows the world."""
    for template in world.remembered.good_templates:
        await ports.good.load(template.owner_uid)
    for change in world.remembered.changes:
        ports.journal.changes.recall(
            Entry(
                ref=change.ref,
                uid=change.uid,
                what=change.what,
                at=change.at,
                since=change.at,
                by=change.by,
                fields=tuple(Change(path=f.path, now=f.now, then=f.then) for f in change.fields),
            )
        )
    for (of, uid), seen in _by_uid(world.first_seen).items():
        symptoms = ports.contexts.symptoms if of == "pods" else ports.objects.symptoms
        symptoms.note(uid, [_as_signal(one) for one in seen], world.at)
    if world.api_groups is not None:
        groups = frozenset(world.api_groups)
        ports.objects.api_groups = lambda: groups
    for node in ports.mirror.nodes():
        ports.objects.meet(_as_first_met(node, world.remembered.taints))


def _by_uid(seen: Iterable[FirstSeen]) -> dict[tuple[str, str], list[FirstSeen]]:
    found: defaultdict[tuple[str, str], list[FirstSeen]] = defaultdict(list)
    for one in seen:
        found[one.of, one.uid].append(one)
    return found


def _as_signal(seen: FirstSeen) -> Signal:
    """A sighting in the form in which detectors report one; which object it was does not matter to the memory."""
    return Signal(
        reason=seen.reason,
        family=Family.REQUESTED,
        object=ObjectRef(kind="Pod", namespace="default", name="any"),
        uid=seen.uid,
        container=seen.container or None,
        message=seen.message,
        observed_at=seen.at,
    )


def _as_first_met(node: Node, taints: Iterable[FormerTaint]) -> Node:
    """The node with the taints that it had when it was first seen."""
    had = tuple(Taint(key=t.key, value=t.value, effect=t.effect) for t in taints if t.node_uid == node.uid)
    return structs.replace(node, spec=structs.replace(node.spec, taints=had))


def _logs(reads: Iterable[Read]) -> Iterator[SavedLog]:
    for read in reads:
        if read.verb == "logs" and not read.error:
            *_, namespace, _, pod, _ = _segments(read.path)
            container, _, previous = read.query.removeprefix("container=").partition("&previous=")
            yield SavedLog(namespace, pod, container, previous == "true", read.text)


def _forbidden(reads: Iterable[Read]) -> Iterator[Refused]:
    """Reads that were refused.  A selector does not matter: rights know none."""
    for read in reads:
        if read.verb in {"get", "list"} and read.error == _FORBIDDEN:
            group, _, plural, _, name = _place(read.path)
            yield Refused(f"{plural}.{group}" if group else plural, name)


def _denied(reads: Iterable[Read]) -> Iterator[Question]:
    for read in reads:
        if read.verb == "may" and read.allowed is False:
            namespace, group, resource, subresource, name = read.path.split("/", 4)
            yield Question(read.query, group, resource, subresource, namespace, name)


def _custom(reads: Iterable[Read], objects: Iterable[JsonObject], cluster: StillCluster) -> Iterator[Kind]:
    """Custom resources that the recorded cluster served: what was read of them says how they are called."""
    kinds = {(dig_str(o, "apiVersion"), dig_str(o, "kind")) for o in objects}
    for read in reads:
        if read.verb not in {"get", "list"} or read.error:
            continue
        group, version, plural, namespace, _ = _place(read.path)
        if not group or cluster.api.kinds.find(group, version, plural) is not None:
            continue
        for api_version, kind in kinds:
            if api_version == f"{group}/{version}" and plural.startswith(kind.lower()[:-1]):
                yield Kind(group, version, plural, kind, bool(namespace), custom=ANYTHING, status_is_separate=False)


def _segments(path: str) -> list[str]:
    return [unquote(part) for part in path.strip("/").split("/")]


def _place(path: str) -> tuple[str, str, str, str, str]:
    """(group, version, plural, namespace, name) of an API path; "" for what it does not name."""
    parts = _segments(path)
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    return group, version, rest[0], namespace, rest[1] if len(rest) > 1 else ""
