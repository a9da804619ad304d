"""The certificate that a diagnosis holds."""

from __future__ import annotations

import jax
import numpy as np

from jaxid.certification.short_certificate import short_certificate
from jaxid.core.io import encode
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.verification.certificate import Method


def test_a_diagnosis_holds_the_exact_worst_error_of_one_layer():
    spec = IdentitySpec(data="digits")
    dataset = load_data(spec)
    it = build_problem(spec.resolved(dataset), dataset)
    found = short_certificate(it, it.init(jax.random.key(0)), 0)
    assert found.method is Method.EXACT
    assert np.isclose(found.lower.value, found.upper.value)
    values, arrays = encode(found)
    assert values["method"] == "exact" and values["reason"] is None and not arrays
