"""What `build` reaches within a budget, beside LightGBM, TF-IDF + logistic regression or 1-NN.

The rival trains on the same rows (train + validation + calibration, which `build` may also use) and
both are scored on the same test rows. Needs NETWRIGHT_DATA for all sets but digits.
`python -m benchmarks.accuracy [SET ...]`.
"""

import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import netwright as nw
from netwright.finding import format_value


@dataclass(frozen=True)
class Set:
    """One data set with its budget and bar."""

    name: str
    budget: str
    metric: str
    bar: float


SETS = (
    Set("digits", "60s", "accuracy", 0.985),
    Set("mnist", "5min", "accuracy", 0.993),
    Set("cifar10", "10min", "accuracy", 0.80),
    Set("adult", "3min", "accuracy", 0.866),
    Set("california_housing", "3min", "rmse", 0.47),
    Set("rt_polarity", "3min", "accuracy", 0.77),
    Set("ag_news", "3min", "accuracy", 0.88),
    # Of sequences the bars are what the archive states of one nearest neighbour, Euclidean or by
    # dynamic time warping (Bagnall et al. 2017 and 2018); of ecg5000, which is its training split
    # alone here, what the rival reaches.
    Set("fsdd", "600 steps", "accuracy", 0.97),
    Set("basicmotions", "100 steps", "accuracy", 0.975),
    Set("italypowerdemand", "100 steps", "accuracy", 0.955),
    Set("arrowhead", "100 steps", "accuracy", 0.800),
    Set("japanesevowels", "300 steps", "accuracy", 0.949),
    Set("ecg5000", "400 steps", "accuracy", 0.950),
)


def tensors(task: nw.Task):
    """All rows that may be learned from, and the test rows, as arrays of network-level inputs."""
    parts = (task.train, task.validation, task.calibration)
    x = torch.cat([p.take(range(len(p))) for p in parts]).flatten(1).numpy()
    y = torch.cat([p.y for p in parts]).numpy().squeeze()
    test = task.test.open("benchmark rival")
    return x, y, test.take(range(len(test))).flatten(1).numpy(), test.y.numpy().squeeze()


def rival(task: nw.Task) -> tuple[str, float, float]:
    """Train the usual strong baseline; returns its name, its score, and seconds."""
    x, y, x_test, y_test = tensors(task)
    began = time.perf_counter()
    kind = task.schema.input.kind
    if kind == "sequence" and task.schema.input.rate >= 2000:
        name, predicted = "levels of mel bands + logistic regression", _levels(task, y)
    elif kind == "sequence":
        name, predicted = nearest(x, y, x_test, y_test, task.schema.input.shape)
    elif kind == "text":
        name, predicted = "TF-IDF 1-2-grams + logistic regression", _tfidf(x, y, x_test)
    elif kind == "image" and x.shape[1] > 1000:
        name, predicted = (
            "LightGBM on pixels, 10,000 rows",
            _lightgbm(x[:10_000], y[:10_000], x_test, task, colsample_bytree=0.1),
        )
    else:
        name, predicted = "LightGBM", _lightgbm(x, y, x_test, task)
    seconds = time.perf_counter() - began
    if task.schema.target.kind == "class":
        return name, float((predicted == y_test).mean()), seconds
    return name, float(np.sqrt(((predicted - y_test) ** 2).mean())), seconds


def _lightgbm(x, y, x_test, task, **more):
    import lightgbm

    columns = task.schema.input.columns
    categories = [i for i, c in enumerate(columns) if c.kind == "category"]
    options = {"n_estimators": 300, "learning_rate": 0.05, "num_leaves": 31, "verbose": -1, **more}
    if task.schema.target.kind == "class":
        model = lightgbm.LGBMClassifier(**options)
    else:
        model = lightgbm.LGBMRegressor(**{**options, "n_estimators": 1000})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of unnamed columns
        model.fit(x, y, categorical_feature=categories or "auto")
        return model.predict(x_test)


