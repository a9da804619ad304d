"""The sides of `curvature.py` that run on PyTorch: curvlinops and PyHessian.

Both get all images in one batch: with several curvlinops is slower, and PyHessian then makes
the gradient anew for every product. What is not timed: the model, the data, one product.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from curvature_worker import STEPS, TOLERANCE, TOP, Job, Point, Side, flat
from curvlinops import (  # type: ignore[import-not-found]
    HessianLinearOperator,
    hutchinson_trace,
    lanczos_approximate_spectrum,
)
from curvlinops.papyan2020traces.spectrum import fast_lanczos  # type: ignore[import-not-found]
from pyhessian import hessian  # type: ignore[import-not-found]
from scipy.sparse.linalg import eigsh

TIGHT = 1e-6
"""Change of an eigenvalue in one step of PyHessian's power iteration, about the least that
float32 can show."""
LONG = 1000
"""Steps for each eigenvalue then."""
ROUGH = 30
"""Lanczos steps for the ends of a spectrum."""


def side(package: str, point: Point) -> Side:
    """The package's side."""
    if package.startswith("curvlinops"):
        return Curvlinops(point, ends_given=package != "curvlinops")
    return PyHessian(point, tight=package != "PyHessian")


class Torch:
    """The network with its parameters, and the loss."""

    def __init__(self, point: Point) -> None:
        self.x = torch.from_numpy(point.x)
        self.model = torch.nn.Sequential()
        for kernel, bias in point.layers(point.at):
            layer = torch.nn.Linear(*kernel.shape)
            layer.weight.data = torch.from_numpy(kernel.T.copy())
            layer.bias.data = torch.from_numpy(bias.copy())
            self.model.extend([layer, torch.nn.ReLU()])
        self.loss = torch.nn.MSELoss()
        self.params = list(self.model.parameters())
        pairs = point.layers(point.v)
        self.v = [torch.tensor(part) for kernel, bias in pairs for part in (kernel.T, bias)]
        self.versions = {name: metadata.version(name) for name in ("torch", "scipy")}
        self.versions["threads"] = torch.get_num_threads()

    def flat(self, parts: Sequence[Any]) -> np.ndarray:
        """Weights and biases in torch's layout as a flat vector."""
        arrays = [part.detach().numpy() for part in parts]
        return flat([(w.T, b) for w, b in zip(arrays[::2], arrays[1::2], strict=True)])

    def parted(self, vector: Any) -> list[Any]:
        """A vector of torch's order as weights and biases."""
        sizes = [param.numel() for param in self.params]
        parts = torch.as_tensor(vector).split(sizes)
        return [part.view_as(param) for part, param in zip(parts, self.params, strict=True)]


class Counted(HessianLinearOperator):
    """The operator with its products counted."""

    products = 0

    def _matmat(self, M: list[Any]) -> list[Any]:
        self.products += M[0].shape[-1]
        moved: list[Any] = super()._matmat(M)
        return moved


class Curvlinops:
    """curvlinops as its examples show it: eigsh on the operator, its density and its trace.

    The operator is made once and keeps nothing of the network, so making it (which checks by
    two more products that they agree) is not timed.

    Its density asks ARPACK for both ends of the spectrum to 1 % of each. An end that is 0, as
    the lower one of a single layer, is never known to 1 %, and the search goes on for hours.
    So there is a second line with the ends given, found beforehand and not timed.
    """

    def __init__(self, point: Point, *, ends_given: bool) -> None:
        self.torch, self.ends_given = Torch(point), ends_given
        self.operator = Counted(
            self.torch.model, self.torch.loss, self.torch.params, [(self.torch.x, self.torch.x)]
        )
        self.v = torch.cat([part.reshape(-1) for part in self.torch.v])
        self.versions = self.torch.versions | {
            "curvlinops": metadata.version("curvlinops-for-pytorch")
        }

    def job(self, task: str, probes: int) -> Job:
        """The task. The trace has no rule to stop by and no error: ``probes`` of them."""
        torch.manual_seed(0)
        self.operator.products = 0
        if task in ("product", "another"):
            return Job(lambda: self.operator @ self.v, self._moved, 5)
        if task == "eigenvalues":
            return Job(self._top, self._pairs)
        if task == "density":
            ends = self._ends() if self.ends_given else None
            self.operator.products = 0
            return Job(
                lambda: lanczos_approximate_spectrum(self.operator, STEPS, boundaries=ends),
                self._measure,
            )
        return Job(
            lambda: hutchinson_trace(self.operator, probes),
            lambda value: {
                "value": float(value),
                "error": None,
                "probes": probes,
                "products": self.operator.products,
            },
        )

    def _top(self) -> Any:
        operator = self.operator.to_scipy()
        return eigsh(operator, k=TOP, which="LA", tol=TOLERANCE)

    def _ends(self) -> tuple[float, float]:
        values, _ = fast_lanczos(self.operator, ROUGH)
        return float(values.min()), float(values.max())

    def _moved(self, moved: Any) -> dict[str, Any]:
        return {"vectors": self.torch.flat(self.torch.parted(moved))[None], "products": 1}

    def _pairs(self, found: Any) -> dict[str, Any]:
        columns = found[1].T[::-1]
        return {
            "values": found[0][::-1].tolist(),
            "products": self.operator.products,
            "vectors": np.stack([self.torch.flat(self.torch.parted(c.copy())) for c in columns]),
        }

    def _measure(self, found: Any) -> dict[str, Any]:
        # A smooth density on an even grid; the sums stand for its integrals.
        grid, density = (np.asarray(part, np.float64) for part in found)
        weights = density * (grid[1] - grid[0])
        return {
            "nodes": grid.tolist(),
            "weights": weights.tolist(),
            "products": self.operator.products,
        }


