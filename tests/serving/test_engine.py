"""The engine: merging that nobody notices, deadlines, threads, and what is counted and logged."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agiwb.errors import AgiwbError, InputError, ServingError
from agiwb.serving.access.gate import Gate
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.http.limits import Limits
from agiwb.serving.http.listener import serve_http
from agiwb.serving.prediction_log import LogPolicy, PredictionLog, iterate_predictions
from agiwb.serving.rest.application import RestApplication
from agiwb.serving.servables.servable import RunTime
from agiwb.serving.status import Code, Refusal, code_of
from tests.serving.engines import (
    Watched,
    ask,
    ask_now,
    caller,
    engine_of,
    load,
    load_composite,
    wait_for,
)
from tests.serving.onnx_models import (
    write_centred,
    write_convolution,
    write_half_plus_two,
    write_mlp,
    write_pair_sum,
    write_two_by_two,
)

HALVES = np.float32([1, 2])


def halves(rows=1):
    return {"x": np.arange(rows, dtype=np.float32)}


@pytest.fixture
def watched(tmp_path):
    return Watched(load(write_half_plus_two(tmp_path / "models" / "1")))


# Merging never changes an answer.

SIZES = st.integers(0, 5)
NUMBERS = st.sampled_from([np.float32, np.float64, np.int64, np.int32])


def array(shape, dtype):
    return (np.arange(np.prod(shape)) % 7 - 3).reshape(shape).astype(dtype)


@st.composite
def asked(draw):
    """Return a request of any signature, or one that is wrong in one way or another."""
    kind = draw(st.sampled_from(["pair", "classify", "sums", "lookup", "echo", "wrong"]))
    rows = draw(SIZES)
    if kind == "pair":
        inputs = {"a": array((rows,), draw(NUMBERS)), "b": array((rows,), np.int64)}
        return "", inputs, draw(st.sampled_from([(), ("sum",), ("b_twice", "sum")]))
    if kind == "classify":
        width = draw(st.sampled_from([4, 4, 4, 5]))
        return "classify", {"features": array((rows, width), draw(NUMBERS))}, ()
    if kind == "sums":
        height, width = draw(st.integers(2, 4)), draw(st.integers(3, 4))
        return "sums", {"image": array((rows, 1, height, width), np.float32)}, ()
    if kind == "lookup":
        index = draw(st.lists(st.integers(0, 3), min_size=0, max_size=4))
        return "lookup", {"index": np.array(index, np.int64)}, ()
    if kind == "echo":
        return "echo", {"text": np.array(draw(st.lists(st.text(max_size=3))), object)}, ()
    wrong = [
        ("no_such", {"x": np.zeros(1)}, ()),
        ("", {"a": np.zeros(2, np.float32)}, ()),
        ("", {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.int64)}, ()),
        ("", {"a": np.float32(1), "b": np.int64(1)}, ()),
        ("", {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)}, ()),
        ("", {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.int64), "c": np.zeros(2)}, ()),
        ("", {}, ()),
        ("", {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.int64)}, ("none",)),
        ("classify", {"features": np.array([["a"] * 4], object)}, ()),
    ]
    return draw(st.sampled_from(wrong))


SETTINGS = {
    "tick": None,
    "queue": BatchingParameters(max_batch_size=4, batch_timeout_micros=1000),
    "padded": BatchingParameters(
        max_batch_size=8, batch_timeout_micros=1000, allowed_batch_sizes=(2, 4, 8)
    ),
}


@pytest.fixture(scope="module", params=SETTINGS)
def composed(request, tmp_path_factory):
    """An engine, a loop and the model alone."""
    folder = tmp_path_factory.mktemp(request.param)
    model = load_composite(folder / "models")
    loop = asyncio.new_event_loop()
    with (
        engine_of(folder / "served", {"m": model}, batching=SETTINGS[request.param]) as engine,
        ThreadPoolExecutor(4) as threads,
    ):
        loop.set_default_executor(threads)
        yield engine, loop, model
    loop.close()


def alone(model, signature, inputs, outputs):
    try:
        return model.run(inputs, signature or "serving_default", outputs)
    except AgiwbError as error:
        return error


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests=st.lists(asked(), min_size=1, max_size=12), seed=st.integers(0, 9))
def test_a_request_is_answered_as_if_it_were_alone(composed, requests, seed):
    """On the loop and in threads at once, whatever else is asked at the time."""
    engine, loop, model = composed

    async def ask_all():
        return await asyncio.gather(
            *(
                ask(engine, inputs, signature, outputs=outputs)
                if outputs or (number + seed) % 3
                else asyncio.to_thread(ask_now, engine, inputs, signature)
                for number, (signature, inputs, outputs) in enumerate(requests)
            ),
            return_exceptions=True,
        )

    answers = loop.run_until_complete(ask_all())
    for (signature, inputs, outputs), answer in zip(requests, answers, strict=True):
        expected = alone(model, signature, inputs, outputs)
        if isinstance(expected, AgiwbError):
            assert type(answer) is type(expected)
            assert isinstance(answer, InputError)
            continue
        assert not isinstance(answer, BaseException), answer
        assert list(answer.outputs) == list(expected)
        for name, value in expected.items():
            assert answer.outputs[name].dtype == value.dtype
            if value.dtype == object:
                assert answer.outputs[name].tolist() == value.tolist()
            else:
                np.testing.assert_allclose(answer.outputs[name], value, rtol=1e-5, atol=1e-6)


def test_requests_of_one_turn_share_a_run_and_a_bad_one_spoils_no_other(tmp_path):
    model = Watched(load_composite(tmp_path / "models"))

    async def ask_all(engine):
        return await asyncio.gather(
            *(ask(engine, {"index": np.array([index])}, "lookup") for index in (0, 1, 7, 2)),
            return_exceptions=True,
        )

    with engine_of(tmp_path, {"m": model}) as engine:
        first, second, bad, last = asyncio.run(ask_all(engine))
        assert model.runs == [4, 1, 1, 1, 1]
    assert [one.outputs["row"].tolist() for one in (first, second, last)] == [
        [[0, 1]], [[2, 3]], [[4, 5]],
    ]  # fmt: skip
    assert isinstance(bad, InputError)


@pytest.mark.parametrize("batching", [None, BatchingParameters(batch_timeout_micros=20_000)])
def test_a_model_that_normalises_over_its_batch_is_not_merged(tmp_path, batching):
    model = Watched(load(write_centred(tmp_path / "models" / "1")))

    async def ask_all(engine):
        return await asyncio.gather(
            *(ask(engine, {"x": np.float32([number])}) for number in range(4))
        )

    with engine_of(tmp_path, {"m": model}, batching=batching) as engine:
        answers = asyncio.run(ask_all(engine))
        assert [answer.outputs["y"].tolist() for answer in answers] == [[0.0]] * 4
        assert model.runs == [1] * 4


def test_a_fixed_batch_dimension_is_neither_merged_nor_padded(tmp_path):
    model = Watched(load(write_pair_sum(tmp_path / "models" / "1")))
    batching = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(4,))
    pair = {"x": np.ones((2, 3), np.float32)}

    async def ask_all(engine):
        wrong = {"x": np.ones((1, 3), np.float32)}
        return await asyncio.gather(
            ask(engine, pair), ask(engine, wrong), ask(engine, pair), return_exceptions=True
        )

    with engine_of(tmp_path, {"m": model}, batching=batching) as engine:
        first, wrong, last = asyncio.run(ask_all(engine))
    assert first.outputs["y"].tolist() == last.outputs["y"].tolist() == [[2, 2, 2]]
    assert isinstance(wrong, InputError)


def test_free_sizes_are_padded_and_fixed_ones_stay_wrong(tmp_path):
    """TensorFlow Serving pads with the tensor's first value, and answers the padded shape."""
    model = Watched(load(write_convolution(tmp_path / "models" / "1")))
    batching = BatchingParameters(
        max_batch_size=2, batch_timeout_micros=10_000_000, pad_variable_length_inputs=True
    )

    async def ask_all(engine):
        small = {"image": np.full((1, 1, 3, 3), 2, np.float32)}
        large = {"image": np.ones((1, 1, 3, 4), np.float32)}
        wrong = {"image": np.ones((2, 2, 3, 4), np.float32)}
        return await asyncio.gather(
            ask(engine, small), ask(engine, large), ask(engine, wrong), return_exceptions=True
        )

    with engine_of(tmp_path, {"m": model}, batching=batching) as engine:
        small, large, wrong = asyncio.run(ask_all(engine))
        assert 2 in model.runs
    assert small.outputs["sums"].tolist() == [[[[18, 18]]]]
    assert large.outputs["sums"].tolist() == [[[[9, 9]]]]
    assert isinstance(wrong, InputError)


