from __future__ import annotations

import sys
import threading

import pytest

from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.harness import Harness, Lease, LoadedVersion
from agiwb.serving.servables.states import FINISHED, FOLLOWERS, STATES, Stage, State
from agiwb.serving.status import Code
from agiwb.serving.versions import Version
from tests.serving.servables.watched import WatchedServable, eventually, write_half_plus_two


@pytest.fixture
def told():
    return []


@pytest.fixture
def harness(tmp_path, told):
    version = Version(1, write_half_plus_two(tmp_path / "1"))
    return Harness("m", version, (), lambda harness: told.append(harness.status.state))


@pytest.fixture
def ready(harness):
    harness.move(Stage.LOAD_REQUESTED)
    harness.move(Stage.LOADING)
    folder = harness.version.folder
    harness.become_ready(LoadedVersion("m", 1, folder, WatchedServable(folder)))
    return harness


def test_a_life_goes_through_every_state_once(ready, told):
    ready.move(Stage.QUIESCING)
    ready.move(Stage.UNLOADING)
    ready.move(Stage.DISABLED)
    assert told == list(State)


def test_what_cannot_follow_is_refused(ready):
    with pytest.raises(RuntimeError, match="cannot become unloading: it is ready"):
        ready.move(Stage.UNLOADING)


def test_every_stage_ends_and_is_told_as_some_state():
    assert set(FOLLOWERS) == set(STATES) == set(Stage)
    assert {stage for stage, followers in FOLLOWERS.items() if not followers} == FINISHED


def test_a_failure_is_kept_until_a_load_succeeds(harness):
    harness.move(Stage.LOAD_REQUESTED)
    harness.move(Stage.LOADING)
    harness.fail(Code.DATA_LOSS, "It is damaged.", retry_at=5.0)
    assert harness.status.state is State.LOADING
    assert (harness.status.code, harness.status.message) == (Code.DATA_LOSS, "It is damaged.")
    harness.fail(Code.DATA_LOSS, "It is damaged.", retry_at=None)
    assert harness.status.state is State.END
    assert harness.attempts == 2


def test_the_last_lease_ends_the_wait(ready):
    first, second = (Lease(lambda *_: ready, ModelSpec("m")) for _ in range(2))
    servable = first.__enter__().servable
    second.__enter__()
    ready.quiesce()
    waiting = threading.Thread(target=ready.wait_until_idle)
    waiting.start()
    first.__exit__(None, None, None)
    waiting.join(0.05)
    assert waiting.is_alive()
    second.__exit__(None, None, None)
    waiting.join(60)
    assert not waiting.is_alive()
    ready.unload()
    assert servable.closed == 1


def test_no_lease_is_given_once_it_quiesces(ready):
    ready.quiesce()
    assert ready.take(Lease(lambda *_: ready, ModelSpec("m"))) is None
    ready.wait_until_idle()


def test_a_lease_ends_with_an_error_in_its_block(ready):
    with pytest.raises(ZeroDivisionError), Lease(lambda *_: ready, ModelSpec("m")):
        _ = 1 / 0
    ready.quiesce()
    waiting = threading.Thread(target=ready.wait_until_idle)
    waiting.start()
    assert eventually(lambda: not waiting.is_alive())


def _interrupted(run, code, at, interrupt):
    """Return what ``run`` gives, with ``interrupt`` called before instruction ``at`` of ``code``.

    Where threads may switch is the interpreter's affair; so all places are tried. The second value
    is what ``interrupt`` gave, as a list, empty once ``at`` is beyond the end.
    """
    given = []
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if count == at:
                sys.settrace(None)
                given.append(interrupt())
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return run(), given
    finally:
        sys.settrace(before)


def _ready_harness(tmp_path):
    harness = Harness("m", Version(1, tmp_path), (), lambda _: None)
    harness._loaded = LoadedVersion("m", 1, tmp_path, None)
    return harness, Lease(lambda *_: harness, ModelSpec("m"))


def _check(harness, lease, loaded):
    """Assert that a lease and idleness exclude each other, and that idleness comes in the end."""
    assert harness._idle.is_set() == (loaded is None)
    if loaded is not None:
        harness.give_back(lease)
    assert harness._idle.is_set()


def test_quiescing_at_any_point_of_taking_a_lease_is_safe(tmp_path):
    for at in range(1000):
        harness, lease = _ready_harness(tmp_path)
        loaded, quiesced = _interrupted(
            lambda h=harness, x=lease: h.take(x), Harness.take.__code__, at, harness.quiesce
        )
        if not quiesced:
            break
        _check(harness, lease, loaded)
    assert at > 10


def test_taking_a_lease_at_any_point_of_quiescing_is_safe(tmp_path):
    for at in range(1000):
        harness, lease = _ready_harness(tmp_path)
        _, taken = _interrupted(
            harness.quiesce, Harness.quiesce.__code__, at, lambda h=harness, x=lease: h.take(x)
        )
        if not taken:
            break
        _check(harness, lease, taken[0])
    assert at > 10


@pytest.mark.parametrize("outer", ["give back", "quiesce"])
def test_the_end_of_the_last_lease_is_never_missed(tmp_path, outer):
    for at in range(1000):
        harness, lease = _ready_harness(tmp_path)
        assert harness.take(lease) is not None
        steps = [
            (lambda h=harness, x=lease: h.give_back(x), Harness.give_back.__code__),
            (harness.quiesce, Harness.quiesce.__code__),
        ]
        (run, code), (interrupt, _) = steps if outer == "give back" else reversed(steps)
        _, interrupted = _interrupted(run, code, at, interrupt)
        if not interrupted:
            break
        assert harness._idle.is_set()
    assert at > 5
