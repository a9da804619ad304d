"""What the identity problem suspects, and what a finding says of a suspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Suspect(Enum):
    """What may hold the loss up."""

    RATE_TOO_LARGE = "rate_too_large"
    LOCKED = "locked"
    OPTIMIZER_NOISE = "optimizer_noise"
    CONDITIONING = "conditioning"
    INPUT_SCALE = "input_scale"
    TARGET_SCALE = "target_scale"
    PLACE_OF_EPS = "place_of_eps"
    WEAK_OPTIMIZER = "weak_optimizer"
    TOO_FEW_STEPS = "too_few_steps"
    BATCH_NOISE = "batch_noise"
    INITIALISATION = "initialisation"
    COMPOSITION_OF_LAYERS = "composition_of_layers"


class Verdict(Enum):
    """What is proved of a suspect."""

    CAUSE = "cause"
    UNCERTAIN = "uncertain"
    NOT_A_CAUSE = "not_a_cause"


class Remark(Enum):
    """What is to be said beside a verdict."""

    BLEW_UP = "blew_up"
    """Seeds went non-finite with the change, so nothing is decided."""
    HARMS = "harms"
    """Alone, the change makes it worse."""
    ACTS_IN_A_COMPOUND = "acts_in_a_compound"
    """Alone it does nothing."""
    CHANGES_A_CAUSE = "changes_a_cause"
    """Alone it does nothing, but it changes what a confirmed cause's remedy does."""
    ONLY_TOGETHER = "only_together"
    """Apart, the two changes give a small part of their joint effect."""


@dataclass(frozen=True)
class Counterfactual:
    """What a suspect's change did on paired seeds.

    Attributes:
      change, remedy: in words, and its name.
      before, after: losses, original units, means over the seeds compared; after None where the
        change blew up.
      ratio, log_ratio, ci95: after over before, the logarithm's mean, and the ratio's interval;
        None where there is none.
      seeds: how many were compared; all of them where the change blew up.
    """

    change: str
    remedy: str
    before: float
    after: float | None
    ratio: float | None
    log_ratio: float | None
    ci95: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True)
class Interaction:
    """log ratio of a pair minus the sum of the singles', with its interval; None of one seed."""

    value: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class RatioWith:
    """A remedy's name, and a ratio of losses that belongs to it."""

    remedy: str
    ratio: float


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on besides the counterfactual.

    Attributes:
      remark: what is to be said of it; None where nothing is.
      seeds_to_decide: how many would; None where none would or the verdict is sure.
      non_finite: seeds that went non-finite with the change.
      apart: of a compound, what each change gives alone: loss after over before.
      apart_share: what both give apart, as a share of their joint effect on the log of the loss.
      not_tried_with: remedies of confirmed causes beside which it was not tried.
      beyond: what it does beside each confirmed cause's remedy, beyond that one's own.
      changes: the remedy whose effect it changes.
    """

    remark: Remark | None = None
    seeds_to_decide: int | None = None
    non_finite: int = 0
    apart: tuple[RatioWith, ...] = ()
    apart_share: float | None = None
    not_tried_with: tuple[str, ...] = ()
    beyond: tuple[RatioWith, ...] = ()
    changes: str | None = None


@dataclass(frozen=True)
class Finding:
    """One suspect, or two that act almost only together, and what is proved.

    Attributes:
      causes: one, or the two of a compound.
      verdict: what is proved.
      rank: from 1: causes by effect, then uncertain ones, then the rest.
      share: of the loss, by the budget; None where the budget has no such item.
      interaction: of a compound.
      evidence, counterfactual: what the verdict rests on.
    """

    causes: tuple[Suspect, ...]
    verdict: Verdict
    rank: int
    share: float | None
    interaction: Interaction | None
    evidence: Evidence
    counterfactual: Counterfactual


def strongest_compound(findings: Sequence[Finding]) -> Finding | None:
    """The compound with the largest effect; None if there is none."""
    found = [f for f in findings if len(f.causes) > 1]
    return min(found, key=lambda f: f.counterfactual.log_ratio or 0.0) if found else None
