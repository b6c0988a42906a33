"""Random games of OpenSpiel's trick games, told in our seats and card numbers. Nobody here wrote their rules.

Whist is not among them, but the play of a bridge deal is Whist with the trump of the contract: declarer plays dummy's
cards, which changes who decides and nothing else. All seats are turned by a random number, since OpenSpiel's player 0
always begins.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SEATS, DECK = 4, 52
SUITS = "SHCD"  # our suits by letter, as OpenSpiel writes them
RANKS = "23456789TJQKA"
LETTERS = str.maketrans("♠♥♣♦", SUITS)


@dataclass(frozen=True)
class OracleGame:
    """One finished game."""

    hands: list[list[int]]  # by seat, as dealt
    given: dict[str, int]  # what else our rules are told
    decisions: list[tuple[int, list[int], int]]  # (seat to play, its legal actions ascending, the action it took)
    returns: list[float]  # by seat


def card_of(text: str) -> int:
    """Our number of the card that OpenSpiel writes like "S2", "2S" or "♠2", the ten as "T" or "10"."""
    text = text.translate(LETTERS).replace("10", "T")
    suit = next(c for c in text if c in SUITS)
    return 13 * SUITS.index(suit) + RANKS.index(text.replace(suit, ""))


def hearts(rng: random.Random, **parameters: bool) -> OracleGame:
    """A game of `hearts` without passing."""
    written = ",".join(f"{name}={str(value).lower()}" for name, value in parameters.items())
    return _play(rng, f"hearts(pass_cards=false{',' if written else ''}{written})", [0], [], lambda first: {})


def passed_hearts(rng: random.Random, **parameters: bool) -> OracleGame:
    """A game of `hearts` in which cards are passed in a random direction, or in none. Player 0 passes first: seats are
    not turned."""
    direction = rng.randrange(4)  # none, left, across, right
    name = f"hearts({','.join(f'{name}={str(value).lower()}' for name, value in parameters.items())})"
    return _play(rng, name, [direction], [], lambda first: {"direction": direction}, turned=False)


def spades(rng: random.Random) -> OracleGame:
    """A game of `spades`, whose player 0 bids first; our dealer bids last."""
    return _play(rng, "spades", [], [], lambda first: {"dealer": (first - 1) % SEATS})


def whist(rng: random.Random) -> OracleGame:
    """The play of `bridge` in a contract of seven that player 0 declares, so that player 1 leads.

    Undoubled and not vulnerable, each trick short of all 13 costs 50 points.
    """
    denomination = rng.randrange(5)  # clubs, diamonds, hearts, spades, no trump
    trump = [2, 3, 1, 0, 4][denomination]
    pass_, seven = 52, 55 + 5 * 6 + denomination
    record = _play(
        rng,
        "bridge(use_double_dummy_result=false)",
        [],
        [seven, pass_, pass_, pass_],
        lambda first: {"dealer": first, "trump": trump},
    )
    declarer = record.given["dealer"]
    tricks = 13 + min(record.returns[declarer], 0) / 50
    returns = [tricks if (seat - declarer) % 2 == 0 else 13 - tricks for seat in range(SEATS)]
    return OracleGame(record.hands, record.given, record.decisions, returns)


def euchre(rng: random.Random, **parameters: bool) -> OracleGame:
    """A game of `euchre`, whose dealer is random, bids and lone hands included.

    Its cards are 4 * rank + suit, suits clubs, diamonds, hearts, spades, rank 0 = nine; the dealer gets the first card.
    Its 24 passes, 25 to 28 name those suits, 29 plays alone, 30 does not. Our bids count suits from the card turned up.
    """
    import pyspiel

    written = ",".join(f"{name}={str(value).lower()}" for name, value in parameters.items())
    state = pyspiel.load_game(f"euchre({written})").new_initial_state()
    ours = [13 * [2, 3, 1, 0][card % 4] + 7 + card // 4 for card in range(24)]
    dealer = rng.randrange(SEATS)
    state.apply_action(dealer)
    *dealt, upcard = rng.sample(range(24), 21)
    hands: list[list[int]] = [[] for _ in range(SEATS)]
    for number, card in enumerate(dealt):
        hands[(dealer + number) % SEATS].append(ours[card])
        state.apply_action(card)
    state.apply_action(upcard)
    turned = ours[upcard]

    def our_action(action: int) -> int:
        if action < 24:
            return ours[action]
        if action > 28:
            return DECK + action - 24
        return DECK if action == 24 else DECK + 1 + ([2, 3, 1, 0][action - 25] - turned // 13) % 4

    decisions = []
    while not state.is_terminal():
        player, actions = state.current_player(), {our_action(action): action for action in state.legal_actions()}
        # Passing is as likely as all else together, so that second rounds come up, too.
        taken = DECK if DECK in actions and rng.random() < 0.5 else rng.choice(sorted(actions))
        decisions.append((player, sorted(actions), taken))
        state.apply_action(actions[taken])
    return OracleGame(hands, {"dealer": dealer, "upcard": turned}, decisions, state.returns())


def skat(rng: random.Random) -> OracleGame:
    """A game of `skat`, whose player 0 bids first and leads; its numbers of cards and bids are ours.

    Cards are dealt by three, the skat by two, by four and by three.
    """
    import pyspiel

    state = pyspiel.load_game("skat").new_initial_state()
    first = rng.randrange(3)
    hands: list[list[int]] = [[] for _ in range(3)]
    order = [0] * 3 + [1] * 3 + [2] * 3 + [None] * 2 + [0] * 4 + [1] * 4 + [2] * 4 + [0] * 3 + [1] * 3 + [2] * 3
    for card, player in zip(rng.sample(range(32), 32), order, strict=True):
        if player is not None:
            hands[(player + first) % 3].append(card)
        state.apply_action(card)
    decisions = []
    while not state.is_terminal():
        actions = state.legal_actions()
        # Passing is as likely as all else together, so that it comes to the last seat, too.
        taken = 32 if 32 in actions and rng.random() < 0.5 else rng.choice(actions)
        decisions.append(((state.current_player() + first) % 3, actions, taken))
        state.apply_action(taken)
    returns = state.returns()
    return OracleGame(hands, {"dealer": (first - 1) % 3}, decisions, [returns[(seat - first) % 3] for seat in range(3)])


def play_games(kind: Callable[[random.Random], OracleGame], rng: random.Random, count: int) -> Iterator[OracleGame]:
    """Games of random moves."""
    for _ in range(count):
        yield kind(rng)


def _play(
    rng: random.Random,
    name: str,
    before_the_deal: list[int],
    after_the_deal: list[int],
    given: Callable[[int], dict[str, int]],
    turned: bool = True,
) -> OracleGame:
    """Plays one game at random; ``given`` is told the seat of OpenSpiel's player 0, which is random if ``turned``."""
    import pyspiel

    state = pyspiel.load_game(name).new_initial_state()
    first = rng.randrange(SEATS) if turned else 0
    for action in before_the_deal:
        state.apply_action(action)
    hands: list[list[int]] = [[] for _ in range(SEATS)]
    for number, card in enumerate(rng.sample(range(DECK), DECK)):
        assert state.is_chance_node()
        hands[(number + first) % SEATS].append(card_of(state.action_to_string(state.current_player(), card)))
        state.apply_action(card)
    for action in after_the_deal:
        state.apply_action(action)
    decisions = []
    while not state.is_terminal():
        player = state.current_player()
        ours = {_our_action(state, player, action): action for action in state.legal_actions()}
        taken = rng.choice(sorted(ours))
        # In bridge, declarer acts for dummy: the seat that plays is the one that was dealt the card.
        seat = (player + first) % SEATS
        if name.startswith("bridge"):
            seat = next(s for s in range(SEATS) if taken in hands[s])
        decisions.append((seat, sorted(ours), taken))
        state.apply_action(ours[taken])
    returns = state.returns()
    return OracleGame(hands, given(first), decisions, [returns[(seat - first) % SEATS] for seat in range(SEATS)])


def _our_action(state, player: int, action: int) -> int:
    """Cards by our number, bids of Spades as 52 + bid, which is OpenSpiel's own number."""
    return card_of(state.action_to_string(player, action)) if action < DECK else action
