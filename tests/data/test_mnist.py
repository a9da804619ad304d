"""How MNIST is found, checked, prepared, cached and refused, on a tiny stand-in for it."""

from __future__ import annotations

import contextlib
import http.server
import importlib.resources
import socket
import subprocess
import sys
import tempfile
import threading
from functools import partial

import numpy as np
import pytest

from jaxid.core.errors import InputError
from jaxid.core.lock import locked
from jaxid.data import folders, idx, mnist, network, sources, tfds_mnist

NAMES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


def assert_is(images, tiny):
    np.testing.assert_array_equal(images.train, tiny.train)
    np.testing.assert_array_equal(images.test, tiny.test)
    assert images.train.dtype == images.test.dtype == np.uint8


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def never(*args, **kwargs):
    raise AssertionError("this must not be called")


def test_a_named_folder_is_prepared_silently_and_cached(tiny, capfd, monkeypatch):
    lines = []
    assert_is(mnist.load(tiny.files, lines.append), tiny)
    assert capfd.readouterr() == ("", "")
    assert len(lines) == 2 and all(line.startswith("mnist: ") for line in lines)
    assert sorted(path.name for path in tiny.home.iterdir()) == [
        "downloads",
        "mnist",
        "mnist-3.0.1.npy",
    ]
    monkeypatch.setattr(tfds_mnist, "builder", never)
    assert_is(mnist.load(tiny.files, lines.append), tiny)
    assert_is(mnist.load(None, lines.append), tiny)
    assert len(lines) == 2


def test_the_environment_names_a_folder_and_the_argument_wins(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXID_MNIST_DIR", str(tiny.files))
    assert_is(mnist.load(), tiny)
    monkeypatch.setenv("JAXID_MNIST_DIR", str(tmp_path / "nowhere"))
    assert_is(mnist.load(tiny.files), tiny)
    with pytest.raises(InputError, match="nowhere does not exist"):
        mnist.load()
    monkeypatch.setenv("JAXID_MNIST_DIR", "")
    assert_is(mnist.load(), tiny)


def test_files_dropped_in_the_data_folder_are_found(tiny):
    mnist.drop_folder().parent.mkdir(parents=True)
    tiny.files.rename(mnist.drop_folder())
    assert mnist.drop_folder() == tiny.home / "downloads" / "manual"
    assert_is(mnist.load(), tiny)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_a_bad_named_folder_is_refused_even_where_a_cache_exists(tiny, name, damage, cached):
    if cached:
        tiny.home.mkdir()
        mnist._write_cache(mnist.Images(tiny.train, tiny.test))
        assert_is(mnist.load(), tiny)
    file = tiny.files / name
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(content[:-1])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    with pytest.raises(InputError) as error:
        mnist.load(tiny.files)
    assert name in one_line(error) and str(tiny.files) in one_line(error)
    assert tiny.home.exists() == cached


@pytest.mark.parametrize("cached", [False, True])
def test_a_named_folder_that_does_not_exist_is_refused(tiny, tmp_path, cached):
    if cached:
        mnist.load(tiny.files)
    with pytest.raises(InputError, match="does not exist") as error:
        mnist.load(tmp_path / "nowhere")
    assert all(name in one_line(error) for name in NAMES)
    with pytest.raises(InputError, match="is not a folder"):
        mnist.load(tiny.files / NAMES[0])


def test_without_files_and_network_the_error_names_files_and_folder(tiny):
    with pytest.raises(InputError) as error:
        mnist.load()
    message = one_line(error)
    assert all(name in message for name in NAMES)
    assert str(tiny.home / "downloads" / "manual") in message
    assert "--mnist-dir" in message and "JAXID_MNIST_DIR" in message
    assert not tiny.home.exists()


def test_an_incomplete_drop_folder_is_named(tiny):
    mnist.drop_folder().mkdir(parents=True)
    (tiny.files / NAMES[0]).rename(mnist.drop_folder() / NAMES[0])
    with pytest.raises(InputError, match="lacks") as error:
        mnist.load()
    assert NAMES[1] in one_line(error)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "text", "shape"])
