"""The client: connections kept, errors told, and nothing asked twice that may be answered."""

from __future__ import annotations

import json
import threading
import time

import pytest

from agiwb.errors import InputError, ServingError
from agiwb.serving import client as client_module
from agiwb.serving.client import Client
from tests.serving.loaded_server import serving


@pytest.fixture
def heard():
    return []


def echo(heard):
    def answer(body, headers):
        heard.append((json.loads(body), headers))
        return 200, body.decode()

    return answer


def test_json_goes_out_and_comes_back_with_the_clients_headers(heard):
    with serving(echo(heard)) as address:
        client = Client(address, headers={"X-API-Key": "k"})
        assert client.ask("POST", "/p", {"instances": [1.5]}) == {"instances": [1.5]}
        client.close()
    assert heard[0][1]["X-API-Key"] == "k"


@pytest.mark.parametrize(
    ("status", "text", "error", "told"),
    [
        (400, '{"error": "no such input"}', InputError, "no such input"),
        (404, "not here", InputError, "not here"),
        (429, '{"message": "slower"}', InputError, "slower"),
        (500, '{"error": "broke"}', ServingError, "broke"),
        (503, "[]", ServingError, r"\[\]"),
    ],
)
def test_a_refusal_is_the_inputs_fault_and_a_failure_the_servers(status, text, error, told):
    with serving(lambda _, __: (status, text)) as address:
        client = Client(address, advice="See the log.")
        with pytest.raises(error, match=told) as caught:
            client.ask("POST", "/p", {})
        client.close()
    assert ("See the log." in str(caught.value)) == (error is ServingError)


def test_one_connection_serves_many_requests(heard):
    ports = set()

    with serving(echo(heard)) as address:
        client = Client(address)
        for number in range(5):
            client.ask("POST", "/p", number)
            ports |= {connection.sock.getsockname()[1] for connection in client._idle}
        client.close()
    assert len(ports) == 1


def test_a_connection_that_was_closed_while_idle_is_replaced(heard):
    """The server hangs up on the second request of a connection, as after a long idle time."""
    with serving(echo(heard)) as address:
        client = Client(address)
        client.ask("POST", "/p", 1)
        connection = client._idle[0]
        connection.sock.shutdown(1)  # the server sees the end and closes, too
        while connection.sock.recv(1):
            pass
        assert client.ask("POST", "/p", 2) == 2
        client.close()
    assert [body for body, _ in heard] == [1, 2]


def test_what_a_new_connection_does_not_answer_is_not_asked_again():
    asked = []

    def hang_up(body, _):
        asked.append(body)
        return None, ""

    with serving(hang_up) as address:
        client = Client(address)
        with pytest.raises(ServingError, match="does not answer") as caught:
            client.ask("POST", "/p", 1)
    assert len(asked) == 1
    assert "It is running." in str(caught.value)


def test_what_is_slow_is_not_asked_again(monkeypatch):
    monkeypatch.setattr(client_module, "_ANSWER_TIMEOUT_S", 0.1)
    asked = []

    def dawdle(body, _):
        asked.append(body)
        if body == b"2":
            time.sleep(0.4)
        return 200, body.decode()

    with serving(dawdle) as address:
        client = Client(address)
        client.ask("POST", "/p", 1)
        with pytest.raises(ServingError, match="timed out"):
            client.ask("POST", "/p", 2)
        client.close()
    assert asked == [b"1", b"2"]


def test_a_server_that_is_gone_is_told():
    with serving(lambda body, _: (200, body.decode())) as address:
        pass
    client = Client(address, is_running=lambda: False)
    with pytest.raises(ServingError, match="It has stopped; start it again"):
        client.ask("POST", "/p", 1)


def test_threads_share_a_client_and_get_their_own_answers(heard):
    wrong = []
    with serving(echo(heard)) as address:
        client = Client(address)

        def ask(number):
            wrong.extend(
                (number, count)
                for count in range(20)
                if client.ask("POST", "/p", [number, count]) != [number, count]
            )

        threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert 1 <= len(client._idle) <= 4
        client.close()
    assert wrong == []
    assert len(heard) == 80


def test_a_closed_client_asks_again_over_a_new_connection(heard):
    with serving(echo(heard)) as address:
        client = Client(address)
        client.ask("POST", "/p", 1)
        client.close()
        assert client._idle == []
        assert client.ask("POST", "/p", 2) == 2
        client.close()
