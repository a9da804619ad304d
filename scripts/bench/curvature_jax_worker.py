"""The sides of `curvature.py` that run on JAX: jaxid, matfree, and ARPACK on jaxid's product.

What is not timed: for jaxid the task with 64 images and one product with all of them, which
compiles every program that the task runs; for matfree, whose tasks are one program each,
compiling it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy
from curvature_worker import ACCURACY, STEPS, TOLERANCE, TOP, Job, Layers, Point, Side, flat
from jax.flatten_util import ravel_pytree
from matfree import decomp, stochtrace
from scipy.sparse.linalg import LinearOperator, eigsh

import jaxid
from jaxid.core.types import Params
from jaxid.curvature.matrices import curvature_product
from jaxid.curvature.products import MEMORY
from jaxid.linalg.density import spectral_density
from jaxid.linalg.lanczos import Eigenpairs, eigenpairs
from jaxid.linalg.operators import Product, applied, prepared
from jaxid.linalg.trace import hutchinson
from jaxid.nets.mlp import identity_network, layer_params
from jaxid.problem.problem import Problem

RESTARTS = 60
"""Enough for nearly equal eigenvalues; jaxid stops before, when it has converged."""
PROBES = 64
"""Most probes for a trace; jaxid stops before."""
FEW = 64
"""Images to compile with."""
LONGEST = 256
"""Krylov vectors that matfree may hold."""


def side(package: str, point: Point) -> Side:
    """The package's side."""
    sides: dict[str, Callable[[Point], Side]] = {
        "jaxid": Jaxid,
        "matfree": Matfree,
        "matfree, no reortho": lambda point: Matfree(point, reortho="none"),
        "ARPACK on jaxid": Arpack,
    }
    return sides[package](point)


def tree(point: Point, vector: np.ndarray) -> Params:
    """A flat vector in the structure of jaxid's parameters."""
    layers = enumerate(point.layers(vector))
    return {"layers": {i: {"kernel": jnp.array(k), "bias": jnp.array(b)} for i, (k, b) in layers}}


