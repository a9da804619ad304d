"""The one place that walks jaxprs: what a function does inside, before it is run."""

from jaxid.tracing.graph import Affine, Graph, Pointwise
from jaxid.tracing.narrowing import narrowings
from jaxid.tracing.read import read_graph

__all__ = ["Affine", "Graph", "Pointwise", "narrowings", "read_graph"]
