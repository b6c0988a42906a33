"""What tells a bot from what it was in another version of the program: a digest of the source that it plays by."""

from __future__ import annotations

import hashlib
import inspect
from types import FunctionType, ModuleType


def digest_of(*parts: type | FunctionType | ModuleType) -> str:
    """SHA-256 of the source of classes, functions and modules."""
    found = hashlib.sha256()
    for part in parts:
        found.update(inspect.getsource(part).encode())
    return found.hexdigest()
