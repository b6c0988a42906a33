"""The charts show what the figures say, and their texts do not cover each other."""

import itertools
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from veclab.bench import plot as charts
from veclab.bench.plot import plot

ROOT = Path(__file__).parent.parent
MACHINE = {"device": "Some Processor", "cores": 4, "threads": 3, "torch": "2.13.0+cpu", "date": "2026-11-23"}
SHARES = {"select": 0.1, "step": 0.12, "observe": 0.09, "network": 0.5, "backup": 0.02, "worlds": 0.04, "other": 0.13}


@pytest.fixture
def drawing() -> None:
    """Needs matplotlib."""
    pytest.importorskip("matplotlib")


def figures_of(what: str, rows: list[dict]) -> dict:
    """As vecgame bench writes them."""
    return {"what": what, "environment": MACHINE, "figures": rows}


def self_play_row(games: int, rate: float, limit: float) -> dict:
    return {"kind": "self-play", "games": games, "games_per_minute": rate, "limit": limit, "shares": SHARES}


def strategy_row(label: str, strategy: int, rate: float | None) -> dict:
    return {"kind": "strategy", "label": label, "strategy": strategy, "games_per_minute": rate}


def rate_row(label: str, size: int, rate: float, share: float | None = None, spread: float = 0.2) -> dict:
    return {"label": label, "size": size, "per_second": rate, "spread": spread, "share": share, "unit": "things/s"}


def sweep_row(rate: float | None, limit: float | None, **settings: object) -> dict:
    return {"kind": "sweep", "settings": settings, "games_per_minute": rate, "limit": limit}


LEARNER = {"kind": "learner", **rate_row("document", 2048, 20_000.0, 0.2)}
SELF_PLAY = figures_of(
    "self-play",
    [
        self_play_row(1024, 5480.0, 11_345.0),
        self_play_row(64, 290.0, 3808.0),
        self_play_row(256, 3177.0, 7474.0),
        LEARNER,
    ],
)
STRATEGIES = figures_of(
    "strategies",
    [
        strategy_row("sequential", 1, 4.25),
        strategy_row("two worker processes and one server of the network for both", 2, 7.9),
        strategy_row("could not run", 3, None),
        strategy_row("all at once, 256", 4, 3177.4),
        strategy_row("all at once, 2,048", 4, 6201.0),
    ],
)
NET = figures_of(
    "net",
    [
        rate_row("float32", 2048, 27_000.0, 0.5),
        rate_row("float32", 1, 700.0, 0.0125),
        rate_row("bfloat16", 1, 900.0, 0.003),
        rate_row("bfloat16", 2048, 120_000.0, 0.4),
    ],
)
ENGINE = figures_of(
    "engine",
    [
        rate_row("random games", 100, 6461.0),
        rate_row("random games", 1000, 41_052.0),
        rate_row("OpenSpiel, one core", 1, 29_909.6, spread=0.0),
    ],
)
SEARCH = figures_of("search", [rate_row("5 cards, 3x30", size, 30_000.0 * size**0.4) for size in (16, 256, 2048)])
TRAIN = figures_of("train", [rate_row(f"document, {kind}", 16, 9000.0, 0.3) for kind in ("bfloat16", "float32")])
SWEEP = figures_of(
    "sweep",
    [
        sweep_row(6201.0, 11_402.0, worlds=3, simulations=30),
        sweep_row(None, None, worlds=3, simulations=60),
        sweep_row(2100.0, None, worlds=3, simulations=90, leaves_per_step=4, network="document"),
        sweep_row(12_000.0, 30_000.0, worlds=1, simulations=30),
    ],
)
MANY = figures_of("sweep", [sweep_row(1e5 * k, 2e5 * k, worlds=k, simulations=30, chunk=64 * k) for k in range(1, 25)])
CROWDED = figures_of(
    "self-play", [self_play_row(n, 4.0 * n, 4e6) for n in (16, 64, 1024, 2048, 4096, 8000, 8192, 10_000, 32_768)]
)
WRITTEN = [
    (SELF_PLAY, ["self-play-throughput.png", "self-play-time.png"]),
    (STRATEGIES, ["strategies-bars.png"]),
    (NET, ["net-throughput.png"]),
    (ENGINE, ["engine-throughput.png"]),
    (SEARCH, ["search-throughput.png"]),
    (TRAIN, ["train-throughput.png"]),
    (SWEEP, ["sweep-bars.png"]),
]


def named(axes) -> dict:
    """What the legend names, by name: lines, bars."""
    handles, names = axes.get_legend_handles_labels()
    return dict(zip(names, handles, strict=True))


def points(line) -> list[tuple[float, float]]:
    """Of a line, its points."""
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def texts(axes) -> set[str]:
    """What is written within the axes and beside them, without ticks and legend."""
    return {text.get_text() for text in axes.texts}


def drawn_texts(figure, monkeypatch) -> dict:
    """The boxes, in dots, of all texts that drawing the figure draws."""
    from matplotlib.text import Text

    draw, seen = Text.draw, []
    figure.canvas.draw()  # lays it out
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, renderer: (seen.append(text), draw(text, renderer)))
        figure.canvas.draw()
    return {text: Text.get_window_extent(text) for text in seen if text.get_visible() and text.get_text()}


def ticks(labels) -> list[str]:
    return [label.get_text() for label in labels]


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize(("figures", "names"), WRITTEN, ids=[figures["what"] for figures, _ in WRITTEN])
def test_charts_are_written_as_images(figures: dict, names: list[str], tmp_path) -> None:
    paths = plot(figures, tmp_path / "made" / "here")
    assert paths == [tmp_path / "made" / "here" / name for name in names]
    for path in paths:
        image = path.read_bytes()
        assert image[:8] == b"\x89PNG\r\n\x1a\n" and image[-8:-4] == b"IEND"
        assert struct.unpack(">II", image[16:24]) == (960, 540)


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize(
    "figures",
    [
        figures_of("sweep", SWEEP["figures"][:2]),
        figures_of("self-play", [LEARNER]),
        figures_of("strategies", [strategy_row("could not run", 3, None)]),
        figures_of("engine", []),
        figures_of("unknown", NET["figures"]),
    ],
)
def test_nothing_to_chart_is_no_chart(figures: dict, tmp_path) -> None:
    assert plot(figures, tmp_path / "folder") == []
    assert not (tmp_path / "folder").exists()


@pytest.mark.usefixtures("drawing")
def test_self_play_throughput_by_the_limit_of_what_counts() -> None:
    row = {**self_play_row(64, 290.0, 0.0), "limit_by_rows": 3000.0, "limit_by_evaluations": 3808.0}
    del row["limit"]
    lines = named(charts.self_play_throughput(figures_of("self-play", [row])).axes[0])
    assert points(lines["limit: nothing but the network takes time"]) == [(64, 3808.0)]


@pytest.mark.usefixtures("drawing")
def test_self_play_throughput() -> None:
    axes = charts.self_play_throughput(SELF_PLAY).axes[0]
    lines = named(axes)
    assert list(lines) == ["measured", "limit: nothing but the network takes time"]
    measured, limit = lines.values()
    assert points(measured) == [(64, 290.0), (256, 3177.0), (1024, 5480.0)]
    assert points(limit) == [(64, 3808.0), (256, 7474.0), (1024, 11_345.0)]
    assert measured.get_color() != limit.get_color()
    assert axes.get_xscale() == axes.get_yscale() == "log" and axes.xaxis.get_transform().base == 2
    assert ticks(axes.get_xticklabels()) == ["64", "256", "1,024"]
    # 100 games/min is below all that was measured
    assert texts(axes) == {"290", "3,177", "5,480", "3,808", "7,474", "11,345", "target: 500", "stretch: 1,000"}
    sides = {text.get_text(): text.xyann[1] for text in axes.texts if text.get_ha() == "center"}
    assert all((sides[number] > 0) == (number in {"3,808", "7,474", "11,345"}) for number in sides)
    assert [line.get_ydata()[0] for line in axes.lines if line not in lines.values()] == [500, 1000]
    assert axes.get_xlabel() == "games at once" and axes.get_ylabel() == "games/min"


@pytest.mark.usefixtures("drawing")
def test_crowded_figures_are_written_where_their_size_is() -> None:
    axes = charts.self_play_throughput(CROWDED).axes[0]
    assert len(points(named(axes)["measured"])) == 9
    shown = set(ticks(axes.get_xticklabels()))
    written = {f"{text.xy[0]:,.0f}" for text in axes.texts if text.get_ha() == "center"}
    assert "32,768" in written and written <= shown and 4 <= len(shown) < 9


@pytest.mark.usefixtures("drawing")
def test_self_play_time() -> None:
    axes = charts.self_play_time(SELF_PLAY).axes[0]
    bars = named(axes)
    assert list(bars) == list(SHARES)
    assert ticks(axes.get_yticklabels()) == ["64", "256", "1,024"] and axes.yaxis_inverted()
    for place in range(3):
        rectangles = [bars[phase].patches[place] for phase in SHARES]
        assert [rectangle.get_width() for rectangle in rectangles] == pytest.approx(list(SHARES.values()))
        starts = [0, *itertools.accumulate(SHARES.values())][:-1]
        assert [rectangle.get_x() for rectangle in rectangles] == pytest.approx(starts)
    assert texts(axes) == {"10%", "12%", "9%", "50%", "13%"}  # 2% and 4% are too narrow
    assert len({bar.patches[0].get_facecolor() for bar in bars.values()}) == len(SHARES)


