"""What a run ended with, and what its percentage error is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxid.core.statistics import Summary, summary
from jaxid.data.sources import Dataset
from jaxid.training.run import History

FLOOR = 1e-7
"""What the percentage error divides by in place of a target below it, as Keras does."""


@dataclass(frozen=True)
class Final:
    """Losses at the end, over seeds; those of the test set are None where there is none.

    Attributes:
      train_loss: mean over the last epoch's batches, training units.
      train_loss_end, original_train_loss_end: of the whole training set at the end, in training
        and in original units.
      test_loss, original_test_loss: of the test set, in training and in original units.
      test_mape: mean absolute percentage error of the test set, %.
      generalisation_gap: test_loss minus train_loss_end.
    """

    train_loss: Summary
    train_loss_end: Summary
    original_train_loss_end: Summary
    test_loss: Summary | None
    test_mape: Summary | None
    original_test_loss: Summary | None
    generalisation_gap: Summary | None


@dataclass(frozen=True)
class PercentageError:
    """What the test set's mean absolute percentage error is made of, means over finite seeds.

    Attributes:
      total: %.
      share_zero_targets: the share of it that comes from targets that are 0; None if it is 0.
      without_zero_targets: what all other targets contribute, %.
      zero_share_of_targets: how many targets are 0.
      floor: what is divided by in their place.
    """

    total: float
    share_zero_targets: float | None
    without_zero_targets: float
    zero_share_of_targets: float
    floor: float


@dataclass(frozen=True)
class NonFinite:
    """A seed that blew up, and the step at which its loss first was not finite."""

    seed: int
    step: int


def final_losses(history: History) -> Final:
    """Summaries over seeds, test set included where there is one."""
    train, test = history.train_end, history.test_end

    def of_test(name: str) -> Summary | None:
        return None if test is None else summary(np.asarray(getattr(test, name)))

    gap = None
    if test is not None:
        with np.errstate(invalid="ignore"):  # inf - inf, of seeds that went non-finite
            gap = summary(np.asarray(test.loss) - np.asarray(train.loss))
    return Final(
        summary(history.train[:, -1]),
        summary(np.asarray(train.loss)),
        summary(np.asarray(train.original_loss)),
        of_test("loss"),
        of_test("mape"),
        of_test("original_loss"),
        gap,
    )


def blown_up(history: History, seeds: Sequence[int]) -> tuple[NonFinite, ...]:
    """The seeds that went non-finite, in their order."""
    return tuple(
        NonFinite(int(seed), int(step))
        for seed, step in zip(seeds, history.first_bad, strict=True)
        if step >= 0
    )


def percentage_error(history: History, dataset: Dataset) -> PercentageError | None:
    """Which share of the percentage error comes from targets that are zero; None without a test
    set or a finite seed."""
    if history.test_end is None:
        return None
    total = np.asarray(history.test_end.mape, float)
    zero = np.asarray(history.test_end.mape_zero, float)
    rest = np.asarray(history.test_end.mape_rest, float)
    finite = np.isfinite(total)
    if not finite.any():
        return None
    mean = float(total[finite].mean())
    return PercentageError(
        mean,
        float(zero[finite].mean()) / mean if mean else None,
        float(rest[finite].mean()),
        float(np.mean(dataset.test == 0)),
        FLOOR,
    )
