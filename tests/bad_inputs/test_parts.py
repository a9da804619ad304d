"""Models, losses and optimizers that can't be trained, and budgets that are none."""

from __future__ import annotations

import numpy as np
import optax
import pytest
from flax import nnx

from jaxid.problem.problem import Problem

MODELS = {
    "a tuple": ("(lambda k, x: {'a': jnp.ones(3)}, lambda p, x: (x * p['a'], x))",
                "gives a tuple of 2", "the outputs alone"),
    "a dict": ("(lambda k, x: {'a': jnp.ones(3)}, lambda p, x: {'y': x * p['a']})",
               "gives a dict of 1"),
    "nothing": ("(lambda k, x: {'a': jnp.ones(3)}, lambda p, x: None)", "gives a NoneType"),
    "a list": ("(lambda k, x: {'a': jnp.ones(3)}, lambda p, x: [x * p['a']])", "gives a list"),
    "a number": ("(lambda k, x: {'a': jnp.ones(3)}, lambda p, x: jnp.sum(x * p['a']))",
                 "return (batch, ...)"),
    "complex outputs": ("(lambda k, x: {'a': jnp.ones(3)}, lambda p, x: x * p['a'] * 1j)",
                        "complex numbers"),
    "no parameters": ("(lambda k, x: {}, lambda p, x: x)", "no parameters"),
    "no parameters, nnx": ("lambda rngs: nnx.Dropout(0.0, rngs=rngs)", "no parameters"),
    "no parameters, linen": ("linen.Sequential([jnp.tanh])", "no parameters"),
    "integer parameters": ("(lambda k, x: {'a': jnp.ones(3, int)}, lambda p, x: x * p['a'])",
                           "a is of integers"),
    "complex parameters": (
        "(lambda k, x: {'a': jnp.ones(3) + 0j}, lambda p, x: jnp.real(x * p['a']))",
        "parameter a is complex"),
    "parameters that are none": ("(lambda k, x: {'a': 'b'}, lambda p, x: x)", "'str'"),
    "parameters of NaN": ("(lambda k, x: {'a': jnp.nan * x[0]}, lambda p, x: x * p['a'])",
                          "not finite in a"),
    "a built module": ("nnx.Linear(3, 3, rngs=nnx.Rngs(0))", "already built"),
    "a class": ("nnx.Linear", "failed"),
    "another size": ("lambda rngs: nnx.Linear(5, 4, rngs=rngs)",
                     "can't take inputs of shape (batch, 3)", "sizes of your data"),
    "a class of linen": ("linen.Dense", "is the class Dense; build it"),
    "a string": ("'mlp'", "model is a str"),
    "a function of nothing": ("lambda: 1", "model is a function"),
    "a factory of something else": ("lambda rngs: 3", "returned a int"),
    "a factory that fails": ("lambda rngs: nnx.Linear(3, rngs=rngs)", "TypeError"),
    "an array": ("X", "model is a ndarray"),
    "None": ("None", "model is a NoneType"),
}  # fmt: skip
APPLY = {
    "raises": ("raise ValueError('no')  # HERE", "ValueError: no"),
    "if on a traced value": ("return x if x.sum() > 0 else -x  # HERE", "jnp.where"),
    "numpy on a traced value": ("return np.asarray(x) * p  # HERE", "jax.numpy"),
    "int of a traced value": ("return x * int(x.sum())  # HERE", "jnp.where"),
    "indexing by truth": ("return x[x > 0]  # HERE", "jnp.where"),
    "other shapes": ("return x @ jnp.ones((4, 4)) * p  # HERE", "TypeError"),
    "a missing key": ("return p['a']  # HERE", "Error"),
    "ends the program": ("import sys; sys.exit('bye')  # HERE", "sys.exit('bye')"),
    "asserts": ("assert x.shape == (1,), x.shape  # HERE", "AssertionError"),
    "NaN": ("return x * p + jnp.log(-1 - x * x)", "not finite", "log"),
    "the gradient is infinite": ("return jnp.sqrt(p * 0) * x", "not finite"),
}
LOSSES = {
    "an unknown name": ("'mae'", "loss 'mae' is unknown"),
    "no function": ("3", "loss is a int"),
    "None": ("None", "loss is a NoneType"),
    "a mean": ("lambda f, y: jnp.mean((f - y) ** 2)", "leave out a mean"),
    "a column": ("lambda f, y: (f - y) ** 2", "one loss for each"),
    "nothing": ("lambda f, y: None", "the loss gives a NoneType"),
    "of three": ("lambda f, y, z: f", "does not take outputs"),
    "of one": ("lambda f: f", "does not take outputs"),
    "against each other": ("lambda f, y: jnp.mean((f[:, None] - y[None]) ** 2, (1, 2))",
                           "depends on others"),
}  # fmt: skip
LOSS_BODIES = {
    "raises": ("raise KeyError('weights')  # HERE", "KeyError"),
    "if on a traced value": ("return f[:, 0] if f.sum() > 0 else y[:, 0]  # HERE", "jnp.where"),
    "NaN": ("return jnp.sum(jnp.log(-1 - f * f), 1)", "not finite", "log"),
}
OPTIMIZERS = {
    "nnx.Optimizer": (
        "nnx.Optimizer(linear(nnx.Rngs(0)), optax.adam(1e-3), wrt=nnx.Param)", "its tx"),
    "not called": ("optax.adam", "adam", "call it"),
    "a class": ("nnx.Optimizer", "give the Optax chain"),
    "a name": ("'adam'", "give an Optax chain"),
    "a rate": ("0.1", "give an Optax chain"),
    "None": ("None", "give an Optax chain"),
    "a NaN rate": ("optax.sgd(float('nan'))", "not finite"),
    "an infinite rate": ("optax.sgd(float('inf'))", "not finite"),
    "a schedule that fails": ("optax.sgd(lambda step: 1 / 0)", "division by zero"),
    "a mask of another tree": ("optax.masked(optax.sgd(0.1), {'a': True})", "optimizer"),
    "no updates": ("optax.GradientTransformation(lambda p: (), lambda g, s, p=None: (None, s))",
                   "another structure"),
    "a sum": ("optax.GradientTransformation(lambda p: (), lambda g, s, p=None: "
              "(jax.tree.map(jnp.sum, g), s))", "other shapes"),
    "not two results": ("optax.GradientTransformation(lambda p: (), lambda g, s, p=None: g)",
                        "optimizer"),
    "state that grows": ("optax.GradientTransformation(lambda p: jnp.zeros(1), lambda g, s, p=None:"
                         " (g, jnp.zeros(2)))", "other shapes"),
}  # fmt: skip
NUMBERS = {
    "half a batch": "batch_size=2.5", "a batch of text": "batch_size='8'", "no batch":
    "batch_size=None", "an empty batch": "batch_size=0", "a batch below": "batch_size=-1",
    "a batch of NaN": "batch_size=float('nan')", "a truth value": "batch_size=True",
    "half an epoch": "epochs=1.5", "NaN epochs": "epochs=float('nan')", "no epochs": "epochs=0",
    "infinite epochs": "epochs=float('inf')", "epochs of text": "epochs='20'",
    "very many epochs": "epochs=10**12",
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models(refused_file, name):
    model, *words = MODELS[name]
    refused_file(f"problem = P(model={model})", *words)


@pytest.mark.parametrize("name", APPLY)
def test_what_a_model_computes(refused_file, name):
    body, *words = APPLY[name]
    refused_file(
        f"def apply(p, x):\n    {body}\nproblem = P(model=(lambda k, x: jnp.ones(3), apply))",
        *words,
    )


@pytest.mark.parametrize("name", LOSSES)
def test_losses(refused_file, name):
    loss, *words = LOSSES[name]
    refused_file(f"problem = P(loss={loss})", *words)


@pytest.mark.parametrize("name", LOSS_BODIES)
def test_what_a_loss_computes(refused_file, name):
    body, *words = LOSS_BODIES[name]
    refused_file(f"def loss(f, y):\n    {body}\nproblem = P(loss=loss)", *words)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(refused_file, name):
    optimizer, *words = OPTIMIZERS[name]
    refused_file(f"problem = P(optimizer={optimizer})", *words)


@pytest.mark.parametrize("name", NUMBERS)
def test_batches_and_epochs(refused_file, name):
    given = NUMBERS[name]
    fix = "at most" if "10**12" in given else "give a whole number"
    refused_file(f"problem = P({given})  # HERE", given.partition("=")[0], fix)


def test_a_batch_larger_than_the_data_is_all_of_it():
    x = np.ones((4, 3), np.float32)
    problem = Problem(
        model=lambda rngs: nnx.Linear(3, 3, rngs=rngs),
        train=(x, None),
        optimizer=optax.sgd(0.1),
        batch_size=10**12,
    )
    assert problem.batch_size == 4 and problem.steps_per_epoch == 1
