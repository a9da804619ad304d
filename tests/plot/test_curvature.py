"""The figures of a Spectrum: there or not, labelled, with words that the numbers bear out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import spectra_sample as sample

from jaxid.plot import along_training, density, layer_spectra, optimizer_limit
from jaxid.plot.curvature import draw_curvature
from jaxid.spectra.matrix import Kind

MODULES = {
    "density": density,
    "layer_spectra": layer_spectra,
    "optimizer_limit": optimizer_limit,
    "along_training": along_training,
}


def test_all_are_saved_where_their_data_are(tmp_path):
    paths = draw_curvature(sample.spectrum(), tmp_path)
    assert list(paths) == list(MODULES)
    assert all(path.with_suffix(".svg").is_file() and path.is_file() for path in paths.values())
    empty = dataclasses.replace(sample.spectrum(), points=(), along=None)
    assert draw_curvature(empty, tmp_path) == {}


def without(*kinds):
    """The sample without a density of these matrices."""
    found = sample.spectrum()

    def bare(matrix):
        return dataclasses.replace(matrix, density=None) if matrix.kind in kinds else matrix

    points = tuple(
        dataclasses.replace(
            point,
            matrices=tuple(map(bare, point.matrices)),
            layers=tuple(map(bare, point.layers)),
        )
        for point in found.points
    )
    return dataclasses.replace(found, points=points)


def test_a_figure_without_its_density_is_none():
    assert density.draw(without(Kind.HESSIAN)) is None
    assert optimizer_limit.draw(without(Kind.PRECONDITIONED)) is None
    assert layer_spectra.draw(without(Kind.LAYER)) is None
    assert along_training.draw(dataclasses.replace(sample.spectrum(), along=None)) is None


def test_an_operator_that_is_not_finite_has_no_density_to_draw():
    found = sample.spectrum()
    hessian = found.points[0].hessian
    none = dataclasses.replace(hessian.density, nodes=np.zeros((2, 0)), weights=np.zeros((2, 0)))
    assert density.drawn(dataclasses.replace(hessian, density=none)) is None
    assert density.drawn(hessian) is hessian.density


@pytest.mark.parametrize("name", MODULES)
def test_titles_and_captions_have_words(name):
    drawn = MODULES[name].draw(sample.spectrum())
    assert len(drawn.get_suptitle()) > 20 and len(MODULES[name].caption(sample.spectrum())) > 80


def test_words_carry_the_numbers():
    found = sample.spectrum()
    words = " ".join(density.draw(found).get_suptitle().split())
    assert words == (
        "Hessian at the end: largest eigenvalue 4, 20 % of eigenvalues too near 0 to tell"
    )
    words = " ".join(layer_spectra.draw(found).get_suptitle().split())
    assert words == "Layers' own curvature at the end differs by a factor of 2: most in residual"
    figure = optimizer_limit.draw(found)
    assert "up to 1.50, below the limit of 2" in " ".join(figure.get_suptitle().split())
    texts = [text.get_text() for text in figure.get_axes()[0].texts]
    assert "second moments of the state" in texts and " limit 2" in texts
    words = " ".join(along_training.draw(found).get_suptitle().split())
    assert "sharpness goes from 40 to 160" in words and "3 times its limit" in words


def test_a_seed_that_was_lost_is_a_gap():
    values, converged = along_training.values(sample.along(), "sharpness")
    np.testing.assert_array_equal(values, [[40, 40], [80, 80], [160, np.nan]])
    assert converged[:2].all() and not converged[2, 1]