# Nobody waits for a timer, and the loop waits for nobody.


def test_a_request_in_an_empty_server_is_answered_in_the_loops_next_turn(tmp_path, watched):
    async def turns(engine):
        task = asyncio.ensure_future(ask(engine, halves()))
        for turn in range(10):
            if task.done():
                return turn
            await asyncio.sleep(0)
        return None

    with engine_of(tmp_path, {"m": watched}) as engine:
        assert asyncio.run(turns(engine)) <= 3
        assert watched.threads == [threading.current_thread().name]


def test_slow_runs_take_threads_and_the_loop_answers_others_meanwhile(tmp_path, watched):
    """Also when every thread is taken by them."""
    slow = Watched(load(write_two_by_two(tmp_path / "slow" / "1")), run_time=RunTime(0.01))
    slow_inputs = {"a": np.zeros(1, np.float32), "b": np.zeros(1, np.int64)}

    async def ask_all(engine):
        slow.go.clear()
        waiting = [asyncio.ensure_future(ask(engine, slow_inputs, model="slow")) for _ in range(3)]
        try:
            await asyncio.to_thread(slow.begun.wait, 10)
            answer = await asyncio.wait_for(ask(engine, halves()), 60)
            assert not any(task.done() for task in waiting)
        finally:
            slow.go.set()
        await asyncio.gather(*waiting)
        return answer

    with engine_of(tmp_path / "served", {"m": watched, "slow": slow}, threads=1) as engine:
        assert asyncio.run(ask_all(engine)).outputs["y"].tolist() == [2.0]
        assert len(slow.runs) == 3
        assert all(name.startswith("predict") for name in slow.threads)


