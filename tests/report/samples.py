"""Views to look at and to test with: a digits run, a regression run, and the awkward ones."""

import base64
import dataclasses
import functools
import io
import json
import math

import numpy as np

from netwright.finding import (
    Bars,
    Finding,
    Heatmap,
    Judgement,
    Lines,
    Measurement,
    Picture,
    Points,
    Series,
    Table,
)
from netwright.report import ArtefactFile, KeyFigure, LeaderboardRow, RequirementRow, RunView

NASTY = "<script>alert(1)</script>"
NASTY_ATTRIBUTE = '" onload="alert(2)'

DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 96" width="760" height="96">
<title>Residual CNN: convolution, three residual blocks, pooling, linear</title>
<g fill="none" stroke="currentColor" stroke-width="1.5">
<rect x="2" y="24" width="104" height="48" rx="8"/>
<rect x="146" y="24" width="134" height="48" rx="8"/>
<rect x="320" y="24" width="134" height="48" rx="8"/>
<rect x="494" y="24" width="104" height="48" rx="8"/>
<rect x="638" y="24" width="118" height="48" rx="8"/>
<path d="M106 48h40M280 48h40M454 48h40M598 48h40"/></g>
<g fill="currentColor" font-size="13" text-anchor="middle" font-family="sans-serif">
<text x="54" y="53">1 × 8 × 8</text><text x="213" y="53">conv 3×3, 16</text>
<text x="387" y="53">residual × 2, 32</text><text x="546" y="53">mean pool</text>
<text x="697" y="53">linear, 10</text></g>
</svg>"""


def png(pixels):
    """Encode uint8 pixels as base64 PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def wilson(successes, n, z=1.959964):
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half


def proportion(successes, n):
    low, high = wilson(successes, n)
    return Measurement(successes / n, low, high, n, method="wilson", successes=successes)


@functools.cache
def fitted_digits():
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order] / 16, y[order]
    model = LogisticRegression(max_iter=300, C=0.1).fit(x[:1077], y[:1077])
    return model, x, y


