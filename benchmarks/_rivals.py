"""What others make of the same rows in the same seconds; run as a program, without Netwright.

`python benchmarks/_rivals.py NAME FOLDER SECONDS` reads `train.parquet` and `test.parquet`
(column `target` last), writes `predicted.npy`, and prints seconds and bytes of the saved model as
JSON. It may be run by another interpreter, since not all rivals install beside each other.
"""

import json
import pickle
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 0


def split(frame: pd.DataFrame):
    return frame.drop(columns="target"), frame["target"].to_numpy()


def held_out(n: int):
    places = np.random.default_rng(SEED).permutation(n)
    return places[n // 7 :], places[: n // 7]


def lightgbm(train, test, kind, seconds, folder):
    import lightgbm as lgb

    x, y = split(train)
    fit_on, check_on = held_out(len(x))
    deadline = time.perf_counter() + 0.85 * seconds
    make = lgb.LGBMRegressor if kind == "value" else lgb.LGBMClassifier
    model = make(n_estimators=5000, learning_rate=0.05, num_leaves=31, verbose=-1, n_jobs=2)

    def in_time(state):
        if time.perf_counter() > deadline:
            raise lgb.callback.EarlyStopException(state.iteration, state.evaluation_result_list)

    model.fit(
        x.iloc[fit_on], y[fit_on], eval_set=[(x.iloc[check_on], y[check_on])],
        callbacks=[lgb.early_stopping(50, verbose=False), in_time],
    )  # fmt: skip
    return model.predict(split(test)[0]), len(model.booster_.model_to_string().encode())


def tfidf(train, test, kind, seconds, folder):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10.0)
    )
    with threadpool_limits(1):
        model.fit(train["text"], train["target"])
    return model.predict(test["text"]), len(pickle.dumps(model))


def flaml(train, test, kind, seconds, folder):
    from flaml import AutoML

    x, y = split(train)
    model = AutoML()
    model.fit(
        x, y, task="regression" if kind == "value" else "classification",
        metric="rmse" if kind == "value" else "accuracy", time_budget=0.9 * seconds, seed=SEED,
        n_jobs=2, verbose=0,
        estimator_list=["lgbm", "rf", "extra_tree"],
    )  # fmt: skip
    return model.predict(split(test)[0]), len(pickle.dumps(model.model))


def autogluon(train, test, kind, seconds, folder):
    from autogluon.tabular import TabularPredictor

    place = folder / "autogluon"
    predictor = TabularPredictor(
        label="target", path=str(place), verbosity=0,
        eval_metric="root_mean_squared_error" if kind == "value" else "accuracy",
    ).fit(train, time_limit=0.9 * seconds, num_cpus=2)  # fmt: skip
    predicted = predictor.predict(test.drop(columns="target")).to_numpy()
    used = predictor.clone_for_deployment(str(folder / "deployed"), return_clone=False)
    return predicted, sum(f.stat().st_size for f in Path(used).rglob("*") if f.is_file())


RIVALS = {"lightgbm": lightgbm, "tfidf": tfidf, "flaml": flaml, "autogluon": autogluon}


def main() -> None:
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    kind = (folder / "kind.txt").read_text()
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, about column names and dtypes
        predicted, n_bytes = RIVALS[name](train, test, kind, seconds, folder)
    np.save(folder / "predicted.npy", np.asarray(predicted))
    print(json.dumps({"seconds": time.perf_counter() - began, "bytes": n_bytes}))


if __name__ == "__main__":
    main()