class Jaxid:
    """jaxid as its docstrings show it, every setting but the budgets at its default."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.params, self.v = tree(point, point.at), tree(point, point.v)
        self.data = (jnp.asarray(point.x), None)
        problem = Problem(
            model=identity_network(point.x.shape[1], depth=point.depth),
            train=(point.x, None),
            optimizer=optax.sgd(0.1),
        )
        self.matvec = curvature_product(problem).within(MEMORY, self.params, self.data)
        self.versions: dict[str, Any] = {"jaxid": jaxid.__version__, "jax": jax.__version__}

    def job(self, task: str, probes: int) -> Job:
        """The task, compiled; it stops by its own error, so ``probes`` is not used."""
        del probes
        if task in ("product", "another"):
            return self._product(again=task == "another")
        jax.block_until_ready(applied(self.prepared(), self.v))  # type: ignore[no-untyped-call]
        operand = (self.params, self.data)
        few = (self.params, (self.data[0][:FEW], None))
        key = jax.random.key(0)
        if task == "eigenvalues":
            # No tolerance: it fills its basis and restarts once, as the timed run may.
            eigenpairs(self.matvec, few, self.v, top=TOP, restarts=1, tolerance=0.0)

            def top() -> Eigenpairs:
                return eigenpairs(
                    self.matvec, operand, self.v, top=TOP, restarts=RESTARTS, tolerance=TOLERANCE
                )

            return Job(top, self._pairs)
        if task == "density":

            def density(operand: Any) -> Any:
                return spectral_density(
                    self.matvec, operand, self.params, key, steps=STEPS, probes=1
                )

            density(few)
            return Job(lambda: density(operand), lambda d: measure(d.nodes[0], d.weights[0], STEPS))

        def trace(operand: Any) -> Any:
            return hutchinson(
                self.matvec, operand, self.params, key, probes=PROBES, tolerance=ACCURACY
            )

        trace(few)
        return Job(
            lambda: trace(operand),
            lambda t: {
                "value": t.trace.value,
                "error": t.trace.error,
                "probes": t.samples.size,
                "products": t.samples.size,
            },
        )

    def prepared(self) -> Product:
        """v -> H v, with what does not depend on v done."""
        return prepared(self.matvec, (self.params, self.data))

    def flat(self, v: Params) -> np.ndarray:
        """A tree as a flat vector."""
        return flat(layer_params(v, self.point.depth))

    def _product(self, *, again: bool) -> Job:
        single, held = jax.jit(self.matvec), self.prepared() if again else None

        def work() -> Params:
            operand = (self.params, self.data)
            moved = single(operand, self.v) if held is None else applied(held, self.v)
            return jax.block_until_ready(moved)  # type: ignore[no-untyped-call]

        work()
        return Job(work, lambda moved: {"vectors": self.flat(moved)[None], "products": 1}, 5)

    def _pairs(self, found: Eigenpairs) -> dict[str, Any]:
        rows = [
            self.flat(jax.tree.map(lambda leaf, i=i: leaf[i], found.vectors)) for i in range(TOP)
        ]
        return {
            "values": found.values.tolist(),
            "products": found.products,
            "vectors": np.stack(rows),
        }


def measure(nodes: Any, weights: Any, products: int) -> dict[str, Any]:
    """A discrete spectral measure as a report."""
    return {
        "nodes": np.asarray(nodes, np.float64).tolist(),
        "weights": np.asarray(weights, np.float64).tolist(),
        "products": products,
    }


class Arpack:
    """SciPy's eigsh on jaxid's product: what is left is the eigensolver's own part."""

    def __init__(self, point: Point) -> None:
        self.jaxid = Jaxid(point)
        self.versions = self.jaxid.versions | {"scipy": scipy.__version__}

    def job(self, task: str, probes: int) -> Job:
        """The eigenvalues; there is nothing else."""
        del task, probes
        inner, counted = self.jaxid, [0]
        _, tree_of = ravel_pytree(inner.v)
        flat_product = jax.jit(lambda held, vector: ravel_pytree(held(tree_of(vector)))[0])

        def work() -> Any:
            held, counted[0] = inner.prepared(), 0

            def matvec(vector: np.ndarray) -> np.ndarray:
                counted[0] += 1
                return np.asarray(flat_product(held, vector.astype(np.float32)))

            size = inner.point.v.size
            operator = LinearOperator((size, size), matvec=matvec, dtype=np.float32)
            return eigsh(operator, k=TOP, which="LA", tol=TOLERANCE)

        flat_product(inner.prepared(), inner.point.v).block_until_ready()
        return Job(
            work,
            lambda found: {
                "values": found[0][::-1].tolist(),
                "products": counted[0],
                "vectors": np.stack([inner.flat(tree_of(c)) for c in found[1].T[::-1]]),
            },
        )


def plain_product(v: Layers, params: Layers, x: Any) -> Any:
    """H v of the loss as one writes it down, with nothing of jaxid in it."""

    def loss(layers: Layers) -> jax.Array:
        h = x
        for kernel, bias in layers:
            h = jax.nn.relu(h @ kernel + bias)
        return jnp.mean(jnp.square(h - x))

    return jax.jvp(jax.grad(loss), (params,), (v,))[1]


