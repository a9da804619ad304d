"""The Keras side of `keras_epoch.py`, run by a Python of its own that has keras and jax.

Speaks over its standard streams: after one line of JSON with its versions it trains one epoch
for every line that it reads and answers with one line of JSON, {"seconds": s, "loss": l}.

Usage: python keras_worker.py DATA.npy LAYERS BATCH, DATA uint8 (n, d).
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras  # type: ignore[import-not-found]
import numpy as np


def main() -> None:
    """Train an epoch for each line on stdin."""
    path, layers, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # Keras and JAX may print; only answers go to the real stdout.
    answers, sys.stdout = sys.stdout, sys.stderr
    x = np.load(path).astype(np.float32)
    keras.utils.set_random_seed(0)
    width = x.shape[1]
    model = keras.Sequential(
        [keras.layers.Input((width,))]
        + [keras.layers.Dense(width, activation="relu") for _ in range(layers)]
    )
    model.compile(optimizer=keras.optimizers.RMSprop(), loss="mse")
    versions = {"keras": keras.__version__, "jax": jax.__version__, "jit": model.jit_compile}
    print(json.dumps(versions), file=answers, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        history = model.fit(x, x, batch_size=batch, epochs=1, verbose=0)
        seconds = time.perf_counter() - start
        loss = float(history.history["loss"][0])
        print(json.dumps({"seconds": seconds, "loss": loss}), file=answers, flush=True)


if __name__ == "__main__":
    main()
