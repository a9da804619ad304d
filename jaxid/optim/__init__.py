"""All that is read off an Optax chain, from what its update does and never from names."""