def _tfidf(x, y, x_test):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    def words(rows):
        return [" ".join(f"w{token}" for token in row if token > 0) for row in rows.astype(int)]

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1)
    model = LogisticRegression(C=10.0, max_iter=1000)
    with threadpool_limits(1):  # sparse rows: a second thread only waits
        model.fit(vectors.fit_transform(words(x)), y)
        return model.predict(vectors.transform(words(x_test)))


def _levels(task, y):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from netwright.nn import LogMel, within

    inputs = task.schema.input
    front = LogMel(inputs.mean, inputs.std, rate=inputs.rate, window=256, hop=128)

    def summed_up(part) -> np.ndarray:
        rows = []
        for place in range(len(part)):
            x = part.take([place])
            frames = front(x)[0, 0][:, within(x)[0, 0, ::128] > 0]
            rows.append(torch.cat([frames.mean(1), frames.std(1)]).numpy())
        return np.stack(rows)

    parts = (task.train, task.validation, task.calibration)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(np.concatenate([summed_up(part) for part in parts]), y)
    return model.predict(summed_up(task.test.open("benchmark rival")))


def nearest(x, y, x_test, y_test, shape) -> tuple[str, np.ndarray]:
    """Predict by the nearest sequence: Euclidean, or by time warping, whichever does better.

    Args:
        x: (rows, channels * steps), NaN behind the end.
        y: its classes.
        x_test: likewise.
        y_test: likewise; the rival may choose by them.
        shape: (channels, steps).
    """
    train, test = (rows.reshape(-1, *shape) for rows in (x, x_test))
    found = {}
    for name, distance in (("1-NN, Euclidean", straight), ("1-NN, time warping", warped)):
        places = [distance(one, train).argmin() for one in test]
        found[name] = y[places]
    return max(found.items(), key=lambda item: (item[1] == y_test).mean())


def straight(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances of a sequence to others; 0 stands behind the end.

    Args:
        one: (channels, steps).
        many: (rows, channels, steps).
    """
    return np.square(np.nan_to_num(many) - np.nan_to_num(one)).sum((1, 2))


def warped(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Return squared distances by dynamic time warping, without a window, to the end of each.

    Args:
        one: (channels, steps).
        many: (rows, channels, steps).
    """
    one = one[:, : int((~np.isnan(one)).any(0).sum())]
    lengths = (~np.isnan(many)).any(1).sum(1)
    n, T = len(many), many.shape[2]
    known = np.nan_to_num(many)
    row = np.full((n, T + 1), np.inf)
    row[:, 0] = 0.0
    for step in range(one.shape[1]):
        cost = ((known - one[:, step, None]) ** 2).sum(1)  # (rows, steps)
        below = np.full((n, T + 1), np.inf)
        for other in range(T):
            least = np.minimum(np.minimum(row[:, other], row[:, other + 1]), below[:, other])
            below[:, other + 1] = cost[:, other] + least
        row = below
    return row[np.arange(n), lengths]


def main() -> int:
    chosen = [s for s in SETS if not sys.argv[1:] or s.name in sys.argv[1:]]
    head = (
        f"{'set':<20}{'budget':>10}{'took':>7}  {'metric':<9}{'netwright (95 %)':<26}{'bar':>7}  "
    )
    print(head + f"{'ok':<4}{'bytes':>10}   rival", flush=True)
    failed = 0
    for each in SETS:
        if each not in chosen:
            continue
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            run = nw.build(each.name, budget=each.budget, seed=0, out=Path(folder) / "run")
            took = time.monotonic() - began
            found = next(f for f in run.findings if f.name == "performance").measurement
            size = run.artefact.stat().st_size
        good = found.value >= each.bar if each.metric == "accuracy" else found.value <= each.bar
        failed |= not good
        span = f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"
        print(
            f"{each.name:<20}{each.budget:>10}{took:6.0f}s  "
            f"{each.metric:<9}{span:<26}{each.bar:7.3f}  "
            f"{'yes' if good else 'NO':<4}{format_value(size, 'bytes'):>10}   ",
            end="",
            flush=True,
        )
        name, score, seconds = rival(nw.load(each.name, seed=0))
        print(f"{name}: {score:.4f} in {seconds:.0f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
