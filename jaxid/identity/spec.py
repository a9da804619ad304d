"""From a spec to a Problem to a Run: the identity experiment with every choice a field.

Every field of `IdentitySpec` is a flag of the command line, and every remedy is a change of
its fields.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import psutil

from jaxid.core.errors import InputError
from jaxid.data.gaussian import GaussianSpec
from jaxid.data.scaling import fit
from jaxid.data.sources import Dataset, load
from jaxid.nets.activations import ActivationName
from jaxid.nets.init import InitializerName
from jaxid.nets.mlp import identity_network
from jaxid.optim.by_name import (
    OptimizerName,
    ScheduleName,
    make_optimizer,
    make_schedule,
)
from jaxid.problem.problem import Problem
from jaxid.training.layout import LayoutChoice, choose_layout
from jaxid.training.run import Runner

ScalingName: TypeAlias = Literal["raw", "unit", "centered", "standardized", "whitened"]
DataName: TypeAlias = Literal["digits", "mnist", "gaussian"]
SEEDS = 2**32
"""What a key is made of has 32 bits."""
GAUSSIAN = ("features", "examples", "kappa", "mean", "degrees_of_freedom")
"""Fields that only made data have."""


@dataclass(frozen=True)
class IdentitySpec:
    """The identity problem: learn f(x) = x.

    Defaults are the question's: one dense ReLU layer as wide as the data, raw pixels, MSE,
    RMSprop as Keras 2.2 had it.
    """

    data: DataName = "digits"
    """Data set: digits (8x8, built in), mnist (28x28) or gaussian (made)."""
    mnist_dir: Path | None = None
    """Folder with the four official MNIST files (else JAXID_MNIST_DIR, else the network)."""
    scaling: ScalingName = "raw"
    """Map of inputs and targets before training."""
    input_scaling: ScalingName | None = None
    """Map of the inputs alone; the targets then keep --scaling."""
    depth: int = 1
    """Number of dense layers."""
    width: int | None = None
    """Hidden width; the number of features if not given."""
    activation: ActivationName = "relu"
    """Hidden activation."""
    output_activation: ActivationName = "relu"
    """Activation of the last layer."""
    initializer: InitializerName = "glorot_uniform"
    """Initialiser of the kernels; biases start at 0."""
    use_bias: bool = True
    """Whether layers have biases."""
    residual: bool = False
    """Whether layers of equal width in and out add their input to their output."""
    optimizer: OptimizerName = "rmsprop"
    """Update rule."""
    learning_rate: float = 1e-3
    """Step size eta."""
    schedule: ScheduleName = "constant"
    """Course of the learning rate over the run."""
    warmup_steps: int = 0
    """Steps of linear warm-up."""
    rho: float = 0.9
    """RMSprop's decay of the second moment."""
    beta1: float = 0.9
    """Adam's decay of the first moment."""
    beta2: float = 0.999
    """Adam's decay of the second moment."""
    eps: float = 1e-7
    """Added to the root of the second moment (rmsprop, adam)."""
    eps_in_sqrt: bool = False
    """Add eps inside the root instead (Keras 3, optax.rmsprop's default)."""
    momentum: float = 0.0
    """Momentum of sgd and rmsprop."""
    nesterov: bool = False
    """Nesterov's form of the momentum."""
    batch_size: int | None = None
    """Examples per step; 32 for digits, 128 for mnist if not given."""
    epochs: int | None = None
    """Passes over the training set; 200 for digits, 20 for mnist if not given."""
    seeds: int = 10
    """Number of seeds."""
    first_seed: int = 0
    """Seeds are first_seed, first_seed + 1, ..."""
    layout: LayoutChoice = "auto"
    """Seeds one after another or vmapped, in one program; auto reads the committed table."""
    precision: Literal["highest", "high", "default"] = "highest"
    """Matmul precision on accelerators; highest is true float32."""
    features: int = 64
    """Gaussian data: number of features."""
    examples: int = 2000
    """Gaussian data: training examples."""
    kappa: float = 1e3
    """Gaussian data: condition number of the covariance."""
    mean: float = 0.0
    """Gaussian data: mean of every feature."""
    degrees_of_freedom: float = float("inf")
    """Gaussian data: tail weight, Student's nu > 2; inf is normal."""

    def __post_init__(self) -> None:
        if self.epochs is not None:
            _at_least("epochs", self.epochs, 1)
        if self.batch_size is not None:
            _at_least("batch-size", self.batch_size, 1)
        if self.width is not None:
            _at_least("width", self.width, 1)
        for name in ("depth", "seeds", "features", "examples"):
            _at_least(name, getattr(self, name), 1)
        _at_least("warmup-steps", self.warmup_steps, 0)
        if self.warmup_steps >= 2**31:
            raise InputError(f"--warmup-steps is {self.warmup_steps}; steps are counted to 2^31")
        _at_least("first-seed", self.first_seed, 0)
        if self.first_seed + self.seeds > SEEDS:
            raise InputError(
                f"--first-seed is {self.first_seed} and --seeds {self.seeds}; seeds are numbers "
                f"below {SEEDS:,}"
            )
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(
                f"--learning-rate is {self.learning_rate}; give a positive number, e.g. 1e-3"
            )
        if not 0 <= self.eps < float("inf"):
            raise InputError(f"--eps is {self.eps}; give a number of 0 or more, e.g. 1e-7")
        for name in ("rho", "beta1", "beta2", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"--{name} is {getattr(self, name)}; give a number from 0 to below 1"
                )
        if not self.degrees_of_freedom > 2:
            raise InputError(
                f"--degrees-of-freedom is {self.degrees_of_freedom}; the covariance exists only "
                "above 2"
            )
        if not 1 <= self.kappa < float("inf"):
            raise InputError(f"--kappa is {self.kappa}; a condition number is 1 or more")
        if not math.isfinite(self.mean):
            raise InputError(f"--mean is {self.mean}; give a finite number")
        if self.data != "gaussian":
            given = [n for n in GAUSSIAN if getattr(self, n) != getattr(IdentitySpec, n)]
            if given:
                raise InputError(
                    f"--{given[0].replace('_', '-')} is for --data gaussian; {self.data} is as "
                    "it is"
                )

    @property
    def seed_list(self) -> list[int]:
        """The seeds, in order."""
        return list(range(self.first_seed, self.first_seed + self.seeds))

    def resolved(self, dataset: Dataset) -> IdentitySpec:
        """The same with the data set's defaults filled in.

        A batch larger than the data is all of it.

        Raises:
          InputError: for a hidden width that a single layer does not have.
        """
        n, d = dataset.train.shape
        if self.depth == 1 and self.width not in (None, d):
            raise InputError(
                f"--width is {self.width}, but one layer has no hidden units: its outputs are "
                f"the {d} features; leave --width out or add --depth 2"
            )
        return dataclasses.replace(
            self,
            batch_size=min(n, self.batch_size or dataset.defaults["batch_size"]),
            epochs=self.epochs or dataset.defaults["epochs"],
            width=self.width or d,
        )

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values: paths without their folders' names, infinity as null."""
        values = dataclasses.asdict(self)
        values["mnist_dir"] = None if self.mnist_dir is None else self.mnist_dir.name
        if math.isinf(self.degrees_of_freedom):
            values["degrees_of_freedom"] = None
        return values


