"""What the runs reached: losses at the end, and what the percentage error is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxid.core.statistics import summary
from jaxid.data.sources import Dataset
from jaxid.training.run import History


def final_losses(history: History) -> dict[str, Any]:
    """The record's ``final``: summaries over seeds, test set included where there is one."""
    train, test = history.train_end, history.test_end
    final = {
        "train_loss": summary(history.train[:, -1]),
        "train_loss_end": summary(np.asarray(train.loss)),
        "original_train_loss_end": summary(np.asarray(train.original_loss)),
    }
    if test is not None:
        with np.errstate(invalid="ignore"):  # inf - inf, of seeds that went non-finite
            gap = np.asarray(test.loss) - np.asarray(train.loss)
        final |= {
            "test_loss": summary(np.asarray(test.loss)),
            "test_mape": summary(np.asarray(test.mape)),
            "original_test_loss": summary(np.asarray(test.original_loss)),
            "generalisation_gap": summary(gap),
        }
    return final


def percentage_error(history: History, dataset: Dataset) -> dict[str, Any] | None:
    """Which share of the percentage error comes from targets that are zero."""
    if history.test_end is None:
        return None
    total = np.asarray(history.test_end.mape, float)
    zero = np.asarray(history.test_end.mape_zero, float)
    rest = np.asarray(history.test_end.mape_rest, float)
    finite = np.isfinite(total)
    if not finite.any():
        return None
    mean = float(total[finite].mean())
    return {
        "total": mean,
        "share_zero_targets": float(zero[finite].mean()) / mean if mean else None,
        "without_zero_targets": float(rest[finite].mean()),
        "zero_share_of_targets": float(np.mean(dataset.test == 0)),
        "floor": 1e-7,
    }
