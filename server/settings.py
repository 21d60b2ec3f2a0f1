"""Everything that can be set from outside, in one place: `SELFHEAL_*` variables, then what the command line overrides.

The rule it keeps: what is not understood stops the start.  A misspelt variable is an error that names the near match,
because a setting that silently does nothing is found on the worst day.  `.env.example` documents each key; a test
compares both.  Neighbours: `server.app` and `server.commands` read it, `graph.ports` gets its part by `ports_config`.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tools.cluster.catalogue import DefinitionName
from tools.journal.git import AUTHOR, parse_author
from tools.journal.repository import parse_location

if TYPE_CHECKING:
    from graph.model.config import ModelConfig
    from graph.ports import PortsConfig
    from tools.executors.connections import RemoteConfig

PREFIX = "SELFHEAL_"
CLIENT_KEYS = frozenset({"SELFHEAL_URL"})
"""Read by the command line alone; the service knows them as valid and ignores them."""
HARNESS_PREFIX = "SELFHEAL_CLUSTER_"
"""Keys of the test cluster, which a developer has in the same shell."""
SERVICE_LINK = re.compile(
    r"^SELFHEAL_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$"
)
"""What the kubelet sets in every pod for a Service called `selfheal` or `selfheal-...` in the same namespace."""
SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_PORT = 8080
MIN_TOKEN_BYTES = 32
MAX_TOKENS = 2


class SettingsError(Exception):
    """The settings cannot be used.  The message names the key, what is wrong and what to write instead."""


class Settings(BaseSettings):
    """The service's settings.  Construct through `load`, which also refuses unknown keys."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 in a pod.")
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    token: SecretStr | None = Field(
        default=None, description="Bearer token of at least 32 bytes; two separated by a comma while one is rotated."
    )
    token_file: Path | None = Field(
        default=None, description="File with one or two bearer tokens, one a line; read again when it changes."
    )
    insecure_bind: str | None = Field(
        default=None, description="Loopback address to serve on without any token; for a try-out on one's own machine."
    )
    kubeconfig: Path | None = Field(
        default=None, description="Kubeconfig file; without it KUBECONFIG, ~/.kube/config, or the pod's own account."
    )
    context: str | None = Field(default=None, description="Context of the kubeconfig; its current one by default.")
    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Namespaces to watch, separated by commas; all when empty."
    )
    policy_file: Path | None = Field(
        default=None, description="Policy file: modes by namespace; without one everything is observed only."
    )
    state_dir: Path = Field(
        default=Path("~/.local/state/selfheal"), description="Folder of the ledger and the checkpoints."
    )
    desired_state: str | None = Field(
        default=None,
        description=(
            "How the cluster shall be: a folder of manifests, or a Git repository (`URL?ref=BRANCH`, `URL//PATH`);"
            " what differs from it is drift, and what it declares is intended."
        ),
    )
    argocd_url: str | None = Field(
        default=None, description="Address of Argo CD's API, https://HOST[:PORT]; without one nothing is asked of it."
    )
    argocd_token_file: Path | None = Field(
        default=None, description="File with the token of our account there; read again when it changes."
    )
    argocd_ca_file: Path | None = Field(
        default=None, description="Certificates to trust for Argo CD instead of the system's."
    )
    argocd_namespace: str = Field(default="argocd", description="Namespace that Argo CD itself runs in.")
    argocd_seconds: float = Field(default=30, gt=0, le=300, description="One request to Argo CD.")
    argocd_hang_seconds: float = Field(
        default=600, ge=10, description="An operation of Argo CD that runs longer hangs, and may be stopped."
    )
    argocd_plain_http: bool = Field(
        default=False, description="Accept http:// for Argo CD; the token then crosses the network in the clear."
    )
    revert_branches: bool = Field(
        default=False,
        description=(
            "Push a branch with the revert where only the repository can be right; else there is a patch file alone."
        ),
    )
    revert_author: str = Field(default=AUTHOR, description="Author of the commits on such branches: NAME <EMAIL>.")
    scripts_dir: Path | None = Field(
        default=None, description="Folder of script manifests (`selfheal script check`); without one none is run."
    )
    scripts_user: str | None = Field(
        default=None, description="User that scripts run as, by name or UID[:GID]; needed when the service is root."
    )
    scripts_work_dir: Path | None = Field(
        default=None, description="Folder for the working directories of scripts; the system's by default."
    )
    crossplane_resources: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description=(
            "Resources of Crossplane that may be watched, woken and resumed, separated by commas, as `kubectl"
            " api-resources -o name` prints them (buckets.storage.example.org); none when empty."
        ),
    )
    ledger_url: str | None = Field(
        default=None, description="SQLAlchemy URL of the ledger; a SQLite file in the state folder by default."
    )
    record_incidents: bool = Field(
        default=True, description="Keep what was seen of the world for each incident, so that it can be exported."
    )
    own_namespace: str | None = Field(
        default=None, description="Namespace this service runs in; it never acts there. Found by itself in a pod."
    )
    observe: bool = Field(default=False, description="Only observe, whatever the policy file says.")
    watch: bool = Field(default=True, description="Run the watcher inside `selfheal serve`.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="json for machines, console for people; auto asks whether stderr is a terminal."
    )
    reasoner: Literal["rules", "hybrid", "model"] | None = Field(
        default=None,
        description="Who reasons: rules, hybrid (rules, then the model) or model; hybrid with a model, else rules.",
    )
    llm_model: str | None = Field(default=None, description="Name of the model to ask; without one rules reason alone.")
    llm_base_url: str | None = Field(
        default=None, description="Address of an OpenAI-compatible server; else OPENAI_BASE_URL, or the public service."
    )
    llm_api_key: SecretStr | None = Field(
        default=None, description="Key for it; else OPENAI_API_KEY, but only where SELFHEAL_LLM_BASE_URL is not set."
    )
    llm_api_key_file: Path | None = Field(
        default=None, description="File with the key; read again for each request, as a mounted Secret changes."
    )
    llm_proxy: str | None = Field(
        default=None, description="Proxy on the way to the model; proxies of the environment are not used."
    )
    llm_planning: Literal["auto", "schema", "tools", "json"] = Field(
        default="auto",
        description="How a plan is asked for: by what a probe finds, strict schema, tools or plain JSON.",
    )
    llm_investigation: Literal["auto", "on", "off"] = Field(
        default="auto", description="Whether the model may read more by typed tools before it plans."
    )
    llm_seconds: float = Field(default=120, gt=0, le=900, description="All of the model's work on one proposal.")
    llm_call_seconds: float = Field(default=45, gt=0, le=900, description="One request to the model.")
    llm_turns: int = Field(default=12, ge=1, le=100, description="Requests to the model for one proposal.")
    llm_reads: int = Field(default=25, ge=0, le=200, description="Reads of the model for one proposal.")
    llm_tokens: int = Field(default=60_000, ge=1_000, description="Tokens for one proposal, prompts and answers.")
    llm_prompt_tokens: int = Field(default=12_000, ge=500, description="Evidence in one prompt; cut to fit.")
    llm_answer_tokens: int = Field(default=2_000, ge=100, description="Tokens of one answer.")
    llm_tokens_per_day: int = Field(default=2_000_000, ge=0, description="Tokens of all incidents of one UTC day.")
    llm_tokens_per_namespace_day: int = Field(
        default=500_000, ge=0, description="Tokens of the incidents of one namespace on one UTC day."
    )
    concurrency: int = Field(default=16, ge=1, le=256, description="Incidents worked on at the same time.")
    wait_seconds: float = Field(
        default=300, ge=0, le=3600, description="Longest time POST /self-heal waits for the end before it answers 202."
    )
    requests_per_minute: float = Field(
        default=120, gt=0, description="Requests to POST /self-heal each caller may make in the long run; then 429."
    )
    requests_burst: int = Field(default=60, ge=1, description="Requests each caller may make at once.")
    quiet_seconds: float = Field(
        default=600, ge=1, description="An unhealed incident is not opened again for the same signal before this."
    )
    drain_seconds: float = Field(
        default=20, ge=0, le=600, description="How long running incidents may go on after the signal to stop."
    )
    settle_seconds: float = Field(default=30, ge=1, description="A recovery counts when it lasted this long.")
    verify_seconds: float = Field(default=120, ge=1, description="Not recovered within this after a plan: failed.")
    look_seconds: float = Field(default=2, gt=0, description="Longest time between two looks while verifying.")
    confirm_seconds: float = Field(default=20, ge=0, description="How long an unconfirmed signal is watched.")
    approval_seconds: float = Field(default=900, ge=1, description="An unanswered question is a no after this.")
    attempts: int = Field(default=3, ge=1, le=10, description="Plans made for one incident at most.")
    retries: int = Field(default=4, ge=0, le=20, description="Repeats of one step after transient errors.")

    @field_validator("port", mode="before")
    @classmethod
    def _skip_service_link(cls, value: object) -> object:
        """A Service called `selfheal` makes the kubelet set SELFHEAL_PORT=tcp://...; that is not our setting."""
        return DEFAULT_PORT if isinstance(value, str) and "://" in value else value

    @field_validator("namespaces", "crossplane_resources", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        """`a,b` is two namespaces."""
        return tuple(n.strip() for n in value.split(",") if n.strip()) if isinstance(value, str) else value

    @field_validator("log_level", "log_format", "reasoner", "llm_planning", "llm_investigation", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        """`INFO` is as good as `info`."""
        return value.lower() if isinstance(value, str) else value

    @field_validator(
        *("state_dir", "kubeconfig", "policy_file", "token_file", "llm_api_key_file"),
        *("argocd_token_file", "argocd_ca_file", "scripts_dir", "scripts_work_dir"),
    )
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        """`~` is the user's home."""
        return value.expanduser() if value is not None else None

    @field_validator("crossplane_resources")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """A misspelt name stops the start."""
        for name in value:
            DefinitionName.parse(name)
        return value

    @field_validator("desired_state")
    @classmethod
    def _can_be_meant(cls, value: str | None) -> str | None:
        """A location that is none stops the start, not the first look at it."""
        if value is not None:
            parse_location(value)
        return value

    @field_validator("revert_author")
    @classmethod
    def _is_author(cls, value: str) -> str:
        """An author that git would not take stops the start."""
        parse_author(value)
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Settings:
        """At most one of token, token file and the insecure bind: with two, nobody can say which one counts."""
        given = [name for name in ("token", "token_file", "insecure_bind") if getattr(self, name) is not None]
        if len(given) > 1:
            keys = " and ".join(PREFIX + g.upper() for g in given)
            raise ValueError(f"{keys} exclude each other: keep one")
        if self.insecure_bind is not None and not is_loopback(self.insecure_bind):
            raise ValueError(
                f"SELFHEAL_INSECURE_BIND={self.insecure_bind} is not a loopback address: "
                "write 127.0.0.1 or ::1, or set SELFHEAL_TOKEN_FILE and SELFHEAL_HOST"
            )
        return self

    @model_validator(mode="after")
    def _model_or_none(self) -> Settings:
        """Settings of a model that nobody named would do nothing in silence; so would a reasoner without its model."""
        if self.llm_api_key is not None and self.llm_api_key_file is not None:
            raise ValueError("SELFHEAL_LLM_API_KEY and SELFHEAL_LLM_API_KEY_FILE exclude each other: keep one")
        if self.llm_model is not None:
            return self
        if self.reasoner in {"hybrid", "model"}:
            raise ValueError(f"SELFHEAL_REASONER={self.reasoner} needs a model: set SELFHEAL_LLM_MODEL to its name")
        given = sorted(name for name in self.model_fields_set if name.startswith("llm_"))
        if given and self.reasoner is None:
            raise ValueError(f"{PREFIX}{given[0].upper()} is set and no model is: set SELFHEAL_LLM_MODEL to its name")
        return self

    @model_validator(mode="after")
    def _connected_or_not(self) -> Settings:
        """Half a connection is none, and nobody would notice."""
        if self.argocd_url is not None and self.argocd_token_file is None:
            raise ValueError("SELFHEAL_ARGOCD_URL needs SELFHEAL_ARGOCD_TOKEN_FILE: the file with our token there")
        for whole in ("argocd_url", "scripts_dir"):
            kind = whole.partition("_")[0]
            given = sorted(n for n in self.model_fields_set if n.startswith(f"{kind}_") and n != whole)
            if getattr(self, whole) is None and given:
                key, missing = PREFIX + given[0].upper(), PREFIX + whole.upper()
                raise ValueError(f"{key} is set and {missing} is not: set it, or take {key} out")
        if "revert_author" in self.model_fields_set and not self.revert_branches:
            raise ValueError("SELFHEAL_REVERT_AUTHOR does nothing without SELFHEAL_REVERT_BRANCHES=true: set both")
        return self

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read the environment, then `overrides` that are not None.

        Raises `SettingsError` for an unknown SELFHEAL_ key (with its near match) and for a value that does not fit.
        """
        refuse_unknown(os.environ if environ is None else environ)
        given = {key: value for key, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as problem:
            raise SettingsError(_explain(problem)) from None

    @property
    def bind_address(self) -> str:
        """The address to listen on."""
        return self.insecure_bind or self.host

    @property
    def ledger_url_or_default(self) -> str:
        """Where the ledger is."""
        return self.ledger_url or f"sqlite+aiosqlite:///{self.state_dir / 'ledger.db'}"

    def ports_config(self, *, own_namespace: str | None = None) -> PortsConfig:
        """The part of the settings that the graph's ports are opened with."""
        from graph.edges import Limits  # late: a command that only talks to a service need not load the graph
        from graph.model.config import Mode
        from graph.ports import PortsConfig, Timing
        from tools.journal.reverts import RevertConfig

        return PortsConfig(
            state_dir=self.state_dir,
            kubeconfig=self.kubeconfig,
            context=self.context,
            policy_file=self.policy_file,
            desired_state=self.desired_state,
            crossplane=self.crossplane_resources,
            namespaces=self.namespaces,
            own_namespace=own_namespace or self.own_namespace or pod_namespace(),
            observe_only=self.observe,
            timing=Timing(
                settle=timedelta(seconds=self.settle_seconds),
                verify=timedelta(seconds=self.verify_seconds),
                look=timedelta(seconds=self.look_seconds),
                confirm=timedelta(seconds=self.confirm_seconds),
                approval=timedelta(seconds=self.approval_seconds),
            ),
            limits=Limits(attempts=self.attempts, retries=self.retries),
            ledger_url=self.ledger_url_or_default,
            model=self.model_settings(os.environ),
            record_incidents=self.record_incidents,
            remotes=self.remote_config(os.environ),
            reverts=RevertConfig(self.revert_branches, self.revert_author),
            reasoner=Mode(self.reasoner) if self.reasoner is not None else None,
        )

    def remote_config(self, environ: Mapping[str, str]) -> RemoteConfig:
        """The other systems that actions go through.  Raises `SettingsError` for a user that scripts cannot run as."""
        from tools.executors.argocd.client import ArgoConfig
        from tools.executors.connections import RemoteConfig, ScriptConfig
        from tools.executors.script.run import User

        argocd = scripts = None
        if self.argocd_url is not None and self.argocd_token_file is not None:
            argocd = ArgoConfig(
                url=self.argocd_url,
                token_file=self.argocd_token_file,
                namespace=self.argocd_namespace,
                ca_file=self.argocd_ca_file,
                timeout=timedelta(seconds=self.argocd_seconds),
                hangs_after=timedelta(seconds=self.argocd_hang_seconds),
                allow_plain_http=self.argocd_plain_http,
            )
        if self.scripts_dir is not None:
            try:
                user = User.named(self.scripts_user) if self.scripts_user is not None else None
            except ValueError as error:
                raise SettingsError(f"SELFHEAL_SCRIPTS_USER: {error}") from None
            scripts = ScriptConfig(self.scripts_dir, user, self.scripts_work_dir, environ)
        return RemoteConfig(argocd, scripts)

    def model_settings(self, environ: Mapping[str, str]) -> ModelConfig | None:
        """The model to ask; None when there is none, or when the rules are to reason alone.

        OPENAI_API_KEY and OPENAI_BASE_URL stand in where ours are not set, save that this key never goes to an address
        it was not set beside: with SELFHEAL_LLM_BASE_URL only our own key is sent.
        """
        if self.llm_model is None or self.reasoner == "rules":
            return None
        from graph.model.config import Bounds, Investigation, ModelConfig, Planning

        key = self.llm_api_key
        if key is None and self.llm_api_key_file is None and self.llm_base_url is None:
            key = SecretStr(found) if (found := environ.get("OPENAI_API_KEY", "")) else None
        return ModelConfig(
            model=self.llm_model,
            base_url=self.llm_base_url or environ.get("OPENAI_BASE_URL") or None,
            api_key=key,
            api_key_file=self.llm_api_key_file,
            proxy=self.llm_proxy,
            planning=Planning(self.llm_planning),
            investigation=Investigation(self.llm_investigation),
            bounds=Bounds(
                turns=self.llm_turns,
                reads=self.llm_reads,
                seconds=self.llm_seconds,
                call_seconds=self.llm_call_seconds,
                tokens=self.llm_tokens,
                prompt_tokens=self.llm_prompt_tokens,
                answer_tokens=self.llm_answer_tokens,
                tokens_per_day=self.llm_tokens_per_day,
                tokens_per_namespace_day=self.llm_tokens_per_namespace_day,
            ),
        )


def known_keys() -> frozenset[str]:
    """Every SELFHEAL_ key that means something."""
    return frozenset(PREFIX + name.upper() for name in Settings.model_fields) | CLIENT_KEYS


def refuse_unknown(environ: Mapping[str, str]) -> None:
    """Raise `SettingsError` when a SELFHEAL_ variable is set that nobody reads."""
    known = known_keys()
    for key in sorted(environ):
        if not key.startswith(PREFIX) or key in known or key.startswith(HARNESS_PREFIX) or SERVICE_LINK.match(key):
            continue
        words = [k.removeprefix(PREFIX) for k in known]  # the common prefix would make everything look alike
        near = difflib.get_close_matches(key.removeprefix(PREFIX), words, n=1, cutoff=0.6)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "`.env.example` lists all keys."
        raise SettingsError(f"{key} is not a setting: {hint}")


def is_loopback(address: str) -> bool:
    """Whether `address` is a numeric loopback address.  Names are refused: what they lead to can change."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def pod_namespace(path: Path = SERVICE_ACCOUNT_NAMESPACE) -> str | None:
    """The namespace of the pod we run in; None outside of a pod."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _explain(problem: ValidationError) -> str:
    """One line per field, with the variable's name and without the value: it may be a token."""
    lines: list[str] = []
    for error in problem.errors(include_input=False, include_url=False):
        key = PREFIX + str(error["loc"][0]).upper() + ": " if error["loc"] else ""
        lines.append(key + str(error["msg"]).removeprefix("Value error, "))
    return "; ".join(lines)