class PyHessian:
    """PyHessian as its tutorial shows it: `hessian` on one batch, then its methods.

    `hessian` makes the gradient that all products share, so it is timed with each task, but
    for "another" product. Its methods' tolerances are left at their defaults, 1e-3; ``tight``
    is a second try at the eigenvalues, to meet the benchmark's tolerance.
    """

    def __init__(self, point: Point, *, tight: bool) -> None:
        self.torch, self.tight = Torch(point), tight
        self.versions = self.torch.versions | {"pyhessian": metadata.version("pyhessian")}
        self.products = 0
        # The package has a class of the module's name, so an import statement finds that.
        module: Any = importlib.import_module("pyhessian.hessian")
        self.product = module.hessian_vector_product

        def counted(*args: Any) -> Any:
            self.products += 1
            return self.product(*args)

        module.hessian_vector_product = counted
        # Called at the end of `density`; torch took it out in 2022. Without it there is none.
        torch.eig = _eig

    def job(self, task: str, probes: int) -> Job:
        """The task. The trace stops by a rule of its own."""
        del probes
        torch.manual_seed(0)
        first = self._made()
        self._once(first)
        if task == "another":
            return Job(lambda: self._once(first), self._moved, 5)
        first = None
        self.products = 0
        if task == "product":
            return Job(lambda: self._once(self._made()), self._moved, 5)
        if task == "eigenvalues":
            options = {"maxIter": LONG, "tol": TIGHT} if self.tight else {}
            return Job(lambda: self._made().eigenvalues(top_n=TOP, **options), self._pairs)
        if task == "density":
            return Job(lambda: self._made().density(iter=STEPS, n_v=1), self._measure)
        return Job(lambda: self._made().trace(), self._trace)

    def _made(self) -> Any:
        # The graph of the last one hangs on the gradients, and the next would add to them:
        # a second `hessian` of one model is else twice the Hessian.
        self.torch.model.zero_grad()
        x = self.torch.x
        return hessian(self.torch.model, self.torch.loss, data=(x, x), cuda=False)

    def _once(self, made: Any) -> Any:
        return self.product(made.gradsH, made.params, self.torch.v)

    def _moved(self, moved: Any) -> dict[str, Any]:
        return {"vectors": self.torch.flat(moved)[None], "products": 1}

    def _pairs(self, found: Any) -> dict[str, Any]:
        values, vectors = found
        return {
            "values": [float(value) for value in values],
            "products": self.products,
            "vectors": np.stack([self.torch.flat(vector) for vector in vectors]),
        }

    def _measure(self, found: Any) -> dict[str, Any]:
        nodes, weights = (np.asarray(part[0], np.float64) for part in found)
        return {"nodes": nodes.tolist(), "weights": weights.tolist(), "products": self.products}

    def _trace(self, samples: list[float]) -> dict[str, Any]:
        count = len(samples)
        error = float(np.std(samples, ddof=1)) / count**0.5 if count > 1 else None
        return {
            "value": float(np.mean(samples)),
            "error": error,
            "probes": count,
            "products": self.products,
        }


def _eig(matrix: Any, *, eigenvectors: bool) -> tuple[Any, Any]:
    """`torch.eig` as it was, for the symmetric matrices that PyHessian gives it."""
    del eigenvectors
    values, vectors = torch.linalg.eigh(matrix)
    return torch.stack([values, torch.zeros_like(values)], dim=1), vectors
