"""A match in plain sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from vecgame import Layout, naming, seeing
from vecgame.naming import points
from veclab.table.advice import Hint
from veclab.table.commands import allowed, counted_word, distinct, listed_choices, numbers, span, typed
from veclab.table.glyphs import Glyphs
from veclab.table.session import Move, Result
from veclab.table.sight import HELD, Seen

# Names of choices that begin with one of these, or one of `Game.verbs`, are said by it; others are said to be said:
# "West says nil".
VERBS = {"bid", "pass", "bet", "fold", "call", "raise", "check", "name", "order"}
VERBS |= {"put", "give", "discard", "draw", "play", "choose", "take", "throw", "tell", "ask", "exchange", "knock"}
VERBS |= {"lay", "place", "flip", "turn", "pick", "capture", "keep", "swap", "show", "reveal", "guess", "roll", "stand"}
YES = "yes"  # in a column of what is so of a seat, or is not


def help_lines(seen: Seen, lowest: float, highest: float, unit: str) -> tuple[str, ...]:
    """What can be typed at the viewer's decision; a game is worth from ``lowest`` to ``highest`` of what is counted."""
    return (
        f"Type what you choose by its name{' or its number' * bool(listed_choices(seen))}: {_examples(seen)}.",
        "Enter makes the only choice that is allowed.",
        "h hint   u undo, back to your last choice   ? this help   q quit (or Ctrl+D)",
        f"A game gives {points(lowest)} to {points(highest)} {unit}, the more the better.",
    )


def _examples(seen: Seen) -> str:
    """Of some of the viewer's choices how they can be typed: the first, a ten, one that is no card, and the last."""
    numbers, cards = {action: number for number, action in listed_choices(seen).items()}, seen.one.playable()
    tens = (action for action in cards if naming.card_name(seen.one.layout, action).startswith("10"))
    others = (action for action in seen.legal if action not in cards)
    some = dict.fromkeys([*seen.legal[:1], *list(tens)[:1], *list(others)[:1], *seen.legal[-1:]])
    return ", ".join(dict.fromkeys(_ways_to_type(seen, action, numbers.get(action)) for action in some))


def _ways_to_type(seen: Seen, action: int, number: int | None) -> str:
    layout, name = seen.one.layout, seen.choices[action]
    ways = [name]
    if action in seen.one.playable():
        card = naming.card_name(layout, action)
        suited = action < layout.suits * layout.ranks and naming.usual_suits(layout)
        ways = [typed(card)] if suited else [card]
        ways += [f"t{ways[0][2:]}"] if suited and card.startswith("10") else []
    ways += [] if number is None else [str(number)]
    return " or ".join(ways) + (f" for {name}" if ways[0] != name else "")


def verb(name: str, word: str) -> str:
    """The verb as it goes with a name: You bid, West bids."""
    if name == "You":
        return f"{name} {word}"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{name} {word[:-1]}ies"
    return f"{name} {word}{'es' if word.endswith(('s', 'sh', 'ch', 'x', 'z', 'o')) else 's'}"


def whose(name: str) -> str:
    """What belongs to somebody: your, West's."""
    return "your" if name == "You" else f"{name}'s"


def listed(names: list[str]) -> str:
    """Names as people list them: A, B and C."""
    return " and ".join(([", ".join(names[:-1])] if names[1:] else []) + names[-1:])


def narrate(before: Seen, move: Move, after: Seen, glyphs: Glyphs) -> list[str]:
    """What one move did at the table, up to the end of its game and the cards that are shown then."""
    choice = " There was no other choice." if move.forced else ""
    told = (_move_line(before, move) + choice, move.more, *_trick_line(before, move, after), *_got_lines(before, after))
    told = (*told, *_shown_line(before, after))
    return [glyphs.say(line) for line in told if line]


def _move_line(before: Seen, move: Move) -> str:
    name = before.names[move.seat]
    if move.plays or _of_cards(before.one.layout, move):
        of = "" if move.acting is None else f"{whose(before.names[move.acting])} "
        return f"{verb(name, 'lead' if move.leads else 'play')} {of}{move.name}."
    word, _, rest = move.name.partition(" ")
    if word in VERBS or word in before.verbs:
        return f"{verb(name, word)}{' ' * bool(rest)}{rest}."
    return f"{verb(name, 'say')} {move.name}."


def _of_cards(layout: Layout, move: Move) -> bool:
    """Whether a choice is called by the cards that it plays: one by its number, or suited cards, such as a pair."""
    if move.action < layout.size and move.name == naming.card_name(layout, move.action):
        return True
    cards = "|".join(re.escape(naming.card_name(layout, card)) for card in range(layout.suits * layout.ranks))
    return re.fullmatch(f"(?:(?:{cards})(?: |$))+", move.name) is not None


