from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from agiwb.errors import WorkError
from agiwb.native_chatter import held_back


def test_what_native_code_prints_is_not_shown(capfd):
    with held_back():
        os.write(2, b"INFO: Created a delegate.\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_it_is_shown_when_the_block_raises(capfd):
    with pytest.raises(ValueError, match="why"):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "native: why\nafter\n"


def test_one_block_may_hold_another(capfd):
    with held_back():
        with pytest.raises(ValueError, match="why"):
            fail()
        with held_back():
            os.write(2, b"inner\n")
        os.write(2, b"outer\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_blocks_in_two_threads_leave_stderr_in_place(capfd):
    entered, leave = threading.Event(), threading.Event()

    def work_first():
        with held_back():
            entered.set()
            leave.wait(60)

    def work_second():
        with held_back():
            first.join(60)  # were they not in turn, this would put the first one's file in place

    first, second = threading.Thread(target=work_first), threading.Thread(target=work_second)
    first.start()
    assert entered.wait(60)
    second.start()
    time.sleep(0.05)
    leave.set()
    second.join(60)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)"])
def test_a_process_without_stderr_works_all_the_same(ending):
    code = (
        "import os, sys; from agiwb.native_chatter import held_back\n"
        "os.close(2); sys.stderr = None\n"
        f"with held_back():\n    print('inside'); {ending}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "inside\n"
    assert done.returncode == (0 if ending == "pass" else 3)


@held_back()
def fail(error=None):
    os.write(2, b"native: why\n")
    raise error or ValueError("why")


def test_a_foreseen_error_has_said_it_already(capfd):
    with pytest.raises(WorkError, match="why"):
        fail(WorkError("why", "what to do"))
    assert capfd.readouterr().err == ""
