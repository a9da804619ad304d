"""A certificate in a sentence, for figures and reports alike."""

from __future__ import annotations

from jaxid.certification.certified import Certification
from jaxid.core.wording import number


def headline(result: Certification) -> str:
    """The first region's worst error in one line."""
    row = result.regions[0]
    low, high = row.lower.value, row.upper.value
    if low is None or high is None:
        return f"With {row.words} the worst error is at least {number(low)}; it has no bound"
    if high <= low * (1 + 1e-6):
        return f"With {row.words} the worst error is {number(high)}, known exactly"
    return f"With {row.words} the worst error is between {number(low)} and {number(high)}"
