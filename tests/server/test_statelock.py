"""One worker per state folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.settings import SettingsError
from server.statelock import hold_state


def test_a_second_worker_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with (
        hold_state(tmp_path),
        pytest.raises(SettingsError, match=rf"process {os.getpid()} works on"),
        hold_state(tmp_path),
    ):
        pass


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_state(tmp_path / "made"):
            assert (tmp_path / "made").stat().st_mode & 0o077 == 0, "only the owner may look in"


def test_a_killed_worker_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import os, pathlib\nfrom server.statelock import hold_state\n"
        f"with hold_state(pathlib.Path({str(tmp_path)!r})):\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2]).returncode == 9
    with hold_state(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="SELFHEAL_STATE_DIR"), hold_state(tmp_path / "file" / "state"):
        pass
