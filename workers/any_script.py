"""Trains a linear classifier of digits: a script that knows nothing of any tuner."""

import argparse
import json
import pickle
import signal
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--alpha", type=float, default=1e-4)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--resume", type=Path)
parser.add_argument("--out", type=Path, required=True)
options = parser.parse_args()

stop: list[int] = []
signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
images, labels = load_digits(return_X_y=True)
epoch = 0
model = SGDClassifier(
    learning_rate="constant", eta0=options.lr, alpha=options.alpha, random_state=0
)
if options.resume:
    epoch, model = pickle.loads((options.resume / "model.pickle").read_bytes())
while epoch < options.epochs and not stop:
    epoch += 1
    order = np.random.default_rng(epoch).permutation(1400)
    model.partial_fit(images[order] / 16, labels[order], classes=range(10))
    accuracy = float(model.score(images[1400:] / 16, labels[1400:]))
    print(json.dumps({"step": epoch, "accuracy": accuracy}))
(options.out / "model.pickle").write_bytes(pickle.dumps((epoch, model)))
sys.exit(0)
