"""Keys by role: independent of each other, of order, and of the process."""

from __future__ import annotations

import itertools
import zlib

import jax
import numpy as np
import pytest

from jaxid.core.random import role_key, seed_key

ROLES = ("init", "shuffle", "anneal", "lanczos")


def data(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_seeds_roles_and_indices_all_have_keys_of_their_own():
    used = itertools.product(range(4), ROLES, [None, 0, 1, 2])
    keys = [data(role_key(seed_key(seed), role, index)) for seed, role, index in used]
    assert len(set(keys)) == len(keys)
    assert data(seed_key(0)) not in keys


def test_a_role_is_its_crc_so_that_every_process_agrees():
    key = seed_key(7)
    for role in ROLES:
        expected = jax.random.fold_in(key, zlib.crc32(role.encode()) & 0x7FFFFFFF)
        assert data(role_key(key, role)) == data(expected)
        assert data(role_key(key, role, 3)) == data(jax.random.fold_in(expected, 3))


def test_keys_are_typed():
    assert jax.dtypes.issubdtype(seed_key(0).dtype, jax.dtypes.prng_key)
    assert jax.dtypes.issubdtype(role_key(seed_key(0), "init").dtype, jax.dtypes.prng_key)


def test_a_traced_index_gives_the_same_key_as_a_number():
    traced = jax.jit(lambda key, index: role_key(key, "shuffle", index))
    assert data(traced(seed_key(1), 5)) == data(role_key(seed_key(1), "shuffle", 5))


@pytest.mark.parametrize("pair", list(itertools.combinations(ROLES, 2)))
def test_draws_of_two_roles_are_uncorrelated(pair):
    n = 4000
    a, b = (np.asarray(jax.random.normal(role_key(seed_key(0), role), (n,))) for role in pair)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)
