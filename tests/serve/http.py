"""A server of the application in a thread, and a client that speaks plain HTTP to it."""

import contextlib
import http.client
import json
import socket
import threading
import time

import uvicorn


class Client:
    def __init__(self, port, *, token=None):
        self.port = port
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method, path, body=None, *, kind="application/json", headers=None):
        """Return status, headers and content (parsed, if it is JSON)."""
        sent = dict(self.headers)
        if body is not None:
            sent["Content-Type"] = kind
        if not isinstance(body, bytes | str | None):
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        if found.get("content-type") == "application/json":
            content = json.loads(content)
        return answer.status, found, content

    def get(self, path, **more):
        return self.ask("GET", path, **more)[::2]

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more)[::2]


@contextlib.contextmanager
def serving(app):
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    config = uvicorn.Config(app, log_level="error", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    until = time.monotonic() + 60
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started
    try:
        yield Client(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
        assert not thread.is_alive()


def multipart(*files, boundary="frontier"):
    """Return the body of an upload and its Content-Type."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    end = f"--{boundary}--\r\n".encode()
    return b"".join([*parts, end]), f"multipart/form-data; boundary={boundary}"
