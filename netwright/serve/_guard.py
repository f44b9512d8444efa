"""What stands before every request: who may ask, how much may be sent, and how long it may take."""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from netwright.serve._metrics import Metrics
from netwright.serve._problems import RequestError

__all__ = ["Guard", "LOOPBACK"]

LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
OPEN = ("/", "/health", "/ready", "/v2", "/v2/health/live", "/v2/health/ready")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Guard:
    """An ASGI application around another."""

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        *,
        token: str | None,
        hosts: tuple[str, ...] | None,
        most_bytes: int,
        body_seconds: float,
        most_open: int,
        metrics: Metrics,
    ) -> None:
        """Say what is let through.

        Args:
            app: what stands behind.
            token: that requests must bear; None lets everybody ask.
            hosts: names by which the server may be called, without ports; None for any.
            most_bytes: of a body.
            body_seconds: within which a body must have arrived.
            most_open: requests that may be open at once: each may hold a body in memory.
            metrics: counts requests and times.
        """
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = hosts
        self._most_bytes = most_bytes
        self._body_seconds = body_seconds
        self._most_open = most_open
        self._open = 0
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request.

        Args:
            scope: as ASGI has it.
            receive: as ASGI has it.
            send: as ASGI has it.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500
        self._open += 1

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        try:
            refused = self._refusal(scope)
            if refused is not None:
                await _answer(refused, watched)
            else:
                await self._app(scope, self._counted(receive), watched)
        finally:
            self._open -= 1
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.add("netwright_requests_total", path=path, status=str(status))
            self._metrics.observe("netwright_request_seconds", time.perf_counter() - began)

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._hosts is not None and _name(host) not in self._hosts:
            return RequestError(403, "This server is not called by that name (Host header).")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower().partition("://")[2] != host:
            return RequestError(403, "Pages of other origins may not ask this server.")
        path = scope["path"]
        if self._token is not None and path not in OPEN and not path.startswith("/static/"):
            given = headers.get(b"authorization", b"")
            kind, _, token = given.partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
                return RequestError(401, "Send the header `Authorization: Bearer TOKEN`.")
        if self._open > self._most_open and path not in OPEN:
            return RequestError(
                429, f"More than {self._most_open} requests are open.", retry_after=1
            )
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18:
            return RequestError(400, "The Content-Length is no number.")
        return self._too_large() if int(length) > self._most_bytes else None

    def _too_large(self) -> RequestError:
        return RequestError(413, f"The body must be at most {self._most_bytes:,} bytes.")

    def _counted(self, receive: Receive) -> Receive:
        until = time.monotonic() + self._body_seconds
        total, ended = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal total, ended
            if ended:  # what comes now is the end of the connection
                return await receive()
            try:
                async with asyncio.timeout(max(0.001, until - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise RequestError(
                    408, f"The body must arrive within {self._body_seconds:g} s."
                ) from None
            total += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if total > self._most_bytes:
                raise self._too_large()
            return message

        return counted


def _name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


async def _answer(error: RequestError, send: Send) -> None:
    body = json.dumps(error.body()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    # The body may still be on its way; nobody is going to read it.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
