"""Accounts of Argo CD and their API tokens, each in a file only its owner can read.

Rule: the healer's account may do what its actions need and no more: read and sync applications, read projects.  The
other one may do nothing, to show what a refusal looks like.
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from tests.cluster.harness.processes import HarnessError
from tools.jsontypes import JsonObject, dig_str

if TYPE_CHECKING:
    from tests.cluster.argocd.system import ArgoCD

HEALER: Final = "selfheal"
POWERLESS: Final = "powerless"
ALL: Final = (HEALER, POWERLESS)
POLICY: Final = f"""\
p, role:{HEALER}, applications, get, */*, allow
p, role:{HEALER}, applications, sync, */*, allow
p, role:{HEALER}, projects, get, *, allow
g, {HEALER}, role:{HEALER}
"""
"""Argo CD's RBAC: stopping an operation and rolling back are `sync`, comparing anew is `get`."""


def mint_tokens(argocd: ArgoCD) -> None:
    """After it every account's file holds a token that is accepted; one that still is, is kept."""
    trust = ssl.create_default_context(cafile=argocd.ca)
    with httpx.Client(base_url=argocd.config().url, verify=trust, trust_env=False, timeout=15) as http:
        wanting = [account for account in ALL if not _is_accepted(http, argocd.token_file(account))]
        if wanting:
            admin = _log_in(http, _admin_password(argocd))
            for account in wanting:
                answer = http.post(f"/api/v1/account/{account}/token", headers=admin, json={"name": account})
                _write(argocd.token_file(account), dig_str(_said(answer), "token"))


def _is_accepted(http: httpx.Client, file: Path) -> bool:
    if not file.exists():
        return False
    answer = http.get("/api/v1/session/userinfo", headers={"Authorization": f"Bearer {file.read_text().strip()}"})
    return answer.is_success and answer.json().get("loggedIn") is True


def _admin_password(argocd: ArgoCD) -> str:
    """What it made up at its first start."""
    found = argocd.cluster.kubectl(
        "-n", argocd.name, "get", "secret", "argocd-initial-admin-secret", "-o", "jsonpath={.data.password}"
    )
    return base64.b64decode(found).decode()


def _log_in(http: httpx.Client, password: str) -> dict[str, str]:
    answer = http.post("/api/v1/session", json={"username": "admin", "password": password})
    return {"Authorization": f"Bearer {dig_str(_said(answer), 'token')}"}


def _said(answer: httpx.Response) -> JsonObject:
    if not answer.is_success:
        raise HarnessError(f"Argo CD: {answer.request.url.path}: HTTP {answer.status_code} {answer.text[:300]}")
    found: JsonObject = answer.json()
    return found


def _write(file: Path, token: str) -> None:
    file.touch(mode=0o600)
    file.write_text(token + "\n")
