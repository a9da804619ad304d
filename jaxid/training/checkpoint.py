"""Trained states on disk, by Orbax: what `jaxid train` leaves for other commands to read."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxid.core import trees
from jaxid.core.blame import of_the_machine
from jaxid.core.errors import InputError
from jaxid.core.folder import reserve
from jaxid.training.loop import TrainState

FOLDER = "state"
METADATA = 1 << 18
"""Bytes that Orbax adds, at most: 40 kB were seen, in some twenty files."""
RUN = "run.json"
"""What the run was, with the SHA-256 of the parameters that it belongs to."""


def save_state(state: TrainState, folder: Path) -> None:
    """Write stacked states under ``folder``/state, replacing what is there.

    Keys are saved as their integers: a typed key has no format of its own on disk.

    Raises:
      OSError: if there is no room for them.
    """
    path, plain = (folder / FOLDER).resolve(), _plain(state)
    # Orbax writes in threads, which print what fails before it is raised.
    reserve(folder, int(1.1 * trees.nbytes(plain)) + METADATA)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, plain, force=True)


def load_state(folder: Path, like: TrainState) -> TrainState:
    """Read the states back, bit for bit.

    Args:
      folder: what `save_state` was given.
      like: states of the same structure and shapes, e.g. `Runner.init` of the same seeds;
        only shapes and dtypes are read.

    Raises:
      InputError: one line, if there is no checkpoint, or it is of other seeds or another network.
    """
    path = (folder / FOLDER).resolve()
    if not path.is_dir():
        raise InputError(f"{folder} holds no {FOLDER}; name a folder that jaxid train wrote")
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, _plain(like))
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            plain = TrainState(*checkpointer.restore(path, target))
    except Exception as failed:
        if of_the_machine(failed) is not None:
            raise
        reason = next(iter(str(failed).splitlines()), type(failed).__name__)
        raise InputError(
            f"the parameters in {folder / FOLDER} can't be read as those of its {RUN} "
            f"({reason[:200]}); train again"
        ) from None
    # Restored arrays are placed on a mesh; for those every program would be compiled anew.
    plain = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), plain)
    return plain._replace(key=jax.random.wrap_key_data(plain.key))


def _plain(state: TrainState) -> TrainState:
    return state._replace(key=jax.random.key_data(state.key))
