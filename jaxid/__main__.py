"""``python -m jaxid`` is ``jaxid``."""

import sys

from jaxid.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
