"""Arrays that are no numbers, not finite, or don't fit together."""

from __future__ import annotations

import pytest

TRAIN = {
    "objects": ("X.astype(object), None", "type object", "make numbers"),
    "ragged rows": ("np.array([[1, 2], [3]], object)[:, None], None", "one length"),
    "strings": ("np.array([['a'], ['b']]), None", "give numbers"),
    "bytes": ("np.array([[b'a'], [b'b']]), None", "give numbers"),
    "complex inputs": ("X + 1j, None", "complex", "as features"),
    "complex targets": ("X, X + 1j", "train targets", "complex"),
    "dates": ("np.zeros((4, 3), 'datetime64[s]'), None", "datetime64"),
    "records": ("np.zeros((4, 3), [('a', 'f4')]), None", "numbers"),
    "keys": ("jax.random.split(jax.random.key(0), (4, 3)), None", "key"),
    "a list": ("[[1.0, 2.0, 3.0]], None", "are a list"),
    "a dict": ("{'a': X}, None", "are a dict"),
    "nothing": ("None, None", "are a NoneType"),
    "a number": ("np.float32(1), None", "shape ()"),
    "one axis": ("X[:, 0], None", "shape (4,)"),
    "no examples": ("X[:0], None", "not empty"),
    "no features": ("X[:, :0], None", "not empty"),
    "fewer targets": ("X, X[:2]", "4 inputs and 2 targets"),
    "targets of no axis": ("X, np.float32(1)", "targets"),
    "flat targets": ("X, X[:, 0]", "give y[:, None]"),
    "targets of strings": ("X, np.array([['a']] * 4)", "train targets"),
    "NaN inputs": ("np.where(X > 0.9, np.nan, X), None", "train inputs", "example 3"),
    "infinite inputs": ("np.where(X < -0.9, np.inf, X), None", "train inputs", "example 0"),
    "NaN targets": ("X, np.where(X > 0.9, np.nan, X)", "train targets", "example 3"),
    "other outputs": ("X, X[:, :2]", "give one target for each output"),
    "too large for float32": ("X * np.float64(1e300), None", "not finite"),
}
WHOLE = {
    "three parts": ("train=(X, None, X)", "not (inputs, targets) but 3"),
    "one array": ("train=X", "not (inputs, targets) but ndarray"),
    "a string": ("train='mnist'", "not (inputs, targets)"),
    "no training data": ("train=None", "not (inputs, targets)"),
    "test of other inputs": ("test=(X[:, :2], None)", "test inputs have shape"),
    "test of other targets": ("train=(X, X), test=(X, X[:, :2])", "test targets have shape"),
    "NaN in the test set": ("test=(X * np.nan, None)", "test inputs", "not finite"),
    "test of strings": ("test=(np.array([['a', 'b', 'c']]), None)", "test inputs"),
    "test of one part": ("test=(X,)", "test is not (inputs, targets)"),
    "labels too large": (
        "train=(X, KINDS + 1), loss='cross_entropy'", "labels go from 1 to 3"),
    "labels below 0": ("train=(X, KINDS - 1), loss='cross_entropy'", "labels go from -1"),
    "labels between": ("train=(X, KINDS / 2), loss='cross_entropy'", "labels go from 0 to 1"),
    "too few columns": (
        "train=(X, np.eye(2)[[0, 1, 0, 1]]), loss='cross_entropy'", "3 outputs"),
    "a column of labels": (
        "train=(X, KINDS[:, None]), loss='cross_entropy'", "3 outputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAIN)
def test_training_data(refused_file, name):
    data, *words = TRAIN[name]
    refused_file(f"problem = P(train=({data}))", *words)


@pytest.mark.parametrize("name", WHOLE)
def test_what_goes_together(refused_file, name):
    given, *words = WHOLE[name]
    refused_file(f"problem = P({given})", *words)