@functools.cache
def digits():
    model, x, y = fitted_digits()
    x_test, y_test = x[1437:], y[1437:]
    p = model.predict_proba(x_test)
    said = p.argmax(1)
    n = len(y_test)
    names = tuple(str(k) for k in range(10))
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y_test, said), 1)
    right = int((said == y_test).sum())
    accuracy = proportion(right, n)
    wrong = sorted(np.flatnonzero(said != y_test), key=lambda k: -p[k, said[k]])
    worst = tuple(
        Picture(
            f"{y_test[k]} taken for {said[k]} ({p[k, said[k]]:.0%})",
            png(255 - x_test[k].reshape(8, 8) * 255),
            f"Handwritten {y_test[k]} that the network took for a {said[k]}.",
        )
        for k in wrong[:12]
    )
    edges = np.linspace(0, 1, 11)
    sure = p.max(1)
    bins = [
        (sure[m].mean(), (said == y_test)[m].mean(), int(m.sum()))
        for low, high in zip(edges, edges[1:], strict=False)
        if (m := (sure > low) & (sure <= high)).any()
    ]
    ece = sum(abs(a - b) * m for a, b, m in bins) / n
    per_class = Table(
        "Accuracy per class",
        ("class", "right", "of", "accuracy", "low", "high"),
        tuple(
            (
                names[k],
                int(counts[k, k]),
                int(counts[k].sum()),
                float(counts[k, k] / counts[k].sum()),
                *wilson(int(counts[k, k]), int(counts[k].sum())),
            )
            for k in range(10)
        ),
    )
    rng = np.random.default_rng(1)
    latencies = np.sort(rng.gamma(9, 2.2e-5, 600)) * 1e3
    findings = (
        Finding(
            "accuracy",
            "Accuracy",
            f"{right} of {n} test digits are named rightly.",
            accuracy,
            "accuracy >= 0.95",
            Judgement(
                "undecided",
                "The bound lies inside the 95 % interval; about 1,240 more test samples at this "
                "rate would show it met.",
                1240,
            ),
            (
                per_class,
                Bars(
                    "Accuracy per class",
                    "class",
                    "accuracy",
                    (Series("accuracy", names, tuple(r[3] for r in per_class.rows)),),
                ),
            ),
        ),
        Finding(
            "confusion",
            "Which digits are taken for which",
            "Most mistakes are 8s and 1s.",
            evidence=(
                Heatmap(
                    "Confusion matrix",
                    "predicted",
                    "true",
                    names,
                    names,
                    tuple(tuple(float(v) for v in row) for row in counts),
                ),
            ),
        ),
        Finding(
            "worst_errors",
            "The most confident mistakes",
            "Twelve test digits that the network got wrong, the surest first.",
            evidence=worst,
        ),
        Finding(
            "size",
            "Size",
            "The shipped file.",
            Measurement(31_240, 31_240, 31_240, 1, "bytes"),
            "size <= 200 kB",
            Judgement("met", "Exact."),
            (
                Bars(
                    "Size by layer",
                    "layer",
                    "bytes",
                    (
                        Series(
                            "bytes",
                            ("stem.convolution.weight", "block1.convolution1",
                             "block1.convolution2",
                             "block2.convolution1", "block2.convolution2", "head"),
                            (640.0, 4608.0, 9216.0, 9216.0, 4608.0, 1320.0),
                        ),
                    ),
                ),
            ),
            0.01,
        ),
        Finding(
            "latency",
            "Latency",
            "Time of one prediction, one row at a time, on one thread.",
            Measurement(
                2.9e-4, 2.7e-4, 3.3e-4, 600, "s", "order statistics", note="batch 1, 1 thread"
            ),
            "latency_p95 <= 0.25 ms @batch=1,threads=1",
            Judgement("broken", "No value in the 95 % interval satisfies the bound."),
            (
                Lines(
                    "Distribution of latencies",
                    "latency (ms)",
                    "share of runs at most this slow",
                    (
                        Series(
                            "latency",
                            tuple(float(v) for v in latencies),
                            tuple((k + 1) / 600 for k in range(600)),
                        ),
                    ),
                ),
            ),
        ),
        Finding(
            "ece",
            "Calibration",
            "How far stated confidence is from the share that is right.",
            Measurement(
                ece, ece * 0.7, ece * 1.5, n, method="bootstrap", note="10 bins of equal width"
            ),
            evidence=(
                Lines(
                    "Reliability",
                    "stated confidence",
                    "share right",
                    (
                        Series(
                            "network",
                            tuple(float(b[0]) for b in bins),
                            tuple(float(b[1]) for b in bins),
                            tuple(f"{b[2]} rows: {b[1]:.2f} right at {b[0]:.2f}" for b in bins),
                        ),
                    ),
                    diagonal=True,
                ),
                Bars(
                    "Rows by confidence",
                    "confidence",
                    "rows",
                    (
                        Series(
                            "rows",
                            tuple(f"{b[0]:.2f}" for b in bins),
                            tuple(float(b[2]) for b in bins),
                        ),
                    ),
                ),
            ),
        ),
        Finding(
            "robustness",
            "Robustness to small perturbations",
            "Accuracy when every pixel may move by up to epsilon, in the worst direction found.",
            proportion(int(0.41 * n), n),
            evidence=(
                Lines(
                    "Accuracy under attack",
                    "epsilon (linf, pixel values in [0, 1])",
                    "accuracy",
                    (
                        Series("FGSM", (0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
                               (0.95, 0.92, 0.88, 0.71, 0.49, 0.2)),
                        Series("PGD, 40 steps", (0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
                               (0.95, 0.91, 0.86, 0.66, 0.41, 0.08)),
                    ),
                ),
                Picture(
                    "Clean above, attacked below",
                    png(255 - np.concatenate([
                        np.concatenate([x_test[k].reshape(8, 8) for k in range(12)], 1),
                        np.clip(np.concatenate([x_test[k].reshape(8, 8) for k in range(12)], 1)
                                + 0.2 * rng.choice([-1, 1], (8, 96)), 0, 1),
                    ]) * 255),
                    "Twelve digits, and below each the same digit after the attack.",
                ),
            ),
            seconds=1.4,
        ),
        Finding(
            "log_loss", "Log loss", "Mean negative log probability of the true class.",
            Measurement(0.171, 0.142, 0.204, n, "nats", "bootstrap"),
        ),
        Finding(
            "macs", "Operations", "Multiply-accumulates for one digit.",
            Measurement(1_254_400, 1_254_400, 1_254_400, 1, "MACs"),
        ),
        Finding(
            "auroc", "AUROC", "One class against the rest, averaged.",
            Measurement(0.9986, 0.9971, 0.9995, n, method="bootstrap"),
        ),
    )  # fmt: skip
    bounds = {"accuracy": (">=", 0.95), "size": ("<=", 200e3), "latency": ("<=", 2.5e-4)}
    requirements = tuple(
        RequirementRow(f.requirement, f, *bounds[f.name]) for f in findings if f.requirement
    )
    board = tuple(
        LeaderboardRow(
            number=k,
            name=name,
            status=status,
            metrics={
                "accuracy": proportion(round(score * 180), 180),
                "latency_p95 <= 0.25 ms @batch=1,threads=1": Measurement(
                    latency, latency * 0.9, latency * 1.1, 200, "s", "order statistics"
                ),
            } if score else {},
            size=size,
            params=round(size / 4) if size else None,
            fidelity=fidelity,
            seconds=seconds,
            parent=parent,
            chosen=chosen,
            note=note,
        )
        for k, (name, status, score, latency, size, fidelity, seconds, parent, chosen, note)
        in enumerate([
            ("linear", "trained", 0.93, 3e-5, 3_400, 1.0, 0.6, None, False, ""),
            ("small CNN, 8", "stopped", 0.95, 8e-5, 11_000, 0.25, 1.1, None, False, ""),
            ("small CNN, 16", "stopped", 0.961, 1.2e-4, 24_100, 0.25, 1.6, None, False, ""),
            ("residual CNN, tiny", "stopped", 0.972, 1.9e-4, 31_240, 0.25, 2.2, None, False, ""),
            ("residual CNN, small", "stopped", 0.967, 4.1e-4, 118_000, 0.25, 3.8, None, False, ""),
            ("residual CNN, medium", "failed", 0, 0, 420_000, 0.25, 0.2, None, False,
             "Larger than 200 kB before training."),
            ("small CNN, 16", "trained", 0.967, 1.2e-4, 24_100, 1.0, 5.5, 2, False, ""),
            ("residual CNN, tiny", "trained", 0.983, 1.9e-4, 31_240, 1.0, 8.1, 3, True, ""),
            ("residual CNN, small", "trained", 0.983, 4.1e-4, 118_000, 1.0, 15.0, 4, False, ""),
        ])
    )  # fmt: skip
    epochs = tuple(float(k) for k in range(1, 41))
    training = (
        Lines(
            "Loss", "epoch", "cross-entropy (nats)",
            (
                Series("training", epochs,
                       tuple(2.2 * math.exp(-k / 7) + 0.04 + 0.02 * math.sin(k) for k in epochs)),
                Series("validation", epochs,
                       tuple(2 * math.exp(-k / 7) + 0.11 + 0.01 * math.cos(2 * k) for k in epochs)),
            ),
        ),
        Lines(
            "Validation accuracy", "epoch", "accuracy",
            (Series("validation", epochs, tuple(0.983 - 0.8 * math.exp(-k / 4) for k in epochs)),),
        ),
        Lines(
            "Learning rate", "step", "learning rate",
            (Series("learning rate", tuple(float(k) for k in range(1200)),
                    tuple(1e-3 + 1e-3 * math.cos(math.pi * k / 1200) for k in range(1200))),),
        ),
    )  # fmt: skip
    return RunView(
        title="digits",
        description="Name one of 10 classes from a grey image of 8 × 8 pixels.",
        created="2026-11-21T10:56:24+00:00",
        version="0.1.0",
        command='netwright build digits --require "accuracy >= 0.95" --require "size <= 200 kB" '
        '--require "latency_p95 <= 0.25 ms @batch=1,threads=1" --budget 60s --seed 0',
        seed=0,
        device="CPU, 2 threads",
        requirements=requirements,
        findings=findings,
        errors=("confusion", "worst_errors"),
        design_name="residual CNN, tiny",
        design_json=json.dumps({"name": "residual CNN, tiny", "family": "residual_cnn",
                                "parameters": {"widths": [16, 32], "blocks": 2}}),
        drawing=DRAWING,
        figures=(
            KeyFigure("parameters", 7_514, "parameters"),
            KeyFigure("operations", 1_254_400, "MACs", "for one image"),
            KeyFigure("size", 31_240, "bytes", "model.onnx"),
            KeyFigure("median latency", 1.9e-4, "s", "batch 1, 1 thread"),
        ),
        score="accuracy",
        leaderboard=board,
        training=training,
        schema="input   image, 1 × 8 × 8, grey\ntarget  class: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        splits=(("train", 1077), ("validation", 180), ("calibration", 180), ("test", 360)),
        quarantine=Table("Rows left out", ("file", "row", "reason"), ()),
        duplicates=Table("Duplicates", ("split", "row", "other split", "other row", "kind"),
                         (("train", 17, "test", 1502, "near"),)),
        notes=("Images are 8 × 8 pixels of 17 grey levels.", "Classes are balanced within 5 %."),
        looks=("audit",),
        budget=Table("Budget", ("stage", "seconds", "share"),
                     (("load", 0.4, 0.007), ("search", 38.2, 0.64), ("audit", 11.3, 0.19),
                      ("report", 0.3, 0.005), ("left", 9.8, 0.158))),
        files=(ArtefactFile("model.onnx", 31_240, "9f" * 32),
               ArtefactFile("model.safetensors", 30_408, "ab" * 32)),
        agreement=1.4e-6,
        versions=(("torch", "2.13.0"), ("onnxruntime", "1.30.0"), ("Python", "3.11.9")),
    )  # fmt: skip


@functools.cache
def regression():
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    x, y = load_diabetes(return_X_y=True)
    said = Ridge(0.1).fit(x[:300], y[:300]).predict(x[300:])
    truth = y[300:]
    rmse = float(np.sqrt(((said - truth) ** 2).mean()))
    finding = Finding(
        "rmse", "Root mean square error", "In units of disease progression.",
        Measurement(rmse, rmse * 0.9, rmse * 1.11, 142, "target", "bootstrap"),
        "rmse <= 60", Judgement("met", "All of the 95 % interval satisfies the bound."),
        (
            Points("Predicted against true", "true progression", "predicted progression",
                   (Series("test rows", tuple(map(float, truth)), tuple(map(float, said))),),
                   diagonal=True),
            Table("Largest errors", ("row", "true", "predicted", "error"),
                  tuple((300 + int(k), float(truth[k]), float(said[k]), float(said[k] - truth[k]))
                        for k in np.argsort(-abs(said - truth))[:8])),
        ),
    )  # fmt: skip
    return RunView(
        title="diabetes", description="Predict disease progression from 10 columns.",
        created="2026-11-21T11:00:00+00:00", version="0.1.0", command="netwright build diabetes",
        seed=3, requirements=(RequirementRow("rmse <= 60", finding, "<=", 60.0),),
        findings=(finding,), design_name="MLP, small", splits=(("train", 300), ("test", 142)),
        looks=("audit",), score="rmse", schema="\n".join(f"column {k}  number" for k in range(10)),
    )  # fmt: skip


def impossible():
    base = digits()
    accuracy = dataclasses.replace(
        base.findings[0],
        requirement="accuracy >= 0.99",
        judgement=Judgement("broken", "No value in the 95 % interval satisfies the bound."),
    )
    size = dataclasses.replace(
        base.findings[3],
        requirement="size <= 2 kB",
        judgement=Judgement("broken", "Exact."),
    )
    return dataclasses.replace(
        base,
        title="digits, asked for too much",
        findings=(accuracy, size, *base.findings[5:]),
        requirements=(
            RequirementRow("accuracy >= 0.99", accuracy, ">=", 0.99),
            RequirementRow("size <= 2 kB", size, "<=", 2000.0),
        ),
        unreachable="The requirements cannot be met together.\nAccuracy of 0.99 was not reached at "
        "any size; the best was 0.983 at 31.2 kB.\nWithin 2 kB no candidate could be built; the "
        "smallest takes 3.4 kB and reaches 0.930.",
        front=Table(
            "The reachable front",
            ("design", "accuracy", "size (kB)"),
            (("linear", 0.93, 3.4), ("small CNN, 16", 0.967, 24.1),
             ("residual CNN, tiny", 0.983, 31.24)),
        ),
        prices=Table(
            "The price of each requirement, and of looser bounds",
            ("requirement", "bound", "accuracy lost", "binds alone"),
            (("accuracy >= 0.99", "as stated", None, "no"),
             ("size <= 2 kB", "3.4 kB", "0.053", None), ("size <= 2 kB", "31.2 kB", "0", None)),
        ),
    )  # fmt: skip


def many_classes(n=100):
    rng = np.random.default_rng(0)
    names = tuple(f"class number {k}" for k in range(n))
    counts = np.diag(rng.integers(60, 100, n)) + (rng.random((n, n)) < 0.02) * rng.integers(
        1, 6, (n, n)
    )
    return RunView(
        title="a hundred classes", description="Long names and many of them.",
        created="2026-11-21T11:00:00+00:00", version="0.1.0", splits=(("test", 8000),),
        leaderboard=digits().leaderboard, score="accuracy",
        findings=(
            Finding("confusion", "Confusion", "A hundred classes.", evidence=(
                Heatmap("Confusion matrix", "predicted", "true", names, names,
                        tuple(tuple(map(float, row)) for row in counts)),
            )),
            Finding("per_class", "Per class", "Recall.", evidence=(
                Bars("Recall per class", "class", "recall",
                     (Series("recall", names, tuple(map(float, counts.diagonal() / 100))),)),
                Points("Ten thousand points", "x", "y", (
                    Series("cloud", tuple(map(float, rng.normal(size=10_000))),
                           tuple(map(float, rng.normal(size=10_000)))),)),
            )),
        ),
    )  # fmt: skip


def awkward(nasty=NASTY, attribute=NASTY_ATTRIBUTE):
    """HTML in every text, numbers that are none, nothing measured, long words."""
    nan, inf = float("nan"), float("inf")
    word = "Donaudampfschifffahrtsgesellschaftskapitän" * 4
    names = (nasty, attribute, "ok", "\x00\ud800 control", word)
    values = (0.2, nan, 0.5, inf, 0.1)
    unmeasured = Finding(
        nasty, nasty, nasty * 3,
        Measurement(nan, nan, nan, 0, unresolved=f"Gradients are masked {nasty}."),
        f"robust(linf={attribute}) >= 0.5", Judgement("undecided", nasty),
        (
            Bars(nasty, nasty, nasty, (Series(nasty, names, values),
                                       Series(attribute, names, values, names))),
            Lines(nasty, nasty, attribute,
                  tuple(Series(f"{nasty} {k}", (1.0, 2.0, 3.0), (1.0 + k, nan, inf))
                        for k in range(6)), log_x=True, log_y=True),
            Lines(nasty, nasty, nasty, (Series(nasty, names, values, names),)),
            Points(nasty, nasty, nasty, (Series(nasty, names, values, names),)),
            Points("No points at all", "", "", ()),
            Lines("No line", "", "", (Series("", (), ()),)),
            Heatmap(nasty, nasty, nasty, names, names, ((1.0, nan, 0.0, 2.0, -3.0),) * 5),
            Heatmap("Empty", "", "", (), (), ()),
            Bars("Empty", "", "", ()),
            Table(nasty, names, (names, values, (None,) * 5, (1, 2, 3, 4, 5), ("x" * 5000,) * 5)),
            Table("Empty", (), ()),
            Picture(nasty, png(np.zeros((4, 4))), attribute),
        ),
    )  # fmt: skip
    table = Table(nasty, names, (names,))
    return RunView(
        title=nasty, description=attribute + word * 3, created=nasty, version=nasty,
        command=nasty * 20, seed=-1, device=nasty,
        requirements=(
            RequirementRow(f"gap(accuracy, by={nasty}) <= 0.1", unmeasured, "<=", 0.1),
            RequirementRow(word, Finding("x", "X", ""), ">=", nan),
        ),
        findings=(unmeasured, Finding("", "", "")), errors=(nasty,), unreachable=nasty, front=table,
        design_name=nasty, design_json=f'{{"{nasty}": 1', 
        figures=(KeyFigure(nasty, nan, "", nasty),),
        score=nasty,
        leaderboard=(
            LeaderboardRow(0, nasty, nasty, {nasty: Measurement(0.5, 0, 1, 9)}, 1000, note=nasty),
            LeaderboardRow(1, attribute, "failed", {nasty: Measurement(nan, 0, 1, 9)}, nan),
        ),
        training=(Lines(nasty, nasty, nasty, (Series(nasty, (1.0,), (1.0,)),)),),
        schema=nasty * 1000, splits=((nasty, 0),), quarantine=table, duplicates=table,
        notes=(nasty,), looks=(nasty, nasty), budget=table, files=(ArtefactFile(nasty, 1, nasty),),
        agreement=nan, versions=((nasty, nasty),),
    )  # fmt: skip


def training_loss():
    return digits().training[0]


def empty():
    return RunView("nothing yet", "A build whose budget ran out.", "2026-11-21", "0.1.0")


def audit_only():
    base = digits()
    return dataclasses.replace(
        base, title="their.onnx on digits", job="audit", leaderboard=(), training=(), drawing="",
        design_json="", design_name="", command="netwright audit their.onnx digits", budget=None,
    )  # fmt: skip


VIEWS = {
    "digits": digits,
    "regression": regression,
    "impossible": impossible,
    "many_classes": many_classes,
    "awkward": awkward,
    "empty": empty,
    "audit_only": audit_only,
}
