"""What pictures of games are made of, as SVG: the faces and backs of cards, pieces of text, and the colours of all.

Cards are placed by their upper left corner, text by its line and its left end, middle or right end.
"""

from __future__ import annotations

from html import escape

from vecgame import naming
from vecgame.cards import SUIT_NAMES, Layout
from vecgame.naming import AS_TEXT

SMALL, LARGE = (32, 44), (42, 60)  # cards above the table; below it and on it
INK, FAINT, PAGE, FELT, PAPER, BACK = (
    ("#22262b", "#e8e6e1"),  # text: in the light scheme, in the dark one
    ("#5d656d", "#a6adb4"),  # small print
    ("#faf9f6", "#1b1e22"),
    ("#2f7d5b", "#245a44"),
    ("#ffffff", "#efece4"),  # a card's face
    ("#43618f", "#4f6d9c"),  # a card's back
)
RIM, EDGING, TURN = "#256549", "#8d949b", "#f0b429"  # of the table, of a card, of whose turn it is, in both
CLASSES = {"ink": INK, "faint": FAINT, "page": PAGE, "felt": FELT, "paper": PAPER, "back": BACK}
INKS = ("#1d2125", "#c4242b", "#17733a", "#1f5fbf", "#8a4b08", "#6f3fa8")  # of suits by number, the usual ones first
SIGNS = frozenset(naming.SYMBOLS[name] for name in SUIT_NAMES)


def face(
    layout: Layout, card: int, x: float, y: float, width: float, height: float, whole: bool = False, strip: bool = False
) -> str:
    """A card, known by its left edge, or with ``strip`` by its upper one; ``whole`` ones have a large sign as well."""
    name, (rank, sign), ink = naming.card_name(layout, card), corner(layout, card), INKS[ink_of(layout, card)]
    parts = [f'<rect class="vg-paper" width="{width}" height="{height}" rx="4" fill="{PAPER[0]}" stroke="{EDGING}"/>']
    short = len(sign) == 1
    mark = f'fill="{ink}" font-weight="600"'
    if strip:
        label = f"{rank}{sign}{AS_TEXT}" if short else f"{rank} {sign}".strip()
        parts.append(
            f'<text x="5" y="13" {mark} font-size="13"{_squeezed(label, 7.2, width - 10)}>{escape(label)}</text>'
        )
    else:
        label = rank if short or not sign else f"{rank} {sign}"
        if short:
            fit = _squeezed(rank, 8, 14)
            parts.append(f'<text x="10" y="15" text-anchor="middle" {mark} font-size="14"{fit}>{escape(rank)}</text>')
            if not whole or height >= LARGE[1]:  # or the large sign says it
                parts.append(
                    f'<text x="10" y="29" text-anchor="middle" {mark} font-size="14">{escape(sign)}{AS_TEXT}</text>'
                )
        else:
            fit = _squeezed(label, 6.4, height - 10)
            parts.append(
                f'<text transform="translate(6 5) rotate(90)" {mark} font-size="11"{fit}>{escape(label)}</text>'
            )
        if whole and short:
            big = f'x="{0.62 * width:.1f}" y="{height - 8:.1f}" text-anchor="middle" fill="{ink}"'
            parts.append(f'<text {big} font-size="{0.5 * height:.0f}">{escape(sign)}{AS_TEXT}</text>')
    return (
        f'<g class="vg-face" transform="translate({x:.1f} {y:.1f})"><title>{escape(name)}</title>{"".join(parts)}</g>'
    )


def corner(layout: Layout, card: int) -> tuple[str, str]:
    """What stands in a card's corner: its rank and its suit's sign, or its name and nothing."""
    if card >= layout.suits * layout.ranks:
        return naming.card_name(layout, card), ""
    suit, rank = divmod(card, layout.ranks)
    return layout.rank_names[rank], naming.suit_symbol(layout, suit)


def ink_of(layout: Layout, card: int) -> int:
    """The place in `INKS` of a card's colour: that of its suit, and in a deck without suits of its name, so that cards
    that look alike are alike."""
    if not layout.suits:
        return list(dict.fromkeys(layout.extra_names)).index(layout.extra_names[card]) % len(INKS)
    suit = min(card // max(layout.ranks, 1), layout.suits)
    usual = suit < layout.suits and naming.usual_suits(layout)
    return (SUIT_NAMES.index(layout.suit_names[suit]) if usual else suit) % len(INKS)


def _squeezed(label: str, each: float, room: float) -> str:
    """The attribute that makes a label fit, where it would not."""
    fits = each * len(label.replace(AS_TEXT, "")) <= room
    return "" if fits else f' textLength="{room:.0f}" lengthAdjust="spacingAndGlyphs"'


def back(x: float, y: float, width: float, height: float) -> str:
    """A card's back."""
    outer = f'<rect class="vg-paper" width="{width}" height="{height}" rx="4" fill="{PAPER[0]}" stroke="{EDGING}"/>'
    inner = f'<rect class="vg-back" x="2.5" y="2.5" width="{width - 5}" height="{height - 5}" rx="2" fill="{BACK[0]}"/>'
    return f'<g class="vg-hidden" transform="translate({x:.1f} {y:.1f})">{outer}{inner}</g>'


def written(
    told: str, x: float, y: float, colour: str, size: int = 12, bold: bool = False, anchor: str = "start"
) -> str:
    """A piece of text; an ``anchor`` of start, middle or end says which part of it is at ``x``."""
    fill = {"white": "#ffffff", "onturn": INK[0], "ink": INK[0], "faint": FAINT[0]}[colour]
    kind = f' class="vg-{colour}"' if colour in CLASSES else ""
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    signs = "".join(f"{c}{AS_TEXT}" if c in SIGNS else c for c in escape(told))
    return f'<text{kind} {place} fill="{fill}" font-size="{size}"{weight}>{signs}</text>'
