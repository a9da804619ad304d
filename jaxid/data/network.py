"""Whether MNIST can be downloaded, found out within seconds.

TFDS retries for minutes without a network and waits for ever behind a proxy that swallows
packets, so it is asked to download only after this probe has had an answer.
"""

from __future__ import annotations

import threading

from jaxid.data import idx

SECONDS = 5.0
"""Longest wait for an answer: well below the 10 s within which a user is told what to do."""


def reachable(seconds: float = SECONDS) -> bool:
    """Whether the smallest of the four files (4.5 kB) arrives whole from `idx.URL` in time.

    The file itself is asked for, because a login page or a proxy answers anything else.
    Proxies and certificates are taken from the environment, as TFDS does.

    Args:
      seconds: the longest time to wait, name resolution and slow bodies included.
    """
    import requests

    arrived = threading.Event()
    name = idx.TEST_LABELS

    def fetch() -> None:
        try:
            answer = requests.get(idx.URL + name, timeout=seconds)
            if answer.status_code == 200 and idx.is_official(name, answer.content):
                arrived.set()
        except Exception:  # noqa: BLE001, S110 - whatever it is, there is no way through
            pass

    # A thread, because neither name resolution nor a body that drips obeys the timeout.
    thread = threading.Thread(target=fetch, name="jaxid-probe", daemon=True)
    thread.start()
    thread.join(seconds)
    return arrived.is_set()
