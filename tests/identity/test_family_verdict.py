"""What the family could have done, whatever was trained."""

from __future__ import annotations

import numpy as np
import pytest

from jaxid.certification.family import FamilyKind
from jaxid.identity.family_verdict import family_verdict
from jaxid.identity.spec import IdentitySpec, build_problem, load_data


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ({}, FamilyKind.EXACT),
        ({"scaling": "standardized"}, FamilyKind.IMPOSSIBLE),
        ({"input_scaling": "unit"}, FamilyKind.EXACT),
        ({"scaling": "centered", "output_activation": "linear", "depth": 2}, FamilyKind.EXACT),
        ({"scaling": "whitened"}, None),
    ],
)
def test_what_the_family_could_have_done(flags, kind):
    spec = IdentitySpec(data="gaussian", features=3, examples=60, mean=5.0, **flags)
    if not flags or "input_scaling" in flags:
        spec = IdentitySpec(data="digits", **flags)
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    found = family_verdict(spec, build_problem(spec, dataset))
    assert found.kind is kind and found.words
    assert (found.box is None) == (kind is None)


def test_the_floor_in_mean_square_stands_beside_the_one_of_the_worst_error():
    spec = IdentitySpec(data="digits", depth=2, width=10, output_activation="linear")
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    found = family_verdict(spec, build_problem(spec, dataset))
    assert found.layers[1].kernel.shape == (10, 64) and found.layers[1].bias.shape == (64,)
    x = dataset.train.astype(float)
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    floor = found.mean_square.lower.value
    assert np.isclose(floor, np.sum(singular[10:] ** 2) / x.size)
    assert found.lower == 8.0, "two opposite corners of [0, 16] on 11 features get one output"


def test_parts_of_the_floor_go_by_their_words():
    spec = IdentitySpec(data="gaussian", features=3, examples=60)
    dataset = load_data(spec)
    spec = spec.resolved(dataset)
    found = family_verdict(spec, build_problem(spec, dataset)).mean_square
    assert [part.name for part in found.parts] == ["negative_targets"]
