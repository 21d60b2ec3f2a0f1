"""`selfheal`: the command line.  Here is only what a user types; the work is in `server.commands`, loaded when run.

Exit codes, the same for all commands::

    0  healed, or nothing was wrong; the question was answered
    1  escalated, or it failed: a person must look
    2  wrong usage or settings: the message says what to write
    3  observed or refused: by policy nothing was done
    4  waiting for an approval, or still running
    5  the service, the cluster or the ledger cannot be reached or used

Tables are for people; `--output json` is for programs: one document on stdout, everything else on stderr.
"""

from __future__ import annotations

import gc
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="selfheal",
    help="Heals Kubernetes: finds the cause, acts through one guarded door, verifies, undoes, or escalates.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSON = "json"


Server = Annotated[
    str | None,
    typer.Option("--server", envvar="SELFHEAL_URL", help="Address of a running service; without it, work here."),
]
Token = Annotated[
    Path | None, typer.Option("--token-file", help="File with the bearer token; else SELFHEAL_TOKEN(_FILE).")
]
Format = Annotated[Output, typer.Option("--output", "-o", help="table for people, json for programs.")]
StateDir = Annotated[Path | None, typer.Option("--state-dir", help="Folder of the ledger and the checkpoints.")]
Kubeconfig = Annotated[Path | None, typer.Option("--kubeconfig", help="Kubeconfig file of the cluster.")]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
Policy = Annotated[Path | None, typer.Option("--policy-file", help="Policy file: modes by namespace.")]
Namespaces = Annotated[str | None, typer.Option("--namespaces", help="Namespaces to watch, separated by commas.")]
Observe = Annotated[bool | None, typer.Option("--observe", help="Only observe, whatever the policy file says.")]


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    insecure_bind: Annotated[str | None, typer.Option(help="Serve on this loopback address without any token.")] = None,
    token_file: Token = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespaces: Namespaces = None,
    policy_file: Policy = None,
    state_dir: StateDir = None,
    observe: Observe = None,
    watch: Annotated[bool | None, typer.Option("--watch/--no-watch", help="Run the watcher too.")] = None,
) -> None:
    """Serve HTTP, watch the cluster and heal.  Settings come from SELFHEAL_* variables; options win."""
    from server.commands.service import serve_http

    sys.exit(
        serve_http(
            host=host,
            port=port,
            insecure_bind=insecure_bind,
            token_file=token_file,
            kubeconfig=kubeconfig,
            context=context,
            namespaces=namespaces,
            policy_file=policy_file,
            state_dir=state_dir,
            observe=observe,
            watch=watch,
        )
    )


@app.command()
def watch(
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespaces: Namespaces = None,
    policy_file: Policy = None,
    state_dir: StateDir = None,
    observe: Observe = None,
) -> None:
    """Watch the cluster and heal, without HTTP."""
    from server.commands.service import watch_only

    sys.exit(
        watch_only(
            kubeconfig=kubeconfig,
            context=context,
            namespaces=namespaces,
            policy_file=policy_file,
            state_dir=state_dir,
            observe=observe,
        )
    )


@app.command()
def heal(
    target: Annotated[str, typer.Argument(help="NAMESPACE/KIND/NAME, for example shop/deployment/web.")],
    *,
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    policy_file: Policy = None,
    state_dir: StateDir = None,
    observe: Observe = None,
) -> None:
    """Look at one object now, and heal it if something is wrong and the policy allows it."""
    from server.commands.ask import heal_object

    sys.exit(
        heal_object(
            target,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            kubeconfig=kubeconfig,
            context=context,
            policy_file=policy_file,
            state_dir=state_dir,
            observe=observe,
        )
    )


