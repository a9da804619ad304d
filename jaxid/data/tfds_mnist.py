"""MNIST through TensorFlow Datasets, without TensorFlow.

TFDS's own MNIST reads and encodes images with TensorFlow. The subclass here does so with
gzip, NumPy and Pillow, and always writes array_record files, which TFDS can read alone.
Everything of TFDS is imported inside functions: only a machine without the cache needs it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from jaxid.data import idx

FORMAT = "array_record"


def builder(folder: Path) -> Any:
    """The TFDS builder of MNIST 3.0.1 whose data lie under ``folder``/mnist/3.0.1.

    It is not registered with TFDS, so that `tfds.load("mnist")` stays TFDS's own.
    """
    with warnings.catch_warnings():
        # Deprecations inside TFDS and its dependencies are not this program's to mend.
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds
        from PIL import Image
        from tensorflow_datasets.core.download import checksums

    class Mnist(tfds.image_classification.MNIST, skip_registration=True):  # type: ignore[call-arg]
        """TFDS's MNIST with generation that needs no TensorFlow."""

        URL = idx.URL
        url_infos: ClassVar[dict[str, Any]] = {
            idx.URL + name: checksums.UrlInfo(
                size=tfds.core.utils.Size(official.size), checksum=official.sha256, filename=name
            )
            for name, official in idx.FILES.items()
        }

        def _info(self) -> Any:
            info = super()._info()
            # It would look for metadata in a bucket on the network, by way of a temporary
            # folder that it never removes.
            info.initialize_from_bucket = lambda: None
            return info

        def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
            paths = dl_manager.download({name: self.URL + name for name in idx.FILES})
            return {
                "train": self._generate_examples(paths[idx.TRAIN_IMAGES], paths[idx.TRAIN_LABELS]),
                "test": self._generate_examples(paths[idx.TEST_IMAGES], paths[idx.TEST_LABELS]),
            }

        def _generate_examples(self, images: Any, labels: Any) -> Iterator[Any]:
            # The key is the position in the IDX file, as in TFDS's MNIST: TFDS sorts by a
            # hash of the key, so the prepared order is TFDS's own whoever prepared it.
            pairs = zip(idx.read_idx(Path(images)), idx.read_idx(Path(labels)), strict=True)
            for position, (image, label) in enumerate(pairs):
                yield position, {"image": Image.fromarray(image), "label": int(label)}

    return Mnist(data_dir=str(folder), version="3.0.1")


def prepare(folder: Path, files: Path | None, downloads: Path) -> None:
    """Prepare MNIST under ``folder``.

    Args:
      folder: where the array_record files go (``folder``/mnist/3.0.1).
      files: a folder with the four official files, already checked; None: download them.
      downloads: where TFDS keeps what it downloads.

    Raises:
      Exception: whatever TFDS raises; nothing is left in ``folder``/mnist/3.0.1 then.
    """
    mnist = builder(folder)
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(
        # A folder that does not exist keeps TFDS from looking in one of its own choice.
        manual_dir=str(files if files is not None else folder / "none"),
        try_download_gcs=False,
        compute_stats=tfds.download.ComputeStatsMode.SKIP,
        num_shards=1,
    )
    with _quiet():
        mnist.download_and_prepare(
            download_dir=str(downloads), download_config=config, file_format=FORMAT
        )


def is_prepared(folder: Path) -> bool:
    """Whether ``folder`` holds MNIST as TFDS prepares it (its files are not read)."""
    return (folder / "mnist" / "3.0.1" / "dataset_info.json").is_file()


def decode(folder: Path, split: str) -> np.ndarray:
    """The images of one split in TFDS's prepared order.

    Returns:
      uint8 (n, 784).

    Raises:
      Exception: whatever TFDS, array_record or Pillow raise on damaged files.
    """
    mnist = builder(folder)
    import tensorflow_datasets as tfds
    from PIL import Image

    with _quiet():
        # The PNG bytes as stored, read in blocks: 3 s for 60000 images instead of 9 s by
        # TFDS's decoding of one record at a time.
        source = mnist.as_data_source(
            split=split, decoders={"image": tfds.decode.SkipDecoding()}, file_format=FORMAT
        )
        images = np.empty((len(source), 784), np.uint8)
        for start in range(0, len(source), 1000):
            block = range(start, min(start + 1000, len(source)))
            for position, record in zip(block, source.__getitems__(block), strict=True):
                with Image.open(io.BytesIO(record["image"])) as image:
                    images[position] = np.asarray(image).reshape(784)
    return images


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep TFDS's progress bars, banners and log lines off the terminal."""
    from tensorflow_datasets.core.utils import tqdm_utils

    bars = getattr(tqdm_utils, "_active", True)
    log = logging.getLogger("absl")
    level = log.level
    tqdm_utils.display_progress_bar(False)
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        tqdm_utils.display_progress_bar(bars)
