"""Flags that make no sense, alone or together."""

from __future__ import annotations

import pytest

IDENTITY = [
    ("--depth 0", "--depth is 0"),
    ("--depth -1", "--depth is -1"),
    ("--depth two", "give a whole number"),
    ("--depth 1.5", "give a whole number"),
    ("--width 0", "--width is 0"),
    ("--width 5", "one layer has no hidden units"),
    ("--seeds 0", "--seeds is 0"),
    ("--seeds 100000000000000000000", "below 4,294,967,296"),
    ("--first-seed -1", "--first-seed is -1"),
    ("--first-seed 100000000000000000000", "below 4,294,967,296"),
    ("--seeds 1000000000", "seeds need"),
    ("--batch-size 0", "--batch-size is 0"),
    ("--batch-size 2.5", "give a whole number"),
    ("--epochs 0", "--epochs is 0"),
    ("--epochs nan", "give a whole number"),
    ("--epochs inf", "give a whole number"),
    ("--epochs 100000000000000", "steps are counted"),
    ("--learning-rate nan", "--learning-rate is nan"),
    ("--learning-rate 0", "--learning-rate is 0"),
    ("--learning-rate inf", "--learning-rate is inf"),
    ("--momentum 1", "--momentum is 1"),
    ("--momentum nan", "--momentum is nan"),
    ("--rho -0.1", "--rho is -0.1"),
    ("--beta2 2", "--beta2 is 2"),
    ("--eps -1", "--eps is -1"),
    ("--warmup-steps -1", "--warmup-steps is -1"),
    ("--warmup-steps 1000000000000000000000000000000", "steps are counted to"),
    ("--optimizer lion", "lion"),
    ("--activation swash", "swash"),
    ("--initializer ones", "ones"),
    ("--scaling big", "big"),
    ("--precision half", "half"),
    ("--layout both", "both"),
    ("--data cifar", "cifar"),
    ("--data", "--data"),
    ("--kappa 10 --data digits", "--kappa is for --data gaussian"),
    ("--kappa 0.5", "--kappa is 0.5"),
    ("--kappa nan", "--kappa is nan"),
    ("--mean inf", "--mean is inf"),
    ("--degrees-of-freedom 2", "--degrees-of-freedom is 2"),
    ("--features 0", "--features is 0"),
    ("--features 10000000 --examples 10000000", "are free"),
    ("--examples 1000000000000", "are free"),
    ("--mnist-dir nowhere", "--mnist-dir is for --data mnist"),
    ("--mnist-dir nowhere --data mnist", "does not exist"),
    ("--no-such-flag", "--no-such-flag"),
    ("--dept 3", "did you mean --depth"),
    ("and more", "and"),
    ("--out=", "--out"),
]
OWN = [
    ("spectrum", "--probes -1", "--probes is -1"),
    ("spectrum", "--trace-probes 1", "--trace-probes is 1"),
    ("spectrum", "--top 0", "--top is 0"),
    ("spectrum", "--top 1000000000", "the network has 20 parameters"),
    ("spectrum", "--bottom 1000000000", "the network has 20 parameters"),
    ("spectrum", "--top 90000 --width 10000 --depth 2", "ask for fewer"),
    ("spectrum", "--bottom 0", "--bottom is 0"),
    ("spectrum", "--restarts 0", "--restarts is 0"),
    ("spectrum", "--steps 1", "--steps is 1"),
    ("spectrum", "--tolerance 0", "--tolerance is 0"),
    ("spectrum", "--tolerance nan", "--tolerance is nan"),
    ("spectrum", "--exact-order -1", "--exact-order is -1"),
    ("spectrum", "--use-examples 0", "--use-examples is 0"),
    ("spectrum", "--memory-gib 0", "--memory-gib is 0"),
    ("spectrum", "--memory-gib nan", "--memory-gib is nan"),
    ("spectrum", "--memory-gib inf", "--memory-gib is inf"),
    ("spectrum", "--memory-gib 1e308", "--memory-gib is 1e+308"),
    ("spectrum", "--steps 1000000000000", "is the most"),
    ("spectrum", "--trace-probes 100000000000000000000", "is the most"),
    ("spectrum", "--along --looks 1000000000000", "is the most"),
    ("spectrum", "--along --looks 1", "--looks is 1"),
    ("spectrum", "--along --share nan", "--share is nan"),
    ("spectrum", "--along --checkpoint nowhere", "give one of them"),
    ("predict", "--share -1", "--share is -1"),
    ("predict", "--share 0.1", "--share is of one linear layer"),
    ("predict", "--loss 0", "positive numbers"),
    ("predict", "--loss nan", "positive numbers"),
    ("predict", "--checkpoint nowhere", "is trained already"),
    ("certify", "--restarts 0", "--restarts is 0"),
    ("certify", "--steps 0", "--steps is 0"),
    ("certify", "--balls -1", "--balls is -1"),
    ("certify", "--box 1 0", "the lower first"),
    ("certify", "--box 1", "--box needs 2 numbers"),
    ("certify", "--box nan 1", "--box is nan"),
    ("certify", "--radius 0", "--radius is 0"),
    ("certify", "--radius nan", "--radius is nan"),
    ("certify", "--method best", "best"),
    ("certify", "--target nowhere.py:f", "there is no file nowhere.py"),
    ("explain", "--spectrum-seeds -1", "--spectrum-seeds is -1"),
    ("explain", "--trials all", "all"),
    ("data", "--mnist-dir nowhere --prepare", "does not exist"),
    ("data", "--depth 3", "--depth"),
    ("", "", "no command"),
    ("diagnos", "", "no command 'diagnos'"),
]
MADE = ["--data", "gaussian", "--features", "4", "--examples", "40", "--epochs", "2"]


def argv(flags, base):
    """The words, without those of the base that they give anew."""
    own = flags.split()
    if "--data" in own:
        base = ["--epochs", "2"]
    kept = [w for k in range(0, len(base), 2) if base[k] not in own for w in base[k : k + 2]]
    return [*kept, *own]


@pytest.mark.parametrize("flags, words", IDENTITY)
@pytest.mark.parametrize("command", ["train", "explain"])
def test_flags_of_the_identity_problem(refused, command, flags, words):
    if command == "explain" and "need" in words:
        # Its time is estimated for each seed.
        pytest.skip("checked by train")
    refused([command, *argv(flags, MADE)], words)


@pytest.mark.parametrize("command, flags, words", OWN)
def test_flags_of_one_command(refused, command, flags, words):
    base = MADE if command not in ("data", "diagnos", "") else []
    refused([*command.split(), *argv(flags, base)], words)


def test_a_checkpoint_that_is_nowhere(refused):
    refused(["spectrum", "--checkpoint", "nowhere"], "is no folder")


@pytest.mark.parametrize("flag", ["--out", "--data", "--mnist-dir", "--depth"])
def test_flags_without_a_value(refused, flag):
    refused(["train", flag, ""], f"{flag} is empty")


@pytest.mark.parametrize("flag", ["--depth 2", "--data gaussian", "--optimizer sgd"])
def test_a_file_brings_what_the_identity_problem_s_flags_say(refused_file, flag):
    refused_file("problem = P()", "brings its own", command=("spectrum", *flag.split()))


def test_seeds_of_one_s_own_that_do_not_fit(refused_file):
    refused_file("problem = P()", "seeds need", command=("predict", "--seeds", "4000000000"))
