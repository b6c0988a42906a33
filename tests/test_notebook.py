"""The notebook runs from top to bottom, at a size that takes seconds, and is kept without outputs."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_steps.ipynb"
SIZE = "GAMES, UPDATES, UPDATE_GAMES = 32, 3, 32"


def test_it_is_kept_without_outputs() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(monkeypatch) -> None:
    """It deals, prints a game and draws it, searches, trains and plots."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (size,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    size.source = SIZE
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    kinds = [
        set(output.get("data", {output.output_type: ""}))
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]
    assert sum("image/png" in kind for kind in kinds) == 2, "the two plots"
    assert any("image/svg+xml" in kind for kind in kinds), "the picture of a game"
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "Blob" in text and "%" in text
