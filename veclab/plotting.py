"""matplotlib, where something is drawn: an extra, loaded when it is asked for."""

from __future__ import annotations

from types import SimpleNamespace


def load_matplotlib() -> SimpleNamespace:
    """The classes ``Figure`` and ``Canvas``, its canvas, and the module ``ticker``: without pyplot there is no display
    and no global state.

    Raises:
        ModuleNotFoundError: when matplotlib is not installed.
    """
    try:
        from matplotlib import figure, ticker
        from matplotlib.backends import backend_agg
    except ModuleNotFoundError as error:
        message = "matplotlib is not installed: pip install 'vecgame[plot]'"
        raise ModuleNotFoundError(message, name="matplotlib") from error
    return SimpleNamespace(Figure=figure.Figure, Canvas=backend_agg.FigureCanvasAgg, ticker=ticker)
