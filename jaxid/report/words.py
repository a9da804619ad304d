"""Names as people say them."""

from __future__ import annotations

from collections.abc import Mapping

from jaxid.diagnosis.items import NoBudget
from jaxid.identity.suspects import Suspect

SUSPECTS: Mapping[Suspect, str] = {
    Suspect.LOCKED: "the ReLU output",
    Suspect.RATE_TOO_LARGE: "a rate that is too large",
    Suspect.OPTIMIZER_NOISE: "the constant rate",
    Suspect.CONDITIONING: "the conditioning of the inputs",
    Suspect.WEAK_OPTIMIZER: "the optimizer",
    Suspect.INPUT_SCALE: "the scale of the data",
    Suspect.TARGET_SCALE: "the scale of the inputs against the targets",
    Suspect.PLACE_OF_EPS: "the place of eps",
    Suspect.TOO_FEW_STEPS: "too few steps",
    Suspect.BATCH_NOISE: "the noise of small batches",
    Suspect.INITIALISATION: "the initialisation",
    Suspect.COMPOSITION_OF_LAYERS: "the composition of layers",
}
"""What findings accuse."""
NO_BUDGET: Mapping[NoBudget, str] = {
    NoBudget.EVERY_SEED_NON_FINITE: "every seed went non-finite",
    NoBudget.NONE_SOLVED: "no last layer was solved",
    NoBudget.INTERRUPTED: "the run was interrupted before its last layers were solved",
}
"""Why the loss is not taken apart."""
