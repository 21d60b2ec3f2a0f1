"""What was answered 2xx outlives `kill -9`."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path

from server.dispatch import Dispatcher
from tests.server.support import TOKEN, ScriptedHealer, admit_by_name, eventually, open_test_ports, settle
from tests.support.http import plain

ROOT = Path(__file__).parents[2]
REFERENCE = {"kind": "Deployment", "namespace": "shop", "name": "web"}


async def test_a_request_that_was_accepted_is_healed_after_a_kill(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.server.hung_service", str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with plain(headers=headers) as http:
            answer = await http.post(f"http://127.0.0.1:{port}/self-heal", json=REFERENCE)
        assert answer.status_code == 202
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async with open_test_ports(tmp_path) as ports:
        (left,) = await ports.ledger.waiting()
        assert left.id == answer.json()["request_id"]
        assert left.body == REFERENCE
        healer = ScriptedHealer(ports)
        dispatcher = Dispatcher(ports, healer, admission=admit_by_name)
        assert await dispatcher.recover() == 1
        await eventually(lambda: bool(healer.runs) and dispatcher.open_count == 0, "the end of the run")
        await settle()
        (record,) = await ports.ledger.incidents()
        assert (str(record.target), record.status) == ("shop/Deployment/web", "healed")
        await dispatcher.close(timedelta(0))
