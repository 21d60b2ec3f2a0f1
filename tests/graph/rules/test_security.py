"""What is tightened when a pod is refused for being too loose, by table."""

from __future__ import annotations

import pytest

from graph.incident import Reason
from graph.plan import NoPlan, Planned
from graph.rules.rulebook import diagnose
from tests.graph.rules.samples import NOW, evidence, ref, signal

WEB = ref("Deployment", "web")
RESTRICTED = (
    'pods "web-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container'
    ' "app" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "app" must'
    ' set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "app" must set'
    ' securityContext.runAsNonRoot=true), seccompProfile (pod or container "app" must set'
    ' securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)
HOST = 'pods "web-x" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        pytest.param(RESTRICTED, True, id="the-restricted-level"),
        pytest.param(HOST, False, id="what-one-container-cannot-meet"),
        pytest.param(RESTRICTED.replace('"app"', '"other"'), False, id="a-container-that-is-not-there"),
    ],
)
def test_what_the_message_asks_for(message: str, asked: bool) -> None:
    refused = signal(Reason.PODS_REFUSED, message, about=WEB, container=None, revision=None)
    found = diagnose(evidence(refused, candidates=(), recent=False), now=NOW)
    if not asked:
        assert isinstance(found, NoPlan)
        return
    assert isinstance(found, Planned), found
    (step,) = found.plan.steps
    said = step.action.model_dump()
    wanted = ("forbid_privilege_escalation", "drop_all_capabilities", "run_as_non_root", "runtime_default_seccomp")
    assert all(said[field] for field in wanted)
    assert (said["container"], said["run_as_user"], said["read_only_root_filesystem"]) == ("app", 65_534, False)
    assert found.plan.approval_reasons
