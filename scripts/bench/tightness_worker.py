"""auto_LiRPA's side of `tightness.py`, in a Python that has it.

Usage: python tightness_worker.py FOLDER. Reads cases.json and the arrays named in it, writes
bounds.json: for each case and method (low, high) of every output, and the seconds of a second
call, the first being left out.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

warnings.filterwarnings("ignore")
# auto_LiRPA 0.3, the newest on the package index, is older than NumPy 2 and torch 2: three names
# that they moved or took away are put back.
sys.modules.setdefault(
    "numpy.lib.arraysetops", importlib.import_module("numpy.lib._arraysetops_impl")
)
import torch  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
import torch.onnx.symbolic_helper as helper  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

torch.set_default_dtype(torch.float64)
helper._set_opset_version = lambda _: None
torch._C.Node.__getitem__ = lambda node, name: getattr(node, node.kindOf(name))(name)
from auto_LiRPA import (  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
    BoundedModule,
    BoundedTensor,
    PerturbationLpNorm,
)

# The same for a method of torch.nn.Module that has an argument more by now.
_members = BoundedModule._named_members
BoundedModule._named_members = lambda self, get, prefix="", recurse=True, **_: _members(
    self, get, prefix, recurse
)


class Between(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """A layer of functions, its constants those of linear maps, which it reads: its reading of
    slices, sums, maxima and clips is of an older ONNX."""

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        self.name, eye = name, np.eye(width)
        half = width // 2
        self.first, self.second = _linear(eye[:, :half]), _linear(eye[:, half:])
        self.apart = _linear(eye[:, :half] - eye[:, half:])
        self.up, self.down, self.total = (
            _linear(eye, 1.0), _linear(eye, -1.0), _linear(np.ones((width, width)))
        )  # fmt: skip

    def forward(self, h: Any) -> Any:
        """(batch, width) -> (batch, width or half of it)."""
        if self.name == "maximum":
            return self.second(h) + torch.relu(self.apart(h))
        if self.name == "product":
            return self.first(h) * self.second(h)
        if self.name == "exponential":
            return torch.exp(0.3 * h)
        if self.name == "hard_tanh":
            return self.down(torch.relu(self.up(h))) - torch.relu(self.down(h))
        if self.name == "softmax":
            e = torch.exp(h)
            return e / self.total(e)
        return getattr(torch, self.name)(h)


def _linear(matrix: Any, shift: float = 0.0) -> Any:
    layer = torch.nn.Linear(*matrix.shape).double()
    layer.weight.data = torch.tensor(matrix.T.copy())
    layer.bias.data = torch.tensor(np.full(matrix.shape[1], shift))
    return layer


METHODS = {"crown": "CROWN", "alpha": "CROWN-Optimized"}


class Error(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """f(x) - x."""

    def __init__(self, layers: list[tuple[Any, Any]], activation: str) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for kernel, bias in layers:
            layer = torch.nn.Linear(*kernel.shape).double()
            layer.weight.data, layer.bias.data = torch.tensor(kernel.T), torch.tensor(bias)
            self.layers.append(layer)
        self.between = torch.nn.ModuleList(
            Between(activation, kernel.shape[1]) for kernel, _ in layers[:-1]
        )

    def forward(self, x: Any) -> Any:
        """(batch, d) -> (batch, d)."""
        h = x
        for layer, between in zip(self.layers[:-1], self.between, strict=True):
            h = between(layer(h))
        return self.layers[-1](h) - x


def _bounded(
    layers: list[tuple[Any, Any]], activation: str, low: Any, high: Any, method: str, options: Any
) -> dict[str, Any]:
    """(low, high) of every output, and the seconds of a second call."""
    error = Error(layers, activation)
    model = BoundedModule(error, torch.zeros_like(low), bound_opts=options)
    norm = PerturbationLpNorm(norm=np.inf, x_L=low, x_U=high)
    x = BoundedTensor((low + high) / 2, norm)
    found, seconds = None, 0.0
    for _ in range(2):
        start = time.perf_counter()
        found = model.compute_bounds(x=(x,), method=method)
        seconds = time.perf_counter() - start
    assert found is not None
    ends = [end.detach().numpy().ravel().tolist() for end in found]
    return {"low": ends[0], "high": ends[1], "seconds": seconds}


def main() -> None:
    """Bound every case."""
    folder = Path(sys.argv[1])
    request = json.loads((folder / "cases.json").read_text())
    rows = []
    for case in request["cases"]:
        arrays = np.load(folder / case["file"])
        layers = [(arrays[f"kernel{i}"], arrays[f"bias{i}"]) for i in range(case["depth"])]
        low, high = (torch.tensor(arrays[name])[None] for name in ("low", "high"))
        row: dict[str, Any] = {"name": case["name"]}
        for name, method in METHODS.items():
            # Its sparse forms save memory and fail here.
            options: dict[str, Any] = {"sparse_features_alpha": False, "sparse_spec_alpha": False}
            options |= {"sparse_intermediate_bounds": False}
            options |= {"optimize_bound_args": {"iteration": request["steps"]}}
            try:
                row[name] = _bounded(layers, case["activation"], low, high, method, options)
            except (KeyError, ValueError, RuntimeError, AttributeError, AssertionError,
                    NotImplementedError, IndexError, TypeError) as failed:  # fmt: skip
                # It was written for another torch: not every layer is read.
                row[name] = {"failed": f"{type(failed).__name__}: {failed}"[:80]}
        rows.append(row)
    versions = {name: metadata.version(name) for name in ("torch", "auto_LiRPA")}
    (folder / "bounds.json").write_text(json.dumps({"rows": rows, "versions": versions}))


if __name__ == "__main__":
    main()