def test_more_rows_than_a_short_run_has_go_to_a_thread(tmp_path, watched):
    with engine_of(tmp_path, {"m": watched}) as engine:
        asyncio.run(ask(engine, halves(1000)))
        assert watched.threads[0].startswith("predict")


def test_a_model_that_may_block_is_never_run_on_the_loop(tmp_path):
    model = Watched(load(write_half_plus_two(tmp_path / "models" / "1")), inline=False)
    with engine_of(tmp_path, {"m": model}) as engine:
        asyncio.run(ask(engine, halves()))
        assert model.threads[0].startswith("predict")


def test_requests_beyond_the_most_at_once_are_refused(tmp_path):
    slow = Watched(load(write_half_plus_two(tmp_path / "models" / "1")), inline=False)

    async def post(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"instances": [1.0]}'
        writer.write(
            b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        answer = await reader.read()
        writer.close()
        return answer

    async def ask_all(engine, listener):
        application = RestApplication(engine, Gate.open())
        server = await serve_http(application, [listener], limits=Limits(in_flight=1))
        port = listener.getsockname()[1]
        slow.go.clear()
        first = asyncio.ensure_future(post(port))
        await asyncio.to_thread(slow.begun.wait, 10)
        second = await asyncio.wait_for(post(port), 60)
        slow.go.set()
        answers = await first, second
        await server.stop()
        return answers

    with engine_of(tmp_path, {"m": slow}) as engine:
        listener = socket.create_server(("127.0.0.1", 0))
        first, second = asyncio.run(ask_all(engine, listener))
    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 503")
    assert b"retry-after" in second.lower()


# Deadlines, and clients that are gone.


@pytest.mark.parametrize("batching", [None, BatchingParameters(batch_timeout_micros=50_000)])
def test_what_comes_too_late_is_never_run(tmp_path, watched, batching):
    late = time.monotonic() - 0.001
    with engine_of(tmp_path, {"m": watched}, batching=batching) as engine:
        with pytest.raises(Refusal) as on_loop:
            asyncio.run(ask(engine, halves(), by=caller(late)))
        with pytest.raises(Refusal) as in_thread:
            ask_now(engine, halves(), by=caller(late))
        assert watched.runs == []
    assert on_loop.value.http_status == in_thread.value.http_status == 504


@pytest.mark.parametrize("batching", [None, BatchingParameters(num_batch_threads=1)])
def test_a_deadline_that_passes_while_others_run_ends_the_wait_and_leaves_nothing(
    tmp_path, watched, batching
):
    watched.inline = False
    complaints = []

    async def ask_all(engine):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        watched.go.clear()
        first = asyncio.ensure_future(ask(engine, halves(), by=caller(time.monotonic() + 0.05)))
        await asyncio.to_thread(watched.begun.wait, 10)
        second = ask(engine, halves(), by=caller(time.monotonic() + 0.05))
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        watched.go.set()
        # What is run next shows that the second was not.
        await ask(engine, halves(3))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return outcomes

    with engine_of(tmp_path, {"m": watched}, batching=batching, threads=1) as engine:
        outcomes = asyncio.run(ask_all(engine))
        assert watched.runs == [1, 3]
    gc.collect()
    assert [one.code for one in outcomes] == [Code.DEADLINE_EXCEEDED] * 2
    assert complaints == []


def test_a_run_that_fails_after_its_client_gave_up_is_nobodys_error(tmp_path):
    model = Watched(load_composite(tmp_path / "models"), inline=False)
    complaints = []

    async def give_up(engine):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        model.go.clear()
        bad = {"index": np.array([99])}
        with pytest.raises(Refusal):
            await ask(engine, bad, "lookup", by=caller(time.monotonic() + 0.02))
        model.go.set()
        await ask(engine, {"index": np.array([0])}, "lookup")
        await asyncio.sleep(0.01)

    with engine_of(tmp_path, {"m": model}, threads=1) as engine:
        asyncio.run(give_up(engine))
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize("batching", [None, BatchingParameters(batch_timeout_micros=100_000)])
def test_a_cancelled_request_is_not_run_and_not_the_models_fault(tmp_path, watched, batching):
    async def ask_all(engine):
        gone = asyncio.ensure_future(ask(engine, halves(4)))
        stays = asyncio.ensure_future(ask(engine, halves(1)))
        await asyncio.sleep(0 if batching is None else 0.01)
        gone.cancel()
        answer = await stays
        assert gone.cancelled()
        return answer

    with engine_of(tmp_path, {"m": watched}, batching=batching) as engine:
        assert asyncio.run(ask_all(engine)).outputs["y"].tolist() == [2.0]
        assert watched.runs == [1]
        counted = engine.metrics.render().decode()
    assert 'code="CANCELLED"' in counted
    assert 'code="INTERNAL"' not in counted
    assert code_of(asyncio.CancelledError()) is Code.CANCELLED


def test_closing_runs_what_waits_and_takes_no_more(tmp_path, watched):
    batching = BatchingParameters(batch_timeout_micros=60_000_000)

    async def ask_all(engine):
        waiting = [asyncio.ensure_future(ask(engine, halves())) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert watched.runs == []
        await asyncio.to_thread(engine.close)
        answers = await asyncio.gather(*waiting)
        with pytest.raises(Refusal) as refused:
            await ask(engine, halves())
        assert refused.value.code is Code.UNAVAILABLE
        return answers

    with engine_of(tmp_path, {"m": watched}, batching=batching) as engine:
        answers = asyncio.run(ask_all(engine))
        assert watched.runs == [3]
    assert [answer.outputs["y"].tolist() for answer in answers] == [[2.0]] * 3


# What is counted, logged and told.


def metric(engine, start):
    lines = engine.metrics.render().decode().splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(start)]


@pytest.mark.parametrize("batching", [None, BatchingParameters(batch_timeout_micros=100_000)])
def test_a_merged_batch_is_one_run_of_all_rows_and_each_request_counts(tmp_path, watched, batching):
    async def ask_all(engine):
        await asyncio.gather(*(ask(engine, halves(rows)) for rows in (1, 2, 3)))

    with engine_of(tmp_path, {"m": watched}, batching=batching) as engine:
        asyncio.run(ask_all(engine))
        assert metric(engine, 'agiwb_batch_rows_sum{model="m"}') == [6]
        assert metric(engine, 'agiwb_batch_rows_count{model="m"}') == [1]
        assert metric(engine, "agiwb_requests_total{") == [3]
        assert metric(engine, "agiwb_requests_in_flight") == [0]


def test_an_unknown_model_is_counted_without_its_name(tmp_path, watched):
    with engine_of(tmp_path, {"m": watched}) as engine:
        for name in ("a", "b"):
            with pytest.raises(Refusal) as refused:
                asyncio.run(ask(engine, halves(), model=name))
            assert refused.value.code is Code.NOT_FOUND
        text = engine.metrics.render().decode()
    assert 'model="unknown"' in text
    assert 'model="a"' not in text


def test_each_request_of_a_merged_batch_is_logged_with_its_own_rows(tmp_path, watched):
    log = PredictionLog(tmp_path / "predictions")

    async def ask_all(engine):
        await asyncio.gather(*(ask(engine, halves(rows)) for rows in (1, 3)))

    with engine_of(tmp_path, {"m": watched}, log=log) as engine:
        asyncio.run(ask_all(engine))
    log.close()
    logged = list(iterate_predictions(tmp_path / "predictions" / "m"))
    assert watched.runs == [4]
    assert [one.inputs["x"].tolist() for one in logged] == [[0], [0, 1, 2]]
    assert [one.outputs["y"].tolist() for one in logged] == [[2], [2, 2.5, 3]]
    assert {one.variant for one in logged} == {"champion"}
    assert {one.signature_name for one in logged} == {"serving_default"}


def test_what_cannot_be_logged_is_not_answered_unless_the_policy_says_so(tmp_path, watched):
    (tmp_path / "predictions").write_text("a file where the folder should be")
    strict = PredictionLog(tmp_path / "predictions", policy=LogPolicy(on_error="refuse"))
    with engine_of(tmp_path / "strict", {"m": watched}, log=strict) as engine:
        with pytest.raises(ServingError) as refused:
            asyncio.run(ask(engine, halves()))
        assert code_of(refused.value) is Code.UNAVAILABLE
        assert 'code="UNAVAILABLE"' in engine.metrics.render().decode()
    assert sum(strict.lost.values()) == 1
    strict.close()


def test_a_log_that_may_lose_answers_nevertheless(tmp_path, watched):
    (tmp_path / "predictions").write_text("a file where the folder should be")
    lenient = PredictionLog(tmp_path / "predictions", policy=LogPolicy(on_error="serve"))
    with engine_of(tmp_path, {"m": watched}, log=lenient) as engine:
        assert asyncio.run(ask(engine, halves())).outputs["y"].tolist() == [2.0]
    assert sum(lenient.lost.values()) == 1
    lenient.close()


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_the_loop_does_not_wait_for_the_disk(tmp_path, watched, durability):
    log = PredictionLog(tmp_path / "predictions", policy=LogPolicy(durability=durability))
    append_all, threads = log.append_all, []

    def slow_append(predictions):
        threads.append(threading.current_thread())
        time.sleep(0.2 if durability == "disk" else 0)
        return append_all(predictions)

    log.append_all = slow_append

    async def ask_and_count_turns(engine):
        asked = asyncio.gather(*(ask(engine, halves()) for _ in range(8)))
        turns = 0
        while not asked.done():
            await asyncio.sleep(0.01)
            turns += 1
        # What was answered is on the disk.
        assert len(list(iterate_predictions(tmp_path / "predictions" / "m"))) == 8
        return turns

    with engine_of(tmp_path, {"m": watched}, log=log) as engine:
        turns = asyncio.run(ask_and_count_turns(engine))
    log.close()
    # The eight shared a batch. A write that the kernel takes at once is not worth a thread.
    assert (threads == [threading.main_thread()]) == (durability == "process")
    assert turns > 5 or durability == "process"


def test_a_refusal_of_the_disk_reaches_the_client(tmp_path, watched):
    (tmp_path / "predictions").write_text("a file where the folder should be")
    policy = LogPolicy(durability="disk", on_error="refuse")
    log = PredictionLog(tmp_path / "predictions", policy=policy)
    with engine_of(tmp_path / "strict", {"m": watched}, log=log) as engine:
        with pytest.raises(ServingError, match="could not be logged"):
            asyncio.run(ask(engine, halves()))
        assert 'code="UNAVAILABLE"' in engine.metrics.render().decode()
    log.close()


def test_the_answer_and_the_log_say_which_variant_answered(tmp_path):
    versions = [
        load(write_half_plus_two(tmp_path / "models" / str(number) / "1", float(number)))
        for number in (1, 2)
    ]
    log = PredictionLog(tmp_path / "predictions")

    async def ask_all(engine):
        answers = [
            await ask(engine, halves(), by=caller(sticky_key=str(client))) for client in range(40)
        ]
        return [*answers, await ask(engine, halves(), version=1)]

    with engine_of(tmp_path, {"m": versions}, log=log) as engine:
        engine.rollout.promote("m", 1)
        engine.rollout.set_canary("m", 2, 0.5)
        *answers, by_number = asyncio.run(ask_all(engine))
    log.close()
    told = {(one.version, one.variant, one.outputs["y"][0]) for one in answers}
    assert told == {(1, "champion", 1.0), (2, "challenger", 2.0)}
    assert (by_number.version, by_number.variant) == (1, "champion")
    logged = list(iterate_predictions(tmp_path / "predictions" / "m"))
    assert [(one.version, one.variant) for one in logged[:40]] == [
        (one.version, one.variant) for one in answers
    ]


def test_merged_requests_of_a_canary_stay_with_their_version(tmp_path):
    versions = [
        load(write_half_plus_two(tmp_path / "models" / str(number) / "1", float(number)))
        for number in (1, 2)
    ]

    async def ask_all(engine):
        return await asyncio.gather(
            *(ask(engine, halves(), version=1 + number % 2) for number in range(10))
        )

    batching = BatchingParameters(batch_timeout_micros=10_000)
    with engine_of(tmp_path, {"m": versions}, batching=batching) as engine:
        answers = asyncio.run(ask_all(engine))
    assert [answer.outputs["y"].tolist() for answer in answers] == [[1.0], [2.0]] * 5


def test_a_version_in_use_stays_while_its_request_waits_in_a_batch(tmp_path, watched):
    batching = BatchingParameters(batch_timeout_micros=300_000)

    async def ask_and_remove(engine):
        waiting = asyncio.ensure_future(ask(engine, halves()))
        await asyncio.sleep(0.01)
        engine.catalogue.remove("m")
        await asyncio.to_thread(wait_for, lambda: not engine.catalogue.available("m"))
        return await waiting

    with engine_of(tmp_path, {"m": watched}, batching=batching) as engine:
        assert asyncio.run(ask_and_remove(engine)).outputs["y"].tolist() == [2.0]


def test_a_lease_is_given_back_however_a_request_ends(tmp_path, watched):
    with engine_of(tmp_path, {"m": watched}) as engine:
        with pytest.raises(KeyError), engine.exchange(ModelSpec("m"), caller()):
            raise KeyError("decoding failed")
        assert metric(engine, "agiwb_requests_in_flight") == [0]
        engine.catalogue.remove("m")
        wait_for(lambda: all(one.state.name == "END" for one in _status(engine)))


def _status(engine):
    try:
        return engine.catalogue.status(ModelSpec("m"))
    except Refusal:
        return ()


def test_a_large_model_answers_in_threads_and_on_the_loop_alike(tmp_path):
    model = load(write_mlp(tmp_path / "models" / "1", features=4, hidden=8, classes=3))
    rows = {"features": np.random.default_rng(1).normal(size=(600, 4)).astype(np.float32)}
    expected = model.run(rows)["probabilities"]
    with engine_of(tmp_path, {"m": model}, batching=BatchingParameters()) as engine:
        by_loop = asyncio.run(ask(engine, rows)).outputs["probabilities"]
        by_thread = ask_now(engine, rows).outputs["probabilities"]
    np.testing.assert_allclose(by_loop, expected, rtol=1e-5)
    np.testing.assert_array_equal(by_loop, by_thread)
