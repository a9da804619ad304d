"""The command line: what is wrong in one line, nothing overwritten; what is right in files."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import jaxid
from jaxid.certification.certified import Certification
from jaxid.cli import certify as certify_command
from jaxid.cli import data as data_command
from jaxid.cli import explain as explain_command
from jaxid.cli import main as cli
from jaxid.cli import predict as predict_command
from jaxid.cli import spectrum as spectrum_command
from jaxid.cli import train as train_command
from jaxid.core import lock
from jaxid.core.io import encode
from jaxid.data import idx, mnist, network
from jaxid.identity import explaining
from jaxid.identity.spec import IdentitySpec, build_problem, load_data
from jaxid.prediction.run import PredictedRun
from jaxid.report.verdict import verdict_sentences
from jaxid.spectra import point as looking
from jaxid.spectra.spectrum import Spectrum
from jaxid.training.checkpoint import load_state
from jaxid.training.run import Runner

OPTIONS = {
    "explain": explain_command.ExplainOptions,
    "spectrum": spectrum_command.SpectrumOptions,
    "certify": certify_command.CertifyOptions,
    "predict": predict_command.PredictOptions,
    "train": train_command.TrainOptions,
    "data": data_command.DataOptions,
}
TINY = ["--data", "gaussian", "--features", "4", "--examples", "40", "--epochs", "2",
        "--seeds", "2"]  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in an empty folder, without network or prepared data."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("JAXID_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("JAXID_MNIST_DIR", raising=False)
    monkeypatch.setattr(network, "reachable", lambda: False)


def files(folder):
    return {str(p.relative_to(folder)): p.is_file() and p.read_bytes() for p in folder.rglob("*")}


@pytest.fixture
def refused(capsys, tmp_path):
    """(argv, words) -> the one line of a refusal, after which every file is as it was."""

    def check(argv, *words):
        before = files(tmp_path)
        assert cli.main(argv) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("jaxid: "), err
        assert all(word in err for word in words), err
        assert files(tmp_path) == before
        return err

    return check


@pytest.mark.parametrize("command", ["explain", "train"])
@pytest.mark.parametrize(
    "flags, words",
    [
        (["--data", "cifar"], ["cifar", "digits", "mnist", "gaussian"]),
        (["--depth", "0"], ["--depth is 0"]),
        (["--learning-rate", "-1"], ["--learning-rate is -1"]),
        (["--depth", "two"], ["--depth is 'two'", "give a whole number"]),
        (["--seeds", "0"], ["--seeds is 0"]),
        (["--no-such-flag", "3"], ["--no-such-flag", "--help"]),
        (["--scaling"], ["--scaling"]),
        ([*TINY, "--seeds", "100000000"], ["100000000 seeds need", "GB", "--seeds"]),
    ],
    ids=lambda value: " ".join(value[-2:]) if value[0].startswith("--") else "",
)
def test_wrong_input_is_one_line_and_writes_nothing(refused, command, flags, words):
    refused([command, *flags], *words)


def test_no_command_and_unknown_commands_name_those_that_exist(refused):
    refused([], "explain, spectrum, predict, certify, train or data")
    refused(["explian"], "explian", "explain, spectrum, predict, certify, train or data")
    refused(["--depth", "3"], "--depth", "explain, spectrum, predict, certify, train or data")


def test_flags_of_explain_alone_are_checked_too(refused):
    refused(["explain", "--spectrum-seeds", "-1"], "--spectrum-seeds is -1")
    refused(["explain", "--trials", "some"], "some", "none", "short", "full")
    refused(["train", "--trials", "none"], "--trials")


@pytest.fixture
def corrupt(tmp_path):
    """Four files with the right names and none of the content."""
    folder = tmp_path / "four files"
    folder.mkdir()
    for name in idx.FILES:
        (folder / name).write_bytes(gzip.compress(b"not images"))
    return folder


@pytest.mark.parametrize("command", ["explain", "train"])
def test_a_named_mnist_folder_must_hold_the_files_even_where_a_cache_exists(
    refused, command, tmp_path, corrupt, monkeypatch
):
    cached = mnist.Images(np.zeros((9, 784), np.uint8), np.zeros((3, 784), np.uint8))
    monkeypatch.setattr(mnist, "cached", lambda: cached)
    empty = tmp_path / "empty"
    empty.mkdir()
    argv = [command, "--data", "mnist", "--mnist-dir"]
    refused([*argv, str(empty)], str(empty), "train-images-idx3-ubyte.gz")
    refused([*argv, str(tmp_path / "nowhere")], "nowhere")
    (corrupt / "t10k-labels-idx1-ubyte.gz").unlink()
    refused([*argv, str(corrupt)], "idx")


def test_a_corrupt_mnist_file_is_named(refused, corrupt, monkeypatch):
    refused(["train", "--data", "mnist", "--mnist-dir", str(corrupt)], "-ubyte.gz")
    monkeypatch.setenv("JAXID_MNIST_DIR", str(corrupt))
    refused(["data", "--prepare"], "-ubyte.gz")


def test_without_files_and_network_it_is_said_where_to_put_them(refused):
    refused(["train", "--data", "mnist"], "cannot be downloaded", "--mnist-dir")


@pytest.mark.parametrize("command", ["explain", "train"])
def test_out_must_be_a_folder_that_can_be_written(refused, command, tmp_path):
    file = tmp_path / "a file"
    file.write_text("mine")
    refused([command, *TINY, "--out", str(file)], "is a file")
    refused([command, *TINY, "--out", str(file / "below")], "can't be written")
    refused([command, *TINY, "--out", "x" * 300], "can't be written")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_out_in_a_read_only_folder_is_refused(refused, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused(["train", *TINY, "--out", str(locked / "new")], "can't be written")


def test_out_where_nothing_may_even_be_looked_at_is_refused(refused, monkeypatch, tmp_path):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lock.os, "open", denied)
    refused(["train", *TINY, "--out", str(tmp_path / "new")], "Permission denied", "--out")


@pytest.mark.parametrize("command", ["explain", "train"])
def test_a_folder_that_is_not_empty_needs_overwrite(refused, command, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("years of work")
    refused([command, *TINY, "--out", str(full)], "not empty", "--overwrite")


def dashed(name):
    return "--" + name.replace("_", "-")


@pytest.mark.parametrize("command", sorted(OPTIONS))
def test_help_names_every_fields_flag(command, capsys):
    assert cli.main([command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for field in dataclasses.fields(OPTIONS[command]):
        assert dashed(field.name) in out, field.name


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help_alone_lists_the_commands(flag, capsys):
    assert cli.main([flag]) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in OPTIONS)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == jaxid.__version__
    done = subprocess.run(
        [sys.executable, "-m", "jaxid", "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.strip() == jaxid.__version__


def test_a_wrong_command_of_the_module_exits_with_two():
    done = subprocess.run(
        [sys.executable, "-m", "jaxid", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""


def test_data_lists_three_data_sets_and_writes_nothing(capsys, tmp_path):
    assert cli.main(["data"]) == 0
    out = capsys.readouterr().out
    for name in ("digits", "mnist", "gaussian"):
        assert any(line.startswith(name) for line in out.splitlines()), name
    assert all(name in out for name in idx.FILES) and "JAXID_MNIST_DIR" in out
    assert not (tmp_path / "data").exists()


def test_train_writes_its_losses_and_states_that_load(capsys, tmp_path):
    out = tmp_path / "runs" / "one"
    assert cli.main(["train", *TINY, "--first-seed", "3", "--out", str(out)]) == 0
    record = json.loads((out / "run.json").read_text())
    assert [row["seed"] for row in record["seeds"]] == [3, 4]
    assert record["problem"]["features"] == 4 and record["provenance"]["seeds"] == [3, 4]
    for row in record["seeds"]:
        assert len(row["train_loss"]) == len(row["test_loss"]) == 2
        assert row["first_non_finite_step"] is None
    spec = IdentitySpec(data="gaussian", features=4, examples=40, epochs=2, seeds=2, first_seed=3)
    runner = Runner(build_problem(spec, load_data(spec)))
    state = load_state(out, runner.init(spec.seed_list))
    assert (np.asarray(state.step) == 2 * 2).all()
    loss = runner.evaluate(state).original_loss
    assert np.allclose(loss, [row["train_loss_end"] for row in record["seeds"]], rtol=1e-6)
    printed = capsys.readouterr().out
    assert "run.json" in printed and "2 seeds" in printed


def test_train_overwrites_only_when_told_to_and_says_where_it_blew_up(capsys, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text("an older run")
    blown = [*TINY, "--learning-rate", "1e38", "--optimizer", "sgd", "--out", str(out)]
    assert cli.main(["train", *blown, "--overwrite"]) == 0
    record = json.loads((out / "run.json").read_text())
    assert all(row["first_non_finite_step"] >= 1 for row in record["seeds"])
    assert all(row["train_loss_end"] is None for row in record["seeds"])
    assert "not finite from step" in capsys.readouterr().out


@pytest.mark.slow
def test_explain_of_one_seed_writes_its_report_data_and_figures(capsys, tmp_path):
    out = tmp_path / "report"
    argv = ["explain", *TINY, "--seeds", "1", "--trials", "none", "--out", str(out)]
    assert cli.main(argv) == 0
    assert {p.name for p in out.iterdir()} == {
        "report.html", "report.md", "diagnosis.json", "arrays.npz", "figures", "manifest.json",
    }  # fmt: skip
    record = json.loads((out / "diagnosis.json").read_text())
    assert record["schema"] == 1 and record["problem"]["features"] == 4
    assert {p.suffix for p in (out / "figures").iterdir()} >= {".svg"}
    printed, notes = capsys.readouterr()
    assert str(out / "report.html") in printed.replace("\n", "")
    back = jaxid.Diagnosis.load(out)
    assert verdict_sentences(back)[0][:40] in printed
    # The predicted time is said first.
    assert "about" in notes and "2 epochs" in notes
    assert encode(back.final)[0] == record["final"]
    # One seed has no standard errors, and the record says why.
    for entry in record["final"].values():
        assert entry["sem"] is None and entry["reason"] and entry["interval95"] is None
    assert record["budget"]["total"]["sem"] is None
    assert all(item["sem"] is None for item in record["budget"]["items"])


@pytest.mark.parametrize(
    "command, module", [("train", train_command), ("explain", explain_command)]
)
def test_an_interrupt_exits_with_130_and_one_line(command, module, monkeypatch, capsys, tmp_path):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "load_data", interrupt)
    assert cli.main([command, *TINY, "--out", str(tmp_path / "out")]) == 130
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "interrupted" in err
    assert not (tmp_path / "out").exists()


def test_an_interrupt_after_training_writes_what_is_finished(monkeypatch, capsys, tmp_path):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(explaining, "gather", interrupt)
    out = tmp_path / "out"
    assert cli.main(["explain", *TINY, "--trials", "none", "--out", str(out)]) == 130
    assert "interrupted (after training)" in capsys.readouterr().err
    assert jaxid.Diagnosis.load(out).final.train_loss.mean > 0
    assert (out / "report.html").exists()


def test_a_fault_of_jaxids_own_is_not_dressed_up_as_the_users(monkeypatch, tmp_path):
    def fault(*args, **kwargs):
        raise RuntimeError("a fault")

    monkeypatch.setattr(train_command, "load_data", fault)
    with pytest.raises(RuntimeError, match="a fault"):
        cli.main(["train", *TINY, "--out", str(tmp_path / "out")])


# One network for the spectra: they share their compiled programs.
LOOKED_AT = [*TINY, "--depth", "2", "--output-activation", "tanh"]
SMALL = ["--steps", "8", "--probes", "2", "--trace-probes", "4", "--top", "2", "--bottom", "1"]
MINE = """
import numpy as np, optax
from flax import linen
import jaxid

