"""Requests that nobody should send to a server, drawn from a seed, and what becomes of them."""

import base64
import json
import random
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Fuzzed", "Outcome", "draw_requests", "send_all"]

_SECONDS = 30.0  # without an answer is a hang
_PATHS = (
    *("/", "/predict", "/predict", "/predict", "/predict", "/feedback", "/radius", "/attack"),
    *("/metadata", "/metrics", "/monitor", "/ready", "/v2", "/static/../x", "/%00", "/v2/models"),
)
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW")
_KINDS = (
    *("application/json", "text/plain", "multipart/form-data; boundary=x", "image/png", ""),
    *("multipart/form-data", "application/x-www-form-urlencoded", "a/b; c=\xff", "image/gif"),
)
_NUMBERS = (
    *(0, -1, 1, 255, 256, 2**31, 2**63, 10**40, -(10**400), 1e308, -1e38, 3.5e38, 5e-324, 0.5),
)
_TEXTS = (
    *("", " ", "a", "\0", "\ud800", "\udfff\ud800", "𝔘", "NaN", "null", "2024-02-30", "1e5"),
    *("9999-12-31", "0001-01-01", "2024-05-31T10:00:00+25:00", "x" * 3000, "../../etc/passwd"),
)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """One request.

    Attributes:
        content: the bytes that go over the wire.
        is_http: whether it is HTTP at all; to anything else a closed connection is an answer.
    """

    content: bytes
    is_http: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of requests.

    Attributes:
        statuses: how often each HTTP status came; 0 stands for a closed connection.
        bad: how many came to a status of 500 or more, or to a closed connection without cause.
        hung: how many got no answer within 30 s.
        worst: the first bad request, cut short.
    """

    statuses: Mapping[int, int]
    bad: int
    hung: int
    worst: str


def draw_requests(about: Mapping[str, Any], n: int, *, seed: int) -> Iterator[Fuzzed]:
    """Draw requests around those that the server takes.

    Args:
        about: the server's own `/metadata`.
        n: how many.
        seed: of the draw.
    """
    draw = random.Random(seed)
    for _ in range(n):
        kind = draw.random()
        if kind < 0.05:
            garbage = draw.randbytes(draw.randrange(200))
            yield Fuzzed(garbage + b"\r\n\r\n", is_http=False)
        elif kind < 0.15:
            path, method = draw.choice(_PATHS), draw.choice(_METHODS)
            body = draw.randbytes(draw.choice((0, 0, 5, 500)))
            yield _request(draw, method, path, draw.choice(_KINDS), body)
        elif kind < 0.25:
            yield _request(draw, "POST", "/predict", *_upload(draw, about))
        else:
            path, content = _valid(draw, about)
            for _ in range(draw.choice((0, 1, 1, 2, 5))):
                content = _spoil(draw, content)
            yield _request(draw, "POST", path, "application/json", _encode(draw, content))


def send_all(port: int, requests: Iterator[Fuzzed], *, clients: int) -> Outcome:
    """Send requests to a server on this machine, each on a connection of its own.

    Args:
        port: where it listens.
        requests: what to send.
        clients: how many are sent at once.
    """
    statuses: Counter[int] = Counter()
    bad: list[bytes] = []
    hung = [0]
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                request = next(requests, None)
            if request is None:
                return
            try:
                status = _send(port, request)
            except TimeoutError:
                with lock:
                    hung[0] += 1
                continue
            with lock:
                statuses[status] += 1
                if status >= 500 or (status == 0 and request.is_http):
                    bad.append(request.content)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worst = repr(bad[0][:400]) if bad else ""
    return Outcome(dict(sorted(statuses.items())), len(bad), hung[0], worst)


def _send(port: int, request: Fuzzed) -> int:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.sendall(request.content)
            if not request.is_http:
                connection.shutdown(socket.SHUT_WR)  # or the server rightly waits for the rest
            answer = b""
            while b"\r\n" not in answer and len(answer) < 4096:
                part = connection.recv(4096)
                if not part:
                    break
                answer += part
    except (ConnectionResetError, BrokenPipeError):
        return 0
    words = answer.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.1") or not words[1].isdigit():
        return 0
    return int(words[1])


def _request(draw: random.Random, method: str, path: str, kind: str, body: bytes) -> Fuzzed:
    length = len(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    if draw.random() < 0.05:
        lines.append(f"X-Odd: {'o' * draw.randrange(9000)}")
    lines.append(f"Content-Length: {length}")
    head = "\r\n".join(lines) + "\r\n\r\n"
    return Fuzzed(head.encode("latin-1", "replace") + body, is_http=True)


def _encode(draw: random.Random, content: Any) -> bytes:
    text = json.dumps(content)
    if draw.random() < 0.1:
        place = draw.randrange(len(text) + 1)
        text = (
            text[:place] + draw.choice(("", "]", "{", "NaN", "\\", '"', "[" * 5000)) + text[place:]
        )
    body = text.encode()
    if draw.random() < 0.05:
        body = body[: draw.randrange(len(body) + 1)] + draw.randbytes(3)
    return body


def _valid(draw: random.Random, about: Mapping[str, Any]) -> tuple[str, Any]:
    """Make a request that the server takes."""
    kind = about["input"]["kind"]
    n = draw.choice((1, 1, 2, 5))
    many = {"table": "rows"}.get(kind, f"{kind}s")
    items = [_item(draw, about) for _ in range(n)]
    place = draw.random()
    if place < 0.6:
        return "/predict", {many: items}
    if place < 0.7:
        return "/predict", {many[:-1]: items[0]}
    if place < 0.75:
        return "/feedback", {"id": draw.choice(("0" * 32, "x")), "truth": draw.choice(_TEXTS)}
    if place < 0.8:
        path = draw.choice(("/radius", "/attack"))
        return path, {"image": draw.choice((items[0], 5)), "radius": draw.choice((0, 300, "1"))}
    return f"/v2/models/{about['name']}/infer", {"inputs": _tensors(draw, about, items)}


def _item(draw: random.Random, about: Mapping[str, Any]) -> Any:
    given = about["input"]
    if given["kind"] == "text":
        return " ".join(draw.choice(("good", "bad", "film", "x", "ß", "!")) for _ in range(5))
    if given["kind"] == "sequence":
        channels, steps = given["shape"]
        n = draw.randrange(1, 2 * steps)
        number = (0, -1.5, 1e-3, draw.gauss(0, 1), None)
        return [[draw.choice(number) for _ in range(n - 1)] + [1.0] for _ in range(channels)]
    if given["kind"] == "image":
        channels, height, width = given["shape"]
        row = [[draw.randrange(256) for _ in range(width)] for _ in range(height)]
        return [row] * channels
    row = {}
    for column in given["columns"]:
        if column["kind"] == "category":
            row[column["name"]] = draw.choice((*column["categories"], "new", None))
        elif column["kind"] == "boolean":
            row[column["name"]] = draw.choice((True, False, 0, 1, None))
        elif column["kind"] == "date":
            row[column["name"]] = draw.choice(("2021-05-31", 18778, None))
        else:
            row[column["name"]] = draw.choice((draw.gauss(0, 1), draw.randrange(99), None))
    return row


def _tensors(draw: random.Random, about: Mapping[str, Any], items: list[Any]) -> list[Any]:
    given, n = about["input"], len(items)
    if given["kind"] == "text":
        return [{"name": "text", "datatype": "BYTES", "shape": [n], "data": items}]
    if given["kind"] == "sequence":
        shape = [1, given["shape"][0], len(items[0][0])]
        return [{"name": "sequence", "datatype": "FP32", "shape": shape, "data": items[0]}]
    if given["kind"] == "image":
        shape = [n, *given["shape"]]
        return [{"name": "image", "datatype": "UINT8", "shape": shape, "data": items}]
    made = []
    for column in given["columns"]:
        is_word = column["kind"] == "category"
        data = [draw.choice(("a", "")) if is_word else draw.choice((1, 2.5)) for _ in items]
        kind = "BYTES" if is_word else "FP32"
        made.append({"name": column["name"], "datatype": kind, "shape": [n], "data": data})
    return made


def _value(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return draw.choice(_NUMBERS)
    if kind == 1:
        return draw.choice(_TEXTS)
    if kind == 2:
        return draw.choice((None, True, False))
    if kind == 3:
        return base64.b64encode(draw.randbytes(draw.randrange(60))).decode()
    if kind == 4:
        return draw.uniform(-1e9, 1e9)
    if kind == 5:
        return [_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {draw.choice(_TEXTS[2:]): _value(draw, depth + 1) for _ in range(draw.randrange(4))}


def _spoil(draw: random.Random, content: Any) -> Any:
    """Replace, remove, repeat or rename something, somewhere."""
    if isinstance(content, dict) and content and draw.random() < 0.8:
        name = draw.choice(list(content))
        spoiled = dict(content)
        act = draw.random()
        if act < 0.6:
            spoiled[name] = _spoil(draw, content[name])
        elif act < 0.75:
            del spoiled[name]
        else:
            spoiled[draw.choice((*_TEXTS, "rows", "image", "include", "shape"))] = _value(draw)
        return spoiled
    if isinstance(content, list) and content and draw.random() < 0.8:
        place = draw.randrange(len(content))
        act = draw.random()
        if act < 0.7:
            return [*content[:place], _spoil(draw, content[place]), *content[place + 1 :]]
        return content[:place] if act < 0.85 else content * draw.choice((0, 2, 30))
    return _value(draw)


def _upload(draw: random.Random, about: Mapping[str, Any]) -> tuple[str, bytes]:
    """Make an upload: a true picture, or one with holes, in a form, or in one with holes."""
    picture = _png(draw)
    if draw.random() < 0.6:
        place = draw.randrange(len(picture))
        picture = picture[:place] + draw.randbytes(4) + picture[place + draw.randrange(6) :]
    if draw.random() < 0.4:
        return draw.choice(("image/png", "image/jpeg", "image/x")), picture
    name = draw.choice(("file", "", 'a"b', "\xff" * 40))
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n\r\n'
    body = head.encode("latin-1") + picture + b"\r\n--x--\r\n"
    if draw.random() < 0.3:
        body = body[draw.randrange(len(body)) :]
    if draw.random() < 0.3:
        body = body[: draw.randrange(len(body) + 1)]
    return "multipart/form-data; boundary=x", body


def _png(draw: random.Random) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    width, height = draw.choice(((8, 8), (1, 1), (300, 2), (30_000, 30_000), (0, 5)))
    rows = b"\0" + draw.randbytes(min(width, 300))
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    data = zlib.compress(rows * min(height, 300))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
