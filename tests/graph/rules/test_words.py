"""How long messages become short enough for a sentence."""

from __future__ import annotations

import pytest

from graph.incident import Reason
from graph.observed import LogExcerpt
from graph.rules.words import last_words, said_of, telling_end, trouble
from tests.graph.rules.samples import pod, ref, signal

IMAGE = "registry.example/shop/web:4"
PULLING = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": failed to do request'
DNS = (
    f'ImagePullBackOff: Back-off pulling image "{IMAGE}": ErrImagePull: {PULLING}:'
    ' Head "https://registry.example/v2/shop/web/manifests/4": dial tcp: lookup registry.example on 192.0.2.53:53:'
    " read udp 192.0.2.9:41234->192.0.2.53:53: i/o timeout"
)
NO_FILE = (
    "StartError with exit code 128: failed to create containerd task: failed to create shim task: OCI runtime create"
    ' failed: runc create failed: unable to start container process: error during container init: exec: "/bin/serve":'
    " stat /bin/serve: no such file or directory: unknown"
)

ENDS = {
    "short: told whole": ("ErrImagePull: web:4: not found", "ErrImagePull: web:4: not found"),
    "address lookup": (DNS, "read udp 192.0.2.9:41234->192.0.2.53:53: i/o timeout"),
    "image not there: with what is not there": (
        f'ErrImagePull: code = NotFound desc = {PULLING}: Head "https://registry.example/v2/x": {IMAGE}: not found',
        f'Head "https://registry.example/v2/x": {IMAGE}: not found',
    ),
    "command not there: without the runtime's last word": (
        NO_FILE,
        "stat /bin/serve: no such file or directory",
    ),
    "colons in quotes do not divide": (
        f'{"x" * 100}: failed to do "one: two: three: four: five: six: seven": no',
        'failed to do "one: two: three: four: five: six: seven": no',
    ),
}


@pytest.mark.parametrize(("text", "end"), ENDS.values(), ids=ENDS)
def test_telling_end(text: str, end: str) -> None:
    assert telling_end(text) == end


@pytest.mark.parametrize("text", ["x" * 5000, "a: " * 2000, f"cause: {'y' * 500}", ": " * 500, '"' * 999])
def test_no_end_is_longer_than_120_characters(text: str) -> None:
    assert 0 < len(telling_end(text)) <= 120


def test_a_sentence_about_a_nested_error_can_be_read() -> None:
    assert trouble(signal(Reason.IMAGE_PULL_FAILED, DNS), [pod()]) == (
        f"cannot pull image {IMAGE} for container app (read udp 192.0.2.9:41234->192.0.2.53:53: i/o timeout)"
    )


def test_the_scheduler_is_heard_up_to_preemption() -> None:
    nodes = "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu."
    long = f"{nodes} preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
    assert said_of(signal(Reason.UNSCHEDULABLE, long, container=None)) == nodes


def test_a_programs_own_last_words_keep_their_order() -> None:
    words = f"Error with exit code 1: panic: {'config: ' * 30}; 3 restarts"
    said = said_of(signal(Reason.CRASH_LOOP, words))
    assert said.startswith("Error with exit code 1: panic: ")
    assert said.endswith("; 3 restarts")


REFUSED = "panic: dial tcp db.example:5432: connect: connection refused"
LAST_WORDS = {
    "the only line": (Reason.CRASH_LOOP, "", "app", REFUSED, REFUSED),
    "a failure before its stack": (
        Reason.CRASH_LOOP, "", "app", f"listening\n{REFUSED}\n\ngoroutine 1 [running]:\nmain.main()\n", REFUSED,
    ),
    "no failure told: the last line": (Reason.NOT_READY, "", "app", "listening\nwarming up\n", "warming up"),
    "long: cut": (Reason.INIT_FAILED, "", "app", "error " + "x" * 500, "error xxx"),
    "another container's log": (Reason.CRASH_LOOP, "", "side", REFUSED, ""),
    "the message says it already": (Reason.CRASH_LOOP, f"exit code 2: {REFUSED}", "app", REFUSED, ""),
    "a symptom that no log explains": (Reason.IMAGE_PULL_FAILED, "", "app", REFUSED, ""),
    "an empty log": (Reason.CRASH_LOOP, "", "app", " \n", ""),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "message", "container", "text", "told"), LAST_WORDS.values(), ids=LAST_WORDS)
def test_last_words(reason: Reason, message: str, container: str, text: str, told: str) -> None:
    log = LogExcerpt(pod=ref("Pod", "web-1"), container=container, previous=True, text=text)
    said = last_words(signal(reason, message), [log])
    assert said.startswith(f"Its log says: {told}") if told else said == ""
    assert len(said) < 200
