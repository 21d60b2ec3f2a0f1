"""Folders of manifests: what is wrong with one is said with its place and its remedy, and stops no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.tools.executors.script.support import Shelf
from tools.executors.script.manifest import Purpose, read_scripts
from tools.executors.script.outcome import Refused, ScriptCode
from tools.jsontypes import JsonObject, JsonValue


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    tmp_path.chmod(0o755)
    return Shelf(tmp_path)


def test_a_good_manifest_is_usable(shelf: Shelf) -> None:
    scripts = shelf.add("echo", environment=["REGION", "NODE_NAME"], verify=shelf.program("true", "check.sh"))
    assert scripts.defects == ()
    found = scripts.find("job")
    assert not isinstance(found, Refused)
    assert found.program(Purpose.UNDO) is None
    assert found.program(Purpose.VERIFY) is not None


CHANGED: dict[str, tuple[dict[str, JsonValue], int, str]] = {
    "an unknown key": ({"shell": True}, 10, "unknown key; there are file, sha256, name"),
    "an unknown limit": ({"limits": {"cpu": 1}}, 8, "unknown key; there are timeout_seconds"),
    "no name": ({"name": None}, 1, "small letters, digits and hyphens"),
    "a name with a slash": ({"name": "a/b"}, 1, "small letters, digits and hyphens"),
    "a short description": ({"description": "x"}, 2, "say in a sentence"),
    "a path": ({"file": "../job.sh"}, 3, "plain name of a file"),
    "a hidden file": ({"file": ".job.sh"}, 3, "plain name of a file"),
    "a short hash": ({"sha256": "abc"}, 4, "sha256sum FILE"),
    "another hash": ({"sha256": "0" * 64}, 3, "its sha256 is"),
    "a file that is not there": ({"file": "missing.sh"}, 3, "is not there: put it there"),
    "no kinds": ({"kinds": []}, 5, "list the kinds"),
    "a kind in small letters": ({"kinds": ["deployment"]}, 5, "for example Deployment"),
    "no time at all": ({"limits": {"timeout_seconds": 0}}, 8, "greater than or equal to 1"),
    "a day": ({"limits": {"timeout_seconds": 86400}}, 8, "less than or equal to 3600"),
    "less address space than memory": ({"limits": {"memory_mib": 4096}}, 7, "`address_space_mib` must not be less"),
    "our own variable": ({"environment": ["SELFHEAL_TOKEN"]}, 10, "belongs to the service alone"),
    "a variable that steers the loader": ({"environment": ["LD_PRELOAD"]}, 10, "decides which code runs"),
    "a variable that steers the shell": ({"environment": ["BASH_ENV"]}, 10, "decides which code runs"),
    "a variable that is none": ({"environment": ["A=B"]}, 10, "no name of a variable"),
    "an open schema": ({"arguments": {"type": "object"}}, 10, "additionalProperties: false"),
    "an undo that is not there": ({"undo": {"file": "u.sh", "sha256": "0" * 64}}, 11, "u.sh is not there"),
    "an undo without a hash": ({"undo": {"file": "u.sh"}}, 10, "is missing; write the 64 digits"),
}


@pytest.mark.parametrize(("change", "line", "said"), CHANGED.values(), ids=CHANGED)
def test_a_broken_manifest(shelf: Shelf, change: dict[str, JsonValue], line: int, said: str) -> None:
    shelf.add("echo")
    shelf.add("echo", "other")
    path = shelf.folder / "job.yaml"
    manifest: JsonObject = yaml.safe_load(path.read_text()) | change
    path.write_text(yaml.safe_dump(manifest, sort_keys=False))
    scripts = shelf.read()
    told = [(d.file, d.line) for d in scripts.defects]
    assert said in "; ".join(d.sentence for d in scripts.defects), scripts.defects
    assert set(told) == {("job.yaml", line)}, path.read_text()
    assert list(scripts.usable) == ["other"], "one broken manifest stops no other"
    assert isinstance(scripts.find("job"), Refused)


TEXTS = {
    "no YAML": (b"name: [", "no YAML"),
    "not UTF-8": (b"name: \xff", "UTF-8"),
    "a list": (b"- a", "is no manifest"),
    "empty": (b"", "is no manifest"),
    "a key given twice": (b"name: a\nname: b\n", "given twice"),
    "an alias": (b"name: &a x\nfile: *a\n", "aliases"),
}


@pytest.mark.parametrize(("text", "said"), TEXTS.values(), ids=TEXTS)
def test_what_is_no_manifest_at_all(shelf: Shelf, text: bytes, said: str) -> None:
    (shelf.folder / "job.yaml").write_bytes(text)
    (defect,) = shelf.read().defects
    assert said in str(defect)
    assert str(defect).startswith("job.yaml")


def test_a_name_that_is_declared_twice_belongs_to_nobody(shelf: Shelf) -> None:
    shelf.add("echo")
    (shelf.folder / "again.yaml").write_text((shelf.folder / "job.yaml").read_text())
    scripts = shelf.read()
    assert scripts.usable == {}
    assert "declares job too" in scripts.defects[0].sentence


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    scripts = read_scripts(tmp_path / "none")
    assert "is no folder" in str(scripts.defects[0])
    assert isinstance(scripts.find("job"), Refused)


def test_an_empty_folder_has_no_scripts_and_no_defects(shelf: Shelf) -> None:
    scripts = shelf.read()
    assert (scripts.usable, scripts.defects) == ({}, ())
    refused = scripts.find("job")
    assert isinstance(refused, Refused)
    assert refused.code is ScriptCode.UNKNOWN


def test_who_can_write_into_the_folder_can_add_scripts_so_nobody_else_may(shelf: Shelf) -> None:
    shelf.add("echo")
    shelf.folder.chmod(0o777)
    scripts = shelf.read()
    assert scripts.usable == {}
    assert "chmod go-w" in str(scripts.defects[0])


def test_a_manifest_that_others_can_write(shelf: Shelf) -> None:
    shelf.add("echo")
    (shelf.folder / "job.yaml").chmod(0o666)
    assert "chmod go-w" in str(shelf.read().defects[0])


def test_a_link_out_of_the_folder_is_not_followed(shelf: Shelf) -> None:
    shelf.add("echo")
    (shelf.folder / "job.sh").unlink()
    (shelf.folder / "job.sh").symlink_to("/bin/sh")
    assert "leads out of" in str(shelf.read().defects[0])


def test_a_link_within_the_folder_is_how_a_config_map_is_mounted(shelf: Shelf) -> None:
    shelf.add("echo")
    data = shelf.folder / "..2026_01_01"
    data.mkdir()
    for name in ("job.sh", "job.yaml"):
        (shelf.folder / name).rename(data / name)
    (shelf.folder / "..data").symlink_to(data.name)
    for name in ("job.sh", "job.yaml"):
        (shelf.folder / name).symlink_to(f"..data/{name}")
    assert list(shelf.read().usable) == ["job"]


SPECIAL = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "too large": lambda path: path.write_bytes(b"#!/bin/sh\n" + b"x" * 2**20),
    "no program": lambda path: path.write_text("echo hello"),
    "empty": lambda path: path.write_text(""),
}


@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
def test_what_is_no_script_file(shelf: Shelf, make: object) -> None:
    shelf.add("echo")
    (shelf.folder / "job.sh").unlink()
    assert callable(make)
    make(shelf.folder / "job.sh")
    (defect,) = shelf.read().defects
    assert defect.script == "job"
    assert defect.file == "job.yaml"


def test_more_manifests_than_anybody_needs_are_refused(shelf: Shelf) -> None:
    for number in range(201):
        (shelf.folder / f"m{number}.yaml").write_text("")
    assert "more than 200" in str(shelf.read().defects[0])
