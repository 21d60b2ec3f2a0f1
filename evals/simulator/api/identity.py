"""Who is asking: bearer tokens, service account tokens, impersonation."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from evals.simulator.api.errors import ApiError


@dataclass(frozen=True, slots=True)
class User:
    """An identity.  `audiences` empty means the API server itself."""

    name: str
    groups: tuple[str, ...] = ()
    audiences: tuple[str, ...] = field(default=(), compare=False)
    uid: str = ""


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
CONTROLLER = User("system:kube-controller-manager", ("system:masters", "system:authenticated"))
SCHEDULER = User("system:kube-scheduler", ("system:masters", "system:authenticated"))


def kubelet_user(node: str) -> User:
    """The identity of a node's kubelet."""
    return User(f"system:node:{node}", ("system:nodes", "system:authenticated"))


def service_account(namespace: str, name: str) -> User:
    """The identity of a service account."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


def _password(encoded: str) -> str:
    """The password of basic authentication.

    kubectl sends no bearer token over plain HTTP, but it sends the credentials of the server's URL: there the token
    is the password.
    """
    try:
        return base64.b64decode(encoded).decode().partition(":")[2]
    except ValueError:
        return ""


class Tokens:
    """Which bearer token is whom.  Tokens are random and live as long as the process."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._issued: dict[str, str] = {}

    def issue(self, user: User) -> str:
        """A new token for an identity."""
        token = secrets.token_urlsafe(24)
        self._users[token] = user
        return token

    def named(self, name: str) -> str:
        """The token of a user by name, always the same; `admin` belongs to `system:masters`."""
        if name not in self._issued:
            if name.startswith("system:serviceaccount:"):
                _, _, namespace, account = name.split(":", 3)
                user = service_account(namespace, account)
            else:
                groups = ("system:masters",) if name == "admin" else ()
                user = User(name, (*groups, "system:authenticated"))
            self._issued[name] = self.issue(user)
        return self._issued[name]

    def find(self, token: str) -> User | None:
        """Whose token it is."""
        return self._users.get(token)

    def authenticate(self, headers: Mapping[str, str]) -> User:
        """The identity of a request; anonymous without credentials.  Raises 401 for a token nobody issued."""
        kind, _, credentials = headers.get("Authorization", "").partition(" ")
        if not credentials:
            return ANONYMOUS
        token = credentials.strip()
        if kind.lower() == "basic":
            token = _password(token)
        user = self.find(token)
        if user is None or user.audiences:
            raise ApiError(401, "Unauthorized")
        return user
