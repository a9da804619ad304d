"""Folders of results: whole, or they say that they are not, whatever ends the writing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jaxid.core import folder as folders
from jaxid.core import lock, manifest
from jaxid.core.errors import InputError
from jaxid.core.folder import claimed

ROOT = Path(__file__).resolve().parents[2]


def write(path, text, *, names=("a.txt", "b/c.txt"), overwrite=True, tell=lambda line: None):
    """Two steps, as a command has them."""
    with claimed(path, overwrite=overwrite, tell=tell) as out:
        for k, name in enumerate(names):
            with out.adding(name, last=k + 1 == len(names)) as stage:
                (stage / name).parent.mkdir(exist_ok=True)
                (stage / name).write_text(f"{text} {name}")
    return out.path


def held(path):
    return {p.relative_to(path).as_posix(): p.read_text() for p in path.rglob("*") if p.is_file()}


def test_files_and_their_hashes_are_there_and_nothing_else(tmp_path):
    write(tmp_path / "up" / "out", "new")
    found = held(tmp_path / "up" / "out")
    assert set(found) == {"a.txt", "b/c.txt", "manifest.json"}
    assert manifest.verify(tmp_path / "up" / "out", ["a.txt", "b"]).finished


def test_an_overwritten_folder_keeps_what_is_not_ours_and_loses_what_the_old_run_left(tmp_path):
    out = tmp_path / "out"
    write(out, "old", names=("a.txt", "b/c.txt", "b/d.txt", "e/f.txt"))
    (out / "thesis.txt").write_text("years of work")
    (out / "b" / "mine.txt").write_text("too")
    write(out, "new")
    found = held(out)
    assert set(found) == {"a.txt", "b/c.txt", "b/mine.txt", "thesis.txt", "manifest.json"}
    assert found["a.txt"] == "new a.txt" and not (out / "e").exists()


def test_a_manifest_that_points_elsewhere_deletes_nothing(tmp_path):
    (tmp_path / "precious").write_text("a")
    out = tmp_path / "out"
    out.mkdir()
    names = {"../precious": "0", str(tmp_path / "precious"): "0"}
    (out / "manifest.json").write_text(manifest.Manifest(names, True).text())
    write(out, "new")
    assert (tmp_path / "precious").read_text() == "a"


def test_without_overwrite_a_full_folder_is_refused_and_left_overs_of_a_killed_run_are_not(
    tmp_path,
):
    out = tmp_path / "out"
    (out / f"{folders.HIDDEN}writing-x").mkdir(parents=True)
    (out / folders.LOCK).touch()
    write(out, "new", overwrite=False)
    assert not [p for p in out.iterdir() if p.name.startswith(folders.HIDDEN)]
    with pytest.raises(InputError, match="not empty"):
        write(out, "newer", overwrite=False)


def test_nothing_is_left_of_a_folder_that_was_only_claimed(tmp_path):
    with pytest.raises(InputError, match="mine"), claimed(tmp_path / "a" / "b", overwrite=False):
        assert (tmp_path / "a" / "b").is_dir()
        raise InputError("mine")
    assert not (tmp_path / "a").exists()


def test_one_writer_in_this_process_and_in_another(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom jaxid.core.folder import claimed\n"
        f"with claimed(Path({str(tmp_path / 'out')!r}), overwrite=True): print('in')"
    )
    with claimed(tmp_path / "out", overwrite=True):
        with pytest.raises(InputError, match="another jaxid"):
            write(tmp_path / "out", "x")
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "is being written by another jaxid" in other.stderr
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "in\n"


def test_what_raises_while_writing_leaves_what_was_there(tmp_path):
    out = tmp_path / "out"
    write(out, "old")
    with (
        claimed(out, overwrite=True) as opened,
        pytest.raises(ZeroDivisionError),
        opened.adding("a.txt") as stage,
    ):
        (stage / "a.txt").write_text("new")
        1 / 0  # noqa: B018
    assert held(out)["a.txt"] == "old a.txt"
    assert manifest.verify(out, ["a.txt", "b"])


@pytest.mark.parametrize("failed", [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    ValueError("RESOURCE_EXHAUSTED: [OS error 28: ENOSPC No space left on device]"),
])  # fmt: skip
def test_a_full_disk_costs_what_was_being_written_and_nothing_finished(tmp_path, failed):
    out = tmp_path / "out"
    with claimed(out, overwrite=True) as opened:
        with opened.adding("the numbers", last=False) as stage:
            (stage / "a.txt").write_text("numbers")
        words = "the figures could not be written; 1 file"
        with pytest.raises(InputError, match=words), opened.adding("the figures") as stage:
            (stage / "b.txt").write_text("figures")
            raise failed
    assert set(held(out)) == {"a.txt", "manifest.json"}
    assert not manifest.verify(out, ["a.txt"]).finished


LIMITED = """
import resource, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from jaxid.core.ending import exit_code
from jaxid.core.folder import claimed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
def work():
    with claimed(Path({out!r}), overwrite=False) as out:
        with out.adding("the numbers", last=False) as stage:
            (stage / "a.txt").write_text("numbers")
        with out.adding("the figures") as stage:
            (stage / "b.txt").write_bytes(bytes(20_000))
    return 0