def test_a_damaged_cache_is_rebuilt(tiny, damage):
    mnist.load(tiny.files)
    cache = mnist.cache_file()
    good = cache.read_bytes()
    if damage == "flipped":
        cache.write_bytes(good[:-5] + bytes([good[-5] ^ 4]) + good[-4:])
    elif damage == "truncated":
        cache.write_bytes(good[: len(good) // 2])
    elif damage == "shape":
        np.save(cache, np.zeros((3, 784), np.uint8))
    else:
        cache.write_bytes(b"" if damage == "empty" else b"not an array\n" * 50)
    assert mnist.cached() is None
    assert_is(mnist.load(), tiny)  # From what TFDS prepared: no files, no network.
    assert cache.read_bytes() == good


def test_damaged_tfds_files_are_prepared_again(tiny):
    mnist.load(tiny.files)
    mnist.cache_file().unlink()
    for file in (tiny.home / "mnist" / "3.0.1").glob("*array_record*"):
        file.write_bytes(file.read_bytes()[:100])
    lines = []
    assert_is(mnist.load(tiny.files, lines.append), tiny)
    assert any("damaged" in line for line in lines)
    mnist.cache_file().unlink()
    assert_is(mnist.load(), tiny)


def test_damaged_tfds_files_without_any_source_are_an_input_error(tiny):
    mnist.load(tiny.files)
    mnist.cache_file().unlink()
    (tiny.home / "mnist" / "3.0.1" / "dataset_info.json").write_text("{")
    with pytest.raises(InputError, match="cannot be downloaded"):
        mnist.load()


def test_an_interrupted_write_leaves_neither_cache_nor_part(tiny, monkeypatch):
    def interrupted(file, array):
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mnist.load(tiny.files)
    assert sorted(path.name for path in tiny.home.iterdir()) == ["downloads", "mnist"]
    assert_is(mnist.load(), tiny)


def test_a_data_folder_that_cannot_be_written_is_an_input_error(tiny):
    tiny.home.write_text("a file where the folder should be")
    with pytest.raises(InputError, match="JAXID_DATA_DIR") as error:
        mnist.load(tiny.files)
    assert str(tiny.home) in one_line(error)


@contextlib.contextmanager
def serving(folder):
    """The folder over HTTP on this machine; yields its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


REACHABLE = network.reachable


def test_with_a_network_the_files_are_downloaded_checked_and_the_same(tiny, monkeypatch, capfd):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(network, "reachable", REACHABLE)
    with serving(tiny.files) as address:
        monkeypatch.setattr(idx, "URL", address)
        assert_is(mnist.load(), tiny)
    assert capfd.readouterr() == ("", "")


def test_a_download_that_fails_after_the_probe_is_an_input_error(tiny, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(network, "reachable", REACHABLE)
    (tiny.files / NAMES[0]).write_bytes(b"something else")
    with serving(tiny.files) as address:
        monkeypatch.setattr(idx, "URL", address)
        with pytest.raises(InputError, match="download of MNIST failed") as error:
            mnist.load()
    assert NAMES[0] in one_line(error)
    assert not (tiny.home / "mnist").exists() and not mnist.cache_file().exists()


def test_the_probe_knows_the_file_from_a_login_page(tiny, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(tiny.files) as address:
        monkeypatch.setattr(idx, "URL", address)
        assert REACHABLE()
        (tiny.files / NAMES[3]).write_text("<html>please log in</html>")
        assert not REACHABLE()
        (tiny.files / NAMES[3]).unlink()
        assert not REACHABLE()


def test_the_probe_gives_up_on_a_server_that_says_nothing(tiny, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(idx, "URL", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        # Did it not give up, this would not end.
        assert not REACHABLE(seconds=0.5)


def test_the_probe_gives_up_on_name_resolution_that_hangs(tiny, monkeypatch):
    released, answered = threading.Event(), threading.Event()

    def hanging(*args, **kwargs):
        released.wait(60)
        answered.set()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        assert not REACHABLE(seconds=0.5)
        assert not answered.is_set()
    finally:
        released.set()


def test_a_real_process_without_route_is_told(tmp_path):
    # 203.0.113.0/24 is reserved for documentation: packets to this proxy go nowhere.
    code = (
        "from jaxid.data import sources\n"
        "from jaxid.core.errors import InputError\n"
        "try:\n    sources.load('mnist')\n"
        "except InputError as error:\n    print(error)\n"
    )
    environment = {
        "PATH": "",
        "PYTHONPATH": ":".join(filter(None, sys.path)),
        "JAXID_DATA_DIR": str(tmp_path / "home"),
        "HTTPS_PROXY": "http://203.0.113.1:9",
    }
    # The system's own patience with such a route is two minutes.
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True,
        timeout=100,
    )  # fmt: skip
    assert all(name in done.stdout for name in NAMES) and done.stderr == ""
    assert str(tmp_path / "home") in done.stdout and not (tmp_path / "home").exists()


def test_a_process_that_was_faster_does_no_harm(tiny, monkeypatch):
    prepare, others = tfds_mnist.prepare, []

    def overtaken(*args):
        prepare(*args)
        if not others:
            others.append(None)
            others[0] = mnist.load(tiny.files)

    monkeypatch.setattr(tfds_mnist, "prepare", overtaken)
    assert_is(mnist.load(tiny.files), tiny)
    assert_is(others[0], tiny)
    mnist.cache_file().unlink()
    assert_is(mnist.load(), tiny)
    assert not list(tiny.home.glob("preparing-*"))


def test_the_expected_files_are_those_of_tfds():
    package = importlib.resources.files("tensorflow_datasets")
    lines = (package / "url_checksums" / "mnist.txt").read_text().splitlines()
    expected = {}
    for url, size, sha256, name in (line.split("\t") for line in lines if idx.URL in line):
        assert url == idx.URL + name
        expected[name] = (int(size), sha256)
    assert expected == idx.FILES and list(idx.FILES) == NAMES


def test_the_row_of_mnist_says_whether_it_is_ready(tiny):
    def row(folder=None):
        return next(row for row in sources.describe(folder) if row.name == "mnist")

    assert not row().ready
    assert row(tiny.files).ready and row(tiny.files).where == str(tiny.files)
    mnist.load(tiny.files)
    assert row().ready and row().where == str(mnist.cache_file())
    (tiny.files / NAMES[2]).unlink()
    assert not row(tiny.files).ready and NAMES[2] in row(tiny.files).note


def test_the_data_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXID_DATA_DIR", str(tmp_path / "mine"))
    assert folders.data_dir() == tmp_path / "mine"
    monkeypatch.setenv("JAXID_DATA_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert folders.data_dir() == tmp_path / "cache" / "jaxid"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert folders.data_dir() == tmp_path / ".cache" / "jaxid"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert folders.data_dir() == tmp_path / "Library" / "Caches" / "jaxid"


def test_preparing_leaves_no_temporary_files(tiny, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    mnist.load(tiny.files)
    assert list(temporary.iterdir()) == []


def test_what_killed_processes_left_goes_and_what_is_in_use_stays(tiny):
    tiny.home.mkdir(exist_ok=True)
    left, held = (tiny.home / f"{mnist.PREPARING}{name}" for name in ("left", "held"))
    for folder in (left, held):
        (folder / "mnist").mkdir(parents=True)
    stem = mnist.cache_file().stem
    (tiny.home / f"{stem}-1-ab.part").write_bytes(b"half")
    (tiny.home / f"{stem}-2-cd.part").write_bytes(b"half")
    with locked(held / mnist.LOCK), locked(tiny.home / f"{stem}-2-cd.part"):
        assert_is(mnist.load(tiny.files), tiny)
        assert held.is_dir() and (tiny.home / f"{stem}-2-cd.part").exists()
    assert not left.exists() and not (tiny.home / f"{stem}-1-ab.part").exists()
