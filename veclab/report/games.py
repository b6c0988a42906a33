"""Games move by move, with what the network thought at every decision."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape

import torch

from vecgame import Game, State, TrickGame, naming, seeing, text
from vecgame.games.match import Standing
from vecgame.naming import points
from vecgame.pictures import drawable, svg
from veclab.report.markup import details
from veclab.report.played import SHOWN_GAMES, Played, Thought

RED = ("hearts", "diamonds")
TOLD_ACTIONS = 4  # of a decision, the most probable ones
BEFORE = "Before a card"
NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'  # which an SVG within a page needs not say


def annotated_games(played: Sequence[Played], count: int = SHOWN_GAMES) -> str:
    """Some of the games, each with all that was thought."""
    shown = [_article(part, lane, title) for title, part, lane in sample(played, count)]
    legend = (
        "The first games of those, not picked. Under each action: the probability that the network gave it, and the "
        f"{escape(played[0].game.unit)} that it then expected for that seat."
    )
    tricks = " The winner of a trick is in bold." if isinstance(played[0].game, TrickGame) else ""
    return f"<p>{legend}{tricks}</p>{''.join(shown)}"


def sample(played: Sequence[Played], count: int = SHOWN_GAMES) -> list[tuple[str, Played, int]]:
    """The first games, of different card counts as far as there are some: what they are called, and their lanes."""
    chosen = [played[round(k * (len(played) - 1) / max(count - 1, 1))] for k in range(count)]
    titled = []
    for number, part in enumerate(chosen):
        lane = sum(part is earlier for earlier in chosen[:number])
        if lane < part.start.batch_size:
            cards = f": {part.game.cards} card{'s' * (part.game.cards > 1)}" if len(played) > 1 else ""
            titled.append((f"Game {number + 1}{cards}", part, lane))
    return titled


def _article(part: Played, lane: int, title: str) -> str:
    """A game: how it began, each deal of it, how it ended, and all that was thought."""
    game, thoughts = part.game, _thoughts_of(part, lane)
    seen = seeing.see(game, part.start, lane)
    title = ", ".join([title, *_facts(seen)])
    deals = [list(deal) for _, deal in itertools.groupby(thoughts, lambda thought: _number(thought[1].state, lane))]
    named = replace(seen, title=seen.title.partition(",")[0])  # its number among all deals says nothing here
    parts = [svg(named).replace(NAMESPACE, "")] if drawable(seen) else []
    for number, deal in enumerate(deals):
        last = number == len(deals) - 1
        if len(deals) > 1:
            totals = " ".join(points(total) for total in deal[0][1].state.totals[lane].tolist())
            parts.append(f"<h4>Game {number + 1} of the match, totals {totals}</h4>")
        parts.append(_deal_html(part, lane, title, deal, part.end if last else None))
    parts.append(_decisions_html(part, lane, title, thoughts))
    return f'<article class="game"><h3>{escape(title)}</h3>{"".join(parts)}</article>'


def _thoughts_of(part: Played, lane: int) -> list[tuple[int, Thought]]:
    """Number and thought of each decision of a game."""
    return [(number, thought) for number, thought in enumerate(part.thoughts) if bool(part.live[number, lane])]


def _number(state: State, lane: int) -> int:
    """The number of the game that is on, within a match; 0 elsewhere."""
    return int(state.number[lane]) if isinstance(state, Standing) else 0


def _facts(seen: seeing.Seen) -> list[str]:
    """Trump, dealer and the like, as far as they are there: no seat is -1."""
    told = {name for name in text.others(seen) if seen.kinds[name] in ("seats", "suits")} - {*seen.unnamed}
    told = {name for name in told if seen.kinds[name] == "suits" or seen.values[name] != -1}
    return [f"{name} {seen.worded(name, seen.values[name])}" for name in sorted(told - {"leader"}, reverse=True)]


# -- a deal -----------------------------------------------------------------------------------------------------------


@dataclass
class _Round:
    """A row of the table of actions: at most one of each seat."""

    label: str
    cells: dict[int, str] = field(default_factory=dict)  # markup of the action, by seat
    thoughts: dict[int, str] = field(default_factory=dict)
    roles: dict[int, list[str]] = field(default_factory=dict)
    winner: int | None = None  # of a trick that is over


def _deal_html(part: Played, lane: int, title: str, deal: Sequence[tuple[int, Thought]], end: State | None) -> str:
    """The seats with their hands, and the actions round by round; ``end`` None where it is not known."""
    game, start = part.game, seeing.see(part.game, deal[0][1].state, lane)
    over = None if end is None else seeing.see(game, end, lane)
    if "hands" in start.counts and start.per_seat("hands"):
        notes = (
            [""] * game.seats if over is None else [escape(", ".join(_notes(over, seat))) for seat in range(game.seats)]
        )
        rows = [[f"Seat {seat}", _hand(start, seat), notes[seat]] for seat in range(game.seats)]
        seats = _plain_table(f"{title}: hands", ("Seat", "Hand", "At the end"), rows)
    else:
        words = [text.words(start), *([] if over is None else [text.words(over)])]
        seats = "".join(f"<pre>{escape(told)}</pre>" for told in words)
    rows = [_round_cells(part, one) for one in _rounds(part, lane, deal)]
    header = ("", *(f"Seat {seat}" for seat in range(game.seats)))
    return seats + _plain_table(f"{title}: actions", header, rows)


def _notes(over: seeing.Seen, seat: int) -> list[str]:
    """What is to be said of a seat at the end, when suits that it has been out of are nothing more."""
    known = {"lacks": [0] * over.seats} if "lacks" in over.values else {}
    return replace(over, values={**over.values, **known}).notes(seat)


def _rounds(part: Played, lane: int, deal: Sequence[tuple[int, Thought]]) -> Iterator[_Round]:
    """The actions of a deal, those of a trick or of a round of bids together."""
    game, tricks, current, kind = part.game, 0, None, None
    for number, thought in deal:
        seat, action, state = int(part.mover[number, lane]), int(part.action[number, lane]), thought.state[lane]
        now = _kind(game, state, action)
        leads = now == "Trick" and bool((state.trick < 0).all())
        if current is None or now != kind or seat in current.cells or current.winner is not None:
            if current is not None:
                yield current
            tricks += leads
            current, kind = _Round(f"Trick {tricks}" if now == "Trick" else now), now
            if leads:
                current.roles[seat] = ["leads"]
        current.cells[seat] = _action(game, state, action, card=now not in ("Bids", "", BEFORE))
        current.thoughts[seat] = _thought(part, number, lane)
        if now == "Trick":
            current.winner = _taker(game, state, seat, action)
    if current is not None:
        yield current


def _kind(game: Game, state: State, action: int) -> str:
    """What is decided in one game: "Bids", "Trick", what is done with a card that is given away, `BEFORE` for what a
    seat does before it plays a card, or "" in a game without tricks."""
    if not isinstance(game, TrickGame):
        return ""
    giving = game.giving(state)
    if giving is not None and bool(giving):
        return game.give_word.capitalize()
    if bool(game.bidding(state)):
        return "Bids"
    return BEFORE if action >= game.first_other else "Trick"


def _taker(game: TrickGame, state: State, seat: int, action: int) -> int | None:
    """Who wins the trick of one game that a seat's card ends; None where it ends none."""
    if bool((game.step(state, torch.tensor([action])).trick >= 0).any()):
        return None
    trick = state.trick.clone()
    trick[0, seat] = action
    return int(game.winner(state, trick, game.suit_led(state, trick)))


