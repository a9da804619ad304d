"""What is looked at once before anything runs: whether a Problem's results would mean something.

Each check is by structure where that is possible (which examples an output depends on, whether
random numbers are drawn) and by the numbers themselves where it is about numbers (finite data,
labels in range, a finite loss and gradient at the first parameters). What is found is one line
that says where and what to do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxid.core.blame import described, line_in_users_file, with_place
from jaxid.core.errors import InputError
from jaxid.core.types import Array, Params
from jaxid.data.examples import DIFFERENTIATED, slices
from jaxid.problem.problem import Problem
from jaxid.tracing.independence import Coupling, coupling
from jaxid.tracing.independence_rules import Reason
from jaxid.tracing.read import CALLS, DRAWS, called, inside, needed_equations
from jaxid.tracing.source import line_of


def admit(problem: Problem, *, gradient: bool = True) -> list[str]:
    """Refuse what would train, or be measured, and mean nothing.

    Args:
      problem: as built; its first seed's parameters are drawn.
      gradient: whether anything is to be differentiated; else loss and gradient may be what they
        are.

    Returns:
      What is worth saying and refuses nothing, a line each.

    Raises:
      InputError: one line: what, where, and what to do.
    """
    # Broadcasting is the user's own affair.
    with jax.numpy_rank_promotion("allow"):
        check_data(problem)
        check_model(problem, gradient=gradient)
        check_test(problem)
        check_labels(problem)
        problem.check_loss()
        check_optimizer(problem)
        check_random(problem)
        check_repeated(problem)
        check_targets_apart(problem)
        if gradient:
            check_finite(problem)
        return remarks(problem)


def remarks(problem: Problem) -> list[str]:
    """What a person should know of a Problem that is sound."""
    found = []
    why = depends_on_batch(problem)
    if why is not None:
        found.append(
            f"outputs for one example depend on the others of its batch ({why}): what is computed "
            "of many examples takes all of them at once"
        )
    targets = problem.train[1]
    if targets is not None and len(targets) > 1:
        first = np.asarray(targets[:1])
        if all(np.all(np.asarray(targets[rows]) == first) for rows in slices(len(targets))):
            found.append("all targets are equal: a network that gives one constant solves this")
    return found


def check_repeated(problem: Problem) -> None:
    """Two evaluations of the network at the same place are equal.

    Raises:
      InputError: for numbers that Python draws while the network is traced.
    """
    params = problem.init(jax.random.key(0))
    x = jnp.asarray(problem.train[0][:2])

    def outputs(_: int) -> np.ndarray:
        # A function of its own each time, so that it is traced anew.
        return np.asarray(jax.jit(lambda p, x: problem.outputs(p, (x, None)))(params, x))

    with jax.numpy_rank_promotion("allow"):
        first, second = outputs(0), outputs(1)
    if not np.array_equal(first, second, equal_nan=True):
        raise InputError(
            "two evaluations of the network at the same parameters and inputs differ: it draws "
            "numbers outside of JAX (np.random, say), of which training would keep the first; draw "
            "them from a key, or once before"
        )


def check_model(problem: Problem, *, gradient: bool = True) -> None:
    """There is something to learn, and one array comes out, a row for each example.

    Raises:
      InputError: what is there instead.
    """
    params = jax.eval_shape(problem.init, jax.random.key(0))
    named = _named(params)
    if not named:
        raise InputError(
            "the model has no parameters: there is nothing to learn; give its layers to the module "
            "that is the model"
        )
    for name, leaf in named:
        if not hasattr(leaf, "dtype"):
            raise InputError(f"the parameter {name} is a {type(leaf).__name__}; give an array")
        if gradient and not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise InputError(
                f"the parameter {name} is of integers, which have no gradient; keep it out of the "
                "parameters"
            )
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise InputError(
                f"the parameter {name} is complex; keep its real and imaginary part as two"
            )
    x = jnp.asarray(problem.train[0][:2])
    try:
        outputs = jax.eval_shape(lambda p, x: problem.net.apply(p, problem.inputs(x)), params, x)
    except (TypeError, ValueError) as wrong:
        if isinstance(wrong, InputError) or line_in_users_file(wrong) is not None:
            raise
        shape = ", ".join(map(str, ("batch", *x.shape[1:])))
        raise InputError(
            f"the model can't take inputs of shape ({shape}) ({described(wrong)}); give its layers "
            "the sizes of your data"
        ) from None
    if not hasattr(outputs, "shape"):
        parts = jax.tree.leaves(outputs)
        raise InputError(
            f"the model gives a {type(outputs).__name__} of {len(parts)} arrays; return one array, "
            "the outputs alone"
        )
    if outputs.shape[:1] != x.shape[:1]:
        raise InputError(
            f"the model gives shape {outputs.shape} for {len(x)} examples; return (batch, ...)"
        )
    if jnp.issubdtype(outputs.dtype, jnp.complexfloating):
        raise InputError("the model gives complex numbers; return their parts, or their modulus")


def check_data(problem: Problem) -> None:
    """Data are finite.

    Raises:
      InputError: which array, and which rows.
    """
    for name, part in (("train", problem.train), ("test", problem.test)):
        for what, array in zip(("inputs", "targets"), part or (), strict=False):
            if array is None or not jnp.issubdtype(array.dtype, jnp.inexact):
                continue
            rows = _not_finite(array)
            if rows.size:
                raise InputError(
                    f"{name} {what} are not finite in {_rows(rows)}; leave these examples out, or "
                    "mend them"
                )


def _not_finite(array: Any) -> np.ndarray:
    """Rows of an array with NaN, infinity, or what is infinite in float32."""
    found = []
    for rows in slices(len(array)):
        part = np.asarray(array[rows], np.float64)
        # In float64 a number may be finite that float32 does not hold.
        held = np.isfinite(part) & (np.abs(part) <= np.finfo(np.float32).max)
        bad = ~held.reshape(len(part), -1).all(axis=1)
        found.append(rows.start + np.flatnonzero(bad))
    return np.concatenate(found) if found else np.zeros(0, int)


def _rows(rows: np.ndarray) -> str:
    more = f" and {rows.size - 1:,} more" if rows.size > 1 else ""
    return f"example {rows[0]}{more}"


def check_optimizer(problem: Problem) -> None:
    """The optimizer can be used as training uses it.

    Raises:
      InputError: with what it says.
    """
    if problem.optimizer is None:
        raise InputError("optimizer is None; give an Optax chain, optax.adam(1e-3) say")
    extra = optax.with_extra_args_support(problem.optimizer)
    params = jax.eval_shape(problem.init, jax.random.key(0))
    number = jax.ShapeDtypeStruct((), jnp.float32)  # type: ignore[no-untyped-call]

    def step(params: Params, value: Array) -> Any:
        state = extra.init(params)
        return state, *extra.update(params, state, params, value=value)

    try:
        with jax.numpy_rank_promotion("allow"):
            before, moves, state = jax.eval_shape(step, params, number)
    except Exception as wrong:  # noqa: BLE001 - whatever a user's optimizer raises
        raise InputError(
            "the optimizer can't be used as update(gradients, state, params, value=loss), which is "
            f"how networks are trained here: {with_place(wrong)}"
        ) from None
    given, made = (str(jax.tree.structure(tree)) for tree in (params, moves))
    if made != given:
        raise InputError("the optimizer's updates have another structure than the parameters")
    for what, old, new in (("updates", params, moves), ("state", before, state)):
        kinds = [
            [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (old, new)
        ]
        if what == "updates":
            # Float types may differ: they are cast.
            kinds = [[(s, jnp.issubdtype(d, jnp.inexact)) for s, d in kind] for kind in kinds]
        if kinds[0] != kinds[1]:
            than = "the parameters" if what == "updates" else "before the step"
            raise InputError(
                f"the optimizer's {what} have other shapes or types than {than}; give them the same"
            )
    _check_step(problem)


def _check_step(problem: Problem) -> None:
    """A first step of small gradients is finite."""
    extra = optax.with_extra_args_support(problem.optimizer)
    params = problem.init(jax.random.key(0))
    gradient = jax.tree.map(lambda p: jnp.full_like(p, 1e-3), params)
    with jax.numpy_rank_promotion("allow"):
        moves, _ = jax.jit(extra.update)(gradient, extra.init(params), params, value=jnp.ones(()))
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(moves)):
        raise InputError(
            "the optimizer's first step is not finite for gradients of 0.001: is its rate?"
        )


def check_test(problem: Problem) -> None:
    """The test set has the training set's shapes.

    Raises:
      InputError: what it has instead.
    """
    if problem.test is None:
        return
    for what, own, other in zip(("inputs", "targets"), problem.train, problem.test, strict=True):
        if own is None or other is None:
            continue
        if np.shape(own)[1:] != np.shape(other)[1:]:
            raise InputError(
                f"test {what} have shape {np.shape(other)} and the training set's "
                f"{np.shape(own)}; give both the same"
            )


def check_labels(problem: Problem) -> None:
    """Labels are 0 to K - 1, K the outputs; one-hot targets have K columns.

    Raises:
      InputError: what they are instead.
    """
    if problem.loss != "cross_entropy":
        return
    outputs = _shapes(problem)
    classes = outputs[-1]
    for name, part in (("train", problem.train), ("test", problem.test)):
        if part is None or part[1] is None:
            continue
        shape, labels = np.shape(part[1]), np.asarray(part[1])
        if labels.ndim == len(outputs):
            if shape[1:] != outputs[1:]:
                raise InputError(
                    f"{name} targets have shape {shape} and the network {classes} outputs; give "
                    "labels of shape (examples,), or one column for each class"
                )
            continue
        whole = np.issubdtype(labels.dtype, np.integer) or np.all(labels == np.floor(labels))
        if not whole or labels.min() < 0 or labels.max() >= classes:
            raise InputError(
                f"{name} labels go from {labels.min():g} to {labels.max():g} and the network has "
                f"{classes} outputs; labels are the integers 0 to {classes - 1}"
            )


def _shapes(problem: Problem) -> tuple[int, ...]:
    params = jax.eval_shape(problem.init, jax.random.key(0))
    x = jnp.asarray(problem.train[0][:2])
    shape: tuple[int, ...] = jax.eval_shape(problem.outputs, params, (x, None)).shape
    return shape


def check_random(problem: Problem) -> None:
    """The network draws no random numbers anew at each call, as dropout should.

    Raises:
      InputError: which line draws them.
    """
    if not problem.net.draws:
        return
    where = drawn_at(problem)
    if where is not None:
        raise InputError(
            f"the network draws random numbers{where}, which would be the same at every step: "
            "dropout and its kin need a key for each, which jaxid doesn't give yet; build the "
            "network for evaluation (deterministic=True, or a rate of 0)"
        )


def drawn_at(problem: Problem) -> str | None:
    """ " at FILE:LINE" of a primitive that draws; None without one."""
    params = jax.eval_shape(problem.init, jax.random.key(0))
    closed = jax.make_jaxpr(problem.outputs)(params, (jnp.asarray(problem.train[0][:2]), None))

    def search(jaxpr: Any, place: str) -> str | None:
        # What the outputs don't need is not run: a module that is rebuilt draws its weights.
        for equation in needed_equations(jaxpr):
            here = line_of(equation) or place
            name = str(equation.primitive)
            if name in DRAWS:
                return f" at {here}" if here else ""
            for inner in inside(equation):
                found = search(inner, here)
                if found is not None:
                    return found
        return None

    return search(closed.jaxpr, "")


def check_targets_apart(problem: Problem) -> None:
    """Loss i depends on target i and on no other.

    Raises:
      InputError: for a loss that was broadcast, or compares examples.
    """
    if isinstance(problem.loss, str):
        return
    params = jax.eval_shape(problem.init, jax.random.key(0))
    x, y = (None if part is None else jnp.asarray(part[:2]) for part in problem.train)
    outputs = jax.eval_shape(problem.outputs, params, (x, y))
    targets = jax.eval_shape(problem.targets, x, y)
    shapes = outputs.shape[1:], targets.shape[1:]
    sizes = [int(np.prod(shape, dtype=int)) for shape in shapes]

    def loss(both: Array) -> Array:
        parts = both[:, : sizes[0]], both[:, sizes[0] :]
        f, t = (part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True))
        return problem.loss_fn(f.astype(outputs.dtype), t.astype(targets.dtype))

    found = coupling(loss, (sum(sizes),))
    if found is not None and (found.reason is not Reason.UNKNOWN or _together(loss, sum(sizes))):
        where = f" at {line_of(found.equation)}" if found.equation is not None else ""
        raise InputError(
            f"the loss of one example depends on others{where} ({found.reason.value}): outputs "
            f"have shape {('batch', *shapes[0])} and targets {('batch', *shapes[1])}; give both "
            "the same shape, y[:, None] say"
        )


def _together(loss: Any, size: int) -> bool:
    """Whether losses of a batch differ from those of its halves, at random outputs and targets."""
    both = jax.random.uniform(jax.random.key(0), (8, size), minval=0.5, maxval=1.5)
    try:
        whole, parts = loss(both), [loss(both[:4]), loss(both[4:])]
    except Exception:  # noqa: BLE001 - targets of another kind than such numbers
        return False
    return not bool(jnp.allclose(whole, jnp.concatenate(parts), rtol=1e-4))


def coupled(problem: Problem) -> Coupling | None:
    """Why the network's outputs for one example depend on the others of its batch; None where
    they are proved not to."""
    params = jax.eval_shape(problem.init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), params)
    x = jnp.asarray(problem.train[0][:1])
    try:
        with jax.numpy_rank_promotion("allow"):
            return coupling(lambda x: problem.outputs(zeros, (x, None)), x.shape[1:], x.dtype)
    except (TypeError, ValueError):
        # Written for one batch size: then nothing cuts its examples into chunks either.
        return None


@lru_cache(maxsize=32)
def depends_on_batch(problem: Problem) -> str | None:
    """In words, why a result would depend on how examples are cut into chunks; None if not.

    What the proof can't follow is tried on examples: outputs of a batch beside those of its
    halves. That may refute, and where it doesn't they are taken to be apart.
    """
    found = coupled(problem)
    if found is None:
        return None
    line = line_of(found.equation) if found.equation is not None else ""
    words = f"{found.primitive or 'an operation'}{f' at {line}' if line else ''}: "
    words += found.reason.value
    if found.reason is not Reason.UNKNOWN:
        return words
    x = jnp.asarray(problem.train[0][:64])
    params = problem.init(jax.random.key(0))
    whole = problem.outputs(params, (x, None))
    half = len(x) // 2
    if (
        half < 1
        or whole.shape[:1] != x.shape[:1]
        or len(problem.outputs(params, (x[:1], None))) > 1
    ):
        # One example, or outputs of one batch size whatever comes in.
        return None
    parts = [problem.outputs(params, (part, None)) for part in (x[:half], x[half:])]
    size = float(jnp.abs(whole).max())
    apart = float(jnp.abs(whole - jnp.concatenate(parts)).max())
    return words if not apart <= 1e-4 * size + 1e-30 else None


def check_finite(problem: Problem) -> None:
    """Loss and gradient at the first parameters are finite.

    Raises:
      InputError: which examples, and the operation that makes the first number that is not.
    """
    params = problem.init(jax.random.key(0))
    bad = [
        name
        for name, leaf in _named(params)
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and not bool(jnp.isfinite(leaf).all())
    ]
    if bad:
        raise InputError(f"the first parameters are not finite in {bad[0]}; mend its initialiser")
    whole = depends_on_batch(problem) is not None
    x, y = problem.train
    for part in slices(problem.examples, most=DIFFERENTIATED, whole=whole):
        rows = np.arange(part.start, part.stop)
        if _finite(problem, params, x, y, rows):
            continue
        # The example by halves: sums of what is finite are.
        while rows.size > 1 and not whole:
            left, right = np.array_split(rows, 2)
            rows = right if _finite(problem, params, x, y, left) else left
        words = "of the whole batch" if whole else f"of example {rows[0]}"
        if not whole and y is not None and np.ndim(y) == 1:
            words += f", whose target is {y[rows[0]]},"
        raise InputError(
            f"the loss or its gradient {words} is not finite at the first parameters"
            f"{_operation(problem, params, x, y, rows)}; mend the model or the loss there"
        )


def _finite(problem: Problem, params: Params, x: Any, y: Any, rows: np.ndarray) -> bool:
    part = jnp.asarray(x[rows]), None if y is None else jnp.asarray(y[rows])
    value, gradient = _compiled(problem)(params, part)
    sizes = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)]
    return bool(jnp.isfinite(value)) and all(map(bool, sizes))


@lru_cache(maxsize=8)
def _compiled(problem: Problem) -> Any:
    return jax.jit(jax.value_and_grad(problem.mean_loss))


def _operation(problem: Problem, params: Params, x: Any, y: Any, rows: np.ndarray) -> str:
    """ ", first in OPERATION at FILE:LINE"; "" where it can't be found."""
    part = jnp.asarray(x[rows]), None if y is None else jnp.asarray(y[rows])
    closed = jax.make_jaxpr(jax.value_and_grad(problem.mean_loss))(params, part)
    values = jax.tree.leaves((params, part))

    def run(jaxpr: Any, consts: Any, args: list[Any], place: str) -> tuple[list[Any], str | None]:
        env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
        for equation in jaxpr.eqns:
            here = line_of(equation) or place
            name = str(equation.primitive)
            given = [v.val if hasattr(v, "val") else env[v] for v in equation.invars]
            if name in CALLS:
                made, found = run(*called(equation.params), given, here)
                if found is not None:
                    return [], found
            else:
                out = equation.primitive.bind(*given, **equation.params)
                made = list(out) if equation.primitive.multiple_results else [out]
                if any(map(_bad, made)) and not any(map(_bad, given)):
                    return [], f", first in {name}{f' at {here}' if here else ''}"
            env |= dict(zip(equation.outvars, made, strict=True))
        return [v.val if hasattr(v, "val") else env[v] for v in jaxpr.outvars], None

    return run(closed.jaxpr, closed.consts, values, "")[1] or ""


def _bad(x: Any) -> bool:
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.inexact):
        return False
    return bool(jnp.isnan(x).any())


def _named(params: Params) -> list[tuple[str, Any]]:
    paths = jax.tree_util.tree_leaves_with_path(params)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in paths]