@app.command()
def incidents(
    *,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only this namespace.")] = None,
    status: Annotated[str | None, typer.Option(help="Only this status: open, waiting, healed, ...")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many, newest first.")] = 50,
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    state_dir: StateDir = None,
) -> None:
    """List incidents, newest first."""
    from server.commands.ask import list_incidents

    sys.exit(
        list_incidents(
            namespace=namespace,
            status=status,
            limit=limit,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            state_dir=state_dir,
        )
    )


@app.command()
def explain(
    what: Annotated[str, typer.Argument(help="An incident's id, or NAMESPACE/KIND/NAME.")],
    *,
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    policy_file: Policy = None,
    state_dir: StateDir = None,
) -> None:
    """Tell the story of an incident, or say what is seen of an object and why nothing is done about it."""
    from server.commands.ask import explain_what

    sys.exit(
        explain_what(
            what,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            kubeconfig=kubeconfig,
            context=context,
            policy_file=policy_file,
            state_dir=state_dir,
        )
    )


@app.command()
def audit(
    *,
    incident: Annotated[str | None, typer.Option("--incident", "-i", help="Only this incident.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many, the newest.")] = 200,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no line was changed or cut out.")] = False,
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    state_dir: StateDir = None,
) -> None:
    """Print the audit trail: every decision and every write, with its reason."""
    from server.commands.ask import print_audit

    sys.exit(
        print_audit(
            incident=incident,
            limit=limit,
            verify=verify,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            state_dir=state_dir,
        )
    )


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is meant.")]
Incident = Annotated[str, typer.Argument(help="An incident's id.")]


@app.command()
def approve(
    incident: Incident,
    *,
    yes: Yes = False,
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    policy_file: Policy = None,
    state_dir: StateDir = None,
) -> None:
    """Show the plan an incident waits with, and agree to it: it is carried out unless the world has moved since."""
    from server.commands.byhand import answer_plan

    sys.exit(
        answer_plan(
            incident,
            "approved",
            why="",
            yes=yes,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            kubeconfig=kubeconfig,
            context=context,
            policy_file=policy_file,
            state_dir=state_dir,
        )
    )


@app.command()
def reject(
    incident: Incident,
    *,
    why: Annotated[str, typer.Option("--why", help="The reason, for the account.")] = "",
    yes: Yes = False,
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    policy_file: Policy = None,
    state_dir: StateDir = None,
) -> None:
    """Show the plan an incident waits with, and decline it: nothing is done."""
    from server.commands.byhand import answer_plan

    sys.exit(
        answer_plan(
            incident,
            "declined",
            why=why,
            yes=yes,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            kubeconfig=kubeconfig,
            context=context,
            policy_file=policy_file,
            state_dir=state_dir,
        )
    )


@app.command()
def undo(
    incident: Incident,
    *,
    yes: Yes = False,
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    policy_file: Policy = None,
    state_dir: StateDir = None,
) -> None:
    """Take back what an incident wrote, newest first, unless somebody changed it since."""
    from server.commands.byhand import undo_writes

    sys.exit(
        undo_writes(
            incident,
            yes=yes,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            kubeconfig=kubeconfig,
            context=context,
            policy_file=policy_file,
            state_dir=state_dir,
        )
    )


@app.command()
def pause(
    namespace: Annotated[str, typer.Argument(help="A namespace, or '*' for all of them.")],
    *,
    length: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 2h or 1d.")],
    why: Annotated[str, typer.Option("--why", help="The reason, for the audit trail.")] = "",
    server: Server = None,
    token_file: Token = None,
    output: Format = Output.TABLE,
    state_dir: StateDir = None,
) -> None:
    """Write nothing in a namespace for a while; watching goes on."""
    from server.commands.byhand import pause_namespace

    sys.exit(
        pause_namespace(
            namespace,
            length,
            why=why,
            server=server,
            token_file=token_file,
            as_json=output is Output.JSON,
            state_dir=state_dir,
        )
    )


@app.command()
def unpause(
    namespace: Annotated[str, typer.Argument(help="A namespace, or '*' for the pause of all of them.")],
    *,
    server: Server = None,
    token_file: Token = None,
    state_dir: StateDir = None,
) -> None:
    """Act in a namespace again before its pause ends."""
    from server.commands.byhand import unpause_namespace

    sys.exit(unpause_namespace(namespace, server=server, token_file=token_file, state_dir=state_dir))


@app.command()
def pauses(
    *, server: Server = None, token_file: Token = None, output: Format = Output.TABLE, state_dir: StateDir = None
) -> None:
    """List where acting is paused."""
    from server.commands.byhand import list_pauses

    sys.exit(
        list_pauses(server=server, token_file=token_file, as_json=output is Output.JSON, state_dir=state_dir)
    )  # fmt: skip


incident_commands = typer.Typer(help="One incident as a file.", no_args_is_help=True)
app.add_typer(incident_commands, name="incident")


@incident_commands.command("export")
def export(
    incident: Incident,
    *,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; stdout without it.")] = None,
    server: Server = None,
    token_file: Token = None,
    state_dir: StateDir = None,
) -> None:
    """Write everything about an incident into one redacted, versioned JSON file."""
    from server.commands.export import export_file

    sys.exit(export_file(incident, out=out, server=server, token_file=token_file, state_dir=state_dir))


scripts = typer.Typer(help="Scripts of the operator as actions.", no_args_is_help=True)
app.add_typer(scripts, name="script")


@scripts.command("check")
def check_scripts(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the manifests and their files.")],
    *,
    output: Format = Output.TABLE,
) -> None:
    """List the scripts of a folder, each ok or with what to do about it.  Nothing is executed."""
    from server.commands.scripts import check_scripts as check

    sys.exit(check(folder, as_json=output is Output.JSON))


def main() -> None:
    """The entry point of the installed script.

    A start makes half a million objects that stay.  With the usual threshold a good part of it goes into looking for
    garbage among them, again and again.
    """
    gc.set_threshold(20_000, 10, 10)
    app()


if __name__ == "__main__":
    main()
