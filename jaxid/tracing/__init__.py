"""The one place that walks jaxprs: what a function does inside, before it is run."""

from jaxid.tracing.batch import mixes_examples
from jaxid.tracing.graph import Affine, Graph, Pointwise
from jaxid.tracing.narrowing import narrowings
from jaxid.tracing.read import read_graph

__all__ = ["Affine", "Graph", "Pointwise", "mixes_examples", "narrowings", "read_graph"]
