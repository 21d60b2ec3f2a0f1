"""The policy file: what the operators of a cluster allow selfheal to do, and where.

::

    version: 1
    default: observe                 # off | observe | approve | auto
    namespaces:                      # exact names or globs; the most specific one counts, of equals the stricter
      shop: auto
      "team-*":
        mode: auto
        actions: {scale_workload: approve}
        trusted_edits: [set_service] # edits that need no person here although nobody has seen them work
    image_registries: ["registry.example/shop"]   # where set_image may take images from; none is left out
    cluster_mode: approve            # what is in no namespace (nodes): off | observe | approve, never auto
    protected:
      namespaces: ["vault", "db-*"]
      objects: ["shop/Deployment/payments", "Node/db-*"]
    limits:
      cooldown_seconds: 300
      plans: {namespace: {count: 2, seconds: 60}}
      quarantine: {incidents: 3, within_seconds: 1800, lasts_seconds: 7200}

The rules: no file means observe everywhere; a key that is not known, a key given twice or a value out of range is an
error that names its line; what is always protected cannot be opened by any file.  What is in no namespace waits for a
person at the least, since it is everybody's: left out, `cluster_mode` is the default, approve at most.  Numbers left
out have the defaults below.  A policy is a value: its hash is in every record and every approval is bound to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tools.errors import Permanent
from tools.executors.models.edit import EditName
from tools.guard.policyfile import Located, PolicySyntax, read_yaml
from tools.jsontypes import JsonObject, digest
from tools.refs import ObjectRef

ALWAYS_PROTECTED: Final = ("kube-system", "kube-public", "kube-node-lease", "openshift", "openshift-*")
"""Namespaces of the cluster's own working.  No policy file opens them."""
MODE_ANNOTATION: Final = "selfheal.dev/mode"

_NAMESPACE_GLOB: Final = r"^[a-z0-9*?]([-a-z0-9*?]{0,61}[a-z0-9*?])?$"
_OBJECT_GLOB: Final = r"^([-a-z0-9.*?]+/)?[A-Za-z*]+/[-a-z0-9.*?]+$"
_HOST: Final = r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+:[0-9]{1,5})"
_REGISTRY: Final = rf"^{_HOST}(:[0-9]{{1,5}})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"


class PolicyError(Permanent):
    """The policy file cannot be used.  Remedy: the message names file, line and key; until then nothing starts."""

    code = "POLICY_INVALID"


class Mode(StrEnum):
    """How far selfheal may go, from the strictest to the freest."""

    OFF = "off"
    """Hands off: not even a plan is made in earnest."""
    OBSERVE = "observe"
    """Plans are made, checked and recorded; nothing is written."""
    APPROVE = "approve"
    """A person must agree to each plan."""
    AUTO = "auto"
    """Plans that pass every check are carried out."""


_STRICTNESS: Final = tuple(Mode)


def strictest(*modes: Mode) -> Mode:
    """The mode that allows least."""
    return min(modes, key=_STRICTNESS.index)


def mode_from_annotation(value: str | None) -> Mode | None:
    """What an annotation says; None when there is none.  Any other word is off: whoever wrote it wanted less."""
    if value is None:
        return None
    return Mode(value) if value in set(Mode) else Mode.OFF


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Part):
    """At most `count` plans in any `seconds` seconds."""

    count: int = Field(ge=0, le=100_000)
    seconds: int = Field(ge=1, le=30 * 86_400)


class PlanBudgets(_Part):
    """How many plans may start; each window counts all incidents together."""

    owner: Window = Window(count=6, seconds=3600)
    namespace: Window = Window(count=2, seconds=60)
    cluster: Window = Window(count=6, seconds=60)


class Quarantine(_Part):
    """When an owner that breaks again and again is left to people, and for how long."""

    incidents: int = Field(default=3, ge=1, le=1000)
    """How many incidents in which something was done bring it about."""
    within_seconds: int = Field(default=1800, ge=1, le=86_400)
    lasts_seconds: int = Field(default=7200, ge=0, le=604_800)
    """From the last of them; 0 switches it off."""