sys.exit(exit_code("jaxid", work))
"""


def test_a_file_that_the_system_does_not_take(tmp_path):
    out = tmp_path / "out"
    code = LIMITED.format(root=str(ROOT), out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "is full: the figures could not be written; 1 file written before" in done.stderr
    assert set(held(out)) == {"a.txt", "manifest.json"}


def appears_as_folder(out):
    (out / "a.txt").mkdir()


def appears_as_file(out):
    (out / "a.txt").write_text("somebody's")


def replaced_by_a_file(out):
    import shutil

    shutil.rmtree(out)
    out.write_text("somebody's")


def replaced_by_a_dangling_link(out):
    import shutil

    shutil.rmtree(out)
    out.symlink_to("nowhere")


@pytest.mark.parametrize(
    "meanwhile",
    [appears_as_folder, appears_as_file, replaced_by_a_file, replaced_by_a_dangling_link],
)
def test_what_appears_meanwhile_is_not_touched_and_results_go_elsewhere(tmp_path, meanwhile):
    told: list[str] = []
    out = tmp_path / "out"
    with claimed(out, overwrite=False, tell=told.append) as opened:
        meanwhile(out)
        with opened.adding("a.txt", last=False) as stage:
            (stage / "a.txt").write_text("mine")
        with opened.adding("b.txt") as stage:
            (stage / "b.txt").write_text("mine")
    assert len(told) == 1 and str(opened.path) in told[0] and opened.path != out
    assert held(opened.path).keys() == {"a.txt", "b.txt", "manifest.json"}
    assert manifest.verify(opened.path, ["a.txt", "b.txt"]).finished
    kept = out / "a.txt" if out.is_dir() else out
    assert kept.is_symlink() or kept.is_dir() or kept.read_text() == "somebody's"


def test_a_folder_that_was_deleted_meanwhile_is_made_again(tmp_path):
    import shutil

    with claimed(tmp_path / "out", overwrite=False) as opened:
        shutil.rmtree(tmp_path / "out")
        with opened.adding("a.txt") as stage:
            (stage / "a.txt").write_text("mine")
    assert manifest.verify(tmp_path / "out", ["a.txt"])


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_folder
at, count = {at}, 0
def counting(frame, event, argument):
    global count
    if event in ("c_call", "c_return"):
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(counting)
test_folder.write(Path({out!r}), "new", names=("a.txt", "b/c.txt", "g.txt"))
sys.setprofile(None)
print(count)
"""


