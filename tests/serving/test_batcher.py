"""Queues of batches: their limits, their timing, and what they do to rows and shapes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import numpy as np
import pytest

from agiwb.errors import InputError
from agiwb.serving.batcher import QueueBatcher, TickBatcher
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.status import Code, Refusal

LONG = 60_000_000
"""Microseconds; nothing runs before its batch is full."""


class Doubling:
    """Doubles rows, refuses 13, notes its batches, and waits while ``go`` is not set."""

    def __init__(self):
        self.batches = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, inputs):
        self.batches.append(inputs["x"].tolist())
        self.begun.set()
        assert self.go.wait(60)
        if 13 in inputs["x"]:
            raise InputError("13 is not doubled.")
        return {"y": inputs["x"] * 2}


def rows(*values):
    return {"x": np.array(values)}


@contextlib.contextmanager
def queue(**parameters):
    batcher = QueueBatcher(BatchingParameters(**parameters))
    try:
        yield batcher
    finally:
        batcher.stop()


def submit(batcher, run, *values, key="k", deadline=None):
    return batcher.submit(key, run, rows(*values), len(values), deadline)


def answer(future):
    return future.result(60)["y"].tolist()


def test_a_full_batch_runs_at_once():
    run = Doubling()
    with queue(max_batch_size=4, batch_timeout_micros=LONG) as batcher:
        futures = [submit(batcher, run, 1, 2), submit(batcher, run, 3), submit(batcher, run, 4)]
        assert [answer(future) for future in futures] == [[2, 4], [6], [8]]
    assert run.batches == [[1, 2, 3, 4]]


def test_a_batch_runs_when_its_first_request_has_waited_long_enough():
    run = Doubling()
    with queue(batch_timeout_micros=50_000) as batcher:
        futures = [submit(batcher, run, 1), submit(batcher, run, 2)]
        assert run.batches == []
        assert [answer(future) for future in futures] == [[2], [4]]
    assert run.batches == [[1, 2]]


def test_a_request_that_does_not_fit_begins_the_next_batch():
    run = Doubling()
    with queue(max_batch_size=3, batch_timeout_micros=LONG, num_batch_threads=1) as batcher:
        first, second = submit(batcher, run, 1, 2), submit(batcher, run, 3, 4, 5)
        assert (answer(first), answer(second)) == ([2, 4], [6, 8, 10])
    assert run.batches == [[1, 2], [3, 4, 5]]


def test_requests_of_different_kinds_do_not_share():
    first, second = Doubling(), Doubling()
    with queue(batch_timeout_micros=1000) as batcher:
        futures = [submit(batcher, first, 1, key="a"), submit(batcher, second, 2, key="b")]
        assert [answer(future) for future in futures] == [[2], [4]]
    assert (first.batches, second.batches) == ([[1]], [[2]])


def test_one_bad_request_spoils_no_other():
    run = Doubling()
    with queue(max_batch_size=3, batch_timeout_micros=LONG) as batcher:
        good, bad, other = (submit(batcher, run, value) for value in (1, 13, 3))
        assert (answer(good), answer(other)) == ([2], [6])
        with pytest.raises(InputError, match="13 is not doubled"):
            bad.result(60)


def test_a_model_that_answers_another_number_of_rows_is_asked_one_by_one():
    with queue(max_batch_size=2, batch_timeout_micros=LONG) as batcher:

        def total(inputs):
            return {"y": inputs["x"].sum(keepdims=True)}

        futures = [submit(batcher, total, 1), submit(batcher, total, 2)]
        assert [answer(future) for future in futures] == [[1], [2]]


def test_a_full_queue_refuses_and_takes_again_when_there_is_room():
    run = Doubling()
    run.go.clear()
    limits = {"max_batch_size": 1, "max_enqueued_batches": 2, "num_batch_threads": 1}
    with queue(**limits) as batcher:
        running = submit(batcher, run, 1)
        assert run.begun.wait(60)
        waiting = [submit(batcher, run, 2), submit(batcher, run, 3)]
        with pytest.raises(Refusal, match="queue to which this task was submitted is full") as full:
            submit(batcher, run, 4)
        assert (full.value.code, full.value.http_status) == (Code.UNAVAILABLE, 503)
        assert full.value.retry_after_s > 0
        run.go.set()
        assert [answer(future) for future in (running, *waiting)] == [[2], [4], [6]]
        assert answer(submit(batcher, run, 4)) == [8]


def test_a_full_queue_still_fills_the_batch_that_is_open():
    run = Doubling()
    with queue(max_batch_size=2, max_enqueued_batches=1, batch_timeout_micros=LONG) as batcher:
        first = submit(batcher, run, 1)
        with pytest.raises(Refusal):
            submit(batcher, run, 9, key="other")
        assert (answer(submit(batcher, run, 2)), answer(first)) == ([4], [2])


@pytest.mark.parametrize(("given", "padded"), [(1, 2), (2, 2), (3, 4), (5, 8)])
def test_batches_are_padded_to_an_allowed_size_by_repeating_the_first_row(given, padded):
    run = Doubling()
    with queue(max_batch_size=8, allowed_batch_sizes=(2, 4, 8)) as batcher:
        values = list(range(1, given + 1))
        assert answer(submit(batcher, run, *values)) == [2 * value for value in values]
    assert run.batches == [values + [1] * (padded - given)]


def test_large_requests_are_split_and_their_rest_padded():
    run = Doubling()
    with queue(max_batch_size=4, allowed_batch_sizes=(2, 4)) as batcher:
        assert answer(submit(batcher, run, *range(9))) == [2 * value for value in range(9)]
    assert run.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 8]]


def test_a_large_request_shares_with_nobody_and_fails_alone():
    run = Doubling()
    with queue(max_batch_size=2, batch_timeout_micros=10_000, num_batch_threads=1) as batcher:
        small, bad, after = (
            submit(batcher, run, 1),
            submit(batcher, run, 2, 3, 13),
            submit(batcher, run, 4),
        )
        assert (answer(small), answer(after)) == ([2], [8])
        with pytest.raises(InputError, match="13"):
            bad.result(60)
    assert run.batches == [[1], [2, 3], [13], [4]]


def test_large_requests_are_refused_where_they_may_not_be_split():
    run = Doubling()
    with queue(max_batch_size=2, enable_large_batch_splitting=False) as batcher:
        with pytest.raises(
            Refusal, match="Task size 3 is larger than maximum input batch size 2"
        ) as refused:
            submit(batcher, run, 1, 2, 3)
        assert refused.value.code is Code.INVALID_ARGUMENT
        assert answer(submit(batcher, run, 1, 2)) == [2, 4]


def test_shapes_are_padded_with_the_first_value():
    batches = []

    def sums(inputs):
        batches.append(inputs["x"].tolist())
        return {"y": inputs["x"].sum(axis=1)}

    parameters = {"max_batch_size": 2, "batch_timeout_micros": LONG}
    with queue(**parameters, pad_variable_length_inputs=True) as batcher:
        futures = [batcher.submit("k", sums, {"x": np.array([row])}, 1) for row in ([5], [1, 2, 3])]
        assert [future.result(60)["y"].tolist() for future in futures] == [[15], [6]]
    assert batches == [[[5, 5, 5], [1, 2, 3]]]


def test_what_cannot_be_joined_is_run_one_by_one():
    """A missing dimension has no padding."""

    def sums(inputs):
        return {"y": inputs["x"].sum(axis=tuple(range(1, inputs["x"].ndim)))}

    parameters = {"max_batch_size": 2, "batch_timeout_micros": LONG}
    with queue(**parameters, pad_variable_length_inputs=True) as batcher:
        futures = [
            batcher.submit("k", sums, {"x": np.array(rows)}, 1) for rows in ([[1, 2]], [[[3], [4]]])
        ]
        assert [future.result(60)["y"].tolist() for future in futures] == [[3], [7]]


def test_a_request_whose_deadline_passes_in_the_queue_is_not_run():
    run = Doubling()
    run.go.clear()
    with queue(num_batch_threads=1) as batcher:
        running = submit(batcher, run, 1)
        assert run.begun.wait(60)
        late = submit(batcher, run, 2, deadline=time.monotonic() + 0.01)
        patient = submit(batcher, run, 3, deadline=time.monotonic() + 60)
        time.sleep(0.02)
        run.go.set()
        with pytest.raises(Refusal) as refused:
            late.result(60)
        assert refused.value.code is Code.DEADLINE_EXCEEDED
        assert (answer(running), answer(patient)) == ([2], [6])
    assert run.batches == [[1], [3]]


def test_a_cancelled_request_is_not_run():
    run = Doubling()
    with queue(max_batch_size=3, batch_timeout_micros=LONG) as batcher:
        gone, stays = submit(batcher, run, 1), submit(batcher, run, 2)
        assert gone.cancel()
        assert answer(submit(batcher, run, 3)) == [6]
        assert answer(stays) == [4]
    assert run.batches == [[2, 3]]


def test_a_batch_of_cancelled_requests_is_not_run():
    run = Doubling()
    with queue(max_batch_size=2, batch_timeout_micros=LONG) as batcher:
        gone = submit(batcher, run, 1)
        gone.cancel()
    assert run.batches == []


def test_stopping_runs_what_waits_and_refuses_what_comes():
    run = Doubling()
    batcher = QueueBatcher(BatchingParameters(batch_timeout_micros=LONG))
    futures = [submit(batcher, run, 1), submit(batcher, run, 2, key="other")]
    batcher.stop()
    assert [future.result(0)["y"].tolist() for future in futures] == [[2], [4]]
    with pytest.raises(Refusal) as refused:
        submit(batcher, run, 3)
    assert refused.value.code is Code.UNAVAILABLE


def test_two_batches_that_one_request_closes_run_side_by_side():
    go = threading.Event()

    def slow_for_one_row(inputs):
        assert len(inputs["x"]) > 1 or go.wait(60)
        return {"y": inputs["x"] * 2}

    parameters = {"max_batch_size": 2, "batch_timeout_micros": LONG, "num_batch_threads": 2}
    with queue(**parameters) as batcher:
        small = submit(batcher, slow_for_one_row, 1)
        time.sleep(0.05)  # both threads wait, one of them for this batch to be due
        large = submit(batcher, slow_for_one_row, 2, 3)
        try:
            assert answer(large) == [4, 6]
            assert not small.done()
        finally:
            go.set()
        assert answer(small) == [2]


def test_a_fault_of_the_batching_itself_is_told_and_the_thread_lives():
    with queue(max_batch_size=2, num_batch_threads=1) as batcher:

        def pieces_that_do_not_join(inputs):
            size = len(inputs["x"])
            return {"y": np.zeros((size, size))}

        with pytest.raises(ValueError, match="dimension"):
            submit(batcher, pieces_that_do_not_join, 1, 2, 3).result(60)
        assert answer(submit(batcher, Doubling(), 4)) == [8]


def test_many_threads_get_their_own_answers():
    run = Doubling()
    wrong = []
    with queue(max_batch_size=8, batch_timeout_micros=500) as batcher:

        def client(number):
            for count in range(50):
                values = [20 + number * 1000 + count * 3 + more for more in range(count % 3 + 1)]
                if answer(submit(batcher, run, *values)) != [2 * value for value in values]:
                    wrong.append(values)

        clients = [threading.Thread(target=client, args=[number]) for number in range(6)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join(60)
    assert wrong == []
    assert max(len(batch) for batch in run.batches) <= 8


# On the loop.


def as_they_are(asked, outcomes, settle):
    settle(outcomes)


def tick(*requests, most=8):
    run = Doubling()

    async def ask_all():
        batcher = TickBatcher(asyncio.get_running_loop(), as_they_are)
        return await asyncio.gather(
            *(
                batcher.submit("k", run, rows(*values), len(values), most, values)
                for values in requests
            ),
            return_exceptions=True,
        )

    return asyncio.run(ask_all()), run.batches


def test_one_turns_requests_share_batches_of_at_most_so_many_rows():
    answers, batches = tick([1, 2], [3], [4, 5], [6], [7, 8, 9, 10, 11, 12], most=4)
    assert [one["y"].tolist() for one in answers[:3]] == [[2, 4], [6], [8, 10]]
    assert batches == [[1, 2, 3], [4, 5, 6], [7, 8, 9, 10, 11, 12]]


def test_a_bad_request_of_a_turn_spoils_no_other():
    answers, batches = tick([1], [13], [2])
    assert [answers[0]["y"].tolist(), answers[2]["y"].tolist()] == [[2], [4]]
    assert isinstance(answers[1], InputError)
    assert batches == [[1, 13, 2], [1], [13], [2]]


def test_what_is_asked_while_a_turn_is_answered_comes_in_the_next():
    run = Doubling()

    async def ask_twice():
        batcher = TickBatcher(asyncio.get_running_loop(), as_they_are)
        for value in (1, 2):
            answered = await batcher.submit("k", run, rows(value), 1, 8, value)
            assert answered["y"].tolist() == [2 * value]

    asyncio.run(ask_twice())
    assert run.batches == [[1], [2]]


def test_who_comes_during_a_run_is_run_when_its_answers_were_sent():
    async def scenario():
        loop = asyncio.get_running_loop()
        batcher, seen, second = TickBatcher(loop, as_they_are), [], []

        def submit():
            return batcher.submit("key", run, {"x": np.ones((1, 1), np.float32)}, 1, 8, None)

        def run(inputs):
            seen.append("run")
            if not second:  # uvloop reads another request before it looks at what is ready
                loop.call_soon(lambda: second.append(submit()))
            return {"y": inputs["x"]}

        async def ask():
            await submit()

        first = loop.create_task(ask())
        first.add_done_callback(lambda _: seen.append("sent"))  # as a connection does
        await first
        await second[0]
        return seen

    assert asyncio.run(scenario()) == ["run", "sent", "run"]


def test_what_one_batch_has_no_room_for_waits_while_the_first_are_answered():
    async def scenario():
        batcher = TickBatcher(asyncio.get_running_loop(), as_they_are)
        seen = []

        def run(inputs):
            seen.append(("run", len(inputs["x"])))
            return {"y": inputs["x"]}

        async def ask(number):
            await batcher.submit("key", run, {"x": np.ones((1, 1), np.float32)}, 1, 2, None)
            seen.append(("answered", number))

        async def ask_later():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await ask(5)

        await asyncio.gather(*map(ask, range(5)), ask_later())
        return seen

    seen = asyncio.run(scenario())
    assert [number for what, number in seen if what == "answered"] == [0, 1, 2, 3, 4, 5]
    assert [rows for what, rows in seen if what == "run"] == [2, 2, 2]  # the last one found room
    assert seen.index(("answered", 0)) < max(
        place for place, (what, _) in enumerate(seen) if what == "run"
    )


@pytest.mark.parametrize("is_late", [False, True])
def test_the_answers_of_a_batch_are_concluded_together_at_once_or_later(is_late):
    async def scenario():
        loop, groups = asyncio.get_running_loop(), []

        def conclude(asked, outcomes, settle):
            groups.append(asked)
            doubled = [outcome["y"].tolist() for outcome in outcomes]
            answers = list(zip(asked, doubled, strict=True))
            answers[1] = InputError("It was not logged.")
            if is_late:
                loop.call_later(0.01, settle, answers)
            else:
                settle(answers)

        batcher, run = TickBatcher(loop, conclude), Doubling()
        asks = [batcher.submit("k", run, rows(place), 1, 8, f"ask {place}") for place in range(3)]
        return await asyncio.gather(*asks, return_exceptions=True), groups

    answers, groups = asyncio.run(scenario())
    assert groups == [["ask 0", "ask 1", "ask 2"]]
    assert [answers[0], answers[2]] == [("ask 0", [0]), ("ask 2", [4])]
    assert isinstance(answers[1], InputError)


def test_nobody_waits_for_ever_if_answers_cannot_be_concluded():
    async def scenario():
        batcher = TickBatcher(asyncio.get_running_loop(), lambda *_: 1 / 0)
        asks = [batcher.submit("k", Doubling(), rows(1), 1, 8, None) for _ in range(2)]
        return await asyncio.gather(*asks, return_exceptions=True)

    assert [type(answer) for answer in asyncio.run(scenario())] == [ZeroDivisionError] * 2
