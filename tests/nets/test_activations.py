"""Activations against their closed forms in NumPy and SciPy."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, ndtr

from jaxid.core.precision import float64
from jaxid.nets.activations import (
    ACTIVATIONS,
    CAN_DIE,
    PIECEWISE_LINEAR,
    ActivationName,
    activation,
)

Z = np.concatenate([np.linspace(-8, 8, 161), [1e-9, -1e-9]])
CLOSED_FORMS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "linear": (lambda z: z, np.ones_like),
    "leaky_relu": (
        lambda z: np.maximum(z, 0.01 * z),
        lambda z: np.where(z >= 0, 1, 0.01),
    ),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
    "gelu": (
        lambda z: z * ndtr(z),
        lambda z: ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z))),
    "softplus": (lambda z: np.logaddexp(z, 0), expit),
}


def test_every_name_has_an_activation_and_a_closed_form_here():
    assert set(get_args(ActivationName)) == set(ACTIVATIONS) == set(CLOSED_FORMS)
    assert not (PIECEWISE_LINEAR | CAN_DIE) - set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes_are_the_closed_forms(name):
    value, slope = CLOSED_FORMS[name]
    with float64():
        z = jnp.asarray(Z)
        found = np.asarray(activation(name)(z))
        slopes = np.asarray(jax.vmap(jax.grad(activation(name)))(z))
    assert np.allclose(found, value(Z), rtol=1e-12, atol=1e-14)
    assert np.allclose(slopes, slope(Z), rtol=1e-10, atol=1e-13)


def test_a_relu_at_zero_passes_no_gradient():
    assert jax.grad(activation("relu"))(0.0) == 0
    assert jax.grad(activation("leaky_relu"))(0.0) == 1


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_sets_say_what_the_derivatives_do(name):
    with float64():
        z = jnp.asarray([-3.0, -1.0, -0.1, 0.1, 1.0, 3.0])
        first = np.asarray(jax.vmap(jax.grad(activation(name)))(z))
        second = np.asarray(jax.vmap(jax.grad(jax.grad(activation(name))))(z))
    assert (not second.any()) == (name in PIECEWISE_LINEAR)
    assert (not first[:3].any()) == (name in CAN_DIE)


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError):
        activation("swoosh")
