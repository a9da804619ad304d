"""A network as a graph of affine maps and functions of one variable, example by example.

Whatever bounds a network needs to know what it computes, layer by layer, whoever wrote it.
Each node is a vector. Node 0 is the input; the others are

  affine:     h = sum_k h_k W_k + b    (a dense layer, a skip connection, a convolution)
  pointwise:  h_i = g(h_k,i)           (an activation)
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

Weight: TypeAlias = np.ndarray | None
"""(inputs, outputs); or (outputs,), a diagonal; or None, the identity."""


class Affine(NamedTuple):
    """h = sum_k h_k W_k + b.

    Attributes:
      parents: indices of the nodes h_k, each before this one.
      weights: W_k, float64.
      bias: (outputs,) float64.
    """

    parents: tuple[int, ...]
    weights: tuple[Weight, ...]
    bias: np.ndarray


class Pointwise(NamedTuple):
    """h_i = g(h_k,i), g by its name."""

    parent: int
    name: str


class Graph(NamedTuple):
    """A function of one example.

    Attributes:
      nodes: node 1, node 2, ...; the last one is the output.
      sizes: length of every node, node 0 included.
      shape: of the input, without the batch.
    """

    nodes: tuple[Affine | Pointwise, ...]
    sizes: tuple[int, ...]
    shape: tuple[int, ...]
