"""The request log: what is in a line, what is sampled, and that nobody waits for it."""

from __future__ import annotations

import io
import json
import threading
import time

import pytest

from agiwb.serving.exchange import Caller
from agiwb.serving.metrics.request_log import RequestEntry, RequestLog
from agiwb.serving.status import Code

CALLER = Caller("id\n1", "tfs_rest", size_bytes=551, peer="127.0.0.1")
ENTRY = RequestEntry(CALLER, "m", 3, "serving_default", Code.OK, 0.0012345, 2)


def test_a_line_holds_all_but_the_inputs():
    written = io.BytesIO()
    log = RequestLog(written.write)
    log.record(ENTRY)
    log.close()
    (line,) = written.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("time") == pytest.approx(time.time(), abs=60)
    assert found == {
        "id": "id\n1",
        "model": "m",
        "version": 3,
        "signature": "serving_default",
        "protocol": "tfs_rest",
        "code": "OK",
        "ms": 1.234,
        "rows": 2,
        "bytes": 551,
        "peer": "127.0.0.1",
    }


def test_a_share_of_what_succeeds_and_all_that_fails():
    written = io.BytesIO()
    log = RequestLog(written.write, share=0.25)
    for _ in range(2000):
        log.record(ENTRY)
        log.record(ENTRY._replace(code=Code.NOT_FOUND))
    log.close()
    codes = [json.loads(line)["code"] for line in written.getvalue().splitlines()]
    assert codes.count("NOT_FOUND") == 2000
    assert 350 < codes.count("OK") < 650


def test_a_writer_that_hangs_holds_nobody_up():
    released = threading.Event()
    log = RequestLog(lambda _: released.wait(60))
    for _ in range(10_100):
        log.record(ENTRY)
    assert log.dropped >= 99
    released.set()
    log.close()


def test_a_full_disk_is_counted():
    def refuse(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    log = RequestLog(refuse)
    log.record(ENTRY)
    log.record(ENTRY)
    log.close()
    assert log.dropped == 2
