"""Parts of a parameter tree by the names of their leaves: one layer, all kernels, the head."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import jax

from jaxid.core.errors import InputError
from jaxid.core.types import Array, Params


def leaf_names(params: Params) -> list[str]:
    """The leaves' paths, such as ``layers/0/kernel``, in the tree's order."""
    paths, _ = jax.tree.flatten_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]


@dataclass(frozen=True)
class Part:
    """The leaves at or below any of the names; all of them if there are no names.

    Attributes:
      names: paths; ``layers/0`` is that layer's kernel and bias.

    Example:
      >>> Part(("layers/0",)).take({"layers": {0: {"kernel": w, "bias": b}, 1: {"kernel": u}}})
      {'layers/0/bias': b, 'layers/0/kernel': w}
    """

    names: tuple[str, ...] = ()

    def take(self, params: Params) -> Params:
        """The chosen leaves by their names; the whole tree, as it is, without names.

        Raises:
          InputError: for a name that is in no path.
        """
        if not self.names:
            return params
        named = dict(zip(leaf_names(params), jax.tree.leaves(params), strict=True))
        for name in self.names:
            if not any(_below(leaf, name) for leaf in named):
                known = layer_names(params) + list(named)
                close = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
                raise InputError(f"no parameters are named {name}; {hint}")
        return {leaf: value for leaf, value in named.items() if self._holds(leaf)}

    def put(self, params: Params, chosen: Params) -> Params:
        """``params`` with the chosen leaves replaced; `take`'s inverse."""
        if not self.names:
            return chosen
        leaves, structure = jax.tree.flatten(params)
        named = zip(leaf_names(params), leaves, strict=True)
        values: list[Array] = [chosen[n] if self._holds(n) else leaf for n, leaf in named]
        return jax.tree.unflatten(structure, values)

    def _holds(self, leaf: str) -> bool:
        return any(_below(leaf, name) for name in self.names)


def layer_names(params: Params) -> list[str]:
    """The modules that hold parameters of their own: paths less their last step, in order.

    A leaf at the top of the tree is its own layer.
    """
    return list(dict.fromkeys(leaf.rpartition("/")[0] or leaf for leaf in leaf_names(params)))


def own_part(params: Params, layer: str) -> Part:
    """A module's own leaves, without those of the modules below it."""
    own = [leaf for leaf in leaf_names(params) if (leaf.rpartition("/")[0] or leaf) == layer]
    return Part(tuple(own))


def _below(leaf: str, name: str) -> bool:
    return leaf == name or leaf.startswith(f"{name}/")
