"""The application: which address does what."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any

import numpy as np

from netwright import __version__
from netwright.data import Input
from netwright.finding import Measurement
from netwright.report._palette import stylesheet
from netwright.serve._engine import Engine
from netwright.serve._guard import Guard
from netwright.serve._kserve import infer_answer, model_metadata, rows_from_tensors, wanted_outputs
from netwright.serve._log import LogError
from netwright.serve._pictures import as_data_address
from netwright.serve._problems import Problem, RequestError
from netwright.serve._radius import LEVELS, Radii
from netwright.serve._requests import body_schema, read_json, read_rows
from netwright.serve._rows import check_names
from netwright.serve._sequence_rows import trace

__all__ = ["create_app"]

_STATIC = {
    "index.html": "text/html; charset=utf-8",
    "serve.css": "text/css; charset=utf-8",
    "serve.js": "text/javascript; charset=utf-8",
}
_NEAREST = 6
_DRAWN = ("image", "sequence")
_LATER = ("prediction_set", "explanation")


def create_app(
    engine: Engine,
    *,
    token: str | None = None,
    hosts: tuple[str, ...] | None = None,
    most_rows: int = 256,
    most_bytes: int = 8_000_000,
    body_seconds: float = 20.0,
    most_open: int = 512,
    notes: tuple[str, ...] = (),
) -> Any:
    """Make the ASGI application of a model.

    Args:
        engine: answers; the application starts and stops it.
        token: that requests must bear; None lets everybody ask.
        hosts: names by which the server may be called, without ports; None for any.
        most_rows: of one request.
        most_bytes: of one request's body.
        body_seconds: within which a body must have arrived.
        most_open: requests that may be open at once, beyond which they are turned away.
        notes: what readers of the page must know, for example why there are no examples.

    Returns:
        An ASGI application, to be handed to any server.
    """
    from fastapi import FastAPI, Request
    from starlette.exceptions import HTTPException

    thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    @contextlib.asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        engine.start()
        yield
        await engine.stop()
        thread.shutdown()

    # FastAPI's own pages of documentation load scripts from elsewhere.
    app = FastAPI(
        title=f"Netwright: {engine.model.name}",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )

    async def refuse(request: Request, error: Exception) -> Any:
        assert isinstance(error, RequestError)
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        body: dict[str, Any] = error.body()
        if request.url.path.startswith("/v2"):
            body = {"error": error.message}  # as the protocol has it
        return _json(body, status=error.status, headers=headers)

    async def refuse_path(request: Request, error: Exception) -> Any:
        assert isinstance(error, HTTPException)
        found = RequestError(error.status_code, str(error.detail))
        return await refuse(request, found)

    async def refuse_log(request: Request, error: Exception) -> Any:
        return await refuse(request, RequestError(503, str(error)[:300], retry_after=5))

    app.add_exception_handler(RequestError, refuse)
    app.add_exception_handler(HTTPException, refuse_path)
    app.add_exception_handler(LogError, refuse_log)
    _add_predictions(app, engine, thread, most_rows)  # first, since paths are tried in turn
    _add_pages(app)
    _add_state(app, engine, notes)
    _add_radius(app, engine, thread)
    _add_kserve(app, engine, most_rows)
    return Guard(
        app, token=token, hosts=hosts, most_bytes=most_bytes, body_seconds=body_seconds,
        most_open=most_open, metrics=engine.metrics,
    )  # fmt: skip


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def _json(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    return _response(_ENCODER.encode(content), status, headers)


def _response(body: str, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    from starlette.responses import Response

    return Response(body, status, headers, media_type="application/json")


def _add_pages(app: Any) -> None:
    from starlette.responses import Response

    folder = resources.files("netwright.serve") / "static"
    files = {name: (folder / name).read_bytes() for name in _STATIC}
    files["palette.css"] = stylesheet().encode()

    def page(name: str) -> Callable[[], Any]:
        async def answer() -> Any:
            headers = {"Cache-Control": "no-cache"}
            kind = _STATIC.get(name, "text/css; charset=utf-8")
            return Response(files[name], headers=headers, media_type=kind)

        return answer

    app.add_api_route("/", page("index.html"), include_in_schema=False)
    for name in files:
        app.add_api_route(f"/static/{name}", page(name), include_in_schema=False)


def _add_state(app: Any, engine: Engine, notes: tuple[str, ...]) -> None:
    from fastapi import Request
    from starlette.responses import Response

    about = engine.model.about() | {
        "netwright": __version__,
        "notes": notes,
        "examples": None
        if engine.reference is None
        else {"rows": engine.reference.n, "near_by": engine.reference.where},
        "attack": {"possible": not engine.radius.reason, "reason": engine.radius.reason},
        "log": engine.log is not None,
    }
    model = engine.model

    @app.get("/health")
    async def health() -> Any:
        """Say that the process lives."""
        return _json({"status": "ok"})

    @app.get("/ready")
    async def ready() -> Any:
        """Say whether requests are answered."""
        return _json({"ready": engine.is_ready}, status=200 if engine.is_ready else 503)

    @app.get("/metadata")
    async def metadata() -> Any:
        """Describe the model: what to send, what comes back, what was found about it."""
        return _json(about)

    @app.get("/metrics")
    async def metrics() -> Any:
        """Counts and times, for Prometheus."""
        text = await engine.metrics_text()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/monitor")
    async def monitor() -> Any:
        """Drift of the last rows, and accuracy on those whose truth was told."""
        drift = await asyncio.to_thread(engine.drift)
        log = engine.log
        accuracy = None if log is None else await asyncio.to_thread(log.accuracy, model.version)
        logged = None if log is None else await asyncio.to_thread(log.count)
        columns = [
            {
                "name": c.name, "psi": c.psi, "ks": c.ks, "state": c.state, "before": c.before,
                "now": c.now,
            }
            for c in drift
        ]  # fmt: skip
        return _json(
            {
                "rows": len(engine.window),
                "logged": logged,
                "drift": columns if engine.reference is not None else None,
                "accuracy": _measured(accuracy),
            }
        )

    @app.post("/feedback")
    async def feedback(request: Request) -> Any:
        """Tell what was true of an answered row: `{"id": ..., "truth": ...}`."""
        content = await read_json(request)
        check_names(content, ("id", "truth"))
        identifier, truth = _told(content, engine)
        if engine.log is None:
            raise RequestError(404, "This server keeps no log.")
        if not await asyncio.to_thread(engine.log.tell, identifier, truth):
            raise RequestError(404, "No answer has that `id`.")
        return _json({"id": identifier, "truth": content["truth"]})


def _told(content: Any, engine: Engine) -> tuple[str, str]:
    target = engine.model.schema.target
    problems = []
    fields = content if isinstance(content, dict) else {}
    identifier, truth = fields.get("id"), fields.get("truth")
    if not isinstance(identifier, str) or len(identifier) != 32 or not identifier.isascii():
        problems.append(Problem("id", "must be the `id` of an answer"))
    if target.kind == "class" and truth not in target.classes:
        problems.append(Problem("truth", "must be one of the model's classes"))
    items: list[Any] = truth if isinstance(truth, list) else [None]
    if target.kind == "labels" and not all(label in target.classes for label in items):
        problems.append(Problem("truth", "must be a list of the model's labels"))
    if target.kind in ("value", "values") and not (
        len(items) == len(target.names)
        and all(isinstance(v, int | float) and abs(v) < 1e300 for v in items)
    ):
        problems.append(Problem("truth", f"must be a list of {len(target.names)} numbers"))
    if problems:
        raise RequestError(422, "The feedback cannot be used.", problems)
    if target.kind == "class":
        return str(identifier), str(truth)
    if target.kind == "labels":
        chosen = [label for label in target.classes if label in items]
        return str(identifier), json.dumps(chosen, ensure_ascii=False)
    return str(identifier), json.dumps([float(v) for v in items])


def _measured(found: Measurement | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _add_predictions(app: Any, engine: Engine, thread: Any, most_rows: int) -> None:
    from fastapi import Request

    model = engine.model
    shared = {
        "model": model.name,
        "version": model.version,
        "classes": list(model.classes),
        "calibration": model.calibration(),
    }
    beginning = _ENCODER.encode(shared).removesuffix("}")  # the same in every answer

    @app.post("/predict", openapi_extra={"requestBody": body_schema(model.schema)})
    async def predict(request: Request) -> Any:
        """Predict rows; each answer has an `id` under which its truth can be told later."""
        rows, content = await read_rows(
            request, model.schema, most=most_rows, thread=thread, options=("include",)
        )
        include = _included(content.get("include", []), engine)
        answers = await engine.predict(rows)
        if "nearest" in include:
            found = await engine.look_up(lambda: _nearest(engine, rows.feed))
            answers = [a | {"nearest": n} for a, n in zip(answers, found, strict=True)]
        if "seen" in include:
            kind = model.schema.input.kind
            seen = [_shown(row, model.schema.input) for row in rows.feed[kind]]
            answers = [a | {"seen": s} for a, s in zip(answers, seen, strict=True)]
        return _response(f'{beginning},"predictions":{_ENCODER.encode(answers)}}}')


def _included(asked: Any, engine: Engine) -> list[str]:
    wrong = "must be a list of `nearest` and, for images and sequences, `seen`"
    if not isinstance(asked, list):
        raise RequestError(
            422, "The request asks for what there is not.", [Problem("include", wrong)]
        )
    for name in asked:
        if name in _LATER:
            wrong = f"`{name}` is not offered yet"
        elif name == "nearest" and engine.reference is None:
            wrong = "`nearest` needs the training rows, which are not at hand"
        elif name == "nearest" or (name == "seen" and engine.model.schema.input.kind in _DRAWN):
            continue
        raise RequestError(
            422, "The request asks for what there is not.", [Problem("include", wrong)]
        )
    return asked


def _nearest(engine: Engine, feed: dict[str, np.ndarray]) -> list[list[dict[str, Any]]]:
    assert engine.reference is not None
    found = engine.reference.nearest(engine.model.features(feed), _NEAREST)
    inputs = engine.model.schema.input
    return [
        [
            {
                "row": each.row,
                "truth": each.truth,
                "distance": each.distance,
                "content": _shown(each.content, inputs),
            }
            for each in row
        ]
        for row in found
    ]


def _shown(content: Any, inputs: Input) -> Any:
    if inputs.kind == "image":
        return as_data_address(content)
    return trace(content, inputs) if inputs.kind == "sequence" else content


def _add_radius(app: Any, engine: Engine, thread: Any) -> None:
    from fastapi import Request

    async def one_image(request: Request, options: tuple[str, ...]) -> tuple[np.ndarray, Any]:
        if engine.radius.reason:
            raise RequestError(422, f"There is nothing to attack: {engine.radius.reason}.")
        rows, content = await read_rows(
            request, engine.model.schema, most=1, thread=thread, options=options
        )
        return rows.feed["image"][0], content

    @app.post("/radius")
    async def radius(request: Request) -> Any:
        """Say how far the pixels of one image may change: proved, and broken by an attack."""
        pixels, _ = await one_image(request, ())
        limit = engine.time_limit
        found: Radii = await engine.attack(lambda: engine.radius.find(pixels, seconds=limit))
        return _json(
            {
                "levels": LEVELS, "proved": found.proved, "broken": found.broken,
                "proof": found.proof, "complete": found.complete, "seconds": found.seconds,
            }
        )  # fmt: skip

    @app.post("/attack")
    async def attack(request: Request) -> Any:
        """Attack one image within a radius (in 255ths), and show what was found."""
        pixels, content = await one_image(request, ("radius",))
        size = content.get("radius")
        if type(size) is not int or not 1 <= size <= LEVELS:
            problem = Problem("radius", f"must be a whole number from 1 to {LEVELS}")
            raise RequestError(422, "The request cannot be used.", [problem])
        found = await engine.attack(lambda: engine.radius.attack(pixels, size))
        best = int(found.probabilities.argmax())
        return _json(
            {
                "fooled": found.fooled,
                "label": engine.model.classes[best],
                "probabilities": [round(float(p), 7) for p in found.probabilities],
                "image": as_data_address(found.pixels),
            }
        )


def _add_kserve(app: Any, engine: Engine, most_rows: int) -> None:
    from fastapi import Request

    model = engine.model
    about = model_metadata(model)
    outputs = tuple(each["name"] for each in about["outputs"])

    def check(name: str, version: str | None = None) -> None:
        if name != model.name or version not in (None, model.version):
            raise RequestError(404, f"The only model here is `{model.name}`, `{model.version}`.")

    async def server() -> Any:
        return _json({"name": "netwright", "version": __version__, "extensions": []})

    async def live() -> Any:
        return _json({"live": True})

    async def ready() -> Any:
        return _json({"ready": engine.is_ready}, status=200 if engine.is_ready else 503)

    async def metadata(name: str, version: str | None = None) -> Any:
        check(name, version)
        return _json(about)

    async def model_ready(name: str, version: str | None = None) -> Any:
        check(name, version)
        return _json({"name": model.name, "ready": engine.is_ready})

    async def infer(request: Request, name: str, version: str | None = None) -> Any:
        check(name, version)
        content = await read_json(request)
        rows = rows_from_tensors(content, model, most=most_rows)
        wanted_outputs(content, outputs)
        return _json(infer_answer(model, await engine.predict(rows), content))

    app.add_api_route("/v2", server)
    app.add_api_route("/v2/health/live", live)
    app.add_api_route("/v2/health/ready", ready)
    for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        app.add_api_route(place, metadata)
        app.add_api_route(f"{place}/ready", model_ready)
        app.add_api_route(f"{place}/infer", infer, methods=["POST"])
