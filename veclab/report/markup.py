"""Tables, numbers and the page around them as XHTML-conforming markup that needs nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape


def grid(figures: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def number_text(value: float) -> str:
    """A number as people read it: 1,234 and 0.01235 and 4."""
    if isinstance(value, int) or (math.isfinite(value) and (abs(value) >= 1000 or value == int(value))):
        return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}").replace("nan", "\N{EN DASH}").replace("inf", "\N{INFINITY}")


def short_number(value: float) -> str:
    """A number for an axis: 20k, 3M."""
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{number_text(value / unit)}{letter}"
    return number_text(value)


def table_html(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of figures: numbers rounded to read, exact in the ``value`` of their <data>; None is an empty cell."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}: table"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | bool):
        return escape(str(value))
    return f'<data value="{value!r}">{number_text(value)}</data>'


def details(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def page(title: str, body: str) -> str:
    """A whole document, of which the title is text and the body markup."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"/><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f'<meta name="color-scheme" content="light dark"/>\n<style>{STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body>\n</html>\n"
    )


STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --card: #fff; --ink: #1c1c1a; --muted: #5d5c57; --grid: #e3e2dd;
  --edge: #d5d4ce; --red: #b3261e; --c0: #1a69ad; --c1: #bd4a14; --c2: #157653; --c3: #87459f; }
@media (prefers-color-scheme: dark) { :root { --page: #141413; --card: #1d1d1b; --ink: #eceae4; --muted: #a9a79f;
  --grid: #33322e; --edge: #3d3c37; --red: #ff8a80; --c0: #6cb4ee; --c1: #f2935c; --c2: #4cc79b; --c3: #cb9be0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; } p { margin: .25rem 0 .75rem; max-width: 46rem; }
.lead, figure p, .small { color: var(--muted); font-size: .875rem; }
.tiles, .charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
.tiles { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); margin: 1.25rem 0 0; }
.tiles div, figure, .game { background: var(--card); border: 1px solid var(--edge); border-radius: .5rem;
  padding: .75rem 1rem; margin: 0; min-width: 0; }
.tiles dt { color: var(--muted); font-size: .8rem; } .tiles dd { margin: 0; font-size: 1.2rem; font-weight: 600; }
.game { margin-bottom: 1rem; } figcaption { font-weight: 600; }
.chart { display: block; width: 100%; max-width: 36rem; height: auto; margin: .25rem 0; }
.chart text { font: 11px system-ui, sans-serif; fill: var(--muted); }
.chart text.reference { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--muted); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .whisker { fill: none; stroke-width: 1.5; }
.faint { fill: none; stroke-width: 3; stroke-linecap: round; opacity: .4; }
.line.c0, .whisker.c0, .faint.c0 { stroke: var(--c0); } .line.c1, .whisker.c1, .faint.c1 { stroke: var(--c1); }
.line.c2, .whisker.c2, .faint.c2 { stroke: var(--c2); } .line.c3, .whisker.c3, .faint.c3 { stroke: var(--c3); }
.whisker.ink { stroke: var(--ink); } path.reference { stroke: var(--ink); stroke-dasharray: 4 4; opacity: .6; }
.point { stroke: var(--card); stroke-width: 1; } .point.c0, .bar.c0 { fill: var(--c0); } .point.c1 { fill: var(--c1); }
.point.c2 { fill: var(--c2); } .point.c3 { fill: var(--c3); } .bar.muted { fill: var(--muted); opacity: .45; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1rem; margin: .25rem 0; padding: 0;
  font-size: .8rem; } .sign { margin-right: .35em; } .sign.c0 { color: var(--c0); } .sign.c1 { color: var(--c1); }
.sign.c2 { color: var(--c2); } .sign.c3 { color: var(--c3); }
.charts + details { margin-top: .75rem; } summary { cursor: pointer; font-size: .8rem; color: var(--muted); }
.game pre { font-size: .8rem; overflow-x: auto; margin: .25rem 0 .75rem; } .game .vecgame { margin-bottom: .75rem; }
.scroll { overflow-x: auto; max-height: 24rem; }
table { border-collapse: collapse; font-size: .8rem; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .2rem .5rem .2rem 0; border-bottom: 1px solid var(--grid);
  overflow-wrap: normal; } tbody tr:last-child > * { border-bottom: 0; } th { font-weight: 600; }
.game table { margin-bottom: .75rem; font-size: .875rem; } .game small { display: block; color: var(--muted); }
.game h4 { font-size: .875rem; margin: .75rem 0 .25rem; }
.game .won, .game .won small { font-weight: 700; } .card { white-space: nowrap; } .red { color: var(--red); }
"""
