"""Why a prediction is claimed as far as it is, as people read it, for figures and reports alike."""

from __future__ import annotations

from jaxid.core.wording import number
from jaxid.prediction.modes import CLOSE
from jaxid.prediction.moments import TAILED
from jaxid.prediction.reasons import Reason, Why
from jaxid.theory.linear_noise import SHARE

CLAUSES = {
    Reason.LOSS: "the loss is {named}; only mse is predicted",
    Reason.OPTIMIZER: "{named}; this network is predicted only where each parameter moves linearly "
    "with its own gradient",
    Reason.MINUTES: "it takes minutes with {features} features; `jaxid predict` tells it",
    Reason.DIVERGES: "the rate is beyond the limit of the largest curvature: it diverges",
    Reason.LIMIT_UNKNOWN: "the limit of batch noise is not known",
    Reason.FAR_OUT: "examples far out make the expected loss grow at this rate",
    Reason.CORRELATED: f"above {CLOSE:g} of the largest stable rate errors of modes are correlated",
    Reason.STABLE: "the rate{settled} is {share:.2g} of the largest stable one of plain SGD",
    Reason.CLOSURE: "taking modes as uncorrelated costs {cost:.2g} % by epoch {epochs:.0f}{more}",
    Reason.TAILS: "the inputs' kurtosis is {kurtosis:.3g}, weighted by variance",
    Reason.HEAVY_TAILS: "the inputs' kurtosis is {kurtosis:.3g}, weighted by variance, above "
    f"{TAILED:g}: a few far-out values make most of the noise",
    Reason.NOT_FINITE: "the predicted loss is not finite",
    Reason.NEAR_REST: "from epoch {epochs:.0f} on it is near its resting loss, {loss}, where "
    "single epochs scatter",
    Reason.COUPLED: "examples depend on one another ({named}): the loss of a batch is no mean over "
    "examples",
    Reason.LINEAR: "the network's own outputs miss the linearised ones by {share:.2g} of the "
    "residual",
    Reason.NOISE: "after {epochs:.2g} epochs noise of batches may change the predicted loss by "
    f"more than {100 * SHARE:g} %",
    Reason.PRODUCTS: "after {epochs:.2g} epochs too few products with the Jacobian were made",
    Reason.ROUNDING: "after {epochs:.2g} epochs the predicted loss is below what rounding leaves "
    "of it",
    Reason.LEAVES: "the network leaves its linearisation after {epochs:.2g} epochs: there its own "
    "outputs miss the linearised ones by a tenth of the residual",
}


def because(why: Why) -> str:
    """A reason as a clause, without capital and full stop."""
    after = why.next_share
    return CLAUSES[why.reason].format(
        epochs=why.epochs,
        share=why.share,
        cost=100 * (why.share or 0.0),
        more="" if after is None else f" and {100 * after:.2g} % by the next",
        settled=", once momentum has settled," if why.momentum else "",
        kurtosis=why.kurtosis,
        loss=number(why.loss),
        features=why.features,
        named="one of your own" if why.named is None else why.named,
    )
