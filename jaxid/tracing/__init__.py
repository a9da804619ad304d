"""The one place that walks jaxprs: what a function does inside, before it is run."""

from jaxid.tracing.evaluate import in_float64
from jaxid.tracing.graph import Affine, Curve, Graph, Pointwise, Product, Straight, Table
from jaxid.tracing.narrowing import narrowings
from jaxid.tracing.read import read_graph

__all__ = ["Affine", "Curve", "Graph", "Pointwise", "Product", "Straight", "Table", "in_float64",
           "narrowings", "read_graph"]  # fmt: skip