class Matfree:
    """matfree on `plain_product`, all of a task in one compiled program.

    Its tridiagonalisation has no rule to stop by. It is told the least number of steps, in
    fours, that Lanczos without restarts needs for the tolerance: jaxid finds it beforehand,
    which a user of matfree would have to try out. Its trace gets jaxid's number of probes.

    Reorthogonalisation is on, as it is by default; jaxid's density has none and needs none,
    so without it the density is timed once more.
    """

    def __init__(self, point: Point, *, reortho: str = "full") -> None:
        self.point, self.reortho = point, reortho
        self.params = jax.tree.map(jnp.asarray, point.layers(point.at))
        self.v = jax.tree.map(jnp.asarray, point.layers(point.v))
        self.x = jnp.asarray(point.x)
        self.versions: dict[str, Any] = {"matfree": metadata.version("matfree")}
        self.programs: dict[tuple[str, int], tuple[Any, int]] = {}

    def job(self, task: str, probes: int) -> Job:
        """The task, compiled."""
        name = (task, probes if task == "trace" else 0)
        if name not in self.programs:
            build: dict[str, Callable[[], tuple[Callable, int]]] = {
                "product": lambda: (plain_product, 1),
                "another": lambda: (plain_product, 1),
                "eigenvalues": self._eigenvalues,
                "density": self._density,
                "trace": lambda: self._trace(probes),
            }
            program, products = build[task]()
            lowered = jax.jit(program).lower(self.v, self.params, self.x)
            self.programs[name] = lowered.compile(), products
        program, products = self.programs[name]

        def work() -> Any:
            found = program(self.v, self.params, self.x)
            return jax.block_until_ready(found)  # type: ignore[no-untyped-call]

        if task in ("product", "another"):
            work()
            return Job(work, lambda moved: {"vectors": flat(moved)[None], "products": 1}, 5)
        if task == "eigenvalues":
            return Job(work, lambda found: self._pairs(found, products))
        if task == "density":
            return Job(work, lambda found: measure(found[0], found[1], products))
        return Job(
            work,
            lambda found: {
                "value": float(found[0]),
                "error": float(found[1]),
                "probes": probes,
                "products": probes,
            },
        )

    def _eigenvalues(self) -> tuple[Callable, int]:
        steps = self._steps()

        def top(v: Layers, params: Layers, x: Any) -> Any:
            found = decomp.tridiag_sym(steps)(plain_product, v, params, x)
            values, small = jnp.linalg.eigh(found.J_small)
            weights = small[:, : -TOP - 1 : -1].T
            rows = jax.tree.map(lambda q: jnp.tensordot(weights, q, 1), found.Q_tall)
            return values[: -TOP - 1 : -1], rows

        return top, steps

    def _steps(self) -> int:
        inner = Jaxid(self.point)
        # Nine tenths: what Lanczos believes of a residual and what it is differ by rounding.
        found = eigenpairs(
            inner.matvec,
            (inner.params, inner.data),
            inner.v,
            top=TOP,
            basis=LONGEST,
            restarts=0,
            tolerance=0.9 * TOLERANCE,
        )
        return found.products - TOP

    def _density(self) -> tuple[Callable, int]:
        def density(v: Layers, params: Layers, x: Any) -> Any:
            signs = stochtrace.sampler_signs(v, num=1)(jax.random.key(0))
            start = jax.tree.map(lambda leaf: leaf[0], signs)
            found = decomp.tridiag_sym(STEPS, reortho=self.reortho)(plain_product, start, params, x)
            nodes, small = jnp.linalg.eigh(found.J_small)
            return nodes, small[0] ** 2

        return density, STEPS

    def _trace(self, probes: int) -> tuple[Callable, int]:
        def trace(v: Layers, params: Layers, x: Any) -> Any:
            estimate = stochtrace.estimator_monte_carlo_mean_and_sem(
                stochtrace.monte_carlo_trace(), stochtrace.sampler_signs(v, num=probes)
            )
            return estimate(plain_product, jax.random.key(0), params, x)

        return trace, probes

    def _pairs(self, found: tuple[Any, Layers], products: int) -> dict[str, Any]:
        values, rows = found
        vectors = [flat([(k[i], b[i]) for k, b in rows]) for i in range(TOP)]
        return {
            "values": np.asarray(values, np.float64).tolist(),
            "products": products,
            "vectors": np.stack(vectors),
        }
