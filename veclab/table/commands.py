"""What a typed line means at a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from vecgame import naming
from veclab.table.glyphs import SUIT_LETTERS, Glyphs
from veclab.table.sight import COUNTED, ENDS_IN_NUMBER, LISTED, Seen

LONGEST_SHOWN = 16  # characters of a typed line
LONGEST_LIST = 60  # characters of a list of choices within a sentence


class Request(Enum):
    """What a person may ask for instead of a move."""

    HINT = "h"
    UNDO = "u"
    HELP = "?"
    QUIT = "q"


@dataclass(frozen=True)
class Mistake:
    """A line that means nothing here, and what to say of it."""

    text: str


REQUESTS = {
    **{request.value: request for request in Request},
    **{"hint": Request.HINT, "undo": Request.UNDO, "help": Request.HELP, "quit": Request.QUIT, "exit": Request.QUIT},
}


def parse(line: str, seen: Seen, glyphs: Glyphs) -> int | Request | Mistake:
    """The action, request or mistake of a line typed at the viewer's own decision."""
    word = typed(line)
    if word in REQUESTS:
        return REQUESTS[word]
    if not word:
        return seen.legal[0] if len(seen.legal) == 1 else Mistake("Type a move, or ? for help.")
    action = _named(word, seen)
    if action is None and word.isdecimal() and len(word) <= 3:
        action = listed_choices(seen).get(int(word))
    if action is None:
        action = _abbreviated(word, seen)
    if action is None and len(names := _in_short(word, seen)) > 1:
        said = f"{', '.join(list(names)[:-1])} or {list(names)[-1]}"
        return Mistake(glyphs.say(f"{shown(line)} may be {said}: type more of it, or its number; ? for help."))
    return Mistake(glyphs.say(_mistake(line, seen))) if action is None else action


def typed(words: str) -> str:
    """Words as they are compared: without spaces and capitals, suits by their letters."""
    return "".join(words.translate(str.maketrans(SUIT_LETTERS)).split()).lower()


def _named(word: str, seen: Seen) -> int | None:
    """The choice of that name; a card that is given away also by its own."""
    names = {typed(name): action for action, name in seen.choices.items()}
    cards = {typed(_name(seen, card)): card for card in seen.one.playable()}
    second = {name.replace("'", ""): card for name, card in cards.items()}  # of two equal cards
    found = next((found[w] for w in _ways(word) for found in (names, cards, second) if w in found), None)
    if found is None and len(meant := _in_short(word, seen)) == 1:  # however many cards look so, one that is legal
        return next((card for card in seen.one.playable() if _name(seen, card) in meant), None)
    return found


def _in_short(word: str, seen: Seen) -> dict[str, int]:
    """The cards of the deck that a rank and the beginning of a suit may mean, by name: "2c", "2 of clubs"."""
    layout, found = seen.one.layout, {}
    for card in range(layout.suits * layout.ranks):
        suit, rank = (
            names[place]
            for names, place in zip((layout.suit_names, layout.rank_names), divmod(card, layout.ranks), strict=True)
        )
        in_play = seen.one.deck is None or seen.one.deck >> card & 1
        for way in _ways(word) if in_play else ():
            rest = way.removeprefix(typed(rank)).removeprefix("of") if way.startswith(typed(rank)) else ""
            if rest and typed(suit).startswith(rest):
                found.setdefault(_name(seen, card), card)
    return found


def _ways(word: str) -> tuple[str, ...]:
    """A word, and with a ten for its t."""
    return (word, f"10{word[1:]}") if word[:1] == "t" else (word,)


def numbers(seen: Seen) -> dict[int, int]:
    """The choices that only a number at the end of their names tells apart, such as bids, by that number; none where
    those that end in one begin in several ways: "play 1" and "throw 1"; in a game of one's own, where they ever do."""
    found = _ending_in_numbers(seen) if seen.numbered != LISTED else {}
    told = {int(number): action for action, (_, number) in found.items()}
    return told if len({word for word, _ in found.values()}) == 1 and len(told) == len(found) else {}


def counted_word(seen: Seen) -> str:
    """What the names of the choices in `numbers`, of which there are some, begin with: "bid"."""
    return next(iter(_ending_in_numbers(seen).values()))[0].strip()


def _ending_in_numbers(seen: Seen) -> dict[int, tuple[str, str]]:
    """The choices whose name ends in a number: what it begins with, and the number."""
    found = {action: ENDS_IN_NUMBER.fullmatch(name) for action, name in seen.choices.items()}
    return {action: (match[1], match[2]) for action, match in found.items() if match}


