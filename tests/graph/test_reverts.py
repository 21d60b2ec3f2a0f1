"""An incident that only its repository can heal ends with the revert prepared and told; a push needs every yes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from graph.evidence import keep
from graph.incident import Family, Incident, Source
from graph.intake import as_record
from graph.nodes.closer import closer
from graph.observed import ApplicationFacts, Evidence
from graph.plan import PROPOSALS, ExecutionResult, NoPlan, Origin, Status
from graph.ports import Ports
from graph.rules.rulebook import diagnose
from graph.state import State
from server.account import Account, account_of
from server.commands import render
from tests.graph.rules.samples import NOW
from tests.graph.rules.test_delivered import APP, facts, of_workload
from tests.server.support import FeedMirror, open_test_ports
from tests.tools.executors.argocd.documents import app, entry, resource
from tests.tools.journal.repositories import TeamRepository
from tools.cluster.documents import Application
from tools.cluster.objects import Deployment, Namespace, decode_json
from tools.cluster.structs import KubeObject
from tools.guard.policy import Mode, NamespaceRule, Policy
from tools.journal.reverts import BRANCHES, Reverts
from tools.jsontypes import JsonObject
from tools.refs import IncidentId, ObjectRef

WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
INCIDENT = Incident(
    id=IncidentId("4f1c0a9b2d3e"),
    fingerprint="f",
    target=WEB,
    target_uid="uid-web",
    family=Family.CRASH,
    source=Source.WATCHER,
    opened_at=NOW,
    signals=(),
)
BRANCH = f"{BRANCHES}{INCIDENT.id}"
ACTING = Policy(namespaces={"shop": NamespaceRule(mode=Mode.AUTO), "argocd": NamespaceRule(mode=Mode.APPROVE)})


class Shown(FeedMirror):
    """A watch that shows Applications and namespaces besides."""

    KINDS: tuple[type[KubeObject], ...] = (*FeedMirror.KINDS, Namespace)

    def __init__(self) -> None:
        super().__init__()
        self.application: Application | None = None

    def document(self, kind: str, namespace: str, name: str) -> Any:
        held = self.application
        return held if held is not None and held.ref == ObjectRef(kind=kind, namespace=namespace, name=name) else None


@dataclass
class Desk:
    """An incident about Deployment shop/web, which an Application keeps that follows its repository by itself."""

    team: TeamRepository
    mirror: Shown
    ports: Ports
    good: str
    bad: str

    def application(self, **changes: Any) -> None:
        source: JsonObject = {"repoURL": self.team.url, "path": "shop", "targetRevision": "main"}
        status: JsonObject = {
            "history": [entry(1, self.good, source=source), entry(2, self.bad, source=source)],
            "resources": [resource()],
            **changes.pop("status", {}),
        }
        spec: JsonObject = {"source": source, **changes.pop("spec", {})}
        document = app(automated={}, revision=self.bad, spec=spec, status=status, **changes)
        self.mirror.application = decode_json(document, Application)

    def world(self, **annotations: str) -> None:
        """What the watch shows; `annotations` are modes, by the name of who bears them."""

        def metadata(name: str, **more: str) -> JsonObject:
            said: JsonObject = {"selfheal.dev/mode": annotations[name]} if name in annotations else {}
            return {"name": name, "uid": f"uid-{name}", "annotations": said, **more}

        for name in ("shop", "argocd"):
            self.mirror.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name)}, Namespace)
        web: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}, "status": {}}
        self.mirror.put({**web, "metadata": metadata("web", namespace="shop")}, Deployment)

    async def close(self, evidence: Evidence | None = None, proposal: NoPlan | None = None) -> ExecutionResult:
        """What the closer makes of it, as it is kept."""
        seen = evidence or of_workload(self.facts())
        decided = proposal or diagnose(seen, now=NOW)
        await self.ports.ledger.open_incident(as_record(INCIDENT, Status.OPEN, self.ports))
        state: State = {
            "incident": INCIDENT.model_dump(mode="json"),
            "evidence": await keep(seen, self.ports),
            "finding": "wrong",
            "attempts": 1,
            "proposal": PROPOSALS.dump_python(decided, mode="json"),
        }

        async def source() -> Ports:
            return self.ports

        await closer(source)(state)
        record = await self.ports.ledger.incident(INCIDENT.id)
        assert record is not None
        assert not record.is_open
        assert record.result is not None
        return ExecutionResult.model_validate(record.result)

    def facts(self) -> ApplicationFacts:
        known = {"deployed": self.bad, "back": 1, "back_revision": self.good, "repository": self.team.url}
        return facts(syncs_itself=True, **known)

    async def account(self) -> Account:
        record = await self.ports.ledger.incident(INCIDENT.id)
        assert record is not None
        return account_of(record, [], await self.ports.ledger.audit(incident_id=INCIDENT.id))


@contextlib.asynccontextmanager
async def desk(folder: Path, *, policy: Policy = ACTING, pushes: bool = True, **how: Any) -> AsyncGenerator[Desk]:
    team = TeamRepository(folder / "team")
    good = team.commit({"shop/web.yaml": manifest("web:1")})
    bad = team.commit({"shop/web.yaml": manifest("web:2")})
    mirror = Shown()
    async with open_test_ports(folder, mirror=mirror, policy=policy) as ports:
        reverts = Reverts(folder / "state" / "reverts", pushes=pushes, **how)
        at = Desk(team, mirror, replace(ports, reverts=reverts), good, bad)
        at.application()
        at.world()
        yield at


def patch_of(result: ExecutionResult) -> str:
    return "" if result.revert is None else Path(result.revert.patch).read_text()


def manifest(image: str) -> str:
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: app, image: {image}}}]}}}}}}\n"
    )


async def test_the_revert_is_prepared_pushed_told_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with desk(tmp_path) as at:
        result = await at.close()
        assert result.status is Status.ESCALATED
        assert result.revert is not None
        patch = tmp_path / "state" / "reverts" / f"{INCIDENT.id}.patch"
        assert result.revert.patch == str(patch)
        assert f"Revert {at.bad}" in result.resolution.sentence, "what the rule says stays"
        told = f"The revert is prepared: {patch}; branch {BRANCH} pushed to {at.team.url}."
        assert result.resolution.sentence.endswith(told)
        assert at.team.tree_of(BRANCH, "shop") == at.team.tree_of(at.good, "shop")
        assert at.team.applied(patch, at.bad, "shop") == at.team.tree_of(at.good, "shop")
        account = await at.account()
        assert [(line.phase, line.sentence) for line in account.timeline if line.phase == "revert"] == [
            ("revert", told)
        ]
        assert account.timeline[-1].phase == "close"
        render.account(account, as_json=False)
        printed = capsys.readouterr().out
        assert "Prepared for the repository" in printed
        assert "image: web:2 → web:1" in printed
        assert account.model_dump(mode="json")["result"]["revert"]["branch"] == BRANCH


async def test_without_the_setting_there_is_a_patch_alone(tmp_path: Path) -> None:
    async with desk(tmp_path, pushes=False) as at:
        result = await at.close()
        assert result.revert is not None
        assert result.revert.branch == ""
        assert result.resolution.sentence.endswith(f".patch, for main of {at.team.url}.")
        assert at.team.branches() == ["main"]


OBSERVING = Policy(namespaces={"shop": NamespaceRule(mode=Mode.AUTO), "argocd": NamespaceRule(mode=Mode.OBSERVE)})


@pytest.mark.parametrize(
    ("what", "policy", "annotations", "said"),
    [
        ("no policy", Policy(), {}, "the mode is observe"),
        ("the Application's namespace is observed", OBSERVING, {}, "the mode is observe"),
        ("the service only observes", ACTING.observing(), {}, "the mode is observe"),
        ("a namespace says so", ACTING, {"shop": "observe"}, "the mode is observe"),
        ("the workload says so", ACTING, {"web": "observe"}, "the mode is observe"),
        (
            "the namespace is protected",
            ACTING.model_copy(update={"protected": ACTING.protected.model_copy(update={"namespaces": ("sh*",)})}),
            {},
            "shop is protected",
        ),
        (
            "the Application is protected",
            ACTING.model_copy(update={"protected": ACTING.protected.model_copy(update={"objects": (str(APP),)})}),
            {},
            f"{APP} is protected",
        ),
    ],
)
async def test_a_patch_is_made_and_nothing_pushed_where_a_rollback_would_not_be(
    tmp_path: Path, what: str, policy: Policy, annotations: dict[str, str], said: str
) -> None:
    async with desk(tmp_path, policy=policy) as at:
        at.world(**annotations)
        result = await at.close()
        assert result.revert is not None, what
        assert "shop/web.yaml" in patch_of(result)
        assert f"No branch was pushed: {said}." in result.resolution.sentence
        assert at.team.branches() == ["main"]


async def test_the_applications_own_annotation_counts(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.application(metadata={"annotations": {"selfheal.dev/mode": "observe"}})
        assert "No branch was pushed: the mode is observe." in (await at.close()).resolution.sentence


async def test_every_namespace_that_the_application_reaches_counts(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.application(status={"resources": [resource(), {**resource(), "namespace": "bank"}]})
        assert "No branch was pushed: namespace bank cannot be seen" in (await at.close()).resolution.sentence


async def test_where_acting_is_paused_nothing_is_pushed(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        now = at.ports.clock.now()
        await at.ports.ledger.pause("shop", now + timedelta(hours=1), "ann", now)
        assert "No branch was pushed: acting is paused in shop." in (await at.close()).resolution.sentence


async def test_hands_off_is_hands_off(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.world(web="off")
        result = await at.close()
        assert result.revert is None
        assert "hands off" in result.resolution.sentence
        assert not (tmp_path / "state").exists()


async def test_what_cannot_be_prepared_is_said_and_changes_nothing_else(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.team.commit({"shop/web.yaml": manifest("web:3")})
        result = await at.close()
        assert result.status is Status.ESCALATED
        assert result.revert is None
        assert f"Revert {at.bad}" in result.resolution.sentence
        assert "No revert could be prepared: main has moved on" in result.resolution.sentence
        assert at.team.branches() == ["main"]


async def test_a_transport_that_hangs_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nsleep 60\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    async with desk(tmp_path, patience=timedelta(seconds=0.5)) as at:
        source: JsonObject = {"repoURL": "git@git.example:shop.git", "path": "shop", "targetRevision": "main"}
        history = [entry(1, at.good, source=source), entry(2, at.bad, source=source)]
        at.application(spec={"source": source}, status={"history": history})
        result = await at.close()
        assert "git took longer than 0.5 s on git.example:shop.git at main" in result.resolution.sentence


async def test_no_git_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(tmp_path) as at:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "install git" in (await at.close()).resolution.sentence


async def test_an_error_of_ours_is_said_and_the_incident_ends(tmp_path: Path) -> None:
    class Broken(Reverts):
        async def prepare(self, order: object) -> Any:
            raise RuntimeError("hunter2")

    async with desk(tmp_path) as at:
        at.ports = replace(at.ports, reverts=Broken(tmp_path))
        sentence = (await at.close()).resolution.sentence
        assert sentence.endswith("No revert could be prepared: RuntimeError, see the log.")


async def test_an_application_that_is_gone_is_said(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.mirror.application = None
        assert "is not there any more" in (await at.close()).resolution.sentence


@pytest.mark.parametrize("origin", [Origin.MODEL, Origin.CACHE])
async def test_only_a_rule_can_say_that_a_commit_is_bad(tmp_path: Path, origin: Origin) -> None:
    async with desk(tmp_path) as at:
        seen = of_workload(at.facts())
        decided = diagnose(seen, now=NOW)
        assert isinstance(decided, NoPlan)
        assert decided.diagnosis is not None
        by_other = decided.diagnosis.model_copy(update={"origin": origin})
        result = await at.close(seen, decided.model_copy(update={"diagnosis": by_other}))
        assert result.revert is None
        assert "revert is prepared" not in result.resolution.sentence


async def test_any_other_escalation_prepares_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        result = await at.close(of_workload(None, candidates=()))
        assert result.status is Status.ESCALATED
        assert "could be prepared" not in result.resolution.sentence
        assert not (tmp_path / "state").exists()


async def test_a_long_last_word_keeps_the_sentence_about_the_revert(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        seen = of_workload(at.facts())
        decided = diagnose(seen, now=NOW)
        assert isinstance(decided, NoPlan)
        refusal = decided.refusal.model_copy(update={"reason": "x" * 1000})
        sentence = (await at.close(seen, decided.model_copy(update={"refusal": refusal}))).resolution.sentence
        assert len(sentence) <= 1200
        assert sentence.endswith(f"branch {BRANCH} pushed to {at.team.url}.")


def test_results_of_earlier_versions_are_still_read() -> None:
    assert "revert" not in ExecutionResult.model_json_schema()["required"]