@pytest.mark.usefixtures("drawing")
def test_strategies() -> None:
    axes = charts.strategies(STRATEGIES).axes[0]
    assert axes.get_xscale() == "log" and axes.get_xlim()[0] == pytest.approx(1)
    labels = ticks(axes.get_yticklabels())
    assert [label.replace("\n", " ") for label in labels] == [
        row["label"] for row in STRATEGIES["figures"] if row["games_per_minute"]
    ]
    bars = named(axes)
    assert list(bars) == ["sequential", "processes", "vectorised"]
    drawn = {(bar.get_y() + bar.get_height() / 2, bar.get_width()) for group in bars.values() for bar in group.patches}
    assert {(round(place, 6), width) for place, width in drawn} == {(0, 4.25), (1, 7.9), (2, 3177.4), (3, 6201.0)}
    assert len(bars["vectorised"].patches) == 2
    assert len({group.patches[0].get_facecolor() for group in bars.values()}) == 3
    assert {text.xy: text.get_text() for text in axes.texts} == {
        (4.25, 0): "4.25",
        (7.9, 1): "7.9",
        (3177.4, 2): "3,177",
        (6201.0, 3): "6,201",
    }


@pytest.mark.usefixtures("drawing")
def test_parts_show_the_limit_that_their_share_implies() -> None:
    axes = charts.part_throughput(NET).axes[0]
    lines = named(axes)
    assert list(lines) == ["float32", "limit of float32", "bfloat16", "limit of bfloat16"]
    assert points(lines["float32"]) == [(1, 700.0), (2048, 27_000.0)]
    assert points(lines["bfloat16"]) == [(1, 900.0), (2048, 120_000.0)]
    assert points(lines["limit of float32"]) == [(1, pytest.approx(56_000)), (2048, pytest.approx(54_000))]
    assert points(lines["limit of bfloat16"]) == [(1, pytest.approx(300_000)), (2048, pytest.approx(300_000))]
    for label in ("float32", "bfloat16"):
        rate, limit = lines[label], lines[f"limit of {label}"]
        assert rate.get_color() == limit.get_color() and rate.get_linestyle() == "-"
        assert limit.get_linestyle() == "--" and limit.get_linewidth() < rate.get_linewidth()
    assert lines["float32"].get_color() != lines["bfloat16"].get_color()
    legend = ticks(axes.get_legend().get_texts())
    assert legend == ["float32", "bfloat16", "limit of float32", "limit of bfloat16"]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_ylabel() == "things/s" and ticks(axes.get_xticklabels()) == ["1", "2,048"]
    low, high = axes.get_ylim()
    assert low < 700 and high > 300_000


@pytest.mark.usefixtures("drawing")
def test_parts_show_the_spread() -> None:
    axes = charts.part_throughput(SEARCH).axes[0]
    assert list(named(axes)) == ["5 cards, 3x30"]  # without a share there is no limit
    (bars,) = axes.collections
    for (_, low), (_, high) in bars.get_segments():
        assert high / low == pytest.approx(1.1**2)


@pytest.mark.usefixtures("drawing")
def test_a_single_size_among_lines_is_a_horizontal_line() -> None:
    axes = charts.part_throughput(ENGINE).axes[0]
    lines = named(axes)
    assert list(lines) == ["random games", "OpenSpiel, one core: 29,910"]
    line = lines["OpenSpiel, one core: 29,910"]
    assert list(line.get_ydata()) == [29_909.6, 29_909.6] and line.get_linestyle() == "--"
    assert axes.get_xlim()[0] > 50  # its size, 1, is not one of games at once


@pytest.mark.usefixtures("drawing")
def test_single_sizes_alone_are_points() -> None:
    lines = named(charts.part_throughput(TRAIN).axes[0])
    assert points(lines["document, bfloat16"]) == [(16, 9000.0)]
    assert list(lines["limit of document, float32"].get_ydata()) == pytest.approx([30_000, 30_000])