def load_data(spec: IdentitySpec, report: Any = None) -> Dataset:
    """The data set that a spec names.

    Raises:
      InputError: where it is not to be had, or made data would not fit in memory.
    """
    if spec.mnist_dir is not None and spec.data != "mnist":
        raise InputError(f"--mnist-dir is for --data mnist, and --data is {spec.data}")
    if spec.data == "gaussian":
        _check_made(spec)
    gaussian = GaussianSpec(
        features=spec.features,
        examples=spec.examples,
        kappa=spec.kappa,
        mean=spec.mean,
        degrees_of_freedom=spec.degrees_of_freedom,
    )
    return load(spec.data, mnist_dir=spec.mnist_dir, gaussian=gaussian, report=report)


def _check_made(spec: IdentitySpec) -> None:
    """Examples twice in float64, while they are drawn, and the rotation."""
    need = 8 * (2 * (spec.examples + 500) * spec.features + 3 * spec.features**2)
    available = psutil.virtual_memory().available
    if need > available:
        raise InputError(
            f"{spec.examples:,} examples of {spec.features:,} features take {need / 1e9:,.1f} GB "
            f"to make and {available / 1e9:.1f} GB are free; use fewer --examples or --features"
        )


def build_problem(spec: IdentitySpec, dataset: Dataset) -> Problem:
    """The Problem of a spec on its data.

    ``scaling`` maps inputs and targets by one map fitted on the training inputs;
    ``input_scaling``, where given, replaces it for the inputs.
    """
    spec = spec.resolved(dataset)
    assert spec.batch_size is not None and spec.epochs is not None
    steps = -(-dataset.train.shape[0] // spec.batch_size) * spec.epochs
    rate = make_schedule(spec.schedule, spec.learning_rate, steps, spec.warmup_steps)
    optimizer = make_optimizer(
        spec.optimizer,
        rate,
        rho=spec.rho,
        beta1=spec.beta1,
        beta2=spec.beta2,
        eps=spec.eps,
        eps_in_sqrt=spec.eps_in_sqrt,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
    )
    model = identity_network(
        dataset.train.shape[1],
        width=spec.width,
        depth=spec.depth,
        activation=spec.activation,
        output_activation=spec.output_activation,
        init=spec.initializer,
        use_bias=spec.use_bias,
        residual=spec.residual,
    )
    target_map = None if spec.scaling == "raw" else fit(spec.scaling, dataset.train)
    input_map = target_map
    if spec.input_scaling is not None:
        raw = spec.input_scaling == "raw"
        input_map = None if raw else fit(spec.input_scaling, dataset.train)
    return Problem(
        model=model,
        loss="mse",
        train=(dataset.train, None),
        test=(dataset.test, None),
        optimizer=optimizer,
        batch_size=spec.batch_size,
        epochs=spec.epochs,
        input_map=input_map,
        target_map=target_map,
    )


def build_runner(spec: IdentitySpec, problem: Problem) -> Runner:
    """The compiled programs of a spec's problem, in the spec's layout and precision."""
    width = spec.width or problem.train[0].shape[1]
    return Runner(problem, choose_layout(spec.layout, width), spec.precision)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"--{name} is {value}; it must be {least} or more")
