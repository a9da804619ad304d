"""Any function of a batch as a graph of affine maps and activations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, case
from flax import nnx

from jaxid.errors import InputError
from jaxid.expressivity.functions import FUNCTIONS
from jaxid.expressivity.network import from_graph, run
from jaxid.nets.activations import ACTIVATIONS
from jaxid.nets.mlp import identity_network
from jaxid.precision import float64
from jaxid.tracing import Affine, Pointwise, mixes_examples, read_graph
from jaxid.tracing.one_variable import GRID, straight_pieces

KNOWN = {name: f.value for name, f in FUNCTIONS.items() if name != "linear"}


def agree(function, shape, count=7):
    """The graph gives what the function gives."""
    graph = read_graph(function, np.zeros((1, *shape)), KNOWN)
    x = np.random.default_rng(0).normal(size=(count, *shape)) * 3
    with float64():
        expected = np.asarray(function(jnp.asarray(x))).reshape(count, -1)
        net = from_graph(graph)
        flat = jnp.asarray(x.reshape(count, -1))
        found = np.asarray(run(net.structure, net.numbers, flat)[-1])
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)
    return graph


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "linear"])
@pytest.mark.parametrize("residual", [False, True])
def test_the_identity_family_is_read_layer_by_layer(name, residual):
    model = identity_network(3, depth=3, activation=name, output_activation=name, residual=residual)
    params = model.init(jax.random.key(0), jnp.zeros((1, 3)))
    graph = agree(lambda x: model.apply(params, x), (3,))
    assert [n.name for n in graph.nodes if isinstance(n, Pointwise)] == [name] * 3
    dense = [n for n in graph.nodes if isinstance(n, Affine) and len(n.parents) == 1]
    assert [w.shape for n in dense for w in n.weights if w is not None] == [(3, 3)] * 3
    assert len(graph.nodes) == (9 if residual else 6), "a product and its bias are one node"


FORMULAS = {
    "relu": lambda z: jnp.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: jnp.maximum(z, 0.01 * z),
    "tanh": lambda z: 2 / (1 + jnp.exp(-2 * z)) - 1,
    "sigmoid": lambda z: 1 / (1 + jnp.exp(-z)),
    "gelu": lambda z: 0.5 * z * (1 + jax.lax.erf(z / jnp.sqrt(2.0))),
    "gelu_tanh": nnx.gelu,
    "silu": lambda z: z * jax.nn.sigmoid(z),
    "elu": lambda z: jnp.where(z > 0, z, jnp.exp(z) - 1),
    "softplus": lambda z: jnp.log1p(jnp.exp(-jnp.abs(z))) + jnp.maximum(z, 0.0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_is_known_by_what_it_does(name):
    kernel = np.random.default_rng(1).normal(size=(3, 4))
    graph = agree(lambda x: FORMULAS[name](x @ kernel + 0.25) * 2.0 - 1.0, (3,))
    assert [n.name for n in graph.nodes if isinstance(n, Pointwise)] == [name]


def test_sums_of_activations_of_one_node_are_taken_apart():
    graph = agree(lambda x: jax.nn.relu(x) - 0.5 * jnp.tanh(x) + x, (3,))
    assert sorted(n.name for n in graph.nodes if isinstance(n, Pointwise)) == ["relu", "tanh"]
    again = agree(lambda x: jax.nn.relu(x) - jax.nn.relu(-x), (3,))
    assert len([n for n in again.nodes if isinstance(n, Pointwise)]) in (0, 2)


STRAIGHT = {
    "leaky relu of slope 0.2": (lambda z: jax.nn.leaky_relu(z, 0.2), [(0.8, 0.0)]),
    "leaky relu by a maximum": (lambda z: jnp.maximum(0.3 * z, z), [(0.7, 0.0)]),
    "absolute value": (jnp.abs, [(2.0, 0.0)]),
    "relu6": (jax.nn.relu6, [(1.0, 0.0), (-1.0, 6.0)]),
    "hard tanh": (jax.nn.hard_tanh, [(1.0, -1.0), (-1.0, 1.0)]),
    "hard sigmoid": (jax.nn.hard_sigmoid, [(1 / 6, -3.0), (-1 / 6, 3.0)]),
    "between points of the grid": (lambda z: jnp.clip(z, -0.123, 7.01), [(1, -0.123), (-1, 7.01)]),
    "clipped to pixels": (lambda z: jnp.clip(z, 0.0, 255.0), [(1, 0.0), (-1, 255.0)]),
    "no kink": (lambda z: jnp.maximum(z, 0.0) + jnp.minimum(z, 0.0), []),
}  # fmt: skip


@pytest.mark.parametrize("name", STRAIGHT)
def test_straight_pieces_are_a_line_and_relus(name):
    function, kinks = STRAIGHT[name]
    with float64():
        pieces = straight_pieces(np.asarray(function(jnp.asarray(GRID))))
    assert np.allclose(pieces.kinks, np.reshape(kinks, (-1, 2)) if kinks else (), atol=1e-12)
    kernel = np.random.default_rng(1).normal(size=(3, 4))
    agree(lambda x: function(x @ kernel + 0.25) * 2.0 - 1.0, (3,))


@pytest.mark.parametrize(
    "function",
    [
        jnp.sin,
        jnp.square,
        jax.nn.selu,
        jnp.round,
        lambda z: jnp.where(z > 1, z, 0.0),
        lambda z: jnp.where(z > 1e5, 0.0, jnp.maximum(z, 0.0)),
    ],
)
def test_what_is_curved_or_jumps_is_not_made_of_straight_pieces(function):
    with float64():
        assert straight_pieces(np.asarray(function(jnp.asarray(GRID)))) is None


MIXED = {
    "sorted": lambda x: jnp.sort(x, axis=1),
    "running maximum": lambda x: jax.lax.cummax(x, axis=1),
    "largest": lambda x: jnp.max(x, axis=1, keepdims=True),
    "softmax": jax.nn.softmax,
    "normalized": lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True),
    "sorted without the batch": lambda x: jnp.sort(x[0])[None],
}


@pytest.mark.parametrize("name", MIXED)
def test_what_mixes_features_otherwise_than_linearly_is_one_line(name):
    with pytest.raises(InputError, match=r"bounds know affine maps|of one variable"):
        read_graph(MIXED[name], np.zeros((1, 3)), KNOWN)


def test_examples_that_depend_on_each_other_are_noticed():
    assert mixes_examples(lambda x: x - x.mean(axis=0, keepdims=True), (2,))
    assert mixes_examples(lambda x: jnp.broadcast_to(x[:1], x.shape), (2,))
    assert not mixes_examples(lambda x: x - x.mean(axis=1, keepdims=True), (2,))


@pytest.mark.parametrize("name", [n for n in CASES if "attention" not in n])
def test_every_case_but_attention_is_read(name):
    problem, params, data = case(name, np.float32)
    shape = data[0].shape[1:]
    agree(lambda x: problem.net.apply(params, x), shape)


def test_attention_multiplies_what_depends_on_the_input_and_is_refused():
    problem, params, data = case("attention", np.float32)
    with pytest.raises(InputError, match="depend on the input"):
        read_graph(lambda x: problem.net.apply(params, x), np.zeros((1, *data[0].shape[1:])), KNOWN)


def test_an_unknown_function_is_named_as_such():
    with pytest.raises(InputError, match="none of relu"):
        read_graph(lambda x: jnp.sin(x) @ jnp.ones((2, 2)), np.zeros((1, 2)), KNOWN)
    with pytest.raises(InputError, match="none of relu"):
        read_graph(lambda x: x.astype(jnp.int32) * 1.0, np.zeros((1, 2)), KNOWN)
    with pytest.raises(InputError, match="doesn't depend on its input"):
        read_graph(lambda x: jnp.ones((1, 2)), np.zeros((1, 2)), KNOWN)


def test_stacked_and_split_features_are_read():
    agree(lambda x: jnp.stack([x[:, 0], 2 * x[:, 1], x[:, 0]], axis=-1), (3,))
    agree(lambda x: jax.nn.relu(jnp.concatenate(jnp.split(x, 2, axis=1)[::-1], axis=1)), (4,))


def test_what_is_used_twice_is_one_node():
    def function(x):
        h = jax.nn.relu(x @ jnp.ones((2, 2)))
        return h @ jnp.ones((2, 2)) + h

    graph = agree(function, (2,))
    assert len([n for n in graph.nodes if isinstance(n, Pointwise)]) == 1


def test_a_graph_of_many_kinds_of_layers():
    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv = nnx.Conv(1, 2, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(2, use_running_average=True, rngs=rngs)
            self.out = nnx.Linear(32, 3, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            h = nnx.relu(self.norm(self.conv(x)))
            h = jnp.concatenate([h, h[:, ::-1]], axis=1)[:, 2:6]
            return self.out(h.reshape(h.shape[0], -1))

    net = Net(nnx.Rngs(0))
    agree(lambda x: net(x), (4, 4, 1))