def _round_cells(part: Played, one: _Round) -> list[str]:
    cells = [escape(one.label)]
    for seat in range(part.game.seats):
        shown = one.cells.get(seat, "")
        roles = one.roles.get(seat, []) + ["wins"] * (seat == one.winner)
        if roles and shown:
            shown = f"{shown}<small>{', '.join(roles)}</small>"
        if seat == one.winner:
            shown = f'<div class="won">{shown}</div>'
        cells.append(f"{shown}{one.thoughts.get(seat, '')}")
    return cells


# -- what was thought -------------------------------------------------------------------------------------------------


def _thought(part: Played, decision: int, lane: int) -> str:
    expected = score_text(part.game, float(part.value[decision, lane]))
    chance = f"{100 * float(part.chance[decision, lane]):.0f}%" if part.free[decision, lane] else "forced"
    return f"<small>{chance}, {expected}</small>"


def score_text(game: Game, value: float) -> str:
    """The score of a worth, as exactly as the game's scale is fine; never -0."""
    digits = 1 if game.highest - game.lowest >= 10 else 2
    return f"{round(game.score_of(value), digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _decisions_html(part: Played, lane: int, title: str, thoughts: Sequence[tuple[int, Thought]]) -> str:
    """Policy and values of every decision, folded away."""
    game, rows = part.game, []
    for number, thought in thoughts:
        mover, state = int(part.mover[number, lane]), thought.state[lane]
        values = [""] * game.seats
        for place, value in enumerate(thought.values[lane].tolist()):
            values[(mover + place) % game.seats] = score_text(game, value)
        rows.append([str(number + 1), f"Seat {mover}", escape(_policy(game, state, thought, lane)), *values])
    header = ("", "To move", "Policy", *(f"Seat {seat}" for seat in range(game.seats)))
    table = _plain_table(f"{title}: policy and expected {game.unit}", header, rows)
    return details(f"Every decision: policy, and {game.unit} expected for each seat", table)


def _policy(game: Game, state: State, thought: Thought, lane: int) -> str:
    """The most probable actions of one game."""
    chances, actions = thought.chances[lane], thought.actions[lane]
    legal = [(float(chances[slot]), int(actions[slot])) for slot in chances.argsort(descending=True, stable=True)]
    legal = [(chance, action) for chance, action in legal if action >= 0]
    told = [f"{game.action_name(action, state)} {100 * chance:.0f}%" for chance, action in legal[:TOLD_ACTIONS]]
    more = len(legal) - len(told)
    return ", ".join([*told, *([f"{more} more"] if more else [])])


# -- cards ------------------------------------------------------------------------------------------------------------


def _action(game: Game, state: State, action: int, card: bool) -> str:
    """An action of one game as markup."""
    return _card(game.layout, action) if card else escape(game.action_name(action, state))


def _hand(seen: seeing.Seen, seat: int) -> str:
    return " ".join(_card(seen.layout, card) for card in seen.hand(seat)[0])


def _card(layout: text.Layout, card: int) -> str:
    name, suit = naming.card_name(layout, card), card // layout.ranks if layout.ranks else layout.suits
    red = " red" if suit < layout.suits and layout.suit_names[suit] in RED else ""
    sign = naming.AS_TEXT if name[-1] in naming.SYMBOLS.values() else ""
    return f'<span class="card{red}">{escape(name)}{sign}</span>'


def _plain_table(label: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of markup."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )
