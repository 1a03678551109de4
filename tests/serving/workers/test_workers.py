"""Several workers that act as one server: real processes, real models, real deaths."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import threading
import time
from functools import partial

import psutil
import pytest

from agiwb.serving.serve import ServeConfig, serve
from tests.serving.onnx_models import write_half_plus_two
from tests.serving.workers.crewed_server import crewed, eventually

pytestmark = pytest.mark.slow

STALL_S = 1.0
OTHER, ONE = "/v1/models/other:predict", {"instances": [0.0]}


def publish(base_path, number, addend=None):
    """Put a version in place at once; it adds its own number unless told otherwise."""
    made = base_path.parent / f"made_{number}"
    write_half_plus_two(made, addend=number if addend is None else addend)
    made.rename(base_path / str(number))


@pytest.fixture
def half(tmp_path):
    base_path = tmp_path / "half"
    base_path.mkdir()
    publish(base_path, 1)
    return base_path


@pytest.fixture
def errors(tmp_path):
    return tmp_path / "errors"


def total(metrics, family):
    values = re.findall(rf"^{family}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, values))


def test_both_workers_answer_and_are_counted_together(half, errors):
    with crewed(half, errors) as server:
        assert server.ready["version"] == 1
        assert len(server.workers()) == 2
        connections = list(server.connect_to_all().values())
        for connection in connections:
            for _ in range(10):
                assert connection.addend() == 1
        for connection in connections:
            metrics = connection.metrics()
            assert total(metrics, "agiwb_requests_total") == 20
            assert total(metrics, "agiwb_workers") == 2
            assert 'process_resident_memory_bytes{worker="1"}' in metrics
        _, _, text = connections[0].ask("GET", "/monitoring/prometheus/metrics")
        assert ':tensorflow:serving:request_count{model_name="half",status="OK"} 20' in (
            text.decode()
        )


def test_grpc_is_answered_by_both(half, errors):
    import grpc

    with crewed(half, errors) as server:
        for _ in range(4):
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(server.ready["grpc_address"], options) as channel:
                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                assert check(b"", timeout=60) == b"\x08\x01"  # SERVING
        listening = [
            sum(
                connection.status == psutil.CONN_LISTEN
                and connection.laddr.port == int(server.ready["grpc_address"].rpartition(":")[2])
                for connection in worker.net_connections("tcp")
            )
            for worker in server.workers()
        ]
        assert listening == [1, 1]


def test_no_client_sees_an_older_version_after_a_newer_one(half, errors):
    newest = 6
    problems, seen = [], set()
    with crewed(half, errors) as server:
        done = threading.Event()

        def ask_in_turn(connections):
            last = 0
            try:
                while not done.is_set():
                    for connection in connections:
                        addend = connection.addend()
                        if addend < last:
                            problems.append(f"{addend} after {last}")
                        last = addend
                        seen.add(addend)
            except Exception as error:  # noqa: BLE001  told by the test
                problems.append(repr(error))

        threads = [
            threading.Thread(target=ask_in_turn, args=[list(server.connect_to_all().values())])
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        observer = server.connect()
        try:
            for number in range(2, newest + 1):
                publish(half, number)
                eventually(lambda number=number: observer.addend() == number)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert problems == []
    assert seen == set(range(1, newest + 1))


def test_a_version_that_goes_is_left_by_all_at_once(half, errors):
    """Deleting the highest version goes back to the one below, and not to and fro."""
    publish(half, 2)
    with crewed(half, errors) as server:
        connections = list(server.connect_to_all().values())
        assert [connection.addend() for connection in connections] == [2, 2]
        shutil.rmtree(half / "2")
        answers = []
        while answers[-20:] != [1] * 20:
            answers += [connection.addend() for connection in connections]
        assert answers == sorted(answers, reverse=True)


def test_a_worker_that_is_killed_is_replaced_while_the_other_answers(half, errors):
    with crewed(half, errors) as server:
        connections = server.connect_to_all()
        for connection in connections.values():
            connection.addend()
        before = total(next(iter(connections.values())).metrics(), "agiwb_requests_total")
        killed = server.workers()[0]
        killed.kill()
        left = eventually(lambda: [c for c in connections.values() if answers(c)][:1])[0]
        eventually(partial(can_connect, server))
        for _ in range(50):
            assert left.addend() == 1
        again = server.connect_to_all()
        assert len(set(again) - set(connections)) == 1
        assert killed.pid not in [worker.pid for worker in server.workers()]
        metrics = left.metrics()
        assert total(metrics, "agiwb_worker_losses_total") == 1
        assert total(metrics, "agiwb_requests_total") >= before + 50
    assert f"Process {killed.pid} is gone" in errors.read_text()


def answers(connection, addend=1):
    with contextlib.suppress(OSError):
        return connection.addend() == addend
    return False


def can_connect(server):
    with contextlib.suppress(OSError):
        return server.connect().addend() == 1
    return False


def test_no_worker_outlives_its_supervisor(half, errors):
    with crewed(half, errors) as server:
        workers = server.workers()
        server.supervisor.kill()
        _, left = psutil.wait_procs(workers, timeout=60)
        assert left == []


def test_all_stop_when_the_supervisor_is_asked_to(half, errors):
    with crewed(half, errors) as server:
        workers = server.workers()
        server.supervisor.terminate()
        assert server.process.wait(60) == 0
        assert not any(worker.is_running() for worker in workers)
        assert server.process.stdout.read() == b""  # the one line was all
    # Which versions came and went, and nothing to complain about.
    assert all(" INFO Version 1 of half is " in line for line in errors.read_text().splitlines())


def test_what_is_wrong_at_the_start_is_told_once(half, errors):
    (half / "1" / "model.onnx").write_bytes(b"no model")
    with crewed(half, errors) as server:
        assert server.line == b""
        assert server.process.wait(60) == 2
    # Each worker logs what it could not load; the reason is the supervisor's last word.
    *_, told = errors.read_text().splitlines()
    assert "half" in told
    assert "WARNING" not in told


def test_a_version_that_one_worker_cannot_load_is_held_back_in_all(half, errors):
    with crewed(half, errors) as server:
        connections = list(server.connect_to_all().values())
        stopped = server.workers()[0]
        stopped.suspend()
        publish(half, 2)
        other = responsive(connections)
        eventually(lambda: other.states().get(2, ("",))[0] == "LOADING")
        time.sleep(STALL_S)  # by now it is loaded there
        assert other.addend() == 1
        good = (half / "2" / "model.onnx").read_bytes()
        (half / "2" / "model.onnx").write_bytes(b"cut off")
        stopped.resume()
        message = eventually(lambda: other.states()[2][1]["error_message"])
        assert re.match(r"Worker \d cannot load it: ", message)
        for connection in connections:
            assert connection.addend() == 1
            assert connection.states()[2][0] != "AVAILABLE"
            assert connection.states()[1][0] == "AVAILABLE"

        # A worker that is started now has version 2 before it, and serves what the others do.
        server.workers()[1].kill()
        eventually(lambda: len(server.workers()) == 2)
        for connection in server.connect_to_all().values():
            assert connection.addend() == 1

        (half / "2" / "model.onnx").write_bytes(good)
        for connection in server.connect_to_all().values():
            eventually(lambda connection=connection: connection.addend() == 2)


def responsive(connections):
    """Return the connection whose worker answers; the other is suspended."""
    asked = {connection._connection.sock: connection for connection in connections}
    for connection in connections:
        connection._connection.request("GET", "/v1/models/half")
    answering, _, _ = select.select(list(asked), [], [], 60)
    (found,) = (asked.pop(socket) for socket in answering)
    assert found._connection.getresponse().read()
    for connection in asked.values():
        connection.close()  # its answer is still to come
    return found


def test_a_worker_that_dies_is_not_waited_for(half, errors):
    with crewed(half, errors) as server:
        connections = list(server.connect_to_all().values())
        hung = server.workers()[0]
        hung.suspend()
        publish(half, 2)
        other = responsive(connections)
        eventually(lambda: other.states().get(2, ("",))[0] == "LOADING")
        time.sleep(STALL_S)
        assert other.addend() == 1
        hung.kill()
        eventually(lambda: other.addend() == 2)
        for connection in server.connect_to_all().values():
            assert connection.addend() == 2


def test_a_label_set_at_one_worker_is_known_to_all_also_to_new_ones(half, errors):
    publish(half, 2)
    with crewed(half, errors, "--admin") as server:
        connections = server.connect_to_all()
        for number, connection in enumerate(connections.values()):
            connection.document(
                "PUT", f"/admin/v1/models/half/labels/label_{number}", {"version": 2}
            )
        server.workers()[0].kill()
        eventually(lambda: len(server.workers()) == 2)
        for connection in server.connect_to_all().values():
            for number in (0, 1):
                path = f"/v1/models/half/labels/label_{number}:predict"
                assert connection.document("POST", path, {"instances": [0.0]}) == {
                    "predictions": [2.0]
                }


def test_a_worker_that_is_starting_misses_no_change(half, errors):
    publish(half, 2)
    with crewed(half, errors, "--admin") as server:
        connections = server.connect_to_all()
        for connection in connections.values():
            connection.addend()
        server.workers()[0].kill()
        left = eventually(lambda: [c for c in connections.values() if answers(c, 2)][:1])[0]
        labels = []
        while not is_replaced(server, connections):
            assert len(labels) < 1000
            labels.append(f"label_{len(labels)}")
            left.document("PUT", f"/admin/v1/models/half/labels/{labels[-1]}", {"version": 2})
        for connection in server.connect_to_all().values():
            for label in labels:
                path = f"/v1/models/half/labels/{label}:predict"
                connection.document("POST", path, {"instances": [0.0]})


def is_replaced(server, known):
    """Return whether a worker answers that was started since."""
    with contextlib.suppress(OSError):
        return server.connect().mark() not in known
    return False


def test_a_new_worker_serves_what_the_configuration_file_says_by_now(tmp_path, errors):
    entries = []
    for name in ("half", "other"):
        (tmp_path / name).mkdir()
        publish(tmp_path / name, 1)
        entries.append(f'config {{ name: "{name}" base_path: "{tmp_path / name}" }}')
    file = tmp_path / "models.config"
    both = f"model_config_list {{ {' '.join(entries)} }}"
    file.write_text(both)
    words = [f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=0.1", "--admin"]
    with crewed(None, errors, *words) as server:
        connections = list(server.connect_to_all().values())
        connections[0].document("DELETE", "/admin/v1/models/other")
        for connection in connections:
            eventually(lambda: connection.ask("POST", OTHER, ONE)[0] == 404)  # noqa: B023
        time.sleep(0.5)  # the file without the model is read, too
        file.write_text(both)
        for connection in connections:
            eventually(lambda: connection.ask("POST", OTHER, ONE)[0] == 200)  # noqa: B023
        server.workers()[0].kill()
        eventually(lambda: len(server.workers()) == 2)
        for connection in server.connect_to_all().values():
            connection.document("POST", OTHER, ONE)


def test_an_endpoint_works_as_with_one(half, tmp_path, monkeypatch):
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))
    publish(half, 2)
    config = ServeConfig(model_base_path=half, rest_api_port=0, workers=2)
    with serve(config) as endpoint:
        family = psutil.Process(endpoint.process_id).children()
        assert len(family) == 2
        assert endpoint.version == 2
        assert endpoint.predict([2.0]).tolist() == [3.0]
        assert endpoint.canary(1, share=1.0) == 1
        assert {endpoint.predict([2.0]).tolist()[0] for _ in range(8)} == {2.0}
        endpoint.roll_back()
        assert endpoint.predict([2.0]).tolist() == [3.0]
        assert endpoint.versions()[1] == "AVAILABLE"
        assert "agiwb_workers 2.0" in endpoint.metrics()
    assert not any(worker.is_running() for worker in family)


def test_workers_end_with_who_started_their_supervisor(half, errors):
    """As in a notebook: the supervisor watches its stdin."""
    import subprocess
    import sys

    words = [
        f"--model_base_path={half}", "--rest_api_port=0", "--workers=2", "--stop-with-stdin",
    ]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "agiwb.serving.server", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert b"address" in process.stdout.readline()
            workers = psutil.Process(process.pid).children()
            process.stdin.close()
            assert process.wait(60) == 0
            assert psutil.wait_procs(workers, timeout=60)[1] == []
        finally:
            process.kill()


def test_a_port_that_is_taken_is_told(half, errors):
    with crewed(half, errors) as server:
        _, port = server.place
        with crewed(half, errors, f"--rest_api_port={port}") as second:
            assert second.process.wait(60) == 2
    assert f"Port {port} on 127.0.0.1 is in use" in errors.read_text()


def test_workers_die_with_a_signal_of_their_own_and_come_back(half, errors):
    """An operator may restart workers one by one; what they have taken is answered."""
    with crewed(half, errors) as server:
        connections = server.connect_to_all()
        os.kill(server.workers()[0].pid, signal.SIGTERM)
        again = eventually(lambda: set(server.connect_to_all()) - set(connections))
        assert len(again) == 1
