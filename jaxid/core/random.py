"""One key per purpose: every use of randomness folds a named role into the seed's key.

A new measurement takes a new role, so it changes no other number of the run.
"""

from __future__ import annotations

import zlib

import jax

from jaxid.core.types import Key


def seed_key(seed: int) -> Key:
    """The typed key of one seed."""
    return jax.random.key(seed)


def role_key(key: Key, role: str, index: int | jax.Array | None = None) -> Key:
    """The key for one named use, e.g. ``role_key(key, "shuffle", epoch)``.

    The role is folded in by its CRC-32, which, unlike `hash`, is the same in every process.
    """
    derived = jax.random.fold_in(key, zlib.crc32(role.encode()) & 0x7FFFFFFF)
    return derived if index is None else jax.random.fold_in(derived, index)
