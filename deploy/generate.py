"""Writes what in this folder follows from the code: the three roles and the pins of the build backend.

::

    python deploy/generate.py            write them
    python deploy/generate.py --check    fail when one differs from what would be written
    kubectl api-resources --categories=managed -o name | python deploy/generate.py --crossplane -
                                         print the roles for these resources of Crossplane, and write nothing

The rule it keeps: nobody types a right.  What may be read is `tools.cluster.allowlist.READ_RULES`, what may be written
is what the actions of `tools.registry` declare, and a test compares the committed files with what comes out here.

Neighbours: the transport's allow-list in the service is made of the same two sources, so that the cluster and the
process refuse the same things.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.allowlist import NON_RESOURCE_PATHS, READ_RULES, Rule
from tools.cluster.resources import SELF_SUBJECT_ACCESS_REVIEW
from tools.executors.crossplane.finder import catalogue_of
from tools.registry import allow_rules, permissions

HERE = Path(__file__).resolve().parent
READ_ROLE = "selfheal-read"
ACT_ROLE = "selfheal-act"
CLUSTER_ROLE = "selfheal-act-cluster"
CROSSPLANE_READ = "selfheal-crossplane-read"
CROSSPLANE_ACT = "selfheal-crossplane-act"
BACKEND = "hatchling"
"""What `pyproject.toml` names as its build backend; a test compares."""
_READS = frozenset({"get", "list", "watch"})
_VERB_ORDER = ("get", "list", "watch", "create", "update", "patch", "delete")
EMPTY = '""'
"""How YAML spells the name of the core group."""
_PRINTED = "# Printed by deploy/generate.py --crossplane."
_NO_EDIT = "# Made by deploy/generate.py from the code; a test compares.  Do not edit."


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of a role's `rules`: resources of one group that have the same verbs."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


def grants(rules: Iterable[Rule]) -> list[Grant]:
    """The rules as a role spells them: merged by group and verbs, in a fixed order.

    Raises ValueError for a rule that is bound to certain namespaces: a ClusterRole cannot say that, its binding does.
    """
    verbs: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        if rule.namespaces is not None:
            raise ValueError(f"{rule} is bound to namespaces; a role cannot say that")
        what = f"{rule.resource}/{rule.subresource}" if rule.subresource else rule.resource
        verbs.setdefault((rule.group, what), set()).add(rule.verb)
    merged: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, what), granted in sorted(verbs.items()):
        merged.setdefault((group, tuple(v for v in _VERB_ORDER if v in granted)), []).append(what)
    return [Grant(group, tuple(names), verbs) for (group, verbs), names in merged.items()]


def read_role(actions: Iterable[str] | None = None) -> str:
    """What is read everywhere: the world, what the enabled actions (None: all) read beyond it, and our own rights."""
    review = Rule("create", SELF_SUBJECT_ACCESS_REVIEW.group, SELF_SUBJECT_ACCESS_REVIEW.plural)
    extra = (rule for rule in allow_rules(actions) if rule.verb in _READS)
    return _role(
        READ_ROLE,
        "What selfheal reads, everywhere.  It changes nothing; never a Secret.",
        grants((*READ_RULES, *extra, review)),
        paths=sorted(NON_RESOURCE_PATHS),
    )


def act_role(actions: Iterable[str] | None = None) -> str:
    """What the enabled actions (None: all) write in namespaces.  It counts only where a RoleBinding names it."""
    return _role(
        ACT_ROLE,
        "What selfheal writes, in the namespaces that bind this role and in no other (see act-in-namespace.yaml).",
        grants(_writes(actions, namespaced=True)),
    )


def cluster_role(actions: Iterable[str] | None = None) -> str:
    """What the enabled actions (None: all) write in no namespace.  It counts once a ClusterRoleBinding names it."""
    return _role(
        CLUSTER_ROLE,
        "What selfheal writes in no namespace, once a ClusterRoleBinding names this role (see act-on-nodes.yaml).",
        grants(_writes(actions, namespaced=False)),
    )


def crossplane_roles(names: Iterable[str]) -> str:
    """What is read of listed resources of Crossplane and their packages, and what is patched: no star, no other verb.

    What the groups serve is asked as well, which the cluster's own role `system:discovery` lets everybody do.
    Raises ValueError, which names the form, for what is no name of a definition, and for none at all.
    """
    catalogue = catalogue_of(names)
    if not catalogue:
        raise ValueError("no resource is named: give names as `kubectl api-resources -o name` prints them")
    reads = [rule for rule in catalogue.rules() if rule.verb in _READS]
    writes = [rule for rule in catalogue.rules() if rule.verb not in _READS]
    purpose = "What selfheal reads of Crossplane, everywhere."
    seen = _role(CROSSPLANE_READ, purpose, grants(reads), note=_PRINTED)
    acted = _role(
        CROSSPLANE_ACT,
        "What selfheal writes of Crossplane: in the namespaces that bind this role, and with a ClusterRoleBinding also"
        " what is in none.",
        grants(writes),
        note=_PRINTED,
    )
    return f"{seen}---\n{acted}"


def build_backend(lock: str) -> str:
    """The build backend and what it needs, cut out of the development lock file, hashes included.

    Raises ValueError when the lock file does not have it.
    """
    pins = dict(_pins(lock))
    wanted, found = {BACKEND}, set[str]()
    while wanted != found:
        found = set(wanted)
        wanted |= {name for name, (_, via) in pins.items() if via & found}
    if BACKEND not in pins:
        raise ValueError(f"requirements/dev.txt does not pin {BACKEND}")
    return "\n".join((f"{_NO_EDIT}\n# What builds the wheel: {BACKEND}, pinned as in requirements/dev.txt.",
                      *(pins[name][0] for name in sorted(found)))) + "\n"  # fmt: skip


def outputs(actions: Iterable[str] | None = None) -> dict[Path, str]:
    """Every generated file and what belongs in it."""
    lock = (HERE.parent / "requirements/dev.txt").read_text(encoding="utf-8")
    chosen = None if actions is None else tuple(actions)
    return {
        HERE / "manifests/role-read.yaml": read_role(chosen),
        HERE / "manifests/role-act.yaml": act_role(chosen),
        HERE / "manifests/role-act-cluster.yaml": cluster_role(chosen),
        HERE / "build-backend.txt": build_backend(lock),
    }


def main(argv: list[str] | None = None) -> int:
    """Write or check; the exit code is 1 when a check found a difference."""
    parser = argparse.ArgumentParser(description="Write the roles and the build pins that follow from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    parser.add_argument("--actions", help="only these actions, separated by commas; all by default")
    parser.add_argument(
        "--crossplane", nargs="+", metavar="NAME", help="print the roles for these resources; - reads names from stdin"
    )
    options = parser.parse_args(argv)
    if options.crossplane:
        return _print_crossplane(options.crossplane)
    actions = options.actions.split(",") if options.actions else None
    stale = [(path, text) for path, text in outputs(actions).items() if not path.exists() or path.read_text() != text]
    for path, text in stale:
        if options.check:
            sys.stderr.write(f"{path} is not what the code says; run: python deploy/generate.py\n")
        else:
            path.write_text(text)
    return 1 if options.check and stale else 0


def _print_crossplane(names: list[str]) -> int:
    given = sys.stdin.read().split() if names == ["-"] else names
    try:
        sys.stdout.write(crossplane_roles(given))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _writes(actions: Iterable[str] | None, *, namespaced: bool) -> Iterator[Rule]:
    """The writes among the rights of the actions, of resources that are in namespaces or of those that are not."""
    for right in permissions(actions):
        if right.verb not in _READS and right.resource.namespaced is namespaced:
            yield Rule(right.verb, right.resource.group, right.resource.plural, right.subresource)


def _role(name: str, purpose: str, rules: Iterable[Grant], paths: Iterable[str] = (), note: str = _NO_EDIT) -> str:
    lines = [
        note,
        f"# {purpose}",
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: ClusterRole",
        "metadata:",
        f"  name: {name}",
        "  labels: {app.kubernetes.io/name: selfheal}",
    ]
    listed_rules = list(rules)
    lines.append("rules:" if listed_rules else "rules: []")
    for rule in listed_rules:
        lines += [
            f"  - apiGroups: [{rule.group or EMPTY}]",
            f"    resources: [{', '.join(rule.resources)}]",
            f"    verbs: [{', '.join(rule.verbs)}]",
        ]
    if listed := ", ".join(paths):
        lines += [f"  - nonResourceURLs: [{listed}]", "    verbs: [get]"]
    return "\n".join(lines) + "\n"


def _pins(lock: str) -> Iterator[tuple[str, tuple[str, frozenset[str]]]]:
    """Each pin of a lock file: its name, its lines without comments, and the names that asked for it."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        match = re.match(r"([A-Za-z0-9._-]+)==", block)
        if match is None:
            continue
        lines = block.splitlines()
        pin = "\n".join(line for line in lines if not line.strip().startswith("#"))
        via = (re.sub(r"^\s*#\s*(via\s+)?", "", line) for line in lines if line.strip().startswith("#"))
        yield match[1], (pin, frozenset(word.strip() for word in via))


if __name__ == "__main__":
    sys.exit(main())
