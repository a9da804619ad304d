"""What every layer uses: interrupts, errors told in one line, folders of results that are whole."""
