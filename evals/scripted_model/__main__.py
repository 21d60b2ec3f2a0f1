"""`python -m evals.scripted_model SCRIPT --port N`: play a script until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from pathlib import Path

from evals.scripted_model.script import Script, ScriptError, load_script
from evals.scripted_model.server import ScriptedModel


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 2 when the script or the port cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.scripted_model", description="An OpenAI-compatible server that plays a script."
    )
    parser.add_argument("script", type=Path, help="YAML file with a list `replies`")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--record", type=Path, help="file to which each request is appended as one line of JSON")
    options = parser.parse_args(arguments)
    try:
        script = load_script(options.script)
    except ScriptError as error:
        print(error, file=sys.stderr)
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_run(script, options.port, options.record))
    return 0


async def _run(script: Script, port: int, record: Path | None) -> int:
    model = ScriptedModel(script, port=port)
    try:
        await model.start()
    except OSError as error:
        print(f"port {port}: {error.strerror or error}; choose another with --port", file=sys.stderr)
        return 2
    print(f"scripted model {script.model} at {model.url}", flush=True)
    seen = 0
    try:
        while True:
            await asyncio.sleep(0.2)
            new, seen = model.requests[seen:], len(model.requests)
            if record is not None and new:
                await asyncio.to_thread(_append, record, [r.raw for r in new if r.body])
    finally:
        await model.stop()


def _append(record: Path, bodies: list[str]) -> None:
    with record.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(json.loads(body)) + "\n" for body in bodies)


if __name__ == "__main__":
    sys.exit(main())
