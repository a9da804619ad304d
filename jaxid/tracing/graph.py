"""A network as a graph of nodes that bounds know, example by example.

Whatever bounds a network needs to know what it computes, layer by layer, whoever wrote it.
Each node is a vector. Node 0 is the input; the others are

  affine:     h = sum_k h_k W_k + b      (a dense layer, a skip connection, a convolution)
  pointwise:  h_i = g(h_k,i)             (an activation that bounds know by name)
  straight:   h_i = p_i(h_k,i)           (straight pieces with exact ends and jumps)
  curve:      h_i = g(h_k,i)             (any function of one variable, as instructions)
  product:    h_i = h_k,i h_l,i          (attention, gates, normalisation)
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

Weight: TypeAlias = np.ndarray | None
"""(inputs, outputs) float64; or (outputs,) float64, a diagonal; or (outputs,) integers, which
element of the parent each output is; or None, the identity."""


class Affine(NamedTuple):
    """h = sum_k h_k W_k + b.

    Attributes:
      parents: indices of the nodes h_k, each before this one.
      weights: W_k.
      bias: (outputs,) float64.
      larger: two nodes of which this is the elementwise maximum, where it is one: bounds on
        those bound it too.
      natural: whether it is >= 0 by what it is made of, a sum of squares say, whatever rounding
        makes of its bounds.
    """

    parents: tuple[int, ...]
    weights: tuple[Weight, ...]
    bias: np.ndarray
    larger: tuple[int, int] | None = None
    natural: bool = False


class Pointwise(NamedTuple):
    """h_i = g(h_k,i), g by its name."""

    parent: int
    name: str


class Table(NamedTuple):
    """Functions of straight pieces: slope_j z + constant_j between place j - 1 and place j.

    The last axis is 1, one function for every element, or the number of elements. A piece
    includes neither of its ends. At a place the function has a value of its own, which may
    differ from the limits on both sides.

    Attributes:
      places: (k, e) ascending, padded with inf at the end.
      spread: (k, e), at most so far is a stored place from the true one; 0 where it is exact.
      slopes, constants: (k + 1, e), each the true number or next to it in float64.
      values: (k, e), at the places, likewise.
    """

    places: np.ndarray
    spread: np.ndarray
    slopes: np.ndarray
    constants: np.ndarray
    values: np.ndarray


class Straight(NamedTuple):
    """h_i = p_i(h_k,i), p of straight pieces."""

    parent: int
    table: Table


class Instruction(NamedTuple):
    """One step of a function of one variable z.

    Attributes:
      name: what it does; see `PROGRAM`.
      operands: earlier steps, by their index in the program.
      numbers: indices into the program's constants, or into its tables for "pieces".
      power: of "power".
    """

    name: str
    operands: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    power: int = 0


PROGRAM = """
pieces      table[numbers[0]](z): every leaf is one, z itself too
sum         sum over operands of constant[numbers[k]] times operand k
mul         product of two operands
power       operand to an integer power >= 2
reciprocal  1 / operand; unbounded where the operand may be 0
max, min    of two operands
floor       the largest integer <= operand
select      operand 2 where operand 0 is 1, operand 1 where it is 0
positive    1 where the operand is > 0, else 0
natural     1 where the operand is >= 0, else 0
zero        1 where the operand is 0, else 0
within      the operand; unbounded where it may lie outside of [constant, constant]
NAME        a function of one variable known by name: exp, log, tanh, ...
"""
"""What instructions do. The last one's value is the function's."""


class Curve(NamedTuple):
    """h_i = g(h_k,i), g as instructions.

    Attributes:
      parent: h_k.
      program: the steps, in order; structure only, so that other numbers compile nothing anew.
      constants: (c, 2) float64: the least and the largest that each number may be, equal where
        it is exact.
      tables: one function of straight pieces each, last axis 1.
      line: of the user's file, for what can't be bounded.
    """

    parent: int
    program: tuple[Instruction, ...]
    constants: np.ndarray
    tables: tuple[Table, ...]
    line: str = ""


class Product(NamedTuple):
    """h_i = h_k,i h_l,i.

    Attributes:
      parents: (k, l), of one length.
      reach: |h_i| is at most this wherever the parents come from; inf where nothing is known.
    """

    parents: tuple[int, int]
    reach: np.ndarray


Node: TypeAlias = Affine | Pointwise | Straight | Curve | Product


class Graph(NamedTuple):
    """A function of one example.

    Attributes:
      nodes: node 1, node 2, ...; the last one is the output.
      sizes: length of every node, node 0 included.
      shape: of the input, without the batch.
      guards: nodes that must have a value for the output to have one: of 0 log(h), log(h).
    """

    nodes: tuple[Node, ...]
    sizes: tuple[int, ...]
    shape: tuple[int, ...]
    guards: tuple[int, ...] = ()


def parents(node: Node) -> tuple[int, ...]:
    """The nodes that a node is computed from."""
    if isinstance(node, Affine | Product):
        return node.parents
    return (node.parent,)
