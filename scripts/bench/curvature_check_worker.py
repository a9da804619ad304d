"""What the results of `curvature.py` are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
from curvature_jax_worker import Jaxid, plain_product, tree
from curvature_worker import ACCURACY, TOLERANCE, Point, flat
from scipy import stats

from jaxid.core.precision import float64
from jaxid.linalg.operators import applied
from jaxid.linalg.quadrature import wasserstein
from jaxid.linalg.trace import hutchinson

PROBES = 64
"""Of the trace that the others are compared with."""
SPREADS = 4
"""Standard deviations that the mean of a density from one probe may be off."""
ROUNDING = 1e-4
"""Relative error of a float32 product that is still rounding. One unit so near zero that
rounding switches it makes 3e-5 with 500 images."""


class Checks:
    """What results are compared with, computed when first needed."""

    def __init__(self, point: Point, folder: Path) -> None:
        self.point, self.folder = point, folder
        self.jaxid = Jaxid(point)
        self.known: dict[str, Any] = {}
        self.of_jaxid: dict[str, dict[str, Any]] = {}

    def check(self, package: str, task: str, found: dict[str, Any]) -> dict[str, Any]:
        """Numbers, "met" (None where it can't be known) and "text"; jaxid's comes first."""
        # jaxid's own may be missing: it too may run into the limit.
        other = self.of_jaxid.get(task)
        if package == "jaxid":
            self.of_jaxid[task] = found
        path = self.folder / f"{package}.npy"
        if task in ("product", "another"):
            return self._product(np.load(path)[0])
        if task == "eigenvalues":
            return self._eigenvalues(found, np.load(path), other)
        return self._density(found, other) if task == "density" else self._trace(found)

    def _product(self, moved: np.ndarray) -> dict[str, Any]:
        if "product" not in self.known:
            with float64():
                params, v, x = jax.tree.map(
                    lambda leaf: np.asarray(leaf, np.float64),
                    (
                        self.point.layers(self.point.at),
                        self.point.layers(self.point.v),
                        self.point.x,
                    ),
                )
                self.known["product"] = flat(jax.jit(plain_product)(v, params, x))
        right = self.known["product"]
        error = float(np.linalg.norm(moved - right) / np.linalg.norm(right))
        return {"error": error, "met": error < ROUNDING, "text": f"off by {error:.1e}"}

    def _eigenvalues(
        self, found: dict[str, Any], vectors: np.ndarray, other: dict[str, Any] | None
    ) -> dict[str, Any]:
        if "held" not in self.known:
            self.known["held"] = self.jaxid.prepared()
        values = np.sort(found["values"])[::-1]
        right = values if other is None else np.sort(other["values"])[::-1]
        lengths = []
        for value, vector in zip(found["values"], vectors, strict=True):
            unit = vector / np.linalg.norm(vector)
            moved = self.jaxid.flat(applied(self.known["held"], tree(self.point, unit)))
            lengths.append(np.linalg.norm(moved - value * unit))
        residual = float(max(lengths) / right[0])
        difference = float(np.max(np.abs(values / right - 1)))
        return {
            "residual": residual,
            "values": values.tolist(),
            "difference": None if other is None else difference,
            "met": residual <= TOLERANCE,
            "text": f"residual {residual:.1e}" + _from_jaxid(other, difference),
        }

    def _density(self, found: dict[str, Any], other: dict[str, Any] | None) -> dict[str, Any]:
        nodes, weights = np.array(found["nodes"]), np.array(found["weights"])
        mass = float(weights.sum())
        trace, spread = self._known_trace()
        mean = float(weights @ nodes) * self.point.v.size / trace - 1
        right = other or found
        ours = np.array(right["nodes"]), np.array(right["weights"])
        distance = float(wasserstein(nodes, weights / mass, *ours) / np.ptp(ours[0]))
        return {
            "mass": mass,
            "mean": mean,
            "spread": spread,
            "distance": None if other is None else distance,
            "met": abs(mean) <= SPREADS * spread,
            "text": f"mean from tr/p {mean:+.1%} (one probe: {spread:.1%})"
            + _from_jaxid(other, distance),
        }

    def _trace(self, found: dict[str, Any]) -> dict[str, Any]:
        value, error, count = found["value"], found["error"], found["probes"]
        off = value / self._known_trace()[0] - 1
        half = None if error is None else stats.t.ppf(0.975, count - 1) * error / abs(value)
        return {
            "value": value,
            "half_width": half,
            "difference": off,
            "met": None if half is None else bool(half <= ACCURACY),
            "text": f"{value:.4g}, error {'not given' if half is None else f'{half:.1%}'}, "
            f"from {PROBES} probes {off:+.1%}",
        }

    def _known_trace(self) -> tuple[float, float]:
        """The trace, and the standard deviation of one probe over it."""
        if "trace" not in self.known:
            inner = self.jaxid
            operand, key = (inner.params, inner.data), jax.random.key(1)
            samples = hutchinson(inner.matvec, operand, inner.params, key, probes=PROBES).samples
            value = float(samples.mean())
            self.known["trace"] = value, float(samples.std(ddof=1)) / value
        known: tuple[float, float] = self.known["trace"]
        return known


def _from_jaxid(other: dict[str, Any] | None, distance: float) -> str:
    return "" if other is None else f", from jaxid's {distance:.1e}"