class Limits(_Part):
    """Bounds that hold in every mode."""

    steps_per_plan: int = Field(default=8, ge=1, le=8)
    attempts_per_incident: int = Field(default=3, ge=1, le=10)
    """How many plans one incident may start."""
    cooldown_seconds: int = Field(default=300, ge=0, le=86_400)
    """Between the plans of two incidents about one owner."""
    resources_factor: int = Field(default=4, ge=1, le=16)
    """How many times the present value `set_resources` may set."""
    storage_factor: int = Field(default=2, ge=1, le=10)
    """How many times the present size `expand_pvc` may ask for."""
    autoscaler_factor: int = Field(default=2, ge=1, le=10)
    """How many times the present bound `set_hpa_bounds` may set."""
    plans: PlanBudgets = PlanBudgets()
    quarantine: Quarantine = Quarantine()


class NamespaceRule(_Part):
    """What holds in the namespaces of one name or glob.  An action's own mode counts there instead of `mode`."""

    mode: Mode
    actions: Mapping[str, Mode] = Field(default_factory=dict[str, Mode])
    trusted_edits: tuple[EditName | Literal["run_script"], ...] = ()
    """Edits that the mode alone decides about, and whether it does about scripts.  Left out, each waits for a person:
    nobody has seen its value work."""

    def mode_for(self, action: str) -> Mode:
        """Off is off for every action."""
        return self.mode if self.mode is Mode.OFF else self.actions.get(action, self.mode)


class Protected(_Part):
    """Namespaces and objects (`NAMESPACE/KIND/NAME`, `KIND/NAME` in no namespace) that are never written, as globs."""

    namespaces: tuple[Annotated[str, Field(pattern=_NAMESPACE_GLOB)], ...] = ()
    objects: tuple[Annotated[str, Field(pattern=_OBJECT_GLOB)], ...] = ()


