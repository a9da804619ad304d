"""Numbers and names as people read them, for figures and reports alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxid.core.types import Estimate

NONE = "-"
"""What stands where there is no number."""


def number(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, in the shortest usual form.

    Example:
      >>> number(0.83456), number(615440), number(4.72e10), number(None)
      ('0.835', '615,440', '4.72e10', '-')
    """
    if value is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return {math.inf: "infinite", -math.inf: "minus infinite"}.get(value, "not a number")
    if value == 0:
        return "0"
    size = abs(value)
    if value == round(value) and size < 1e6:
        return f"{round(value):,}"
    if 1e-3 <= size < 1e6:
        # The exponent after rounding, or 9.996 would get one digit more than 10.0.
        exponent = math.floor(math.log10(float(f"{size:.{digits - 1}e}")))
        return f"{value:,.{max(0, digits - 1 - exponent)}f}"
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(power)}"


def percent(share: float | None) -> str:
    """A share as a percentage: 91 %, 0.4 %; what rounds to 0 % or 100 % but is not says so."""
    if share is None or not math.isfinite(share):
        return NONE
    size = abs(share) * 100
    if 0 < size < 0.1:
        return "< 0.1 %" if share > 0 else "> -0.1 %"
    places = 0 if size >= 10 or size == 0 else 1
    # 100 % is for the whole only.
    places = 1 if 99.5 <= size < 100 else places
    if places == 1 and 99.95 <= size < 100:
        return "> 99.9 %" if share > 0 else "< -99.9 %"
    return f"{share * 100:.{places}f} %"


def plus_minus(value: float | None, error: float | None, digits: int = 3) -> str:
    """value ± error, or the value alone where no error is known."""
    if value is None or error is None:
        return number(value, digits)
    return f"{number(value, digits)} ± {number(error, 2)}"


def estimate(found: Estimate | Mapping[str, Any] | None, digits: int = 3) -> str:
    """An Estimate as text, or its dict where results are no types yet.

    An error below the digits shown is left out; an estimate that did not converge says so.
    """
    if isinstance(found, Mapping):
        known = bool(found.get("converged", True))
        found = Estimate(found.get("value"), found.get("error"), known, "")
    if found is None or found.value is None:
        return NONE
    value, error = found.value, found.error
    shown = error is not None and abs(error) > abs(value) * 0.5 * 10.0 ** (1 - digits)
    text = plus_minus(value, error if shown else None, digits)
    return text if found.converged else f"{text} (not converged)"


def counted(count: int, thing: str) -> str:
    """1 seed, 3 seeds, 60,000 seeds."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def label(name: str) -> str:
    """A name as words: ``slow_modes`` -> slow modes."""
    return name.replace("_", " ")


def joined(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def duration(seconds: float) -> str:
    """A rough length of time: 42 s, 7 min, 1.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
