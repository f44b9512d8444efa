"""Requests that nobody should send: no answer of 500 or more, no hang, no crash."""

import socket
import threading

import pytest

from netwright.claims._fuzz import Fuzzed, draw_requests, send_all


@pytest.mark.parametrize("kind", ["people", "digits", "words", "waves"])
def test_fuzzed_requests_are_refused_or_answered(shared, request, kind):
    client = shared(request.getfixturevalue(f"{kind}_model"))
    about = client.get("/metadata")[1]
    found = send_all(client.port, draw_requests(about, 150, seed=5), clients=3)
    assert (found.bad, found.hung) == (0, 0), found.worst
    assert sum(found.statuses.values()) == 150
    assert found.statuses[200] > 10  # it is not all nonsense
    assert found.statuses[422] > 25
    assert found.statuses[400] > 5
    assert client.get("/ready") == (200, {"ready": True})


def test_same_seed_draws_the_same_requests(people_model):
    about = people_model.about()
    first = list(draw_requests(about, 50, seed=1))
    assert first == list(draw_requests(about, 50, seed=1))
    assert first != list(draw_requests(about, 50, seed=2))


def test_a_server_with_faults_is_found_out():
    answers = iter([b"HTTP/1.1 500 Oops\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\n", b""])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(4)

    def answer():
        for content in answers:
            connection, _ = listening.accept()
            connection.recv(4096)
            connection.sendall(content)
            connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    requests = [Fuzzed(b"x", True), Fuzzed(b"y", True), Fuzzed(b"z", True), Fuzzed(b"w", False)]
    found = send_all(listening.getsockname()[1], iter(requests), clients=1)
    thread.join()
    listening.close()
    assert found.bad == 2  # the 500, and the connection that was closed without a word
    assert found.statuses == {0: 2, 200: 1, 500: 1}
    assert found.worst == "b'x'"
