"""Any function of a batch as a graph of nodes that bounds know."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, case
from flax import nnx

from jaxid.core.errors import InputError
from jaxid.core.precision import float64
from jaxid.nets.activations import ACTIVATIONS
from jaxid.nets.mlp import identity_network
from jaxid.tracing import Affine, Pointwise, Straight, in_float64, read_graph
from jaxid.verification.network import from_graph, run


def agree(function, shape, count=7, dtype=np.float64, scale=3.0, low=None, high=None):
    """The graph gives what the function gives."""
    with jax.numpy_rank_promotion("allow"):
        return agreed(function, shape, count, dtype, scale, low, high)


def agreed(function, shape, count, dtype, scale, low, high):
    graph = read_graph(function, np.zeros((1, *shape), dtype))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, *shape)) * scale
    if low is not None:
        x = rng.uniform(low, high, (count, *shape))
    if dtype == np.float32:
        x = x.astype(np.float32).astype(np.float64)
        program = in_float64(function, np.zeros(x.shape, np.float32))
    with float64():
        whole = jnp.asarray(x)
        expected = program(whole)[0] if dtype == np.float32 else function(whole)
        expected = np.asarray(expected).reshape(count, -1)
        net = from_graph(graph)
        flat = jnp.asarray(x.reshape(count, -1))
        found = np.asarray(run(net.structure, net.numbers, flat)[-1])
    assert np.allclose(found, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())
    return graph


def names(graph):
    return [n.name for n in graph.nodes if isinstance(n, Pointwise)]


def kinds(graph):
    return {type(n).__name__ for n in graph.nodes}


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "linear"])
@pytest.mark.parametrize("residual", [False, True])
def test_the_identity_family_is_read_layer_by_layer(name, residual):
    model = identity_network(3, depth=3, activation=name, output_activation=name, residual=residual)
    params = model.init(jax.random.key(0), jnp.zeros((1, 3)))
    graph = agree(lambda x: model.apply(params, x), (3,))
    # A leaky ReLU is a line and a ReLU.
    assert names(graph) == [{"leaky_relu": "relu"}.get(name, name)] * 3
    weights = [w for n in graph.nodes if isinstance(n, Affine) for w in n.weights if w is not None]
    assert [w.shape for w in weights if w.ndim == 2] == [(3, 3)] * 3
    if name in ("relu", "tanh", "sigmoid", "silu", "softplus"):
        assert len(graph.nodes) == (9 if residual else 6), "a product and its bias are one node"


FORMULAS = {
    "relu": (lambda z: jnp.where(z > 0, z, 0.0), "relu"),
    "leaky relu": (lambda z: jnp.maximum(z, 0.01 * z), "relu"),
    "tanh": (lambda z: 2 / (1 + jnp.exp(-2 * z)) - 1, "sigmoid"),
    "sigmoid": (lambda z: 1 / (1 + jnp.exp(-z)), "sigmoid"),
    "sigmoid otherwise": (lambda z: jnp.exp(z) / (1 + jnp.exp(z)), "sigmoid"),
    "gelu": (lambda z: 0.5 * z * (1 + jax.lax.erf(z / jnp.sqrt(2.0))), "gelu"),
    "gelu by erfc": (lambda z: jax.nn.gelu(z, approximate=False), "gelu"),
    "silu": (lambda z: z * jax.nn.sigmoid(z), "silu"),
    "silu otherwise": (lambda z: z / (1 + jnp.exp(-z)), "silu"),
    "swish of another slope": (lambda z: z * jax.nn.sigmoid(1.7 * z), "silu"),
    "elu": (lambda z: jnp.where(z > 0, z, jnp.exp(z) - 1), "elu"),
    "elu by the library": (jax.nn.elu, "elu"),
    "celu": (lambda z: jax.nn.celu(z, 0.5), "elu"),
    "softplus": (lambda z: jnp.log1p(jnp.exp(-jnp.abs(z))) + jnp.maximum(z, 0.0), "softplus"),
    "softplus by the library": (jax.nn.softplus, "softplus"),
    "softplus, overflowing": (lambda z: jnp.log(1 + jnp.exp(z)), "softplus"),
    "log of a sigmoid": (jax.nn.log_sigmoid, "softplus"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_known_by_its_text(name):
    function, known = FORMULAS[name]
    kernel = np.random.default_rng(1).normal(size=(3, 4))
    graph = agree(lambda x: function(x @ kernel + 0.25) * 2.0 - 1.0, (3,))
    assert names(graph) == [known] and kinds(graph) == {"Affine", "Pointwise"}


def test_the_tanh_gelu_of_a_float32_program_is_known_with_its_own_constants():
    kernel = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    graph = agree(lambda x: nnx.gelu(x @ kernel + 0.25), (3,), dtype=np.float32)
    assert names(graph) == ["gelu_tanh"]
    # Constants that are next to those, and no more, are another function.
    near = agree(lambda z: 0.5 * z * (1 + jnp.tanh(0.7978846 * (z + 0.0447151 * z**3))), (3,))
    assert names(near) == [] and kinds(near) == {"Curve"}


CURVED = {
    "sine": jnp.sin,
    "square": jnp.square,
    "selu": jax.nn.selu,
    "mish": jax.nn.mish,
    "hard swish": jax.nn.hard_swish,
    "softsign": jax.nn.soft_sign,
    "radial": lambda z: jnp.exp(-(((z - 1) / 5) ** 2)),
    "sum of two": lambda z: jax.nn.relu(z) - 0.5 * jnp.tanh(z) + z,
    "remainder": lambda z: z % 1.0,
    "whole parts": lambda z: z // 2.0,
    "rounded": jnp.round,
    "cut off": lambda z: z.astype(jnp.int32) * 1.0,
    "powers": lambda z: jnp.abs(z) ** 2.5 + z**3 + jnp.power(2.0, z) + jnp.power(3.0, z),
    "logarithm": lambda z: jnp.log(1e-3 + z * z),
    "tangent": lambda z: jnp.tan(0.1 * z),
    "arcs": lambda z: jnp.arctan(z) + jnp.arcsinh(z),
    "a jump between curves": lambda z: jnp.where(z > 1, jnp.sin(z), jnp.cos(z)),
    "chosen by a curve": lambda z: jnp.where(jnp.exp(z) > 3, z, -z),
    "softplus of an absolute value": lambda z: jax.nn.softplus(jnp.abs(z)),
    "sinc": jnp.sinc,
}


@pytest.mark.parametrize("name", CURVED)
def test_any_function_of_one_variable_is_followed(name):
    kernel = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    graph = agree(lambda x: CURVED[name](x @ kernel + 0.25) * 2.0 - 1.0, (3,), dtype=np.float32)
    assert len([n for n in graph.nodes if not isinstance(n, Affine)]) == 1


STRAIGHT = {
    "relu6": (jax.nn.relu6, [0, 6]),
    "hard tanh": (jax.nn.hard_tanh, [-1, 1]),
    "hard sigmoid": (jax.nn.hard_sigmoid, [-3, 3]),
    "clipped": (lambda z: jnp.clip(z, -0.125, 7.0), [-0.125, 7]),
    "a hat": (lambda z: jnp.maximum(0.0, 1 - jnp.abs(z - 96) / 20), [76, 96, 116]),
    "a band": (lambda z: jnp.where((z > 90) & (z < 110), 1.0, 0.0), [90, 110]),
    "a jump": (lambda z: jnp.where(z > 120, 2 * z - 100, z), [120]),
    "a truth value": (lambda z: z.astype(bool).astype(z.dtype), [0]),
    "a sign": (jnp.sign, [0]),
    "far out": (lambda z: jnp.where(z > 1e5, 0.0, jnp.maximum(z, 0.0)), [0, 1e5]),
    "cut off within limits": (lambda z: jnp.clip(z, 0, 3).astype(jnp.int32) * 1.0, [1, 2, 3]),
    "rounded within limits": (lambda z: jnp.round(jnp.clip(z, 0, 2)), [0.5, 1.5]),
    "interpolated": (
        lambda z: jnp.interp(z, jnp.array([0.0, 1, 2, 4]), jnp.array([0.0, 2, 1, 3])),
        [0, 1, 2, 4],
    ),
    "digitized": (lambda z: jnp.digitize(z, jnp.array([0.0, 1, 2])) * 1.0, [0, 1, 2]),
    "exclusive or": (lambda z: ((z > 0) ^ (z > 3)) * 1.0, [0, 3]),
    "nand": (lambda z: ~((z > 0) & (z < 3)) * 1.0, [0, 3]),
    "a table by steps": (
        lambda z: jnp.array([5.0, -7, 2, 11])[jnp.clip(z, 0, 3).astype(jnp.int32)],
        [1, 2, 3],
    ),
    "a width of a thousandth": (lambda z: jnp.clip(1000 * z, 0, 1), [0, 1e-3]),
}


@pytest.mark.parametrize("name", STRAIGHT)
def test_straight_pieces_have_their_exact_ends(name):
    function, places = STRAIGHT[name]
    graph = agree(lambda x: function(8 * x) * 2.0 - 1.0, (5,), 400, np.float32, scale=6.0)
    (node,) = [n for n in graph.nodes if not isinstance(n, Affine)]
    assert isinstance(node, Straight)
    assert np.allclose(8 * node.table.places[:, 0], places, rtol=1e-15, atol=0)


def test_pieces_of_units_however_small_are_told_apart():
    def saturated(x):
        return 1e12 * jnp.clip(1e-12 * x, -2e-12, 2e-12)

    graph = agree(saturated, (3,), dtype=np.float32)
    (node,) = [n for n in graph.nodes if isinstance(n, Straight)]
    assert np.allclose(node.table.places[:, 0], [-2, 2], rtol=1e-6)


SEVERAL = {
    "the larger of two maps": lambda x: jnp.maximum(x @ K[:, :2], x @ K[:, 2:]),
    "the least of three": lambda x: jnp.min(x, axis=1, keepdims=True),
    "the largest so far": lambda x: jax.lax.cummax(x, axis=1),
    "softmax": lambda x: jax.nn.softmax(x @ K),
    "log softmax": lambda x: jax.nn.log_softmax(x @ K),
    "log sum exp": lambda x: jax.nn.logsumexp(x @ K, axis=1, keepdims=True),
    "normalized": lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True),
    "LayerNorm": lambda x: nnx.LayerNorm(4, rngs=nnx.Rngs(0))(x @ K),
    "RMSNorm": lambda x: nnx.RMSNorm(4, rngs=nnx.Rngs(0))(x @ K),
    "standardized": lambda x: (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-3),
    "a gate": lambda x: jax.nn.glu(x @ K),
    "products of all pairs": lambda x: jnp.einsum("bi,bj->bij", x, x),
    "limits of each feature": lambda x: jnp.clip(x, LOW, HIGH),
    "one feature, many units": lambda x: jax.nn.relu(x[:, :1] * LOW[:1] + jnp.arange(6.0)) @ ONES,
    "chosen by another": lambda x: jnp.where(x[:, :1] > x[:, 1:2], x, 2.0),
    "both conditions": lambda x: jnp.where((x[:, :1] > 0) & (x[:, 1:2] > 0), x, -x),
    "either condition": lambda x: jnp.where((x[:, :1] > 0) | (x[:, 1:2] > 0), x, -x),
    "one condition only": lambda x: jnp.where((x[:, :1] > 0) ^ (x[:, 1:2] > 0), x, -x),
    "an average, smoothed": lambda x: jnp.cumsum(x, axis=1),
    "scattered": lambda x: jnp.zeros((x.shape[0], 5)).at[:, jnp.array([0, 2, 4])].set(x),
    "scattered and added": lambda x: jnp.ones((x.shape[0], 5)).at[:, jnp.array([0, 2, 2])].add(x),
    "gathered": lambda x: jnp.tanh(x)[:, jnp.array([2, 0, 0, 1])],
    "filtered": lambda x: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.array([1.0, 0.5]), 3),
    "a power spectrum": lambda x: jnp.abs(jnp.fft.fft(x)),
    "one hot": lambda x: (
        jax.nn.one_hot(jnp.abs(x).astype(jnp.int32), 4) @ jnp.arange(8.0).reshape(4, 2)
    ),
    "an embedding": lambda x: jnp.arange(8.0).reshape(4, 2)[jnp.abs(x).astype(jnp.int32)],
    "a loop over layers": lambda x: jax.lax.scan(
        lambda h, w: (jax.nn.relu(h @ w), None), x, jnp.stack([K[:, :3], K[:, 1:]])
    )[0],
    "causal attention": lambda x: (
        jax.nn.softmax(jnp.where(TRIANGLE, x[:, :, None] * x[:, None, :], -1e9)) @ x[:, :, None]
    ),
    "checkpointed": lambda x: jax.checkpoint(lambda y: jnp.tanh(y @ K))(x),
    "a fixed draw": lambda x: x @ jax.random.normal(jax.random.key(7), (3, 2)),
    "small numbers of the program": lambda x: jnp.maximum(x, jnp.finfo(x.dtype).eps),
}
K = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
LOW, HIGH = np.array([-0.5, -0.2, 0], np.float32), np.array([0.5, 0.2, 1], np.float32)
ONES, TRIANGLE = np.ones((6, 2), np.float32), np.tril(np.ones((3, 3), bool))


@pytest.mark.parametrize("name", SEVERAL)
def test_what_joins_several_quantities_is_read(name):
    agree(SEVERAL[name], (3,), 50, np.float32, scale=1.0)


def test_pooling_is_read_with_and_without_edges():
    for padding in ("VALID", "SAME"):
        agree(lambda x, p=padding: nnx.max_pool(x, (2, 2), (2, 2), p), (5, 5, 2), 9, np.float32)
        agree(lambda x, p=padding: nnx.avg_pool(x, (3, 3), (1, 1), p), (5, 5, 2), 9, np.float32)


REFUSED = {
    "sort": lambda x: jnp.sort(x, axis=1),
    "argmax": lambda x: jnp.argmax(x, axis=1)[:, None] * 1.0,
    "while": lambda x: jax.lax.while_loop(lambda y: y[0, 0] < 1, lambda y: y + 1, x),
    "cond": lambda x: jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x),
    "erf_inv": lambda x: jax.lax.erf_inv(x),
    "lgamma": lambda x: jax.lax.lgamma(x),
    "random_seed": lambda x: x + jax.random.normal(jax.random.key(x[0, 0].astype(int)), x.shape),
    "reduce_precision": lambda x: jax.lax.reduce_precision(x, 5, 3),
    "dynamic_slice": lambda x: jax.lax.dynamic_slice(x, (0, x[0, 0].astype(int)), (1, 2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_one_line_with_its_name_and_place(name):
    with pytest.raises(InputError) as refused, jax.numpy_rank_promotion("allow"):
        read_graph(REFUSED[name], np.zeros((1, 3), np.float32))
    assert "\n" not in str(refused.value)
    assert f"computes {name}" in str(refused.value) and "test_read.py:" in str(refused.value)


def test_random_draws_and_constants_are_those_of_the_program_that_runs():
    def drawn(x):
        return x + jax.random.normal(jax.random.key(7), (3,)) + jnp.finfo(x.dtype).eps

    graph = agree(drawn, (3,), dtype=np.float32)
    own = np.asarray(jax.random.normal(jax.random.key(7), (3,)) + np.finfo(np.float32).eps)
    constants = sum(node.bias for node in graph.nodes)
    assert np.allclose(constants, own, rtol=1e-7)


def test_an_operation_that_is_not_needed_is_not_looked_at():
    def function(x):
        jnp.sort(x, axis=1)
        return x * 2.0

    agree(function, (3,))


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_read(name):
    problem, params, data = case(name, np.float32)
    shape = data[0].shape[1:]
    agree(lambda x: problem.net.apply(params, x), shape, dtype=np.float32)


def test_what_does_not_depend_on_the_input_has_nothing_to_bound():
    with pytest.raises(InputError, match="doesn't depend on its input"):
        read_graph(lambda x: jnp.ones((1, 2)), np.zeros((1, 2)))


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
    agree(lambda x: net(x), (4, 4, 1), dtype=np.float32)
