"""REFERENCE's MNIST table, to every digit given there, on the real files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from jaxid.curvature.conditioning import covariance, second_moment
from jaxid.curvature.ill_posed import stability
from jaxid.curvature.last_layer.nullspace import input_null_basis, null_reasons
from jaxid.curvature.last_layer.spectrum import head_spectrum


@pytest.fixture(scope="module")
def train(mnist_dir):
    content = gzip.decompress((Path(mnist_dir) / "train-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=16).reshape(60000, 784)


def test_second_moment_of_the_raw_inputs_with_a_bias(train):
    found = second_moment(train)
    assert f"{found.lambda_max.value:.2f}" == "2476872.80"
    assert f"{found.trace:.2f}" == "5709847.67"
    assert f"{found.lambda_min_nonzero.value:.5e}" == "5.24757e-05"
    assert f"{found.kappa.value:.4e}" == "4.7200e+10"
    assert found.rank == 713
    assert found.eigenvalues[72] > 5.2e-5 and abs(found.eigenvalues[71]) < 1e-8
    assert second_moment(train, bias=False).rank == 712


def test_covariance_and_standardized_covariance(train):
    found = covariance(train)
    assert f"{found.lambda_max.value:.3f}" == "332719.122"
    assert f"{found.lambda_min_nonzero.value:.5e}" == "5.24757e-05"
    assert f"{found.kappa.value:.4e}" == "6.3404e+09"
    assert f"{found.trace:.2f}" == "3428445.43"
    assert found.rank == 712
    assert f"{covariance(train, standardized=True).kappa.value:.1f}" == "6166.6"


def test_dividing_by_255_keeps_the_condition_number(train):
    found = second_moment((train / 255).astype(np.float32))
    assert f"{found.kappa.value:.2e}" == "4.83e+10"
    assert found.rank == 713


def test_a_linear_layers_hessian_and_its_flat_directions(train):
    zero = np.zeros((784, 784)), np.zeros(784)
    found = head_spectrum(train, train, *zero, "linear")
    assert found.eigenvalues.size == 615440
    assert f"{found.lambda_max.value:.3f}" == "6318.553"
    assert f"{2 / found.lambda_max.value:.5e}" == "3.16528e-04"
    reasons = null_reasons(train, found, bias=True)
    assert reasons.counts == {
        "dead_unit": 0,
        "constant_input": 784 * 67,
        "collinear_input": 784 * 5,
        "rarely_active": 0,
    }
    assert reasons.null_dim == found.null_dim == 56448


def test_null_directions_are_invisible_on_every_image(train):
    basis = input_null_basis(train)
    assert basis.shape == (785, 72)
    seen = max(
        np.abs(train[k : k + 8192] @ basis[:784] + basis[784]).max() for k in range(0, 60000, 8192)
    )
    assert seen < 1e-11


def test_one_grey_level_along_the_smallest_mode_moves_the_weights_by_138(train):
    found = stability(train, train[:, 400], modes=3)
    assert found.rank == 713
    assert np.isclose(found.predicted[-1], 5.24757e-5**-0.5, rtol=1e-5)
    assert np.allclose(found.measured, found.predicted, rtol=1e-5)
