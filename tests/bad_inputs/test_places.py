"""Folders that results can't go into, and folders that hold none."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from jaxid.cli import main as cli
from jaxid.core import manifest
from jaxid.core.errors import InputError
from jaxid.core.folder import claimed
from jaxid.data import idx
from jaxid.identity.diagnosis import Diagnosis

MADE = ["--data", "gaussian", "--features", "4", "--examples", "40", "--epochs", "2",
        "--seeds", "2"]  # fmt: skip


def link(to):
    def make(path):
        path.symlink_to(to)

    return make


PLACES = {
    "a file": (lambda p: p.write_text("mine"), "is a file"),
    "below a file": (lambda p: p.parent.write_text("mine"), "can't be written"),
    "not empty": (lambda p: (p.mkdir(), (p / "thesis.txt").write_text("years")), "not empty"),
    "a link to nothing": (link("nowhere"), "is a link to nothing"),
    "a link to itself": (link("place"), "is a link to nothing"),
    "a link to a file": (lambda p: (p.with_name("f").write_text("a"), p.symlink_to("f")),
                         "is a file"),
    "a link to a full folder": (
        lambda p: (p.with_name("d").mkdir(), (p.with_name("d") / "a").write_text("a"),
                   p.symlink_to("d")), "not empty"),
    "a pipe": (os.mkfifo, "is a file"),
}  # fmt: skip
NAMES = {
    "a device": ("/dev/null", "is a file"),
    "below a device": ("/dev/null/a", "can't be written"),
    "too long": ("x" * 300, "can't be written"),
    "no letters": ("a\x00b", "can't be written"),
    "a line of its own": ("file\u2028name", "is a file", "file\\u2028name"),
    "two lines": ("file\nname", "is a file", "file\\nname"),
    "proc": ("/proc/a/b", "can't be written"),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("command", ["train", "certify"])
def test_a_place_that_can_not_be_written(refused, tmp_path, command, name):
    make, words = PLACES[name]
    place = tmp_path / "up" / "place"
    if name != "below a file":
        place.parent.mkdir()
    make(place)
    refused([command, *MADE, "--out", place], words, "--out")


@pytest.mark.parametrize("name", NAMES)
def test_names_that_can_not_be(refused, tmp_path, name):
    path, *words = NAMES[name]
    for strange in ("file\u2028name", "file\nname"):
        (tmp_path / strange).write_text("mine")
    refused(["train", *MADE, "--out", path], *words)


def test_a_second_writer(refused, tmp_path):
    with claimed(tmp_path / "out", overwrite=False):
        refused(["train", *MADE, "--out", tmp_path / "out"], "is being written by another jaxid")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder of jaxid train."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    assert cli.main(["train", *MADE, "--out", str(out)]) == 0
    return out


def rewritten(path, change):
    """Change a JSON file, and its line of the manifest: a run that was never made."""
    record = json.loads(path.read_text())
    record = change(record) or record
    path.write_text(json.dumps(record))
    relist(path)


def relist(path):
    folder = path.parent
    files = manifest.hashes(folder, folder)
    files.pop(manifest.NAME, None)
    (folder / manifest.NAME).write_text(manifest.Manifest(files, True).text())


def problem(**given):
    return lambda f: rewritten(f / "run.json", lambda r: r["problem"].update(given))


def nested(folder):
    (folder / "run.json").write_text("[" * 100_000)


def cut(name):
    def change(folder):
        path = max((p for p in folder.glob(name) if p.is_file()), key=lambda p: p.stat().st_size)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


CHECKPOINTS = {
    "no folder": (shutil.rmtree, "is no folder"),
    "an empty folder": (lambda f: (shutil.rmtree(f), f.mkdir()), "holds no run.json"),
    "a file": (lambda f: (shutil.rmtree(f), f.write_text("a")), "is no folder"),
    "no state": (lambda f: shutil.rmtree(f / "state"), "can't be read"),
    "an empty state": (lambda f: (shutil.rmtree(f / "state"), (f / "state").mkdir()),
                       "can't be read"),
    "a truncated state": (cut("state/**/*"), "SHA-256"),
    "a state without its list": (lambda f: (f / "state" / "_METADATA").unlink(), "can't be read"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "holds no manifest.json"),
    "an empty manifest": (lambda f: (f / "manifest.json").write_text(""), "is no JSON"),
    "a manifest of numbers": (lambda f: (f / "manifest.json").write_text("3"), "holds a int"),
    "another manifest": (lambda f: (f / "manifest.json").write_text("{}"), "is no list"),
    "no run.json": (lambda f: (f / "run.json").unlink(), "holds no run.json"),
    "an empty run.json": (lambda f: (f / "run.json").write_text(""), "is no JSON"),
    "run.json is a list": (lambda f: (f / "run.json").write_text("[]"), "holds a list"),
    "run.json is null": (lambda f: (f / "run.json").write_text("null"), "holds a NoneType"),
    "run.json is cut": (cut("run.json"), "is no JSON"),
    "run.json is not text": (lambda f: (f / "run.json").write_bytes(b"\xff\xfe"), "is no JSON"),
    "run.json is nested to death": (nested, "run.json is no JSON"),
    "run.json is a pipe": (
        lambda f: ((f / "run.json").unlink(), os.mkfifo(f / "run.json")), "run.json is no file"),
    "a file that was not written with the others": (
        lambda f: (f / "state" / "extra").write_text("a"), "was not written with the others"),
    "names that can't be": (lambda f: (f / "manifest.json").write_text(
        (f / "manifest.json").read_text().replace(
            '"state/_METADATA"', '"state/a\\u0000b": {"sha256": "0"}, "state/_METADATA"')),
        "embedded null byte"),
    "run.json was edited": (lambda f: (f / "run.json").write_text(
        (f / "run.json").read_text().replace("rmsprop", "sgd")), "SHA-256"),
    "fewer seeds": (problem(seeds=1), "can't be read as those"),
    "more seeds": (problem(seeds=3), "can't be read as those"),
    "another depth": (problem(depth=2), "can't be read as those"),
    "another width of data": (problem(features=5), "one layer has no hidden units"),
    "a null rate": (problem(learning_rate=None), "learning_rate = None"),
    "a rate of text": (problem(learning_rate="fast"), "learning_rate = 'fast'"),
    "a negative depth": (problem(depth=-1), "--depth is -1"),
    "an unknown optimizer": (problem(optimizer="lion"), "optimizer = 'lion'"),
    "a problem that is none": (lambda f: rewritten(f / "run.json", lambda r: r | {"problem": 3}),
                               "is not of this version"),
    "another schema": (lambda f: rewritten(f / "run.json", lambda r: r | {"schema": 9}),
                       "is not of this version"),
    "other parameters": (lambda f: rewritten(
        f / "run.json", lambda r: r | {"parameters_sha256": "0" * 64}), "other parameters"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_that_is_none(refused, finished, tmp_path, name):
    change, words = CHECKPOINTS[name]
    folder = tmp_path / "trained"
    shutil.copytree(finished, folder)
    change(folder)
    refused(["spectrum", "--checkpoint", folder], words)


DIAGNOSES = {
    "no folder": (shutil.rmtree, "holds no manifest.json"),
    "no record": (lambda f: (f / "diagnosis.json").unlink(), "can't be read"),
    "no arrays": (lambda f: (f / "arrays.npz").unlink(), "can't be read"),
    "cut arrays": (cut("arrays.npz"), "SHA-256"),
    "arrays that are none": (lambda f: ((f / "arrays.npz").write_bytes(b"no"),
                                        relist(f / "arrays.npz")), "arrays"),
    "a record that is a list": (lambda f: ((f / "diagnosis.json").write_text("[]"),
                                           relist(f / "a")), "holds a list"),
    "another schema": (lambda f: rewritten(f / "diagnosis.json", lambda r: r | {"schema": 2}),
                       "has schema 2"),
    "no schema": (lambda f: rewritten(f / "diagnosis.json", lambda r: r.pop("schema") and None),
                  "has schema None"),
    "no losses": (lambda f: rewritten(f / "diagnosis.json", lambda r: r.pop("final") and None),
                  "missing required field `final`"),
    "a budget of text": (lambda f: rewritten(f / "diagnosis.json", lambda r: r | {"budget": "a"}),
                         "got `str` - at `.*budget`"),
    "places of nothing": (lambda f: rewritten(
        f / "diagnosis.json", lambda r: r | {"non_finite_values": [{"path": ["a"], "value": "x"}]}),
        "no places of it"),
    "written in part": (lambda f: (f / "manifest.json").unlink(), "holds no manifest.json"),
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory, sample):
    folder = tmp_path_factory.mktemp("runs") / "saved"
    sample.full().save(folder)
    return folder


@pytest.mark.parametrize("name", DIAGNOSES)
def test_a_diagnosis_that_is_none(saved, tmp_path, name):
    change, words = DIAGNOSES[name]
    folder = tmp_path / "saved"
    shutil.copytree(saved, folder)
    assert Diagnosis.load(folder)
    change(folder)
    with pytest.raises(InputError, match=words) as wrong:
        Diagnosis.load(folder)
    assert "\n" not in str(wrong.value)


def test_pickles_are_never_read(saved, tmp_path):
    import numpy as np

    folder = tmp_path / "saved"
    shutil.copytree(saved, folder)
    np.savez(folder / "arrays.npz", evil=np.array([{"a": 1}], object))
    relist(folder / "arrays.npz")
    with pytest.raises(InputError, match="holds no"):
        Diagnosis.load(folder)


FILES = {
    "an empty folder": (lambda f: None, "lacks"),
    "folders of these names": (lambda f: [(f / n).mkdir() for n in idx.FILES], "lacks"),
    "empty files": (lambda f: [(f / n).write_bytes(b"") for n in idx.FILES], "is corrupt (0 of"),
    "text": (lambda f: [(f / n).write_text("a") for n in idx.FILES], "is corrupt (1 of"),
    "60 GiB of nothing": (lambda f: [os.truncate(_touched(f / n), 60 << 30) for n in idx.FILES],
                          "is corrupt (64424509440 of"),
    "dangling links": (lambda f: [(f / n).symlink_to("gone") for n in idx.FILES], "lacks"),
}  # fmt: skip


def _touched(path):
    path.touch()
    return path


@pytest.mark.parametrize("name", FILES)
def test_mnist_files_that_are_none(refused, tmp_path, name):
    change, words = FILES[name]
    folder = tmp_path / "mnist"
    folder.mkdir()
    change(folder)
    refused(["train", "--data", "mnist", "--mnist-dir", folder], words)
