"""The enumerations of a spectrum as people read them, for figures and reports alike."""

from __future__ import annotations

from jaxid.spectra.matrix import Kind, MatrixSpectrum
from jaxid.spectra.optimizer_view import Moments, OptimizerView
from jaxid.training.loop import Stage

STAGES = {
    Stage.INIT: "at the start",
    Stage.END: "at the end",
    Stage.CHECKPOINT: "at the checkpoint",
}
KINDS = {
    Kind.HESSIAN: "Hessian",
    Kind.GAUSS_NEWTON: "Gauss-Newton part",
    Kind.RESIDUAL: "residual part",
    Kind.PRECONDITIONED: "Hessian as the optimizer sees it",
}


def matrix_name(found: MatrixSpectrum) -> str:
    """The matrix, or the layer's path."""
    return KINDS.get(found.kind, found.name)


def moments(view: OptimizerView) -> str:
    """Where the optimizer's P comes from."""
    return {
        Moments.STATE: "second moments of the state",
        Moments.SETTLED: f"second moments after {view.batches} batches' gradients at this point",
        Moments.NONE: "no second moments: P is 1",
        Moments.NO_P: f"{view.why}: it has no P",
    }[view.how]
