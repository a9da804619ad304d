"""Flags: one for every field of the spec, and one line for every mistake."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from jaxid.cli.parsing import parse, spec_of
from jaxid.core.errors import InputError
from jaxid.identity.spec import GAUSSIAN, IdentitySpec

FIELDS = {field.name: field.default for field in dataclasses.fields(IdentitySpec)}
HINTS = get_type_hints(IdentitySpec)
# A value other than the default, as it is typed and as it arrives, for fields whose type
# does not name its values.
TYPED = {
    "mnist_dir": ("some/folder", Path("some/folder")),
    "depth": ("4", 4),
    "width": ("33", 33),
    "learning_rate": ("0.5", 0.5),
    "warmup_steps": ("12", 12),
    "rho": ("0.99", 0.99),
    "beta1": ("0.5", 0.5),
    "beta2": ("0.9", 0.9),
    "eps": ("1e-3", 1e-3),
    "momentum": ("0.25", 0.25),
    "batch_size": ("64", 64),
    "epochs": ("3", 3),
    "seeds": ("2", 2),
    "first_seed": ("5", 5),
    "features": ("8", 8),
    "examples": ("100", 100),
    "kappa": ("1e6", 1e6),
    "mean": ("-1.5", -1.5),
    "degrees_of_freedom": ("5", 5.0),
}


def read(*argv: str) -> IdentitySpec:
    return parse(IdentitySpec, argv, "jaxid explain", "")


def choices(hint: Any) -> list[str]:
    """The values of every Literal inside a type."""
    inner = [value for part in get_args(hint) if get_origin(part) for value in choices(part)]
    return inner or [value for value in get_args(hint) if isinstance(value, str)]


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def test_no_flags_give_the_defaults():
    assert read() == IdentitySpec()


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_flag(name):
    default = FIELDS[name]
    if HINTS[name] is bool:
        argv, value = [("--no-" if default else "--") + name.replace("_", "-")], not default
    elif name in TYPED:
        argv, value = [flag(name), TYPED[name][0]], TYPED[name][1]
    else:
        value = next(choice for choice in choices(HINTS[name]) if choice != default)
        argv = [flag(name), value]
    base = IdentitySpec()
    if name in GAUSSIAN:
        argv, base = ["--data", "gaussian", *argv], IdentitySpec(data="gaussian")
    assert read(*argv) == dataclasses.replace(base, **{name: value})


@pytest.mark.parametrize("name", [name for name in FIELDS if choices(HINTS[name])])
def test_every_choice_of_a_name_can_be_typed(name):
    for choice in choices(HINTS[name]):
        assert getattr(read(flag(name), choice), name) == choice


@pytest.mark.parametrize(
    "argv, says",
    [
        (["--depht", "2"], "did you mean --depth?"),
        (["--depth", "two"], "--depth is 'two'; give a whole number"),
        (["--depth", "1.5"], "--depth is '1.5'; give a whole number"),
        (["--depth"], "--depth"),
        (["--data", "imagenet"], "imagenet"),
        (["--output-activation", "swoosh"], "--output-activation"),
        (["--learning-rate", "fast"], "--learning-rate is 'fast'; give a number"),
        (["--learning-rate", "-1"], "--learning-rate is -1"),
        (["--width", "wide"], "--width is 'wide'; give a whole number"),
        (["--seeds", "0"], "--seeds is 0"),
        (["something"], "something"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(argv, says, capsys):
    with pytest.raises(InputError) as refused:
        read(*argv)
    message = str(refused.value)
    assert says in message
    assert "\n" not in message and not set(message) & set("│╭╮╰╯─")
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""


def test_help_lists_every_flag_and_stops_with_zero(capsys):
    with pytest.raises(SystemExit) as stop:
        read("--help")
    assert stop.value.code in (0, None)
    shown = capsys.readouterr().out
    for name in FIELDS:
        assert flag(name) in shown, name
    # Optional fields are shown without the None that they admit, inside the same frame.
    assert "{None" not in shown
    assert len({len(line) for line in shown.splitlines() if line.startswith("│")}) == 1


def test_the_spec_inside_longer_options_is_found_again():
    @dataclasses.dataclass(frozen=True)
    class Longer(IdentitySpec):
        out: str = "runs"

    options = parse(Longer, ["--depth", "3", "--out", "here"], "jaxid", "")
    assert options.out == "here"
    assert spec_of(IdentitySpec, options) == IdentitySpec(depth=3)
