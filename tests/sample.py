"""A made-up diagnosis, shaped like a real one on 4x4 images; no training needed.

Numbers are drawn or arbitrary, but consistent where a reader would check: the budget's items
sum to its total, null reasons to the null dimension.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

SIDE, SEEDS, EPOCHS = 4, 3, 60
PIXELS = SIDE * SIDE
Record = dict[str, Any]
Arrays = dict[str, np.ndarray]


def estimate(value: float | None, error: float | None = 1e-12, converged: bool = True) -> Record:
    return {"value": value, "error": error, "converged": converged, "method": "exact, float64"}


def mean(value: float, sem: float | None = 0.1) -> Record:
    return {"mean": value, "sem": sem}


def summary(values: np.ndarray) -> Record:
    return {
        "mean": float(values.mean()),
        "sem": float(values.std(ddof=1) / np.sqrt(values.size)),
        "per_seed": values.tolist(),
        "interval95": [float(values.min()), float(values.max())],
    }


def trial(name: str, group: str, ratio: float | None, verdict: str, **more: Any) -> Record:
    record = {
        "name": name,
        "change": f"something relu -> {name}",
        "group": group,
        "suspect": "ReLU output",
        "predicted": None,
        "before": 1.0,
        "after": ratio,
        "seeds": 3,
        "epochs": 60,
        "reference_epochs": 60,
        "note": "",
        "ratio": ratio,
        "log_ratio": None if ratio is None else float(np.log(ratio)),
        "ci95": None if ratio is None else [ratio * 0.8, ratio * 1.25],
        "verdict": verdict,
        "seeds_to_decide": 9 if verdict == "uncertain" else None,
    }
    return record | more


def conditioning(seed: int, null: dict[str, int]) -> Record:
    return {
        "operator": "last_layer_hessian",
        "seed": seed,
        "lambda_max": estimate(12.5),
        "lambda_min_nonzero": estimate(3.1e-6),
        "kappa": estimate(4.03e6),
        "effective_kappa": estimate(5.2e3),
        "null_dim": sum(null.values()),
        "null_reasons": null,
        "threshold": 4e-14,
        "negative": 0,
    }


def item(cause: str, loss: float, explained: float, total: float, parts: dict) -> Record:
    return {
        "cause": cause,
        "loss": loss,
        "explained": explained,
        "sem": 0.02,
        "explained_sem": 0.02,
        "share": loss / total,
        "parts": [{"name": name, "loss": value} for name, value in parts.items()],
        "how": f"how {cause} was measured",
    }


def record() -> Record:
    """Everything there is."""
    draw = np.random.default_rng(0)
    total = 1.0
    locked = {"dead_outputs": 0.88, "switched_off_examples": 0.02}
    noise = {"coherent": 0.03, "incoherent": 0.01}
    return {
        "schema": 1,
        "problem": {
            "data": "digits",
            "depth": 1,
            "width": PIXELS,
            "activation": "relu",
            "output_activation": "relu",
            "initializer": "glorot_uniform",
            "scaling": "raw",
            "input_scaling": None,
            "optimizer": "rmsprop",
            "learning_rate": 1e-3,
            "schedule": "constant",
            "batch_size": 32,
            "epochs": EPOCHS,
            "seeds": SEEDS,
            "examples": 200,
            "degrees_of_freedom": float("inf"),
            "use_bias": True,
            "residual": False,
            "layout_used": "sequential",
            "mnist_dir": None,
        },
        "predicted_seconds": 12.0,
        "provenance": {
            "git": "0123456789ab",
            "argv": ["jaxid", "explain"],
            "versions": {"jaxid": "0.1.0", "jax": "0.10.2", "python": "3.11.2"},
            "device": "cpu: cpu, 2 cores",
            "dtype": "float32 training, float64 curvature",
            "seeds": [0, 1, 2],
            "started": "2025-01-01T00:00:00+00:00",
            "seconds": 11.5,
            "layout": "sequential",
            "trials": "short",
        },
        "final": {
            name: summary(draw.normal(1.0, 0.1, SEEDS))
            for name in (
                "train_loss",
                "train_loss_end",
                "original_train_loss_end",
                "test_loss",
                "test_mape",
                "original_test_loss",
                "generalisation_gap",
            )
        },
        "non_finite": [],
        "certificate": {
            "region": "every feature from 0 to 16",
            "seed": 0,
            "lower": estimate(12.5),
            "upper": estimate(31.0),
            "method": "crown",
            "rounding": "in float64, widened",
        },
        "mape": {
            "total": 4.2e8,
            "share_zero_targets": 0.9999999,
            "without_zero_targets": 21.4,
            "zero_share_of_targets": 0.49,
            "floor": 1e-7,
        },
        "dead": {
            "layers": [
                {
                    "layer": 1,
                    "units": PIXELS,
                    "activation": "relu",
                    "dead_start": mean(0.0),
                    "dead_end": mean(6.3),
                    "revivals": mean(0.3),
                }
            ],
            "outputs": PIXELS,
            "outputs_dead": mean(6.3),
            "outputs_dead_varying": mean(4.3),
            "outputs_dead_constant": mean(2.0),
            "constant_targets": 2,
            "loss_varying": mean(0.88),
            "loss_constant": mean(0.0),
            "share_of_loss": 0.88,
            "share_sem": 0.01,
            "revivals": mean(0.3),
            "stops_gradient": True,
            "death": {"count": 13, "median_step": 11.0, "in_first_epoch": 0.8},
            "how": "pre-activation <= 0 on all training examples",
        },
        "representation": {
            "verdict": "exact",
            "lower": estimate(0.0),
            "upper": estimate(0.0),
            "witness": "the identity matrix and zero biases",
            "parts": [],
            "how": "the targets are not negative, so ReLU leaves the identity as it is",
        },
        "well_posed": {
            "exists": {"answer": "yes", "text": "The identity matrix gives every image back."},
            "unique": {
                "answer": "no",
                "text": "2 inputs never vary, so 48 directions are free.",
                "null_dim": 48,
                "two_solutions": {"largest_difference": 3.0},
            },
            "continuous": {
                "answer": "no",
                "text": "One grey level moves the weights by 570.",
                "largest_change": 570.0,
            },
        },
        "moments": [
            {
                "name": name,
                "lambda_max": estimate(2500.0),
                "lambda_min_nonzero": estimate(4e-4),
                "kappa": estimate(kappa),
                "rank": 14,
                "null_dim": 3,
                "trace": 3000.0,
                "threshold": 1e-12,
            }
            for name, kappa in (
                ("[x, 1]", 6.07e6),
                ("covariance", 9.1e5),
                ("standardized covariance", 310.0),
            )
        ],
        "conditioning": {
            "at_init": conditioning(
                0, {"dead_unit": 0, "constant_input": 32, "collinear_input": 16, "rarely_active": 0}
            ),
            "at_end": conditioning(
                0,
                {"dead_unit": 102, "constant_input": 20, "collinear_input": 10, "rarely_active": 4},
            ),
        },
        "budget": {
            "total": mean(total, 0.05) | {"seeds": SEEDS},
            "items": [
                item("representation", 0.0, 0.0, total, {}),
                item("locked", 0.91, 0.90, total, locked),
                item("slow_modes", 0.04, 0.045, total, {}),
                item("optimizer_noise", 0.05, 0.04, total, noise),
            ],
            "unexplained": {"loss": 0.015, "sem": 0.004, "share": 0.015},
            "annealing_uncertainty": {"change": 0.003, "sem": 0.001, "seeds": 3, "how": "twice"},
            "solver": {
                "seeds": 3,
                "converged": True,
                "predicted_decrease": 1e-6,
                "tolerance": 1e-3,
                "iterations": 9,
                "stalled_outputs": 0,
            },
            "one_at_a_time": [
                {
                    "cause": "locked",
                    "effect": 0.9,
                    "sem": 0.05,
                    "seeds": 3,
                    "how": "dead outputs made exact",
                }
            ],
            "order_note": "Another order would share them out differently.",
            "slow_modes_detail": None,
        },
        "points": [
            {
                "group": group,
                "outputs": count,
                "loss": 0.9,
                "loss_annealed": 0.88,
                "gradient_norm": 0.0,
                "predicted_decrease": 0.0,
                "least_eigenvalue": estimate(-1e-15),
                "flat_dim": 102,
                "flat_share": 1.0,
                "kinks": "The Hessian does not see the kinks of ReLU.",
                "kind": kind,
                "why": f"why it is a {kind}",
            }
            for group, count, kind in (("dead", 6.3, "plateau"), ("live", 9.7, "noise_ball"))
        ],
        "trials": [
            trial("linear output", "single", 0.9, "uncertain", predicted=0.09),
            trial("decaying rate", "single", 0.97, "nothing", ci95=[0.95, 0.99], predicted=0.95),
            trial("Adam", "single", 1.6, "harms"),
            trial("rate x 1000", "single", None, "non_finite", note="3 of 3 seeds blew up"),
            trial("linear output + decaying rate", "pair", 0.02, "helps", predicted=0.04),
            trial("random change 1", "control", 1.1, "uncertain"),
        ],
        "findings": [
            {
                "causes": ["locked", "optimizer_noise"],
                "verdict": "cause",
                "rank": 1,
                "share": 0.96,
                "interaction": {"value": -3.8, "ci95": [-4.0, -3.6]},
                "evidence": {
                    "alone": {"linear output": 0.9, "decaying rate": 0.97},
                    "why": "neither change alone lowers the loss; both together do",
                },
                "counterfactual": {
                    "change": "output relu -> linear, schedule constant -> linear",
                    "remedy": "linear output + decaying rate",
                    "before": 1.0,
                    "after": 0.02,
                    "ratio": 0.02,
                    "log_ratio": -3.9,
                    "ci95": [0.016, 0.025],
                    "seeds": 3,
                },
            },
            {
                "causes": ["initialisation"],
                "verdict": "not_a_cause",
                "rank": 2,
                "share": None,
                "interaction": None,
                "evidence": {},
                "counterfactual": {
                    "change": "initializer glorot -> he",
                    "remedy": "He",
                    "before": 1.0,
                    "after": 1.0,
                    "ratio": 1.0,
                    "log_ratio": 0.0,
                    "ci95": [0.95, 1.05],
                    "seeds": 3,
                },
            },
        ],
        "prescriptions": [],
        "verdict": [
            "The network can represent the identity exactly, but training never got there.",
            "91 % of the loss is locked in 4.3 dead outputs that no gradient reaches.",
            "A linear output with a decaying rate leaves 2 % of the loss.",
        ],
    }


def arrays() -> Arrays:
    """What lies behind every figure."""
    draw = np.random.default_rng(1)
    epoch = np.arange(1, EPOCHS + 1)
    curve = 1.0 + 30.0 * np.exp(-epoch / 4.0)
    noise = np.exp(draw.normal(0, 0.05, (2, SEEDS, EPOCHS)))
    step = np.array([0, 1, 2, 3, 5, 7, 14, 28, 70, 140, 420])
    dead = np.minimum(6, np.arange(step.size))[None, None, :] + np.zeros((SEEDS, 1, 1), int)
    kinds = np.zeros((2, PIXELS), bool)
    kinds[0, :6] = True
    kinds[1, :2] = True
    images = draw.integers(0, 17, (8, PIXELS)).astype(np.float32)
    spectrum = np.sort(10.0 ** draw.uniform(-6, 1, (PIXELS, PIXELS + 1)), axis=1)
    early, late = spectrum.copy(), spectrum.copy()
    early[:, :3] = 0.0
    late[:, :3] = 0.0
    late[:6] = 0.0
    share = 1.0 - np.logspace(0.0, -6.0, 61)
    eigenvalues = np.logspace(3, -4, 9)
    return {
        "loss/epoch": epoch,
        "loss/train": curve * noise[0],
        "loss/test": 1.1 * curve * noise[1],
        "floors/end": np.full(SEEDS, 1.0),
        "floors/annealed": np.full(SEEDS, 0.95),
        "floors/solved": np.full(SEEDS, 0.91),
        "floors/representation": np.asarray(0.0),
        "census/step": step,
        "census/epoch": step / 7.0,
        "census/dead": dead,
        "census/dead_varying": np.maximum(dead[:, 0] - 2, 0),
        "census/dead_loss": np.linspace(0.0, 0.88, step.size)[None] * np.ones((SEEDS, 1)),
        "census/loss": np.geomspace(80.0, 1.0, step.size)[None] * np.ones((SEEDS, 1)),
        "images/maximum": np.asarray(16),
        "images/input": images,
        "images/output": np.where(kinds[0], 0.0, images),
        "images/error": draw.random(PIXELS) * 5,
        "images/constant": kinds[1],
        "images/dead": kinds[0],
        "images/shape": np.asarray([SIDE, SIDE]),
        "spectrum/init": early,
        "spectrum/end": late,
        "spectrum/init_thresholds": np.full(len(early), 1e-13),
        "spectrum/end_thresholds": np.full(len(late), 1e-13),
        "effective/share": share,
        "effective/kappa": 1.0 + 4e6 * share**660,
        "posed/eigenvalues": eigenvalues,
        "posed/predicted": 1 / np.sqrt(eigenvalues),
        "posed/measured": 1.0001 / np.sqrt(eigenvalues),
        "solutions/input": images[:1],
        "solutions/a": images[:1],
        "solutions/b": images[:1] + np.eye(PIXELS, dtype=np.float32)[:1] * 9,
        "solutions/shape": np.asarray([SIDE, SIDE]),
    }


def minimal() -> tuple[Record, Arrays]:
    """Every seed blew up, nothing could be measured."""
    full = record()
    bare = {key: full[key] for key in ("schema", "problem", "predicted_seconds", "provenance")}
    nothing = {
        "mean": None,
        "sem": None,
        "per_seed": [None],
        "interval95": None,
        "reason": "no seed ended finite",
    }
    bare |= {
        "final": {"train_loss": nothing},
        "non_finite": [{"seed": 0, "step": 17}],
        "mape": None,
        "dead": None,
        "representation": None,
        "well_posed": None,
        "moments": [],
        "conditioning": {"at_init": None, "at_end": None},
        "budget": None,
        "budget_reason": "every seed went non-finite",
        "points": [],
        "trials": [],
        "findings": [],
        "prescriptions": [],
        "verdict": ["Training blew up.", "Nothing can be said.", "Lower the rate."],
    }
    return bare, {"loss/epoch": np.arange(1, 3), "loss/train": np.full((1, 2), np.nan)}


def one_seed() -> tuple[Record, Arrays]:
    """One seed, no remedies, no test set: no standard errors, no intervals."""
    found, pictures = record(), arrays()
    for value in found["final"].values():
        value |= {"sem": None, "interval95": None, "sem_reason": "one seed has no standard error"}
    for part in (
        found["budget"]["total"],
        found["budget"]["unexplained"],
        *found["budget"]["items"],
    ):
        part["sem"] = None
    found["budget"]["total"]["seeds"] = 1
    found |= {"trials": [], "findings": [], "mape": None}
    for name in list(pictures):
        if name.startswith(("loss/t", "census/dead", "census/loss", "floors/")):
            pictures[name] = pictures[name][:1] if pictures[name].ndim else pictures[name]
    del pictures["loss/test"]
    return found, pictures


def no_images() -> tuple[Record, Arrays]:
    """Made data: no pictures, a unique solution."""
    found, pictures = record(), arrays()
    pictures = {
        key: value
        for key, value in pictures.items()
        if not key.startswith(("images/", "solutions/")) or key == "images/input"
    }
    found["well_posed"]["unique"] = {
        "answer": "yes",
        "text": "Full rank.",
        "null_dim": 0,
        "two_solutions": None,
    }
    return found, pictures


def deep() -> tuple[Record, Arrays]:
    """Four layers; a condition number that is not known, one seed that blew up."""
    found, pictures = record(), arrays()
    found["problem"]["depth"] = 4
    found["non_finite"] = [{"seed": 2, "step": 400}]
    layer = found["dead"]["layers"][0]
    found["dead"]["layers"] = [layer | {"layer": i + 1} for i in range(4)]
    for when in ("at_init", "at_end"):
        at = found["conditioning"][when]
        at["kappa"] = {
            "value": None,
            "error": None,
            "converged": False,
            "method": "no gap at the threshold",
        }
        at |= {"null_reasons": None, "null_dim": None, "negative": 3}
    dead = pictures["census/dead"]
    pictures["census/dead"] = np.concatenate([dead // 2, dead // 3, dead // 4, dead], axis=1)
    pictures["loss/train"][2, 30:] = np.nan
    pictures["loss/test"][2, 30:] = np.nan
    return found, pictures


def cases() -> dict[str, tuple[Record, Arrays]]:
    """Every kind of record by name."""
    return {
        "full": (record(), arrays()),
        "minimal": minimal(),
        "one_seed": one_seed(),
        "no_images": no_images(),
        "deep": deep(),
        "empty": ({}, {}),
    }


def copied(found: Record) -> Record:
    return copy.deepcopy(found)
