"""What a command looks at that is not the identity problem of its flags: a folder of ``jaxid
train``, a file of one's own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from jaxid.errors import InputError
from jaxid.experiment import IdentitySpec

OWN_FLAGS = {"seeds", "first_seed", "layout", "precision"}
"""Fields of the spec that count for a Problem of one's own too."""


def spec_of_checkpoint(folder: Path, mnist_dir: Path | None) -> IdentitySpec:
    """The spec that a folder of ``jaxid train`` was trained with, ``mnist_dir`` being this
    machine's.

    Raises:
      InputError: if the folder is none.
    """
    try:
        saved = json.loads((folder / "run.json").read_text(encoding="utf-8"))["problem"]
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"--checkpoint {folder} holds no run.json of jaxid train; name its --out folder"
        ) from None
    known = {f.name for f in dataclasses.fields(IdentitySpec)}
    fields = {name: value for name, value in saved.items() if name in known}
    if fields.get("degrees_of_freedom") is None:
        fields["degrees_of_freedom"] = float("inf")
    return IdentitySpec(**(fields | {"mnist_dir": mnist_dir}))


def refuse_flags(options: IdentitySpec, allowed: set[str], owner: str) -> None:
    """Flags of the identity problem that would do nothing.

    Args:
      options: as parsed.
      allowed: fields that count all the same.
      owner: what brings its own, for the message.

    Raises:
      InputError: naming the first one.
    """
    for field in dataclasses.fields(IdentitySpec):
        default = type(options).__dataclass_fields__[field.name].default
        if field.name not in allowed and getattr(options, field.name) != default:
            flag = field.name.replace("_", "-")
            raise InputError(f"--{flag} is of the identity problem, and {owner} brings its own")