def killed_at(at, out):
    """Write anew, and be killed at the so-many-th call into C; how many there are, if not."""
    code = KILLED.format(root=str(ROOT), tests=str(Path(__file__).parent), at=at, out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_kill_inside_the_writing_leaves_a_whole_folder_or_one_that_says_it_is_not(tmp_path):
    """30 of them, spread over every call into C between claiming the folder and leaving it."""
    total = killed_at(0, tmp_path / "counted")
    assert total is not None and total > 300
    whole = {"old": 0, "new": 0, "none": 0}
    for k in range(30):
        out = tmp_path / f"out{k}"
        write(out, "old")
        assert killed_at(1 + total * k // 30, out) is None
        found = held(out)
        try:
            listed = manifest.verify(out, manifest.read_manifest(out).files)
        except InputError:
            # It says that it is not.
            whole["none"] += 1
        else:
            runs = {found[name].split()[0] for name in listed.files}
            assert len(runs) == 1, (k, found)
            whole[runs.pop()] += 1
        # Every file is one that was written whole.
        for name, text in found.items():
            if not name.startswith(folders.HIDDEN) and name != manifest.NAME:
                assert text in (f"old {name}", f"new {name}"), (name, text)
        write(out, "next")
        # Of the run that was killed nothing is left.
        assert set(held(out)) == {"a.txt", "b/c.txt", manifest.NAME}
    assert whole["old"] and whole["new"], whole


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), folders.replacing(path) as part:
        part.write_text("half")
        1 / 0  # noqa: B018
    assert held(tmp_path) == {"a.txt": "old"}
    with folders.replacing(path) as part:
        part.write_text("new")
    assert held(tmp_path) == {"a.txt": "new"}


def test_what_a_killed_run_left_goes_with_the_next_one(tmp_path, monkeypatch):
    """Killed between the last file and the list of what is whole, then overwritten."""
    out = tmp_path / "out"
    write(out, "old")

    def killed(source, target):
        if Path(target).name == manifest.NAME:
            raise KeyboardInterrupt
        real(source, target)

    real = os.replace
    monkeypatch.setattr(folders.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(out, "killed", names=("a.txt", "orphan.txt"))
    monkeypatch.undo()
    with pytest.raises(InputError):
        manifest.verify(out, ["a.txt"])
    write(out, "next", names=("a.txt",))
    assert set(held(out)) == {"a.txt", manifest.NAME}


def test_what_was_changed_since_and_what_is_of_another_kind_stays(tmp_path):
    out = tmp_path / "out"
    write(out, "old")
    (out / "b" / "c.txt").write_text("my notes")
    write(out, "new", names=("a.txt",))
    assert held(out)["b/c.txt"] == "my notes"
    (out / manifest.NAME).write_text('{"name": "an extension"}')
    with pytest.raises(InputError, match="that jaxid did not write"):
        write(out, "newer")
    assert held(out)["a.txt"] == "new a.txt"


def test_another_run_s_results_that_appear_meanwhile_are_kept(tmp_path):
    out, told = tmp_path / "out", []
    with claimed(out, overwrite=False, tell=told.append) as opened:
        write(tmp_path / "other", "theirs", names=("x.txt",))
        for name in ("x.txt", manifest.NAME):
            (out / name).write_bytes((tmp_path / "other" / name).read_bytes())
        with opened.adding("a.txt") as stage:
            (stage / "a.txt").write_text("mine")
    assert told and set(held(out)) == {"x.txt", manifest.NAME}


def test_results_that_move_take_along_what_was_finished(tmp_path):
    out, told = tmp_path / "out", []
    with claimed(out, overwrite=False, tell=told.append) as opened:
        with opened.adding("a.txt", last=False) as stage:
            (stage / "a.txt").write_text("mine")
        (out / "b.txt").mkdir()
        with opened.adding("b.txt") as stage:
            (stage / "b.txt").write_text("mine")
    assert opened.path != out and manifest.verify(opened.path, ["a.txt", "b.txt"]).finished


def test_where_nothing_can_be_locked_work_goes_on(tmp_path, monkeypatch):
    def none(*args):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    write(tmp_path / "out", "new")
    assert manifest.verify(tmp_path / "out", ["a.txt"])


def dangling(out, theirs):
    (out / "b").symlink_to("nowhere")


def linked(out, theirs):
    (out / "b").symlink_to(theirs)


def piped(out, theirs):
    os.mkfifo(out / "b")


@pytest.mark.parametrize("made", [dangling, linked, piped])
def test_what_is_no_folder_of_ours_is_not_followed(tmp_path, made):
    out, theirs, told = tmp_path / "out", tmp_path / "theirs", []
    for folder in (out, theirs):
        folder.mkdir()
    (theirs / "c.txt").write_text("somebody's")
    made(out, theirs)
    found = write(out, "new", tell=told.append)
    assert len(told) == 1 and found != out and manifest.verify(found, ["a.txt", "b/c.txt"])
    assert held(theirs) == {"c.txt": "somebody's"} and os.path.lexists(out / "b")


def test_a_stage_that_vanishes_is_one_line(tmp_path):
    import shutil

    with claimed(tmp_path / "out", overwrite=False) as opened:
        words = "the figures could not be written into"
        with pytest.raises(InputError, match=words), opened.adding("the figures") as stage:
            shutil.rmtree(stage)
            (stage / "a.txt").write_text("late")
