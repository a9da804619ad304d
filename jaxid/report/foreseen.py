"""What was predicted before the first step, and what came of it.

The prediction of a diagnosis is no type yet; what reads it is here and nowhere else.
"""

from __future__ import annotations

from jaxid.core.wording import counted, number
from jaxid.identity.diagnosis import Diagnosis

MEANS = {
    "modes": "from second and fourth moments of the data",
    "moments": "from moments of the data and the optimizer's update rule",
    "linearised": "from the network linearised at its first parameters",
}


def foreseen(diagnosis: Diagnosis) -> list[str]:
    """A paragraph, or none where nothing was predicted."""
    found = diagnosis.prediction
    if not found or found["curve"] is None:
        return []
    told = (
        f"Before the first step, {MEANS[found['method']]}, the loss of seed {found['seed']} on the "
        f"training set after {counted(found['epochs'], 'epoch')} was predicted to be "
        f"{number(found['predicted'])}"
    )
    if found["measured"] is not None:
        told += f"; it was {number(found['measured'])}"
    if not found["in_range"]:
        told += f". That is out of the prediction's range: {found['why']}"
    return [told + "."]
