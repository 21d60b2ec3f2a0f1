"""`.venv/bin/python requirements/install.py FILE`: pip, with one line that says how far it is.

For the Makefile; it needs Python and pip alone.  The rule: what pip says is kept and shown when it fails, and nothing
else of it.  On a terminal the line is written over; elsewhere a new one comes now and then.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

EVERY_SECONDS = 5.0
"""Between two lines where lines cannot be written over."""
_PINNED = re.compile(r"^[A-Za-z0-9._-]+(?:\[[^]]*\])?==", re.MULTILINE)
_SETTLED = re.compile(r"^(?:Collecting|Ignoring|Requirement already satisfied:?) +([A-Za-z0-9._-]+)")


class Progress:
    """How many of `total` packages pip has dealt with."""

    def __init__(self, total: int) -> None:
        self._total, self._seen = total, 0
        self._began = self._told = time.monotonic()
        self._is_terminal = sys.stdout.isatty()

    def take(self, line: str) -> None:
        """One line of pip's."""
        found = _SETTLED.match(line)
        if found:
            self._seen += 1
            self._tell(f"{self._seen} of {self._total}  {found[1]}")
        elif line.startswith("Installing collected packages"):
            self._tell(f"unpacking {line.count(',') + 1} packages", is_urgent=True)

    def end(self, text: str) -> None:
        """The last word."""
        seconds = time.monotonic() - self._began
        self._tell(f"{text} after {seconds:.0f} s", is_urgent=True)
        if self._is_terminal:
            sys.stdout.write("\n")

    def _tell(self, text: str, *, is_urgent: bool = False) -> None:
        if self._is_terminal:
            sys.stdout.write(f"\r   {text:<60.60}")
            sys.stdout.flush()
        elif is_urgent or time.monotonic() - self._told >= EVERY_SECONDS:
            self._told = time.monotonic()
            sys.stdout.write(f"   {text}\n")
            sys.stdout.flush()


def install(requirements: Path) -> int:
    """Install exactly what the file pins, by hash; pip's exit code."""
    progress, said = Progress(len(_PINNED.findall(requirements.read_text()))), list[str]()
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    # Files are compiled when they are first used: a third of the packages never is.
    command += ["--no-compile", "--require-hashes", "-r", str(requirements)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:  # noqa: S603
        for line in pip.stdout or ():
            said.append(line)
            progress.take(line.strip())
    progress.end("installed" if pip.returncode == 0 else "FAILED")
    if pip.returncode:
        sys.stderr.writelines(said[-40:])
    return pip.returncode


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1])))