def listed_choices(seen: Seen) -> dict[int, int]:
    """The choices as they are numbered for the viewer: cards by their places in the hand, bids by their own numbers,
    all else from 1 on; but not in a game of one's own with bids, where a number is a bid throughout."""
    if seen.playable is not None:
        return {place: card for place, card in enumerate(seen.hand(seen.acting), 1) if card in seen.playable}
    return numbers(seen) or ({} if seen.numbered == COUNTED else dict(enumerate(distinct(seen.choices), 1)))


def distinct(choices: Mapping[int, str]) -> dict[int, str]:
    """Choices by their actions, of those that are called the same the first."""
    first: dict[str, int] = {}
    for action, name in choices.items():
        first.setdefault(name, action)
    return {action: name for name, action in first.items()}


def _abbreviated(word: str, seen: Seen) -> int | None:
    """The only choice that begins with the word, or else has it among its own, where it is no card."""
    if not word.isalpha():
        return None
    others = {action: name for action, name in seen.choices.items() if action not in seen.one.playable()}
    begin = [action for action, name in others.items() if typed(name).startswith(word)]
    hold = [action for action, name in others.items() if word in name.lower().split()]
    return next((found[0] for found in (begin, hold) if len(found) == 1), None)


def _mistake(line: str, seen: Seen) -> str:
    """What is wrong with a typed line that names no choice, and what would be right."""
    word = typed(line)
    if (cards := seen.playable) is None:
        return f"{shown(line)} is not allowed: you may choose {allowed(seen)}; ? for help."
    layout, hand = seen.one.layout, seen.hand(seen.acting)
    if word.isdecimal() and len(word) <= 3:
        if not 1 <= int(word) <= len(hand):
            return f"There is no card number {int(word)}; ? for help."
        card = hand[int(word) - 1]
    else:
        ids = {typed(naming.card_name(layout, card)): card for card in range(layout.size)}
        card = next((ids[way] for way in _ways(word) if way in ids), None)
    if card is None:
        card = next(iter(_in_short(word, seen).values()), None)
    if card is None and word in map(typed, seen.every):
        return f"{shown(line)} is not allowed now: you may choose {allowed(seen)}."
    if card is None:
        such = typed(_name(seen, min(cards))) if naming.usual_suits(layout) else _name(seen, min(cards))
        return f"{shown(line)} is no card: type one such as {such}, or its number; ? for help."
    if not any(_name(seen, card) == _name(seen, held) for held in hand):
        who = "You do" if seen.acting == seen.viewer else f"{seen.names[seen.acting]} does"
        return f"{who} not hold {_name(seen, card)}."
    if seen.led is not None and all(seen.suits[legal] == seen.led for legal in cards):
        return f"{_name(seen, card)} is not allowed: you must follow {naming.suit_name(layout, seen.led)}."
    return f"{_name(seen, card)} is not allowed: you may choose {allowed(seen)}."


def shown(word: str) -> str:
    """A typed line, cut short and printable."""
    words = " ".join(word.split())
    return ascii(words if len(words) <= LONGEST_SHOWN else words[: LONGEST_SHOWN - 4] + "..")


def _name(seen: Seen, card: int) -> str:
    return naming.card_name(seen.one.layout, card)


def allowed(seen: Seen) -> str:
    """The legal choices in words: 0-5, not 2; pass, order up hearts; Q♥, 10♥."""
    if seen.playable is not None:
        names = dict.fromkeys(_name(seen, card) for card in seen.hand(seen.acting) if card in seen.playable)
    else:
        counted = numbers(seen)
        names = [name for action, name in distinct(seen.choices).items() if action not in counted.values()]
        word = counted_word(seen) if counted else ""
        names += [f"{word * (word != 'bid')} {span(counted)}".strip()] if counted else []
    told = ", ".join(names)
    return told if len(told) <= LONGEST_LIST else f"{told[:LONGEST_LIST].rpartition(', ')[0]}, .."


def span(counted: dict[int, int]) -> str:
    """Numbers in words: 0-5, or 0-5, not 2. A missing one at an end is left out."""
    low, high = min(counted), max(counted)
    missing = [str(number) for number in range(low, high + 1) if number not in counted]
    return (f"{low}-{high}" if low < high else str(low)) + (f", not {' or '.join(missing)}" if missing else "")