def _trick_line(before: Seen, move: Move, after: Seen) -> list[str]:
    """Who has taken the trick, and how a deal within a match has ended."""
    told, result = [], next(iter(_ended(before, after)), None)
    if move.winner is not None:
        won, bids = (after.won, after.bids) if result is None else (result.won, result.bids)
        taken = f"{verb(after.names[move.winner], 'take')} the trick"
        if won is not None and before.deal == after.deal:
            taken += f": {won[move.winner]} won" + (f", {bids[move.winner]} bid" if bids else "")
        told.append(f"{taken}.")
    if before.deal is not None and (result is not None or after.deal != before.deal):
        totals = after.one.values["totals"] if result is None else result.totals
        standing = ", ".join(f"{name} {points(totals[seat])}" for seat, name in enumerate(after.names))
        told.append(f"Game {before.deal + 1} of it is over: {standing}.")
    return told


def _got_lines(before: Seen, after: Seen) -> list[str]:
    """The cards that have come into a hand, drawn or given, for who sees all of it; not those of another deal, nor a
    whole hand of them, such as one passed on, which a player is shown at the next decision anyway."""
    if len(after.results) > len(before.results) or before.deal != after.deal:
        return []
    seats = [seat for seat in range(len(after.names)) if before.unseen(seat) == after.unseen(seat) == 0]
    got = {seat: _more(before.hand(seat), after.hand(seat)) for seat in seats}
    if after.viewer is not None:
        got = {seat: cards for seat, cards in got.items() if len(cards) == 1 or len(cards) < len(after.hand(seat))}
    words = {seat: " ".join(naming.card_name(after.one.layout, card) for card in cards) for seat, cards in got.items()}
    return [f"{verb(after.names[seat], 'get')} {cards}." for seat, cards in words.items() if cards]


