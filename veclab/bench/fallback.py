"""What went on otherwise than asked, collected from the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

FALLBACK = "vecgame.fallback"  # the logger: a failed compile, searches without graphs, smaller chunks


class Fallbacks(logging.Handler):
    """Tells ``heard`` every such line within a `with` block."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard(record.getMessage())

    def __enter__(self) -> Fallbacks:
        logging.getLogger(FALLBACK).addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger(FALLBACK).removeHandler(self)
