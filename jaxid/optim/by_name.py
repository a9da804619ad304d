"""Optax chains by name, with Keras' defaults and the place of eps stated."""

from __future__ import annotations

from typing import Literal, TypeAlias

import optax

OptimizerName: TypeAlias = Literal["rmsprop", "adam", "sgd"]
ScheduleName: TypeAlias = Literal["constant", "linear", "cosine"]


def make_schedule(
    name: ScheduleName, learning_rate: float, steps: int, warmup_steps: int = 0
) -> optax.ScalarOrSchedule:
    """The learning rate as a function of the step.

    constant: eta. linear: eta (1 - t / T). cosine: eta (1 + cos(pi t / T)) / 2. Both reach 0
    at T = ``steps`` and start after a linear warm-up of ``warmup_steps``.
    """
    if name == "constant" and warmup_steps == 0:
        return learning_rate
    rest = max(steps - warmup_steps, 1)
    body: optax.Schedule
    if name == "constant":
        body = optax.constant_schedule(learning_rate)
    elif name == "linear":
        body = optax.linear_schedule(learning_rate, 0.0, rest)
    else:
        body = optax.cosine_decay_schedule(learning_rate, rest)
    if warmup_steps == 0:
        return body
    warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    return optax.join_schedules([warmup, body], [warmup_steps])


def make_optimizer(
    name: OptimizerName,
    learning_rate: optax.ScalarOrSchedule,
    *,
    rho: float = 0.9,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-7,
    eps_in_sqrt: bool = False,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """The optimizer of that name.

    Args:
      name: "rmsprop" (Tieleman and Hinton 2012): v <- rho v + (1 - rho) g^2 from v = 0,
        step eta g / (sqrt(v) + eps), or eta g / sqrt(v + eps) with ``eps_in_sqrt``;
        "adam" (Kingma and Ba 2015), bias-corrected, eps outside the root unless
        ``eps_in_sqrt``; "sgd", with heavy-ball or Nesterov momentum.
      learning_rate: eta, a number or a schedule.
      rho: RMSprop's decay of the second moment; Keras' default 0.9.
      beta1, beta2: Adam's decays.
      eps: Keras' default 1e-7. Keras 2.2 adds it outside the root, Keras 3 inside;
        `optax.rmsprop` puts it inside unless told otherwise.
      eps_in_sqrt: the place of eps.
      momentum: of rmsprop and sgd; 0 is none.
      nesterov: Nesterov's form of the momentum.
    """
    if name == "rmsprop":
        return optax.rmsprop(
            learning_rate,
            decay=rho,
            eps=eps,
            eps_in_sqrt=eps_in_sqrt,
            momentum=momentum or None,
            nesterov=nesterov,
        )
    if name == "adam":
        outside, inside = (0.0, eps) if eps_in_sqrt else (eps, 0.0)
        return optax.adam(
            learning_rate, beta1, beta2, eps=outside, eps_root=inside, nesterov=nesterov
        )
    return optax.sgd(learning_rate, momentum=momentum or None, nesterov=nesterov)
