"""Pure parts of the harness and of the runner, without a cluster: identities of processes, images, audit, results."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.audit import AuditTail, parse_write
from tests.cluster.client import parse_incident, parse_list
from tests.cluster.harness.images import Directory, File, Image, Link, archive
from tests.cluster.harness.layout import Layout
from tests.cluster.harness.preflight import go_version
from tests.cluster.harness.processes import Daemons, ProcessIdentity
from tests.cluster.report import Result, closing_lines, percentile, succeeded, table
from tools.jsontypes import JsonObject


# ----------------------------------------------------------------------------------------------------------- processes
def own_identity() -> ProcessIdentity:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    identity = ProcessIdentity.parse(boot + Path(f"/proc/{os.getpid()}/stat").read_text())
    assert identity is not None
    return identity


def test_a_running_process_is_known_by_pid_start_time_and_boot() -> None:
    me = own_identity()
    assert me.pid == os.getpid()
    assert me.is_running()
    assert not replace(me, started="1").is_running(), "a reused pid"
    assert not replace(me, boot="before").is_running(), "before a reboot"


def test_an_ended_process_does_not_run_even_as_a_zombie() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    identity = ProcessIdentity.parse(boot + Path(f"/proc/{child.pid}/stat").read_text())
    assert identity is not None
    assert identity.is_running()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.is_running()
    child.communicate()


@pytest.mark.parametrize("text", ["", "boot\n", "boot\n12 (sh) S 1", "boot\nx (sh) " + "0 " * 30], ids=repr)
def test_a_damaged_pid_file_is_nobody(text: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/etcd.pid").write_text(text)
    assert Daemons(Layout(tmp_path, tmp_path)).pid("etcd") is None


def test_a_program_name_with_brackets_and_spaces_does_not_confuse() -> None:
    stat = "7 (a) b (c) " + "S " + " ".join(str(n) for n in range(18)) + " 4711 0"
    assert ProcessIdentity.parse(f"boot\n{stat}") == ProcessIdentity(7, "4711", "boot")


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", (1, 26)), ("go1.9", (1, 9)), ("go1.27rc1", (1, 27)), ("devel", None), ("", None)],
)
def test_go_version(text: str, version: tuple[int, int] | None) -> None:
    assert go_version(text) == version


# -------------------------------------------------------------------------------------------------------------- images
def test_an_image_is_a_docker_archive_and_the_same_bytes_each_time() -> None:
    image = Image("localhost/x:1", {"bin": Directory(), "bin/x": File(b"data", 0o755), "bin/y": Link("x")}, ("/bin/x",))
    data = archive(image)
    assert data == archive(image)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        [manifest] = json.load(member)
        assert manifest["RepoTags"] == ["localhost/x:1"]
        layer = tar.extractfile(manifest["Layers"][0])
        assert layer is not None
        with tarfile.open(fileobj=layer) as inner:
            assert inner.getmember("bin/x").mode == 0o755
            assert inner.getmember("bin/y").linkname == "x"


# --------------------------------------------------------------------------------------------------------------- audit
def event(**changes: object) -> str:
    base: dict[str, object] = {
        "kind": "Event", "stage": "ResponseComplete", "verb": "patch",
        "user": {"username": "healer", "groups": ["run-1"]},
        "requestURI": "/apis/apps/v1/namespaces/sh-a/deployments/web",
        "objectRef": {"resource": "deployments", "namespace": "sh-a", "name": "web", "uid": "u1"},
        "responseStatus": {"code": 200}, "stageTimestamp": "2026-01-01T00:00:01.500000Z",
    }  # fmt: skip
    return json.dumps({**base, **changes})


def test_a_write_is_read_with_who_what_when_and_how_it_ended() -> None:
    write = parse_write(event(), "healer")
    assert write is not None
    assert (write.verb, write.resource, write.namespace, write.name, write.uid) == (
        "patch",
        "deployments",
        "sh-a",
        "web",
        "u1",
    )
    assert write.accepted
    assert write.at == 1767225601.5


def test_a_subresource_is_part_of_the_resource_and_a_refusal_is_not_accepted() -> None:
    reference = {"resource": "pods", "subresource": "eviction", "namespace": "sh-a", "name": "p"}
    write = parse_write(event(verb="create", objectRef=reference, responseStatus={"code": 429}), "healer")
    assert write is not None
    assert write.resource == "pods/eviction"
    assert not write.accepted


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"user": {"username": "human"}}, id="somebody else"),
        pytest.param({"verb": "get"}, id="a read"),
        pytest.param({"requestURI": "/apis/apps/v1/x?dryRun=All&fieldManager=y"}, id="a dry run"),
        pytest.param({"stage": "RequestReceived"}, id="not finished"),
        pytest.param({"objectRef": {"resource": "events"}}, id="an Event"),
        pytest.param({"objectRef": {"resource": "leases"}}, id="a Lease"),
        pytest.param({"objectRef": {"resource": "selfsubjectaccessreviews"}}, id="an access review"),
    ],
)
def test_no_write(changes: dict[str, object]) -> None:
    assert parse_write(event(**changes), "healer") is None


def test_a_name_that_says_dry_run_is_no_dry_run() -> None:
    assert parse_write(event(requestURI="/apis/x/dryRun=All?fieldManager=dryRun"), "healer") is not None


def test_what_is_no_audit_event_is_an_error() -> None:
    with pytest.raises(ValueError, match="not an audit event"):
        parse_write("{}", "healer")


def test_the_tail_begins_at_the_end_and_waits_for_the_rest_of_a_line(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    compact = event().replace(": ", ":")
    log.write_text(compact + "\n")
    tail = AuditTail(log, "healer", "run-1")
    with log.open("a") as out:
        out.write(compact[:40])
        out.flush()
        tail.read()
        assert tail.writes == []
        out.write(compact[40:] + "\n")
    tail.read()
    assert len(tail.in_namespace("sh-a", since=0)) == 1
    assert tail.in_namespace("sh-b", since=0) == []
    assert tail.in_namespace("sh-a", since=1767225602) == []


def test_every_request_that_names_the_namespace_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.touch()
    tail = AuditTail(log, "healer", "run-1")
    dry = event(requestURI="/apis/apps/v1/x?dryRun=All")
    other = event(user={"username": "healer", "groups": ["run-2"]})
    begun = event(stage="RequestReceived")
    lines = [event(), event(verb="get"), dry, other, begun]
    log.write_text("".join(line.replace(": ", ":") + "\n" for line in lines))
    tail.read()
    assert tail.requests_in("sh-a", since=0) == 3
    assert tail.requests_in("sh-b", since=0) == 0
    assert tail.requests_in("sh-a", since=1767225602) == 0


def test_another_process_of_the_same_user_is_told_apart(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.touch()
    tail = AuditTail(log, "healer", "run-2")
    refused = event(responseStatus={"code": 409})
    log.write_text(event().replace(": ", ":") + "\n" + refused.replace(": ", ":") + "\n")
    tail.read()
    assert tail.in_namespace("sh-a", since=0) == []
    assert [w.code for w in tail.foreign_in("sh-a")] == [200], "a refused write changed nothing"


# ------------------------------------------------------------------------------------------------------------- service
INCIDENT: JsonObject = {
    "id": "i1",
    "status": "closed",
    "target": {"kind": "Deployment", "namespace": "sh-a", "name": "web"},
    "opened_at": "2026-01-01T00:00:02Z",
    "signals": [{"reason": "IMAGE_PULL_FAILED", "observed_at": "2026-01-01T00:00:01Z"}, {"reason": "CRASH_LOOP"}],
}


@pytest.mark.parametrize(
    "answer", [[INCIDENT], {"incidents": [INCIDENT]}, {"items": [INCIDENT]}], ids=["bare", "incidents", "items"]
)
def test_a_list_of_incidents_is_read_in_each_shape(answer: JsonObject) -> None:
    [incident] = parse_list(answer)
    assert (incident.id, incident.namespace, incident.state) == ("i1", "sh-a", "closed")
    assert [s.seen for s in incident.signals] == [1767225601.0, 1767225602.0], (
        "a signal without a time counts as opened"
    )


def test_an_incident_that_says_nothing_breaks_nothing() -> None:
    assert parse_incident({}).signals == ()


# ------------------------------------------------------------------------------------------------------------- results
HEALED = Result("a", "auto", "healed", signal_s=0.5, detected_s=1.0, first_write_s=1.25, recovered_s=4.0, writes=1)
QUIET = Result("n", "none", "quiet")


def test_the_closing_lines_say_how_many_how_fast_and_what_was_written_for_nothing() -> None:
    slow = replace(HEALED, scenario="b", recovered_s=10.0, first_write_s=1.75)
    assert closing_lines([HEALED, slow, QUIET]) == [
        "auto: healed 2/2 within 60 s (100 %), p50 4.0 s, p95 10.0 s",
        "auto: first signal to recovered, p50 3.5 s, p95 9.5 s",
        "auto: detection to first write, p50 250 ms (n=2)",
        "auto: first sight to first write, graces included, p50 750 ms",
        "none: left alone 1/1, 0 writes",
        "collateral changes: 0",
    ]


def test_each_tier_has_its_line_and_what_is_not_held_is_told() -> None:
    asked = Result("q", "approval", "healed", asked_s=2.0, recovered_s=5.0, incidents=[{}, {}], requests=30)
    silent = Result("r", "approval", "no plan")
    called = Result("e", "escalate", "escalated", incidents=[{}], requests=40)
    absent = Result("p", "approval", "not here")
    assert closing_lines([asked, silent, called, absent]) == [
        "approval: the right plan waited 1/2, healed after approval 1/2, p50 5.0 s, p95 5.0 s",
        "escalate: escalated with its cause 1/1, 0 writes",
        "collateral changes: 0",
        "API requests per incident: p50 15, max 40",
        "not held by this ground: 1 (p)",
    ]


def test_without_a_healing_there_are_no_times() -> None:
    lost = Result("a", "auto", "not healed")
    assert closing_lines([lost]) == ["auto: healed 0/1 within 60 s (0 %)", "collateral changes: 0"]


@pytest.mark.parametrize(
    ("results", "stray", "good"),
    [
        pytest.param([HEALED, QUIET], [], True, id="all well"),
        pytest.param([HEALED, replace(HEALED, outcome="not healed")], [], False, id="one not healed"),
        pytest.param([replace(HEALED, outcome="late", recovered_s=61.0)], [], False, id="too late"),
        pytest.param([replace(QUIET, outcome="wrote", writes=1)], [], False, id="a negative was touched"),
        pytest.param([replace(HEALED, outcome="error")], [], False, id="could not be played"),
        pytest.param([HEALED], ["patch deployments default/x → 200"], False, id="a write outside of the lanes"),
        pytest.param([replace(HEALED, collateral=["Service/x is new"])], [], False, id="something else was touched"),
        pytest.param([HEALED, replace(HEALED, outcome="not here")], [], True, id="one this ground does not hold"),
        pytest.param([replace(HEALED, outcome="not here")], [], False, id="none this ground holds"),
        pytest.param([], [], False, id="nothing was played"),
    ],
)
def test_a_run_succeeds_only_when(results: list[Result], stray: list[str], good: bool) -> None:
    assert succeeded(results, stray) is good


def test_percentile_is_the_nearest_rank() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], p) for p in (1, 50, 75, 95)] == [1.0, 2.0, 3.0, 4.0]
    assert percentile([5.0], 95) == 5.0


def test_the_table_has_one_line_per_scenario_and_the_first_line_of_its_note() -> None:
    text = table([replace(HEALED, note="first\nsecond"), QUIET])
    assert len(text.splitlines()) == 4, "a heading for each tier"
    assert "first" in text
    assert "second" not in text