x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
problem = jaxid.Problem(model=linen.Dense(3), train=(x, None), optimizer=optax.adam(1e-2),
                        batch_size=10, epochs=2)
"""


def spectrum_record(folder):
    assert Spectrum.load(folder).points
    return json.loads((folder / "spectrum.json").read_text())


@pytest.mark.slow
def test_spectrum_from_initialisation_writes_json_arrays_and_figures(capsys, tmp_path):
    out = tmp_path / "out"
    argv = ["spectrum", *LOOKED_AT, *SMALL, "--out", str(out)]
    assert cli.main(argv) == 0
    record = spectrum_record(out)
    assert [p["name"] for p in record["points"]] == ["init"] and record["along"] is None
    assert record["problem"]["depth"] == 2 and record["provenance"]["seeds"] == [0, 1]
    figures = {path.stem for path in (out / "figures").iterdir()}
    assert {"density", "layer_spectra", "optimizer_limit"} <= figures
    printed = capsys.readouterr().out
    assert "At the start: loss" in printed and "Gauss-Newton part" in printed


def test_spectrum_without_density_probes_gives_all_the_rest(tmp_path):
    out = tmp_path / "out"
    argv = ["spectrum", *TINY, *SMALL, "--probes", "0", "--no-layers", "--out", str(out)]
    assert cli.main(argv) == 0
    hessian = spectrum_record(out)["points"][0]["matrices"][0]
    assert hessian["density"] is None and hessian["lambda_max"]["value"] > 0
    assert not (out / "figures" / "density.png").exists()


@pytest.mark.slow
def test_spectrum_of_a_checkpoint_has_its_settings(tmp_path):
    trained, out = tmp_path / "trained", tmp_path / "out"
    assert cli.main(["train", *LOOKED_AT, "--out", str(trained)]) == 0
    assert cli.main(["spectrum", "--checkpoint", str(trained), *SMALL, "--out", str(out)]) == 0
    record = spectrum_record(out)
    assert record["problem"]["output_activation"] == "tanh"
    point = record["points"][0]
    assert point["name"] == "checkpoint" and point["step"] == 4
    end = json.loads((trained / "run.json").read_text())["seeds"][0]["train_loss_end"]
    assert np.isclose(point["loss"], end, rtol=1e-5)


@pytest.mark.slow
def test_spectrum_of_a_problem_of_one_s_own_along_training(tmp_path, capsys):
    file, out = tmp_path / "mine.py", tmp_path / "out"
    file.write_text(MINE)
    argv = ["spectrum", f"{file}:problem", *SMALL, "--seeds", "2", "--along", "--looks", "3"]
    assert cli.main([*argv, "--out", str(out)]) == 0
    record = spectrum_record(out)
    assert record["problem"] == {"file": "mine.py:problem"}
    assert [p["name"] for p in record["points"]] == ["init", "end"]
    assert record["points"][1]["parameters"] == 12
    assert [p["epoch"] for p in record["along"]["points"]] == [0, 1, 2]
    assert len(record["along"]["points"][0]["seeds"]) == 2
    assert (out / "figures" / "along_training.png").is_file()
    assert "Along training" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupt_keeps_the_matrices_that_were_finished(tmp_path, monkeypatch, capsys):
    out, made = tmp_path / "out", []
    survey = looking.survey

    def counted(name, *args, **options):
        if made:
            raise KeyboardInterrupt
        made.append(name)
        return survey(name, *args, **options)

    monkeypatch.setattr(looking, "survey", counted)
    assert cli.main(["spectrum", *LOOKED_AT, *SMALL, "--out", str(out)]) == 130
    record = spectrum_record(out)
    assert [m["name"] for m in record["points"][0]["matrices"]] == ["hessian"]
    stopped = record["interrupted"]
    assert (stopped["during"], stopped["point"], stopped["matrix"]) == (
        "curvature", "init", "gauss_newton",
    )  # fmt: skip
    printed = capsys.readouterr()
    assert "interrupted (curvature at init, gauss_newton)" in printed.err
    assert "Hessian" in printed.out and "what was finished is written" in printed.err
    assert "40 parameters, 40 examples: about" in printed.err
    assert cli.main(["spectrum", *LOOKED_AT, *SMALL, "--out", str(tmp_path / "none")]) == 130
    assert not (tmp_path / "none").exists()


def test_spectrum_refuses_what_cannot_be(refused, tmp_path):
    refused(["spectrum", "nowhere.py:p"], "there is no file")
    refused(["spectrum", "--checkpoint", str(tmp_path)], "holds no run.json")
    refused(["spectrum", "--checkpoint", "x", "--along"], "--along")
    refused(["spectrum", "--checkpoint", "x", "--depth", "3"], "--depth", "brings its own")
    refused(["spectrum", "--top", "0"], "--top is 0")
    refused(["spectrum", "--memory-gib", "0"], "--memory-gib")


@pytest.mark.slow
def test_predict_says_it_first_and_trains_beside_it(tmp_path, capsys):
    out = tmp_path / "out"
    linear = ["--output-activation", "linear", "--optimizer", "sgd"]
    argv = ["predict", *linear, "--epochs", "3", "--seeds", "2", "--share", "0.2", "--loss", "5.0"]
    assert cli.main([*argv, "--out", str(out)]) == 0
    record = json.loads((out / "prediction.json").read_text())
    assert (out / "prediction.npz").is_file()
    run = PredictedRun.load(out)
    assert len(run.prediction.curve) == len(run.measured.loss) == 4
    assert record["prediction"]["reach"][0]["loss"] == 5.0
    figures = {path.name for path in (out / "figures").iterdir()}
    assert {"predicted_loss.png", "time_of_modes.png"} <= figures
    printed = capsys.readouterr().out
    assert "Largest stable one" in printed and "measured" in printed and "In range" in printed
    alone = tmp_path / "alone"
    assert cli.main([*argv, "--no-run", "--out", str(alone)]) == 0
    assert json.loads((alone / "prediction.json").read_text())["measured"] is None


@pytest.mark.slow
def test_predict_tells_the_deaths_of_the_questions_network(tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["predict", "--epochs", "2", "--seeds", "2", "--out", str(out)]) == 0
    run = PredictedRun.load(out)
    steps = run.prediction.moments.deaths.steps
    assert steps.tolist() == run.measured.dead_steps.tolist()
    assert len(run.measured.dead) == len(steps)
    figures = {path.name for path in (out / "figures").iterdir()}
    assert {"predicted_loss.png", "deaths.png"} <= figures
    printed = capsys.readouterr().out
    assert "dead on all 1,500 examples" in printed and "fading" in printed


@pytest.mark.slow
def test_predict_takes_a_problem_of_ones_own(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(MINE_CERTIFIED)
    out = tmp_path / "out"
    assert cli.main(["predict", f"{file}:problem", "--seeds", "1", "--out", str(out)]) == 0
    record = json.loads((out / "prediction.json").read_text())
    assert record["prediction"]["curve"] is None and record["measured"] is not None
    assert record["prediction"]["why"]["reason"] == "optimizer"
    assert record["problem"] == {"file": "mine.py:problem"}
    assert "No curve is predicted" in capsys.readouterr().out


def test_predict_refuses_what_it_cannot_say(refused):
    refused(["predict", "--share", "0.3"], "--share", "--output-activation linear")
    refused(["predict", "--share", "0"], "--share is 0")
    refused(["predict", "--loss", "-1"], "--loss")
    refused(["predict", "--checkpoint", "somewhere"], "--checkpoint is trained already")


MINE_CERTIFIED = """
import jax.numpy as jnp, numpy as np, optax
from flax import nnx
import jaxid