def _more(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """The cards of a hand that it did not hold before, of some that look alike as many more as it has, in its order."""
    left, more = Counter(before), []
    for card in after:
        if left[card]:
            left[card] -= 1
        else:
            more.append(card)
    return more


def _shown_line(before: Seen, after: Seen) -> list[str]:
    """The hands that are laid open at the end of a game."""
    shown = next((result.shown for result in _ended(before, after)), ())
    names = {
        seat: " ".join(naming.card_name(before.one.layout, card) for card in cards) for seat, cards in enumerate(shown)
    }
    told = ", ".join(f"{verb(after.names[seat], 'show')} {cards}" for seat, cards in names.items() if cards)
    return [f"{told}."] if told else []


def _ended(before: Seen, after: Seen) -> tuple[Result, ...]:
    """The games that have ended between the two: one by a move, and those over as they were dealt."""
    return after.results[len(before.results) :]


def trump_words(seen: Seen) -> str | None:
    """What is trump; None where nothing is, or it is not told."""
    if "trump" not in seen.one.values or seen.trump is None:
        return None
    if seen.one.kinds["trump"] != "suits":
        return f"trump {seen.one.worded('trump', seen.one.values['trump'])}"
    none = seen.trump == seen.one.layout.suits
    return "no trump" if none else f"trump {naming.suit_name(seen.one.layout, seen.trump)}"


def game_line(seen: Seen, glyphs: Glyphs) -> str:
    """How a game begins."""
    number = f"{seen.what.capitalize()} {seen.number} of {seen.games}"
    if seen.deal is not None:
        number += f", game {seen.deal + (seen.mover is not None)}"
    cards = None if not seen.cards else f"{seen.cards} card{'s' * (seen.cards != 1)} each"
    told = ", ".join(part for part in (cards, trump_words(seen)) if part)
    dealer = seen.one.values.get("dealer")
    deals = "" if dealer is None or dealer < 0 else f" {verb(seen.names[dealer], 'deal')}."
    return glyphs.say(f"{number}{': ' * bool(told)}{told}.{deals}")


def result_lines(seen: Seen, known: int | None = None) -> list[str]:
    """The finished games after the first ``known``, by default the last one, and the match so far, or its end."""
    number, lines = len(seen.results), []
    totals = ", ".join(f"{name} {points(seen.totals[seat])}" for seat, name in enumerate(seen.names))
    unit = seen.unit[:1].upper() + seen.unit[1:]
    for place, result in list(enumerate(seen.results, 1))[-1 if known is None else known :]:
        parts = [f"{name} {points(result.points[seat])}{_tally(result, seat)}" for seat, name in enumerate(seen.names)]
        lines.append(f"{unit} in {seen.what} {place}: {', '.join(parts)}.")
    lines += [f"After {number} of {seen.games} {seen.what}{'es' if seen.what == 'match' else 's'}: {totals}."]
    return lines if seen.mover is not None else [*lines, final_line(seen)]


def _tally(result: Result, seat: int) -> str:
    parts = [f"{name} {field[seat]}" for name, field in (("bid", result.bids), ("won", result.won)) if field]
    return f" ({', '.join(parts)})" if parts else ""


def final_line(seen: Seen) -> str:
    """Who has won the match; of one that nobody wins, what it came to."""
    best = max(seen.totals)
    if seen.cooperative:
        return f"The match is over: {counted(best, seen.unit)} for all."
    winners = [name for seat, name in enumerate(seen.names) if seen.ahead(seat)]
    won = verb(winners[0], "win") if len(winners) == 1 else f"{listed(winners)} share the win"
    if seen.games == 1 and seen.deal is not None:
        return f"The match is over: {won}."
    return f"The match is over: {won} with {counted(best, seen.unit)}."


def counted(value: float, unit: str) -> str:
    """Points with what they count, as 2 chips; of one only its last s is left out."""
    told = points(value)
    return f"{told} {unit.removesuffix('s') if told == '1' else unit}"


def score_cells(result: Result, tally: bool) -> list[str]:
    """A finished game for a score sheet: points of each seat, with a tally of tricks won of tricks bid if asked for."""
    cells = [points(value) for value in result.points]
    if not tally or result.won is None or result.bids is None:
        return cells
    return [f"{cell} ({result.won[seat]}/{result.bids[seat]})" for seat, cell in enumerate(cells)]


def hand_line(seen: Seen, seat: int, glyphs: Glyphs) -> str:
    """A hand, as far as it is seen."""
    cards = [glyphs.card(seen.one.layout, card) for card in seen.hand(seat)]
    unseen = seen.unseen(seat)
    cards += [f"{unseen} unseen card{'s' * (unseen > 1)}"] if unseen else []
    return f"{verb(seen.names[seat], 'hold')} {' '.join(cards) or 'no cards'}."


def shown_hands(seen: Seen) -> list[int]:
    """The seats beside the viewer of whose cards it sees some."""
    return [seat for seat in range(len(seen.names)) if seat != seen.viewer and seen.hand(seat)]


def decision_lines(seen: Seen, glyphs: Glyphs) -> list[str]:
    """What the viewer must know to decide."""
    cards, acting = seen.playable, seen.acting
    lines = [hand_line(seen, seat, glyphs) for seat in shown_hands(seen) if cards is None or seat != acting]
    lines += [glyphs.say(line) for line in (table_line(seen), tally_line(seen), facts_line(seen)) if line]
    if cards is None:
        own = [hand_line(seen, seen.viewer, glyphs)] if seen.hands_in else []
        return [*lines, *own, *([choices_line(seen, glyphs)] if has_list(seen) else [])]
    numbered: dict[str, list[str]] = {}  # by names, as copies of a card have the same
    for number, card in listed_choices(seen).items():
        numbered.setdefault(glyphs.card(seen.one.layout, card), []).append(str(number))
    choices = "  ".join(f"{','.join(places)}:{name}" for name, places in numbered.items())
    others = [glyphs.card(seen.one.layout, card) for card in seen.hand(acting) if card not in cards]
    word = next(iter(cards.values())) or "play"
    if acting == seen.viewer:
        return [*lines, f"You may {word}  {choices}" + (f"  (you also hold {' '.join(others)})" if others else "")]
    told = f"You may {word} {whose(seen.names[acting])}  {choices}"
    also = f"  ({verb(seen.names[acting], 'hold')} {' '.join(others)} too)" if others else ""
    return [*lines, hand_line(seen, seen.viewer, glyphs), told + also]


def table_line(seen: Seen) -> str:
    """The cards on the table and whose is the best."""
    if seen.trick is None:
        return ""
    table = ", ".join(f"{seen.names[move.at]} {move.name}" for move in seen.trick.plays)
    name = seen.names[seen.winning]
    return f"On the table: {table}; {'you are' if name == 'You' else f'{name} is'} winning."


def tally_line(seen: Seen) -> str:
    """What is counted for each seat, once there is something."""
    parts, columns = [], list(seen.columns)
    if seen.bids and seen.won:
        columns = [name for name in columns if name not in ("bids", "won")]
        if None not in seen.bids:
            tally = ", ".join(f"{name} {seen.won[seat]}/{seen.bids[seat]}" for seat, name in enumerate(seen.names))
            parts.append(f"Tricks won/bid: {tally}")
    for column in columns:
        cells = [cell(seen, column, seat) for seat in range(len(seen.names))]
        if set(cells) == {YES} or set(cells) == {YES, ""}:
            who = ", ".join(seen.names[seat] for seat, told in enumerate(cells) if told)
            parts.append(f"{heading(column).capitalize()}: {who}")
        elif any(cells) and set(cells) != {"0"}:
            none = "no" if any(isinstance(value, bool) for value in seen.one.values.get(column, ())) else "0"
            none = none if seen.one.kinds.get(column, "number") == "number" else ""  # of names there may be none yet
            told = [(name, cells[seat] or none) for seat, name in enumerate(seen.names)]
            parts.append(f"{heading(column).capitalize()}: {', '.join(' '.join(pair) for pair in told if pair[1])}")
    return f"{'. '.join(parts)}." if parts else ""


def heading(column: str) -> str:
    """What a column of numbers is called."""
    return seeing.LABELS.get(column, column).replace("_", " ")


def cell(seen: Seen, column: str, seat: int) -> str:
    """A number of a seat, or whether something is so of it; "" where there is none yet, or it is not."""
    if column == HELD and column not in seen.one.values:
        return str(seen.holds(seat))
    value = seen.one.values[column][seat]
    if isinstance(value, bool):
        return YES * value
    if isinstance(value, float):
        return points(value)
    return "" if seen.one.is_none(column, value) else seen.one.worded(column, value)


def facts_line(seen: Seen, drawn: Collection[str] = ()) -> str:
    """What else there is to know, but for the fields that are ``drawn``."""
    told = "; ".join(seen.facts_beside(drawn))
    return f"{told[0].upper()}{told[1:]}." if told else ""


def has_list(seen: Seen) -> bool:
    """Whether the viewer chooses from a list, that is neither from its cards nor from numbers alone."""
    return seen.own_turn and seen.playable is None and len(numbers(seen)) < len(seen.legal)


def choices_line(seen: Seen, glyphs: Glyphs) -> str:
    """That list, with its numbers."""
    counted = numbers(seen)
    places = {} if counted else {action: f"{number}:" for number, action in listed_choices(seen).items()}
    names = distinct(seen.choices).items()
    parts = [f"{places.get(action, '')}{name}" for action, name in names if action not in counted.values()]
    parts += [f"{counted_word(seen)} {span(counted)}".strip()] if counted else []
    return glyphs.say(f"You may choose  {'  '.join(parts)}")


def prompt(seen: Seen, glyphs: Glyphs) -> str:
    """What stands before the person's answer."""
    cards, words = seen.playable, {name.partition(" ")[0] for name in seen.choices.values()}
    if cards is not None:
        what = f"card to {next(iter(cards.values()))}" if any(cards.values()) else "card"
    else:
        what = "bid" if "bid" in words else "choice"
    your = "Your" if cards is None or seen.acting == seen.viewer else whose(seen.names[seen.acting])
    if len(seen.legal) == 1:
        (action,), (name,) = seen.legal, seen.choices.values()
        only = naming.card_name(seen.one.layout, action) if cards is not None else name.removeprefix("bid ")
        return glyphs.say(f"{your} {what} (Enter: {only}): ")
    if what != "bid":
        return f"{your} {what}: "
    places = {} if numbers(seen) else listed_choices(seen)  # by which numbers go where they are not the bids themselves
    listed = ", ".join(f"{number}:{seen.choices[action]}" for number, action in places.items())
    return glyphs.say(f"Your bid ({listed or allowed(seen)}): ")


def rest_prompt(seen: Seen) -> str:
    """Likewise between two games."""
    return f"Enter for the next {seen.what}, u to undo, q to quit: "


def hint_lines(hint: Hint, glyphs: Glyphs) -> list[str]:
    """A hint, the best action first."""
    lines, width = [f"Hint by {hint.source}:"], max(6, *(len(one.name) for one in hint.advice))
    wide = max(4, *(len(hint.told(one.points)) for one in hint.advice))
    for one in hint.advice:
        bar = glyphs.bar * round(20 * one.probability)
        told = f"{one.probability:>5.0%}  {hint.told(one.points):>{wide}} {hint.unit}  {bar}"
        lines.append(f"  {glyphs.say(one.name):>{width}} {told}".rstrip())
    return lines