@pytest.mark.usefixtures("drawing")
def test_sweep() -> None:
    axes = charts.sweep(SWEEP).axes[0]
    labels = ["worlds=3, simulations=30", "worlds=3, simulations=90,\nleaves_per_step=4, network=document"]
    assert ticks(axes.get_yticklabels()) == [*labels, "worlds=1, simulations=30"]
    drawn = named(axes)
    assert [bar.get_width() for bar in drawn["measured"].patches] == [6201.0, 2100.0, 12_000.0]
    assert points(drawn["limit: nothing but the network takes time"]) == [(11_402.0, 0), (30_000.0, 2)]
    assert texts(axes) == {"6,201  (54% of limit)", "2,100", "12,000  (40% of limit)"}
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 30_000


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("figures", [*(figures for figures, _ in WRITTEN), MANY, CROWDED], ids=lambda f: f["what"])
def test_texts_are_legible_and_apart(figures: dict, monkeypatch) -> None:
    """None covers another or leaves the image; none is below 9 points; the machine is named."""
    for draw in charts.CHARTS[figures["what"]].values():
        figure = draw(figures)
        boxes = drawn_texts(figure, monkeypatch)
        assert "Some Processor, 4 cores, 3 threads, PyTorch 2.13.0+cpu, 2026-11-23" in {t.get_text() for t in boxes}
        assert min(text.get_fontsize() for text in boxes) >= 9
        for text, box in boxes.items():
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
        for a, b in itertools.combinations(boxes, 2):
            assert not boxes[a].overlaps(boxes[b]), (a, b)


@pytest.mark.usefixtures("drawing")
def test_many_bars_make_a_chart_higher() -> None:
    assert charts.sweep(MANY).get_figheight() > 2 * charts.sweep(SWEEP).get_figheight()


def test_ticks_are_round_numbers_apart() -> None:
    assert charts.log_ticks(0.9, 2000) == pytest.approx([1, 10, 100, 1000])
    assert charts.log_ticks(40, 600) == pytest.approx([50, 100, 200, 500])
    assert charts.log_ticks(3000, 6500) == pytest.approx([3000, 4000, 5000, 6000])
    assert charts.thinned([8192, 64, 10_000, 64], 64, 10_000, 0.1) == [64, 10_000]
    assert charts.thinned([1, 10, 100], 1, 100, 0.5) == [1, 10, 100]


def test_a_missing_matplotlib_gets_one_message(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"^matplotlib is not installed: pip install 'vecgame\[plot\]'$"):
        plot(NET, tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(NET))
    assert charts.main([str(tmp_path / "net.json"), "--out", str(tmp_path / "charts")]) == 2
    assert capsys.readouterr().err == "error: matplotlib is not installed: pip install 'vecgame[plot]'\n"
    assert not (tmp_path / "charts").exists()


@pytest.mark.usefixtures("drawing")
@pytest.mark.slow
def test_command_line_charts_committed_results(tmp_path) -> None:
    """Without torch, which a chart needs not, and without pyplot's global state."""
    files = sorted(map(str, (ROOT / "benchmarks" / "results").glob("*.json")))
    code = (
        "import sys; from veclab.bench.plot import main; status = main(sys.argv[1:]); "
        "assert not {'torch', 'matplotlib.pyplot'} & sys.modules.keys(); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, *files, "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    written = sorted(str(path) for path in tmp_path.rglob("*.png"))
    assert written and [line for line in sorted(done.stdout.splitlines()) if line.endswith(".png")] == written
    assert {Path(path).parent.name for path in written} <= {Path(file).stem for file in files}


@pytest.mark.usefixtures("drawing")
def test_one_files_charts_go_straight_to_the_folder(tmp_path, capsys) -> None:
    (tmp_path / "a.json").write_text(json.dumps(NET))
    assert charts.main([str(tmp_path / "a.json"), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'net-throughput.png'}\n"
    (tmp_path / "a.json").write_text(json.dumps(figures_of("unknown", [])))
    assert charts.main([str(tmp_path / "a.json"), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.json'}: no chart suits it\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("no json", "is no JSON of vecgame bench: Expecting value"),
        ("[1]", "it needs what, environment and a list of figures"),
        (json.dumps({"what": "net", "figures": []}), "it needs what, environment and a list of figures"),
        (json.dumps(figures_of("net", [1])), "it needs what, environment and a list of figures"),
        (json.dumps(figures_of("net", [{"label": "x", "size": 1, "per_second": 2.0}])), "a row of net has no 'spread'"),
    ],
)
def test_a_file_of_another_kind_gets_one_line(content: str | None, message: str, tmp_path, capsys) -> None:
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    assert charts.main([str(path), "--out", str(tmp_path / "charts")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "charts").exists()


def test_two_files_of_one_name_are_refused(tmp_path, capsys) -> None:
    paths = [tmp_path / folder / "net.json" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(json.dumps(NET))
    assert charts.main([*map(str, paths), "--out", str(tmp_path)]) == 2
    assert "two files have one name" in capsys.readouterr().err