x = np.random.default_rng(0).uniform(-1, 1, (30, 3)).astype(np.float32)

class Net(nnx.Module):
    def __init__(self, rngs):
        self.one, self.two = nnx.Linear(3, 5, rngs=rngs), nnx.Linear(5, 2, rngs=rngs)
    def __call__(self, x):
        return self.two(nnx.gelu(self.one(x)))

def target(x):
    return jnp.stack([0.5 * x[:, 0], 0.5 * x[:, 1]], axis=-1)

def wide(x):
    return x @ np.ones((6, 2))

problem = jaxid.Problem(model=Net, train=(x, np.asarray(target(x))), optimizer=optax.adam(1e-2),
                        batch_size=10, epochs=2)
"""


def certified(out):
    assert Certification.load(out).regions
    return json.loads((out / "certificate.json").read_text())


@pytest.mark.slow
def test_certify_trains_and_bounds_from_both_sides(tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["certify", *TINY, "--depth", "2", "--method", "crown", "--balls", "1"]
    assert cli.main([*argv, "--out", str(out)]) == 0
    record = certified(out)
    assert record["family"]["kind"] == "impossible", "made inputs are negative too"
    assert record["stage"] == "end"
    assert len(record["regions"]) == 14
    for row in record["regions"]:
        assert 0 < row["lower"]["value"] <= row["upper"]["value"]
    assert (out / "figures" / "certified_error.png").is_file()
    assert not (out / "figures" / "worst_inputs.png").exists(), "no images"
    printed = capsys.readouterr().out
    assert "Could this family do it?" in printed and "none does more than" in printed


@pytest.mark.slow
def test_certify_a_checkpoint_and_a_problem_of_one_s_own(tmp_path, capsys):
    trained, out = tmp_path / "trained", tmp_path / "out"
    assert cli.main(["train", *TINY, "--out", str(trained)]) == 0
    little = ["--balls", "0", "--no-curve", "--restarts", "1"]
    argv = ["certify", "--checkpoint", str(trained), *little, "--out", str(out)]
    assert cli.main(argv) == 0
    record = certified(out)
    assert record["problem"]["epochs"] == 2 and record["stage"] == "checkpoint"
    assert [row["method"] for row in record["regions"]] == ["exact", "exact"]
    assert all(np.isclose(row["ratio"], 1.0) for row in record["regions"])
    file, own = tmp_path / "mine.py", tmp_path / "own"
    file.write_text(MINE_CERTIFIED)
    argv = ["certify", f"{file}:problem", *little, "--method", "crown", "--out", str(own)]
    assert cli.main(argv) == 2
    assert "--target" in capsys.readouterr().err
    assert cli.main([*argv, "--target", f"{file}:wide"]) == 2
    assert "--target can't take" in capsys.readouterr().err
    assert cli.main([*argv, "--target", f"{file}:target"]) == 0
    record = certified(own)
    assert record["family"] is None and record["target"] == "mine.py:target"
    assert record["regions"][0]["lower"]["value"] <= record["regions"][0]["upper"]["value"]


def test_certify_refuses_what_cannot_be(refused, tmp_path):
    refused(["certify", "nowhere.py:p"], "there is no file")
    refused(["certify", "--checkpoint", str(tmp_path)], "holds no run.json")
    refused(["certify", "--checkpoint", "x", "--untrained"], "--untrained")
    refused(["certify", "--radius", "0"], "--radius")
    refused(["certify", "--box", "3"], "--box needs 2 numbers")
    refused(["certify", "--box", "3", "1"], "--box is 3 1")
    refused(["certify", "--balls", "-1"], "--balls is -1")
    mine = tmp_path / "one.py"
    mine.write_text(MINE)
    refused(["certify", f"{mine}:problem", "--depth", "3"], "--depth", "one.py:problem")
    refused(["certify", "--method", "guess"], "guess", "crown")
    file = tmp_path / "mine.py"
    file.write_text("number = 3")
    refused(["certify", "--target", f"{file}:number"], "make it a function")
    refused(["certify", "--target", f"{file}:other"], "has no other", "no function")
