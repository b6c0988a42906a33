"""matplotlib, where something is drawn: an extra, loaded when it is asked for."""

from __future__ import annotations

from types import ModuleType


def load_matplotlib() -> ModuleType:
    """The package, with what is used of it: no pyplot, which has a display and global state.

    Raises:
        ModuleNotFoundError: when matplotlib is not installed.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure
        import matplotlib.ticker
        import matplotlib.transforms
    except ModuleNotFoundError as error:
        message = "matplotlib is not installed: pip install 'vecgame[plot]'"
        raise ModuleNotFoundError(message, name="matplotlib") from error
    return matplotlib