class Policy(_Part):
    """The whole policy.  `Policy()` is what holds without a file: observe everywhere."""

    version: Literal[1] = 1
    default: Mode = Mode.OBSERVE
    actions: Mapping[str, Mode] = Field(default_factory=dict[str, Mode])
    """The furthest each action may go anywhere."""
    namespaces: Mapping[Annotated[str, Field(pattern=_NAMESPACE_GLOB)], NamespaceRule] = Field(
        default_factory=dict[str, NamespaceRule]
    )
    cluster_mode: Mode | None = None
    """The mode of what is in no namespace; None is `default`, approve at most.  Auto is refused."""
    image_registries: tuple[Annotated[str, Field(pattern=_REGISTRY, max_length=200)], ...] = ()
    """Hosts, with a port or a path below them if wanted, that `set_image` may take images from."""
    protected: Protected = Protected()
    limits: Limits = Limits()
    cap: Mode = Mode.AUTO
    """No mode goes beyond this one, wherever it comes from."""

    @field_validator("namespaces", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        """`shop: auto` is short for `shop: {mode: auto}`."""
        if not _is_mapping(value):
            return value
        return {key: {"mode": item} if isinstance(item, str) else item for key, item in value.items()}

    @field_validator("cluster_mode")
    @classmethod
    def _never_auto(cls, value: Mode | None) -> Mode | None:
        if value is Mode.AUTO:
            raise ValueError("auto is not accepted: what is in no namespace needs a person; write approve")
        return value

    @property
    def hash(self) -> str:
        """One string for everything the policy says; comments and order in the file do not matter."""
        document: JsonObject = self.model_dump(mode="json")
        return digest(document)[:32]

    def observing(self) -> Policy:
        """The same policy in which nothing goes beyond observe."""
        return self.model_copy(update={"cap": strictest(self.cap, Mode.OBSERVE)})

    def mode_for(self, namespace: str, action: str) -> Mode:
        """What the file says about `action` in `namespace`; annotations on objects may only make it stricter.

        The empty namespace stands for what is in none.
        """
        return strictest(self._mode_of(namespace, action), self.actions.get(action, Mode.AUTO), self.cap)

    def trusts(self, namespace: str, action: str) -> bool:
        """Whether an edit that asks a person by default does not in `namespace`; rules of one rank must all say so."""
        rules = self._most_specific(namespace)
        return bool(rules) and all(action in rule.trusted_edits for rule in rules)

    def protects_namespace(self, namespace: str, own_namespace: str | None = None) -> bool:
        """Whether nothing may be written there, whatever the rest of the file says."""
        patterns = (*ALWAYS_PROTECTED, *self.protected.namespaces)
        return namespace == own_namespace or any(fnmatchcase(namespace, pattern) for pattern in patterns)

    def protects_object(self, ref: ObjectRef) -> bool:
        """Whether this very object may not be written."""
        return any(fnmatchcase(str(ref), pattern) for pattern in self.protected.objects)

    def protected_namespaces(self, own_namespace: str | None = None) -> frozenset[str]:
        """The protected namespaces that have a plain name, for the transport's own list."""
        names = {*ALWAYS_PROTECTED, *self.protected.namespaces} | ({own_namespace} if own_namespace else set[str]())
        return frozenset(name for name in names if not _is_glob(name))

    def _mode_of(self, namespace: str, action: str) -> Mode:
        if not namespace:
            return strictest(self.default if self.cluster_mode is None else self.cluster_mode, Mode.APPROVE)
        rules = self._most_specific(namespace)
        return strictest(*(rule.mode_for(action) for rule in rules)) if rules else self.default

    def _most_specific(self, namespace: str) -> list[NamespaceRule]:
        if namespace in self.namespaces:
            return [self.namespaces[namespace]]
        matching = {p: rule for p, rule in self.namespaces.items() if _is_glob(p) and fnmatchcase(namespace, p)}
        longest = max((_literals(pattern) for pattern in matching), default=0)
        return [rule for pattern, rule in matching.items() if _literals(pattern) == longest]


def load_policy(path: Path | None, known_actions: Iterable[str] = ()) -> Policy:
    """Read the policy file; without one (None, or nothing at that path) nothing is ever written.

    `known_actions` are the names that may appear under `actions`; none means that names are not checked.
    Raises PolicyError naming file, line and key.
    """
    if path is None or not path.exists():
        return Policy()
    try:
        found = read_yaml(path.read_bytes())
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); check its owner and mode") from error
    except PolicySyntax as error:
        raise PolicyError(f"{path}:{error.line}: {error}") from error
    try:
        policy = Policy.model_validate(found.value if found.value is not None else {})
    except ValidationError as error:
        raise PolicyError(_explain(path, found, error)) from error
    _check_actions(path, found, policy, frozenset(known_actions))
    return policy


def _check_actions(path: Path, found: Located, policy: Policy, known: frozenset[str]) -> None:
    places: list[tuple[str, ...]] = [("actions", action) for action in policy.actions]
    places += [
        ("namespaces", name, "actions", action) for name, rule in policy.namespaces.items() for action in rule.actions
    ]
    for place in places:
        if known and place[-1] not in known:
            names = ", ".join(sorted(known))
            raise PolicyError(f"{path}:{found.line_of(place)}: {'.'.join(place)}: no such action; there are: {names}")


def _explain(path: Path, found: Located, error: ValidationError) -> str:
    """One line per mistake, each with the line of the file and the key as it is written there."""
    lines: list[str] = []
    for mistake in error.errors(include_url=False, include_input=False):
        place = tuple(str(step) for step in mistake["loc"] if step != "[key]")
        what = "unknown key" if mistake["type"] == "extra_forbidden" else mistake["msg"]
        hint = f"; known keys: {', '.join(_known_keys(place))}" if mistake["type"] == "extra_forbidden" else ""
        lines.append(f"{path}:{found.line_of(place)}: {'.'.join(place) or 'policy'}: {what}{hint}")
    return "\n".join(lines)


def _known_keys(place: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Policy
    match place:
        case ("namespaces", _, *_):
            model = NamespaceRule
        case ("protected", *_):
            model = Protected
        case ("limits", "plans", _, _):
            model = Window
        case ("limits", "plans", *_):
            model = PlanBudgets
        case ("limits", *_):
            model = Limits
        case _:
            pass
    return sorted(model.model_fields)


def _is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    return isinstance(value, Mapping)


def _is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _literals(pattern: str) -> int:
    return sum(1 for character in pattern if character not in "*?")
