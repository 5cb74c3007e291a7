"""Makes a table of learning curves by real trainings of small networks on data of scikit-learn.

    python -m tests.benchmarks.quality.make_table DIR/digits.npz --data digits

Each row is a configuration of `MLPClassifier`, drawn at random and trained epoch by epoch by
`partial_fit`; its values are the cross-entropy on the third of the data that it is not trained on,
after each epoch, NaN from where it is none any more. The cost of a step is the
time that it took here, in the mean over epochs, of one configuration or of all (`--equal`): times
depend on the machine, all else on the seed. Ctrl-C ends it and writes the rows that are complete.
"""

import argparse
import math
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.quality.tables import Floats, save

DATA = ("digits", "breast_cancer", "wine", "iris")
#: Of the data that values are computed on.
HELD_OUT = 1 / 3
#: A cross-entropy above this is no training any more.
DIVERGED = 1e3
#: Seconds between two lines of progress.
EVERY = 5.0
NAMES = ("log_lr", "log_alpha", "log_hidden", "layers", "log_batch", "momentum", "adam", "relu")


class Data:
    """A data set of scikit-learn in two parts, each feature scaled by the first of them."""

    def __init__(self, name: str) -> None:
        from sklearn import datasets

        features, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(labels))
        split = round(len(order) * HELD_OUT)
        held_out, training = order[:split], order[split:]
        mean, spread = features[training].mean(axis=0), features[training].std(axis=0)
        scaled = (features - mean) / np.where(spread > 0, spread, 1.0)
        self.classes: NDArray[Any] = np.unique(labels)
        self.training: tuple[Floats, NDArray[Any]] = (scaled[training], labels[training])
        self.held_out: tuple[Floats, NDArray[Any]] = (scaled[held_out], labels[held_out])


def drawn(rows: int, seed: int) -> Floats:
    """Configurations × NAMES: logarithms to base 10, and 0 or 1 for what is one of two."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.uniform(-4.5, 0.5, rows),
        rng.uniform(-6, 0, rows),
        np.log10(rng.integers(4, 65, rows)),
        rng.integers(1, 3, rows),
        np.log10(2.0 ** rng.integers(4, 9, rows)),
        rng.uniform(0, 0.98, rows),
        rng.integers(0, 2, rows),
        rng.integers(0, 2, rows),
    ]
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def curve(data: Data, config: Floats, epochs: int, seed: int) -> Floats:
    """The value after each epoch of one configuration."""
    from sklearn.neural_network import MLPClassifier

    log_lr, log_alpha, log_hidden, layers, log_batch, momentum, adam, relu = config
    model = MLPClassifier(
        hidden_layer_sizes=(round(10**log_hidden),) * round(layers),
        activation="relu" if relu else "tanh",
        solver="adam" if adam else "sgd",
        learning_rate_init=10**log_lr,
        alpha=10**log_alpha,
        batch_size=min(round(10**log_batch), len(data.training[1])),
        momentum=momentum,
        random_state=seed,
    )
    values = np.full(epochs, math.nan)
    for epoch in range(epochs):
        try:
            model.partial_fit(*data.training, classes=data.classes)
        except ValueError as error:
            if "non-finite" not in str(error):  # weights that are no numbers any more
                raise
            break
        value = _loss(model, data)
        if not value < DIVERGED:
            break
        values[epoch] = value
    return values


def _loss(model: Any, data: Data) -> float:
    """Cross-entropy on what is held out."""
    features, labels = data.held_out
    chances = model.predict_proba(features)[
        np.arange(len(labels)), np.searchsorted(data.classes, labels)
    ]
    return float(-np.log(np.maximum(chances, 1e-12)).mean())


def trained(
    data: Data, config: Floats, epochs: int, seed: int, equal: bool
) -> tuple[Floats, Floats]:
    """Values of all configurations × epochs, and what an epoch costs; fewer after Ctrl-C."""
    curves: list[Floats] = []
    seconds: list[float] = []
    last = time.monotonic()
    try:
        for row, one in enumerate(config):
            began = time.perf_counter()
            curves.append(curve(data, one, epochs, seed + row))
            lasted = max(int(np.isfinite(curves[-1]).sum()), 1)
            seconds.append((time.perf_counter() - began) / lasted)
            if time.monotonic() - last > EVERY or row == len(config) - 1:
                last = time.monotonic()
                print(f"{row + 1} of {len(config)} configurations", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("ended early: what is complete is written", file=sys.stderr)
        seconds = seconds[: len(curves)]
        curves = curves[: len(seconds)]
    cost = np.array(seconds)[:, None]
    return np.array(curves), np.mean(cost, keepdims=True) if equal and seconds else cost


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    data = Data(options.data)
    config = drawn(options.rows, options.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overflows: that is what a bad configuration does
        metric, cost = trained(data, config, options.epochs, options.seed, options.equal)
    if not np.isfinite(metric).any():
        print("no configuration was trained: nothing is written", file=sys.stderr)
        return 130
    config = config[: len(metric)]
    save(options.file, metric, cost, config, NAMES)
    size = options.file.stat().st_size / 1024
    diverged = float(np.isnan(metric).any(axis=1).mean())
    best = np.nanmin(metric)
    print(
        f"{options.file}: {len(metric)} configurations, {size:,.0f} KiB, best {best:.4g}, "
        f"{diverged:.0%} diverged, {float(cost.mean()) * options.epochs:.2f} s per training"
    )
    return 0 if len(metric) == options.rows else 130


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality.make_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=_npz, metavar="FILE.npz")
    parser.add_argument("--data", choices=DATA, default="digits")
    parser.add_argument("--rows", type=_whole, default=300)
    parser.add_argument("--epochs", type=_whole, default=27)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--equal", action="store_true", help="all steps cost the mean of all")
    return parser.parse_args(arguments)


def _npz(text: str) -> Path:
    if not text.endswith(".npz"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end with .npz")
    return Path(text)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
