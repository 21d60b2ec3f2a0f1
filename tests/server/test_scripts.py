"""`selfheal script check`: exit codes, and a sentence for each defect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.tools.executors.script.support import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    tmp_path.chmod(0o755)
    return Shelf(tmp_path)


def check(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["script", "check", str(folder), *more])


def test_all_is_well(shelf: Shelf) -> None:
    shelf.add("echo", "flush-cache", undo=shelf.program("echo", "fill.sh"))
    done = check(shelf.folder)
    assert done.exit_code == 0
    assert "flush-cache" in done.stdout
    assert "not ok" not in done.stdout
    assert "can be undone" in done.stdout


def test_a_tampered_file_is_named_with_the_remedy_beside_a_good_one(shelf: Shelf) -> None:
    shelf.add("echo", "good")
    shelf.add("echo", "bad")
    (shelf.folder / "bad.sh").write_text("#!/bin/sh\nrm -rf /\n")
    done = check(shelf.folder)
    assert done.exit_code == 2
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line[:1].isalpha()}
    assert " ok " in rows["good"]
    assert " not ok " in rows["bad"]
    assert "its sha256 is" in " ".join(done.stdout.split())


def test_as_json(shelf: Shelf) -> None:
    shelf.add("echo")
    (shelf.folder / "broken.yaml").write_text("name: [")
    done = check(shelf.folder, "--output", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 2
    assert document["ok"] is False
    assert [found["name"] for found in document["scripts"]] == ["job"]
    assert [(found["file"], found["line"]) for found in document["defects"]] == [("broken.yaml", 1)]


@pytest.mark.parametrize("make", [True, False], ids=["an empty folder", "no folder"])
def test_nothing_to_check_is_not_ok(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "scripts"
    if make:
        folder.mkdir()
    assert check(folder).exit_code == 2


def test_nothing_in_a_manifest_reaches_the_terminal_as_an_order(shelf: Shelf) -> None:
    shelf.add("echo", description="[bold]x[/bold] \x1b[2J and so on")
    done = check(shelf.folder)
    assert "[bold]x[/bold]" in done.stdout
    assert "\x1b" not in done.stdout
