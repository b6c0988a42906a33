"""play.py: the match is right, nothing hidden is shown or used, and every way in and out works."""

import io
import json
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from net import BlobNet, InferenceNet, NetConfig
from tests.helpers import assert_same_state, reshuffle
from vecgame import Blob, identity, make_game
from vecgame.cards import STANDARD
from vecgame.games.blob import schedule
from veclab import play
from veclab.agents import SHIPPED
from veclab.agents.checkpoint import save_network
from veclab.agents.folder import NEWEST
from veclab.arena.bots import (
    FlatMonteCarlo,
    RandomBot,
    RolloutPlayer,
    RuleBot,
    SearchPlayer,
    rollout_config,
    usual_thinking,
)
from veclab.lock import alone_at
from veclab.presets import from_flags
from veclab.table import lines, view
from veclab.table.advice import action_values, give_hint
from veclab.table.agents import BOTS, choose, default_agent
from veclab.table.app import Sitting
from veclab.table.commands import Mistake, Request, allowed, listed_choices, parse
from veclab.table.glyphs import ASCII, UNICODE, glyphs_for
from veclab.table.saving import load_match, save_match
from veclab.table.session import FIRST_INDEX, PERSON, Match, Settings, begin, undo, walk
from veclab.table.sight import Seen, look, said
from veclab.table.ui import PlainLines, Screen
from vecmcts import Past, PlayoutEvaluator, SearchConfig
from vecmcts.evaluators import play_out

ROOT = Path(__file__).parents[1]
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
CARD = re.compile(r"(?:10|[2-9JQKA])[♠♥♣♦]")


def of_blob(cards: int = 5, **others: object) -> Settings:
    """A match of Blob with hands of so many cards at most."""
    return Settings(Blob(cards=cards), **others)


def played(settings: Settings, seed: int = 0, stop: int | None = None) -> Match:
    """A match in which all seats act at random, after ``stop`` actions or at its end."""
    rng, match = random.Random(seed), begin(settings)
    while not match.over and len(match.history) != stop:
        match = match.act(rng.choice(match.legal))
    return match


def name(card: str) -> int:
    """A card's id by its name in letters."""
    return next(c for c in range(52) if ASCII.card(STANDARD, c) == card)


def position(hands: list[str], trump: int, dealer: int, actions: list[int]) -> Match:
    """A match whose first game has these hands, after some actions."""
    ids = torch.tensor([[[name(card) for card in hand.split()] for hand in hands]])
    match = begin(of_blob(cards=ids.shape[2]))
    match = replace(match, state=match.game.from_hands(ids, dealer, trump))
    for action in actions:
        match = match.act(action)
    return match


# -- the match ------------------------------------------------------------------------------------------------------


def test_schedule() -> None:
    hands = [game.cards for game in of_blob(cards=5).course]
    assert hands == [5, 4, 3, 2, 1, 1, 1, 1, 1, 2, 3, 4, 5]
    assert [game.cards for game in of_blob(cards=5, games=2).course] == [5, 4]


def test_a_match_follows_its_schedule_and_its_points_sum_up() -> None:
    match = played(of_blob(cards=3, seed=5))
    assert tuple(result.cards for result in match.results) == schedule(3, 4)
    assert [result.trump for result in match.results] == [number % 5 for number in range(9)]
    totals = [0.0] * 4
    for number, result in enumerate(match.results):
        assert len(result.tricks) == sum(result.won) == result.cards
        assert sum(result.bids) != result.cards  # the hook
        for seat in range(4):
            exact = result.bids[seat] == result.won[seat]
            assert result.points[seat] == (10 + result.won[seat] if exact else 0)
            assert result.won[seat] == sum(trick.winner == seat for trick in result.tricks)
            totals[seat] += result.points[seat]
        assert result.tricks[0].plays[0].seat == (number + 1) % 4  # left of the dealer, who changes every game
    assert match.totals == tuple(totals)
    assert look(match, PERSON).mover is None and match.legal == ()


def test_tricks_are_what_was_played() -> None:
    """South deals, hearts are trump. West leads clubs, East trumps; East then leads."""
    match = position(["2c 3c", "Kc 2d", "4c 5d", "2h 6d"], trump=1, dealer=0, actions=[1, 1, 1, 0])
    for card in ("Kc", "4c", "2h"):
        match = match.act(name(card))
    seen = look(match, PERSON)
    assert (seen.winning, seen.mover, seen.led) == (3, PERSON, 2) and highlighted(seen) == "2h"
    match = match.act(name("2c"))
    seen = look(match, PERSON)
    assert match.tricks[0].winner == 3 and seen.trick is None and seen.last_trick.winner == 3 and seen.mover == 3
    assert [(move.seat, ASCII.card(STANDARD, move.action)) for move in seen.last_trick.plays] == [
        (1, "Kc"),
        (2, "4c"),
        (3, "2h"),
        (0, "2c"),
    ]
    assert highlighted(seen) == "2h"
    match = match.act(name("6d"))
    assert look(match, PERSON).last_trick == seen.last_trick and highlighted(look(match, PERSON)) == "6d"


def highlighted(seen: Seen) -> str:
    """The cards that the trick's panel shows in reverse."""
    file = io.StringIO()
    Console(file=file, width=80, force_terminal=True).print(view.trick_panel(seen, ASCII))
    return " ".join(re.findall(r"\x1b\[[0-9;]*\b7\b[0-9;]*m(\w+)\x1b", file.getvalue()))


def test_the_last_of_several_tricks_is_remembered() -> None:
    match = position(["Qh Ac 2s", "2h 3h 4h", "6h 7h 8h", "2c 3c 4c"], 0, 0, [1, 1, 1, 1])
    for card in ("2h", "6h", "2c", "Qh", "2s", "3h", "7h", "3c"):
        match = match.act(name(card))
    seen = look(match, PERSON)
    assert [ASCII.card(STANDARD, move.action) for move in seen.last_trick.plays] == ["2s", "3h", "7h", "3c"]


def test_hands_are_held_trumps_first_and_high_cards_first() -> None:
    match = position(
        ["2h 3s Kd 4h 5c As", "6s 7s 8s 9s 10s Js", "6h 7h 8h 9h 10h Jh", "6d 7d 8d 9d 10d Jd"],
        1,
        0,
        [],
    )
    assert [ASCII.card(STANDARD, card) for card in look(match, PERSON).hand(PERSON)] == [
        "4h",
        "2h",
        "As",
        "3s",
        "5c",
        "Kd",
    ]


def test_seeds_make_matches() -> None:
    hands = [look(begin(of_blob(seed=seed)), None).one.values["hands"] for seed in (1, 1, 2)]
    assert hands[0] == hands[1] != hands[2]


def test_only_legal_actions_count() -> None:
    match = played(of_blob(cards=2), stop=5)
    for action in set(range(-1, 53)) - set(match.legal):
        with pytest.raises(ValueError, match="is not one of"):
            match.act(action)
    with pytest.raises(ValueError, match="the match is over"):
        played(of_blob(cards=1)).act(0)


def test_undo_goes_back_to_the_last_choice_and_the_same_move_gives_the_same_match() -> None:
    rng, agent = random.Random(3), RandomBot()
    match, choices = begin(of_blob(cards=3, games=4, seed=9)), []
    while not match.over:
        own = match.mover == PERSON
        if own and len(match.legal) > 1:
            choices.append(match)
        match = match.act(rng.choice(match.legal) if own else choose(agent, match))
    later = match
    for choice in reversed(choices):
        match = undo(match, PERSON)
        assert match == choice and look(match, PERSON) == look(choice, PERSON)
        assert_same_state(match.state, choice.state)
    assert undo(match, PERSON) is None
    for choice in choices:  # the same moves again
        while match.mover != PERSON or len(match.legal) == 1:
            match = match.act(match.legal[0] if match.mover == PERSON else choose(agent, match))
        assert match == choice
        match = match.act(later.history[len(match.history)])


@pytest.mark.slow
def test_agents_and_hints_do_not_see_hidden_cards() -> None:
    network = InferenceNet(BlobNet(SMALL), dtype=torch.float32)
    agents = [
        RuleBot(),
        FlatMonteCarlo(worlds=4),
        SearchPlayer(network, SearchConfig(worlds=3, simulations=4)),
        RolloutPlayer(network, rollout_config([Blob(cards=3)], worlds=4)),
        SearchPlayer(PlayoutEvaluator(), SearchConfig(worlds=3, simulations=3)),
    ]
    match, compared = begin(of_blob(cards=3, games=1, seed=2)), 0
    while not match.over:
        viewer = torch.tensor([match.mover])
        hidden = reshuffle(match.game, match.state, viewer, seed=len(match.history))
        played = [before.hands & ~match.state.hands for before in match.earlier]  # since then
        earlier = [replace(e, hands=hidden.hands | cards) for e, cards in zip(match.earlier, played, strict=True)]
        other = replace(match, state=hidden, earlier=tuple(earlier))
        if match.game.cards * 4 - len(match.history) > 2:
            assert not torch.equal(other.state.hands, match.state.hands)
        assert look(other, match.mover) == look(match, match.mover)
        for agent in agents:
            assert choose(agent, other) == choose(agent, match)
        for agent in agents[1:4]:
            assert give_hint(agent, other) == give_hint(agent, match)
            compared += 1
        match = match.act(match.legal[-1])
    assert compared == 3 * match.game.decisions


# -- hints ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dealer", range(4))
def test_points_of_a_hint_by_hand(dealer: int) -> None:
    """One card each and the last to bid: whoever bids 1 gets 11 when the card wins, who bids 0 gets 10 when not. The
    same worlds decide both, so the two chances sum to one; the Q-values of a search exceed that."""
    hands = ["2h", "3h", "4h"]
    hands.insert(dealer, "9s")
    match = position(hands, trump=0, dealer=dealer, actions=[1, 1, 0])
    hint = give_hint(RuleBot(), match)
    by_bid = {one.action: one for one in hint.advice}
    assert by_bid[0].points / 10 + by_bid[1].points / 11 == pytest.approx(1)
    # 3 of the 51 unseen cards are out, and 5 of those 51 beat the nine of trumps.
    wins = 46 / 51 * 45 / 50 * 44 / 49
    assert by_bid[1].points / 11 == pytest.approx(wins, abs=0.08)
    assert hint.advice[0].action == 1 and sum(one.probability for one in hint.advice) == pytest.approx(1)


def test_hints_name_their_source_and_cover_the_legal_actions() -> None:
    match = played(of_blob(cards=4), stop=5)
    searching = SearchPlayer(InferenceNet(BlobNet(SMALL)), SearchConfig(worlds=2, simulations=8), "mine")
    for agent, source in ((RandomBot(), "random playouts"), (searching, "the agents' network (mine;")):
        hint = give_hint(agent, match)
        assert source in hint.source
        assert sorted(one.action for one in hint.advice) == list(match.legal)
        assert sum(one.probability for one in hint.advice) == pytest.approx(1)
        assert all(0 <= one.points <= 14 for one in hint.advice)
        text = "\n".join(lines.hint_lines(hint, UNICODE))
        assert source in text and set(CARD.findall(text)) == {UNICODE.card(STANDARD, card) for card in match.legal}


def test_a_network_hint_is_the_agents_own_choice() -> None:
    match = begin(of_blob(cards=3))
    agent = SearchPlayer(InferenceNet(BlobNet(SMALL)), SearchConfig(worlds=2, simulations=8))
    assert give_hint(agent, match).advice[0].action == choose(agent, match)


def test_an_agent_that_plays_on_by_its_policy_is_told_how_the_game_came_there() -> None:
    """In a second game of a match, where the past is that game's: it does what the player of the arena does."""
    match = played(of_blob(cards=4, games=2), stop=30)
    assert len(match.results) == 1 and len(match.earlier) == len(match.moves) > 1
    state, past = match.game.deal(1, match.settings.seed, first_index=FIRST_INDEX + 1), Past.none(match.game, 1)
    for move in match.moves:
        action = torch.tensor([move.action])
        past, state = past.then(state, action), match.game.step(state, action)
    assert match.past.actions.equal(past.actions) and state.hands.equal(match.state.hands)
    config = rollout_config([match.game], worlds=4)
    assert (config.worlds, config.candidates) == (4, 16)
    agent = RolloutPlayer(InferenceNet(BlobNet(SMALL)), config)
    assert choose(agent, match) == int(agent.act_after(match.game, match.state, past, match.settings.seed))
    hint = give_hint(agent, match)
    assert hint.advice[0].action == choose(agent, match) and sorted(one.action for one in hint.advice) == list(
        match.legal
    )


def test_how_a_network_thinks(tmp_path, monkeypatch, capsys) -> None:
    """Rollouts in tricks, a search where one is asked for, in other games, and in a match that was saved before."""
    network = tmp_path / "net.safetensors"
    save_network(network, BlobNet(SMALL), {"games": [identity(Blob(cards=2))]})
    told = {}
    flags = ("--cards", "2", "--games", "1", "--seed", "1", "--agent", str(network))
    for name, more in {
        "usual": (),
        "search": ("--worlds", "2", "--simulations", "2"),
        "few": ("--worlds", "3"),
    }.items():
        path = tmp_path / f"{name}.json"
        status, told[name], error = run(monkeypatch, capsys, answers(30), *flags, *more, "--save", str(path))
        assert (status, error) == (0, "")
        assert load_match(path).settings.thinking == ("search" if name == "search" else "rollouts")
    assert "(net, rollouts in 30 of 120 worlds)" in told["usual"] and "(net, search 2x2)" in told["search"]
    assert "(net, rollouts in 3 of 12 worlds)" in told["few"]
    status, _, error = run(monkeypatch, capsys, "", *flags, "--thinking", "rollouts", "--simulations", "9")
    assert status == 2 and error.startswith("error: --simulations are those of a search") and error.count("\n") == 1
    status, _, error = run(monkeypatch, capsys, "", "--cards", "2", "--agent", "flat", "--thinking", "search")
    assert (status, error) == (2, "error: --thinking is a network's; leave it out with the agent flat\n")
    assert "thinking" not in json.loads((tmp_path / "search.json").read_text())["settings"]  # as earlier files
    status, _, error = run(monkeypatch, capsys, "", *flags, "--worlds", "8192")
    assert (status, error) == (2, "error: worlds of rollouts must be from 2 to 8,191, got 8,192\n")
    usual = {name: usual_thinking([make_game(name)]) for name in ("blob", "blob-match", "hearts", "kuhn")}
    assert usual == {"blob": "rollouts", "blob-match": "search", "hearts": "rollouts", "kuhn": "search"}


@pytest.mark.parametrize(
    ("value", "told"), [(-1 / 240, "-0.0042"), (1 / 120, "0.0083"), (-0.0, "0"), (-1e-7, "0"), (12.0, "12")]
)
def test_points_are_told_as_fine_as_they_are(value: float, told: str) -> None:
    assert lines.points(value) == told


def test_points_of_a_hint_are_as_fine_as_the_games_scale() -> None:
    """Skat's go from -0.5 to 0.5 by a 240th."""
    for game, decimals in ((make_game("skat"), 3), (make_game("kuhn"), 2), (Blob(cards=2), 1)):
        hint = replace(give_hint(RandomBot(), begin(Settings(game, games=1, seed=1))), values=(-1e-5,))
        assert all(re.fullmatch(rf"-?\d+\.\d{{{decimals}}}", hint.told(one.points)) for one in hint.advice)
        assert hint.told(hint.values[0]) == "0." + "0" * decimals
        assert len({line.index(f" {game.unit}") for line in lines.hint_lines(hint, UNICODE)[1:]}) == 1


def test_a_networks_points_are_those_of_its_own_play() -> None:
    """A network that likes low columns bids 0 and plays low trumps first, so that the ends are known."""

    def lowest_first(observation: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return -torch.arange(52.0).expand(len(observation), 52), torch.zeros(len(observation), 4)

    agent = SearchPlayer(lowest_first, SearchConfig(worlds=2, simulations=4))
    hands = ["Ks As", "2h 3h", "4h 5h", "6h 7h"]
    bidding = give_hint(agent, position(hands, trump=0, dealer=3, actions=[]))
    points = {one.action: one.points for one in bidding.advice}
    assert points == {0: 0, 1: 0, 2: pytest.approx(12)}  # two tricks are certain
    holding = position(hands, trump=0, dealer=3, actions=[2, 0, 0, 1])
    assert [one.points for one in give_hint(agent, holding).advice] == [pytest.approx(12)] * 2


def test_every_action_is_tried_in_the_same_worlds_and_luck() -> None:
    """West leads one of the two highest trumps. Which one makes no difference, but the rest is up to chance."""
    match = position(["2c 3c 4h", "As Ks 5c", "Qc Jc 6d", "9c 8c 7s"], trump=0, dealer=0, actions=[2, 0, 0, 0])
    actions = torch.tensor(match.legal)
    values = action_values(match.game, match.state, actions, play_out, 64, seed=1).tolist()
    assert [ASCII.card(STANDARD, action) for action in match.legal] == ["Ks", "As", "5c"]
    assert values[0] == values[1] != values[2] and 0 < values[0] < 12 / 13


# -- typed lines ----------------------------------------------------------------------------------------------------


def hearts_led() -> Seen:
    """South follows hearts with 10 and queen; sorted hand: 2 of spades (trump), Q, 10 of hearts, ace of clubs."""
    hands = ["Qh 10h Ac 2s", "2h 3h 4h 5h", "6h 7h 8h 9h", "2c 3c 4c 5c"]
    return look(position(hands, 0, 0, [1, 1, 1, 0, name("2h"), name("6h"), name("2c")]), PERSON)


@pytest.mark.parametrize(
    ("line", "card"),
    [
        ("qh", "Qh"),
        (" QH ", "Qh"),
        ("10h", "10h"),
        ("th", "10h"),
        ("q♥", "Qh"),
        ("q h", "Qh"),
        ("2", "Qh"),
        ("3", "10h"),
    ],
)
def test_cards_are_understood(line: str, card: str) -> None:
    assert parse(line, hearts_led(), UNICODE) == name(card)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ac", "A♣ is not allowed: you must follow hearts"),
        ("1", "2♠ is not allowed: you must follow hearts"),
        ("kh", "You do not hold K♥"),
        ("3h", "You do not hold 3♥"),  # another hand's, but that is not said
        ("5", "no card number 5"),
        ("0", "no card number 0"),
        ("-1", "is no card"),
        ("1h", "is no card"),
        ("²", "is no card"),
        ("h1", "is no card"),
        ("\x1b[A", "is no card"),
        ("x" * 5000, "is no card"),
        ("9" * 5000, "is no card"),
        ("", "Type a move"),
    ],
)
def test_wrong_cards_get_one_printable_line(line: str, part: str) -> None:
    answer = parse(line, hearts_led(), UNICODE)
    assert isinstance(answer, Mistake) and part in answer.text
    assert len(answer.text) < 100 and answer.text.isprintable()


def test_bids_are_understood() -> None:
    seen = look(position(["2h 3h", "2c 3c", "4c 5c", "6c 7c"], 0, 0, [0, 1, 0]), PERSON)
    assert [parse(line, seen, UNICODE) for line in ("0", " 2 ")] == [0, 2]
    for line in ("1", "bid 1", "3", "-1", "x", "2h", "1.0", "²", "b"):
        assert "is not allowed: you may choose 0-2, not 1" in parse(line, seen, UNICODE).text
    assert [parse(line, seen, UNICODE) for line in ("bid 0", "BID2")] == [0, 2]
    assert allowed(seen) == "0-2, not 1" and lines.prompt(seen, UNICODE) == "Your bid (0-2, not 1): "


def test_requests_and_the_only_card() -> None:
    seen = hearts_led()
    wanted = {"h": Request.HINT, "U": Request.UNDO, "?": Request.HELP, "q": Request.QUIT, "quit": Request.QUIT}
    assert {line: parse(line, seen, UNICODE) for line in wanted} == wanted
    only = replace(seen, one=replace(seen.one, legal=[name("Qh")], choices=["Q♥"]))
    assert parse("", only, UNICODE) == name("Qh") and "Q♥" in lines.prompt(only, UNICODE)


# -- what is shown --------------------------------------------------------------------------------------------------


class Recorder:
    """A console in memory, with every text that was shown since the last look."""

    def __init__(self, width: int = 80) -> None:
        self.file = io.StringIO()
        self.console = Console(file=self.file, width=width, height=24, force_terminal=True, highlight=False)

    def take(self) -> str:
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.file.getvalue())
        self.file.seek(0)
        self.file.truncate()
        return text


@pytest.mark.parametrize("kind", [Screen, PlainLines])
def test_only_the_own_hand_and_played_cards_are_shown(kind: type[PlainLines]) -> None:
    record, rng = Recorder(), random.Random(1)
    interface = kind(record.console, UNICODE, lambda prompt: "")
    match = begin(of_blob(cards=4, games=3, seed=4))
    known: set[str] = set()

    def check(match: Match) -> str:
        state = match.state
        own, seen = int(state.hands[0, PERSON]), int(state.seen[0])
        known.update(UNICODE.card(STANDARD, card) for card in range(52) if (own | seen) >> card & 1)
        text = record.take()
        assert set(CARD.findall(text)) <= known
        return text

    interface.begin(look(match, PERSON), "title")
    while not match.over:
        if match.mover == PERSON:
            interface.decision(look(match, PERSON))
            text = check(match)
            hand = [UNICODE.card(STANDARD, card) for card in look(match, PERSON).hand(PERSON)]
            assert hand and all(card in text for card in hand)
        before, match = match, match.act(rng.choice(match.legal))
        ended = len(match.results) > len(before.results)
        known = known | {UNICODE.card(STANDARD, match.history[-1])}
        interface.moved(look(before, PERSON), said(before, match, PERSON), look(match, PERSON))
        check(match)
        if ended:
            known = set()


def test_what_a_seat_sees_holds_no_other_hand() -> None:
    match = played(of_blob(cards=5), stop=7)
    for viewer in range(4):
        seen = look(match, viewer)
        assert [bool(seen.hand(seat)) for seat in range(4)] == [seat == viewer for seat in range(4)]
        assert (seen.legal != ()) == (match.mover == viewer)
    assert all(look(match, None).hand(seat) for seat in range(4)) and look(match, None).legal == ()


def test_legal_cards_are_numbered_and_the_others_dim() -> None:
    seen = hearts_led()
    top, middle, _, numbers = view.hand_cards(seen, UNICODE, 80).renderables
    assert middle.plain == "│ 2♠ ││ Q♥ ││10♥ ││ A♣ │"
    assert numbers.plain.split() == ["2", "3"]
    assert [span.style for span in top.spans] == ["dim", "bold red", "bold red", "dim"]
    other = replace(seen.one, mover=1, legal=[], choices=[])
    others_turn = view.hand_cards(replace(seen, one=other), UNICODE, 80).renderables
    assert "dim" not in [span.style for span in others_turn[0].spans] and not others_turn[3].plain.strip()
    assert "2:Q♥  3:10♥  (you also hold 2♠ A♣)" in "\n".join(lines.decision_lines(seen, UNICODE))


def test_numbers_go_on_in_the_second_row_of_a_long_hand() -> None:
    """West is to lead from 13 cards, as West sees it."""
    match = played(of_blob(cards=13), stop=4)
    parts = view.hand_cards(look(match, match.mover), UNICODE, 50).renderables
    assert " ".join(part.plain for part in parts[3::4]).split() == [str(number) for number in range(1, 14)]


def test_the_screen_says_what_one_needs_to_know() -> None:
    record = Recorder()
    Screen(record.console, UNICODE, lambda prompt: "").decision(hearts_led())
    text = record.take()
    for part in ("Game 1 of 11", "4 cards each", "trump spades ♠", "You deal", "West led", "North winning so far"):
        assert part in text
    assert re.search(r"▸ │ You \(dealer\) +│ +0 │ +0 │ +0 │", text)
    assert "bids: 3 for 4 tricks" in text


@pytest.mark.parametrize("width", [100, 80, 79, 60, 50])
@pytest.mark.parametrize("viewer", [PERSON, None])
def test_screens_fit_their_width(width: int, viewer: int | None) -> None:
    for stop in (0, 3, 6, 30):
        seen = look(played(of_blob(cards=13, seed=1), stop=stop), viewer)
        record = Recorder(width)
        record.console.print(view.screen(seen, UNICODE, width, ["West leads A♠."]))
        text = record.take()
        rows = text.splitlines()
        assert max(map(len, rows)) <= width
        assert f"{seen.names[0]} (dealer)" in text and all(text.count(who) >= 2 for who in seen.names)
        assert all(row.count("╭") == row.count("╮") for row in rows)
    record.console.print(view.score_sheet(look(played(of_blob(cards=3)), viewer), UNICODE, width))
    assert max(map(len, record.take().splitlines())) <= width


@pytest.mark.parametrize(
    ("game", "height"),
    [
        *[(game, 24) for game in ("hearts", "whist", "spades", "doppelkopf", "euchre", "blob 4", "blob 7", "blob 8")],
        *[(game, 20) for game in ("hearts", "spades", "blob 4", "blob 7")],
    ],
)
def test_screens_fit_60_columns_and_their_height(game: str, height: int) -> None:
    """With all that one must know: the trick, the scores, one's cards and which of them may be played."""
    name, _, seats = game.partition(" ")
    match = begin(Settings(make_game(name, **({"players": int(seats), "cards": 6} if seats else {})), games=2, seed=3))
    record, rng, forced = Recorder(60), random.Random(0), 0
    record.console.size = (60, height)
    screen = Screen(record.console, UNICODE, lambda prompt: "")
    while not match.results:
        seen = look(match, match.mover)
        screen.log = ["North plays 10♣."] * (len(seen.names) - 1)
        screen.decision(seen)
        told = record.take()
        assert told.count("\n") + 1 <= height and lines.game_line(seen, UNICODE) in told.replace("\n", " ")
        hand = [UNICODE.card(match.game.layout, card) for card in seen.hand(seen.viewer)]
        numbers = [f"{number}:{hand[number - 1]}" for number in listed_choices(seen)] if seen.playable else []
        table = [UNICODE.card(match.game.layout, move.action) for move in (seen.trick.plays if seen.trick else ())]
        assert all(part in told for part in (*hand, *table, *seen.names))
        assert "╭────╮" in told or all(number in told for number in numbers)
        forced += seen.playable is not None and len(seen.legal) < len(hand)
        match = match.act(rng.choice(match.legal))
    assert forced > 3


def test_an_empty_line_draws_the_table_anew() -> None:
    """As after help or a hint, or in a terminal that has another size since."""
    record, typed, drawn = Recorder(60), iter(["?", "", "x"]), []

    def read(prompt: str) -> str:
        drawn.append(record.take())
        record.console.size = (60, 12)
        if (line := next(typed, None)) is None:
            raise EOFError
        return line

    sitting = Sitting(RuleBot(), PERSON, Screen(record.console, UNICODE, read), None)
    assert not sitting.play(begin(of_blob(seed=5)), "")
    first, helped, again, wrong = drawn
    assert "─ bidding ─" in first and "Enter makes the only choice" in helped
    assert "Bidding: " in again and "Type a move" in again and "Game 1 of" in again
    assert "Game 1 of" not in helped + wrong


def test_score_sheet_holds_every_game_and_the_sums() -> None:
    match, record = played(of_blob(cards=3, seed=5)), Recorder()
    record.console.print(view.score_sheet(look(match, PERSON), UNICODE, 80))
    rows = [re.split(r"\s*[│┃]\s*", row)[1:-1] for row in record.take().splitlines() if row[:1] in "│┃"]
    assert len(rows) == 1 + 9 + 1
    for row, result in zip(rows[1:-1], match.results, strict=True):
        assert row[1] == str(result.cards)
        assert row[3:] == [f"{p:g} ({w}/{b})" for p, w, b in zip(result.points, result.won, result.bids, strict=True)]
    assert rows[-1][3:] == [f"{total:g}" for total in match.totals]


@pytest.mark.parametrize("seats", range(2, 9))
def test_a_score_sheet_loses_no_points_for_want_of_columns(seats: int) -> None:
    """Rather the cards and trumps of its games, or tricks won and bid."""
    match = played(Settings(Blob(cards=5, players=seats), seed=2))
    for width in (60, 80):
        record = Recorder(width)
        record.console.print(view.score_sheet(look(match, PERSON), UNICODE, width))
        title, *sheet = record.take().splitlines()
        rows = [re.split(r"\s*[│┃]\s*", row)[1:-1] for row in sheet if row[:1] in "│┃"]
        assert "…" not in "".join(sheet) and max(map(len, sheet)) <= width
        assert len(rows) == 1 + len(match.results) + 1
        assert rows[0][-seats:] == list(look(match, PERSON).names)
        assert rows[-1][-seats:] == [f"{total:g}" for total in match.totals]
        for row, result in zip(rows[1:-1], match.results, strict=True):
            tallies = [f" ({w}/{b})" * ("won/bid" in title) for w, b in zip(result.won, result.bids, strict=True)]
            assert row[-seats:] == [f"{p:g}{tally}" for p, tally in zip(result.points, tallies, strict=True)]


def test_ascii_terminals_get_ascii() -> None:
    assert glyphs_for("ANSI_X3.4-1968") is ASCII is glyphs_for(None)
    assert glyphs_for("utf-8") is UNICODE is glyphs_for("UTF8")
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, "ascii"), width=80, force_terminal=True)
    seen = look(played(of_blob(cards=5), stop=8), PERSON)
    console.print(view.screen(seen, ASCII, 80, ["West leads As."]))
    console.print(view.score_sheet(look(played(of_blob(cards=1)), PERSON), ASCII, 80))
    console.file.flush()
    assert b"+----+" in raw.getvalue() and raw.getvalue().isascii()


def test_sentences() -> None:
    match = position(["2c 3c", "Kc 2d", "4c 5d", "2h 6d"], trump=1, dealer=0, actions=[1, 1, 1])
    told = []
    for action in (0, name("Kc"), name("4c"), name("2h"), name("2c"), name("6d"), name("3c"), name("2d"), name("5d")):
        before, match = match, match.act(action)
        told += lines.narrate(look(before, PERSON), said(before, match, PERSON), look(match, PERSON), UNICODE)
    assert told == [
        "You bid 0.",
        "West leads K♣.",
        "North plays 4♣.",
        "East plays 2♥.",
        "You play 2♣.",
        "East takes the trick: 1 won, 1 bid.",
        "East leads 6♦.",
        "You play 3♣.",
        "West plays 2♦.",
        "North plays 5♦.",
        "East takes the trick: 2 won, 1 bid.",
    ]
    points, totals = lines.result_lines(look(match, PERSON))
    assert points.startswith("Points in game 1: You 10 (bid 0, won 0), West 0 (bid 1, won 0)")
    assert totals == "After 1 of 7 games: You 10, West 0, North 0, East 0."


def test_a_shared_win_is_said() -> None:
    seen = look(played(of_blob(cards=1)), PERSON)
    assert "You and East share the win with 7 points" in lines.final_line(replace(seen, totals=(7, 1, 0, 7)))
    assert "North wins with 9 points" in lines.final_line(replace(seen, totals=(7, 1, 9, 7)))
    fractions = replace(seen, totals=(0.3 + 0.2 + 0.2, 0.1, 0.5, 0.1 + 0.2 + 0.3 + 0.1))  # 0.7 and 0.7000000000000001
    assert fractions.totals[0] != fractions.totals[3] and "You and East share the win" in lines.final_line(fractions)


# -- saving ---------------------------------------------------------------------------------------------------------


def test_a_saved_match_comes_back_at_every_point(tmp_path: Path) -> None:
    path, whole = tmp_path / "match.json", played(of_blob(cards=2, games=3, seed=8, agent="random", worlds=4))
    for match in walk(whole.settings, whole.history):
        save_match(path, match)
        loaded = load_match(path)
        assert loaded == match and loaded.settings == match.settings and loaded.results == match.results
        assert_same_state(loaded.state, match.state)
        assert look(loaded, PERSON) == look(match, PERSON)


KEPT = {"games": 1, "seed": 0, "agent": "flat", "worlds": 30, "simulations": 30}
TWO = {"game": "blob", "rules": {"cards": 2}}


def damage(**changes: object) -> str:
    """A saved match with parts of it replaced."""
    return json.dumps({"format": "vecgame-match-2", "games": [TWO], "settings": KEPT, "history": [0, 0], **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        damage()[:-20],
        "hello",
        "\xff\xfe",
        "[" * 100_000,
        "[]",
        "{}",
        damage(format="vecgame-match-0"),
        damage(format="vecgame-match-1"),
        damage(games=[]),
        damage(games="blob"),
        damage(games=[{**TWO, "game": "blub"}]),
        damage(games=[{**TWO, "game": 7}]),
        damage(games=[{**TWO, "rules": {"cards": 14}}]),
        damage(games=[{**TWO, "rules": {"card": 2}}]),
        damage(games=[{**TWO, "rules": []}]),
        damage(games=[TWO, TWO]),
        damage(settings={"cards": 5}),
        damage(settings=[]),
        damage(settings={**KEPT, "cards": 5}),
        damage(format="vecgame-match-1", settings={**KEPT, "cards": 14}),
        damage(format="vecgame-match-1", settings={**KEPT, "cards": True}),
        damage(format="vecgame-match-1", settings={**KEPT, "cards": "5"}),
        damage(settings={**KEPT, "seed": -1}),
        damage(settings={**KEPT, "seed": 1.5}),
        damage(settings={**KEPT, "worlds": 0}),
        damage(settings={**KEPT, "agent": 7}),
        damage(settings={**KEPT, "games": 14}),
        damage(settings={**KEPT, "games": True}),
        damage(history=[0, 3]),
        damage(history=[0, 10**30]),
        damage(history=[0, False]),
        damage(history=[0, 0.0]),
        damage(history="00"),
        damage(history=[0] * 100),
        damage(settings={**KEPT, "thinking": []}),
        damage(games=[{**TWO, "rules": {"name": 1}}]),
    ],
    ids=range(37),
)
def test_foreign_and_damaged_files_get_one_line(text: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "match.json"
    path.write_text(text, encoding="latin-1")
    assert play.main(["--resume", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert f"{path} is damaged or no saved match" in captured.err
    assert path.read_text(encoding="latin-1") == text


def test_a_match_with_an_agent_that_came_with_an_older_program(tmp_path: Path) -> None:
    """Its network is found where the agents are now; one of the user's own keeps its path, be it there or not."""
    path = tmp_path / "match.json"
    for agent, found in [
        ("/home/me/vecgame/agents/blob-4-players.safetensors", str(SHIPPED / "blob-4-players.safetensors")),
        ("/home/me/vecgame/agents/mine.safetensors", "/home/me/vecgame/agents/mine.safetensors"),
        ("/home/me/blob-4-players.safetensors", "/home/me/blob-4-players.safetensors"),
    ]:
        save_match(path, begin(of_blob(cards=2, agent=agent)))
        assert load_match(path).settings.agent == found


# -- the command ----------------------------------------------------------------------------------------------------


def run(monkeypatch, capsys, typed: str, *flags: str) -> tuple[int, str, str]:
    """The command with lines typed at it: exit status, output and errors."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    monkeypatch.setattr(play, "SHIPPED", Path("no-such-folder"))
    try:
        status = play.main(list(flags))
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def answers(count: int) -> str:
    """Lines that finish any game: for each decision every bid or card by number, the wrong ones refused."""
    return "".join(f"{number}\n" for _ in range(count) for number in range(6))


def test_a_whole_match_by_stdin(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "match.json"
    flags = ("--cards", "2", "--games", "3", "--seed", "6", "--agent", "rules", "--save", str(path))
    typed = "?\nxx\nu\nh\n" + answers(30)
    status, output, error = run(monkeypatch, capsys, typed, *flags)
    assert (status, error) == (0, "")
    assert "\x1b" not in output
    for part in ("no choice of yours to take back", "a bid as 2", "Hint by random playouts", "Enter makes"):
        assert part in output
    match = load_match(path)
    assert match.over and match.settings == of_blob(cards=2, games=3, seed=6, agent="rules")
    totals = ", ".join(f"{who} {p:g}" for who, p in zip(("You", "West", "North", "East"), match.totals, strict=True))
    assert f"After 3 of 3 games: {totals}." in output
    assert output.rstrip().splitlines()[-1] == lines.final_line(look(match, PERSON))


@pytest.mark.slow
def test_undo_and_the_same_answers_give_the_same_match(monkeypatch, capsys, tmp_path) -> None:
    histories = []
    for number, typed in enumerate(("1\n1\n2\n", "1\n1\nu\n1\n2\n", "1\nu\n0\nu\n1\n1\n2\n")):
        path = tmp_path / f"{number}.json"
        flags = ("--cards", "3", "--seed", "14", "--agent", "flat", "--worlds", "4", "--save", str(path))
        status, _, _ = run(monkeypatch, capsys, typed, *flags)
        assert status == 0
        histories.append(load_match(path).history)
    assert histories[0] == histories[1] == histories[2] and len(histories[0]) > 9


@pytest.mark.slow
def test_a_match_left_in_mid_trick_goes_on_as_if_never_left(monkeypatch, capsys, tmp_path) -> None:
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    flags = ("--cards", "3", "--games", "2", "--seed", "5", "--agent", "random")
    assert run(monkeypatch, capsys, answers(20), *flags, "--save", str(whole))[0] == 0
    match = load_match(whole)
    steps = zip(walk(match.settings, match.history[:-1]), match.history, strict=True)
    own = [(before, action) for before, action in steps if before.mover == PERSON]
    typed = [f"{action if len(before.moves) < 4 else ASCII.card(STANDARD, action)}\n" for before, action in own]
    assert len(typed) == 3 + 1 + 2 + 1
    run(monkeypatch, capsys, typed[0], *flags, "--save", str(parts))
    for line in typed[1:]:  # one answer a sitting
        status, output, _ = run(monkeypatch, capsys, "", "--resume", str(parts))
        assert status == 0 and output.endswith(f"go on by vecgame play --resume {parts}\n")
        assert load_match(parts).history == match.history[: len(load_match(parts).history)]
        assert run(monkeypatch, capsys, line, "--resume", str(parts))[0] == 0
    assert load_match(parts) == match and match.over
    status, output, _ = run(monkeypatch, capsys, "", "--resume", str(parts))  # a finished one shows its end
    assert status == 0 and lines.final_line(look(match, PERSON)) in output


@pytest.mark.slow
def test_the_match_is_saved_after_every_action(tmp_path) -> None:
    path, record, lengths = tmp_path / "match.json", Recorder(), []

    def read(prompt: str) -> str:
        saved = load_match(path)
        lengths.append(len(saved.history))
        return str(saved.legal[0]) if "bid" in prompt else "1"

    match = begin(of_blob(cards=1, seed=2))

    def save(match: Match) -> None:
        save_match(path, match)
        assert load_match(path) == match

    assert Sitting(RuleBot(), PERSON, PlainLines(record.console, UNICODE, read), save).play(match, "")
    assert len(load_match(path).history) == 5 * 8 and lengths == sorted(lengths) and len(set(lengths)) == 10


def test_screen_pauses_between_games_and_can_go_back() -> None:
    record, asked, typed = Recorder(), [], iter(["0", "", "u", "0", "1", "x", "", "q"])

    def read(prompt: str) -> str:
        asked.append(prompt)
        return next(typed)

    saved: list[Match] = []
    screen = Screen(record.console, UNICODE, read)
    assert not Sitting(RuleBot(), PERSON, screen, saved.append).play(begin(of_blob(cards=1, seed=5)), "")
    pauses = [prompt for prompt in asked if "next game" in prompt]
    assert len(pauses) == 3 and "bid" in asked[3]
    assert len(saved[-1].results) == 1 and record.take().count("points (won/bid)") == 2


def test_the_end_of_a_match_is_shown_at_once() -> None:
    record = Recorder()
    screen = Screen(record.console, UNICODE, lambda prompt: pytest.fail(prompt) if "next" in prompt else "")
    match = begin(of_blob(cards=1, games=1))
    while match.mover != PERSON or len(match.moves) < 4:
        match = match.act(match.legal[0])
    assert Sitting(RuleBot(), PERSON, screen, lambda match: None).play(match, "")
    assert "The match is over" in record.take()


@pytest.mark.parametrize("how", ["q\n", ""])
def test_leaving_is_one_line(how: str, monkeypatch, capsys) -> None:
    status, output, error = run(monkeypatch, capsys, how, "--seed", "1", "--cards", "1")
    assert (status, error) == (0, "")
    assert output.splitlines()[-1] == "You have left the match; it is not saved (--save FILE would)"


@pytest.mark.parametrize("kept", [False, True])
def test_leaving_what_nothing_keeps_is_asked_once(kept: bool, monkeypatch, capsys, tmp_path) -> None:
    """An early Enter after the q of a queen is no end of a match, within a game as between two."""
    flags = ["--cards", "2", "--seed", "14", "--agent", "rules", *["--save", str(tmp_path / "match.json")] * kept]
    status, output, error = run(monkeypatch, capsys, "1\nq\n1\nq\n?\nq\nq\n1\n", *flags)
    assert (status, error) == (0, "")
    assert output.count("Nothing keeps this match (--save FILE would): q again leaves it.") == (0 if kept else 3)
    assert ("You play" in output) == (not kept)
    typed = iter(["0", "q", "", "0", "q", "q"])
    screen = Screen(Recorder().console, UNICODE, lambda prompt: next(typed))
    saved: list[Match] = []
    sitting = Sitting(RuleBot(), PERSON, screen, saved.append if kept else None)
    assert not sitting.play(begin(of_blob(cards=1, seed=5)), "") and (list(typed) != []) == kept


def test_ctrl_c_leaves_cleanly(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "match.json"

    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    status, output, error = run(monkeypatch, capsys, "", "--seed", "1", "--save", str(path))
    assert status == 130 and output.endswith("\n")
    assert error == f"You have left the match; go on by vecgame play --resume {path}\n"
    assert len(load_match(path).history) == 3


def test_watch_plays_a_match_in_plain_lines(monkeypatch, capsys) -> None:
    flags = ("--watch", "--cards", "2", "--agent", "rules", "--seed")
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asks for input"))
    outputs = [run(monkeypatch, capsys, "", *flags, seed)[1] for seed in ("1", "1", "2")]
    assert outputs[0] == outputs[1] != outputs[2]
    assert "\x1b" not in outputs[0] and "You" not in outputs[0]
    assert outputs[0].count("\nGame ") == 7 and "The match is over" in outputs[0].splitlines()[-1]


def test_a_new_seed_is_said(monkeypatch, capsys) -> None:
    monkeypatch.setattr(play.secrets, "randbelow", lambda bound: 77)
    flags = ("--watch", "--cards", "1", "--games", "1", "--agent", "rules")
    first, second = (run(monkeypatch, capsys, "", *flags, *seed)[1] for seed in ((), ("--seed", "77")))
    assert first == second and "seed 77." in first.splitlines()[0]


def test_delay_is_kept_between_moves(monkeypatch, capsys) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    run(monkeypatch, capsys, "", "--watch", "--cards", "1", "--games", "1", "--agent", "rules", "--delay", "2.5")
    assert waits == [2.5] * 8


@pytest.mark.parametrize("agent", [*BOTS, "network"])
def test_every_agent_plays(agent: str, monkeypatch, capsys, tmp_path) -> None:
    if agent == "network":
        agent = str(tmp_path / "network-000007.safetensors")
        save_network(Path(agent), BlobNet(SMALL), {"iteration": 7})
    thinking = {"random": (), "rules": (), "flat": ("--worlds", "2")}.get(
        agent, ("--worlds", "2", "--simulations", "4")
    )
    flags = ("--watch", "--cards", "2", "--games", "1", "--agent", agent, *thinking)
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "") and "The match is over" in output
    assert "network-000007, search 2x4" in output or agent in BOTS


@pytest.mark.parametrize(
    ("agent", "flags", "named"),
    [
        ("flat", ("--simulations", "500"), "--simulations"),
        ("random", ("--worlds", "5"), "--worlds"),
        ("rules", ("--worlds", "5", "--simulations", "3"), "--simulations, --worlds"),
    ],
)
def test_what_an_agent_makes_no_use_of_is_refused(agent: str, flags, named: str, monkeypatch, capsys) -> None:
    status, _, error = run(monkeypatch, capsys, "", "--watch", "--cards", "2", "--agent", agent, *flags)
    assert status == 2 and f"{named} would change nothing with the agent {agent}" in error and error.count("\n") == 1


def test_a_resumed_match_may_change_its_agent(monkeypatch, capsys, tmp_path) -> None:
    path, network = tmp_path / "match.json", tmp_path / "net.safetensors"
    save_network(network, BlobNet(SMALL), {})
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, capsys, "q\n", "--cards", "1", "--seed", "1", "--agent", network.name, "--save", str(path))
    assert load_match(path).settings.agent == str(network.resolve())
    network.unlink()
    status, _, error = run(monkeypatch, capsys, "", "--resume", str(path))
    assert status == 2 and "is no file" in error and error.count("\n") == 1
    assert run(monkeypatch, capsys, "", "--resume", str(path), "--agent", "random")[0] == 0
    assert load_match(path).settings.agent == "random"


def test_a_match_is_played_by_one_process_at_a_time(monkeypatch, capsys, tmp_path) -> None:
    """Else each would write what the other has not played."""
    path = tmp_path / "match.json"
    with alone_at(path):
        status, _, error = run(monkeypatch, capsys, "", "--cards", "1", "--agent", "random", "--save", str(path))
    assert status == 2 and f"{path} is in use by process {os.getpid()}" in error and error.count("\n") == 1
    assert not path.exists()
    save_match(path, begin(of_blob(cards=1, games=1, agent="random")))
    with alone_at(path):
        assert run(monkeypatch, capsys, "", "--resume", str(path))[0] == 2
    assert run(monkeypatch, capsys, "", "--resume", str(path))[0] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["match.json"]


@pytest.mark.parametrize("flag", ["--resume", "--look"])
def test_another_agent_of_a_saved_match_thinks_as_is_usual(flag: str, tmp_path) -> None:
    path, network = tmp_path / "match.json", tmp_path / "net.safetensors"
    save_network(network, BlobNet(SMALL), {})
    save_match(path, begin(of_blob(cards=2, games=1, agent="flat")))
    web = ["--web"] * (flag == "--look")

    def thinking(*more: str) -> str:
        with ExitStack() as held:
            asked = play.parse([flag, str(path), *web, "--agent", str(network), *more])
            match, _ = play.open_match(*asked, held)
        return match.settings.thinking

    assert (thinking(), thinking("--simulations", "9")) == ("rollouts", "search")
    assert thinking("--thinking", "search") == "search"
    save_match(path, begin(of_blob(cards=2, games=1, agent=str(network))))
    assert thinking() == "search"  # the same one as it did


def test_a_run_stands_for_its_newest_network(tmp_path) -> None:
    for number in (0, 3, 12):
        save_network(tmp_path / f"network-{number:06d}.safetensors", BlobNet(SMALL), {"iteration": number})
    assert play.with_agent({"agent": str(tmp_path)}) == {"agent": str(tmp_path / "network-000012.safetensors")}
    assert play.with_agent({"agent": "flat"}) == {"agent": "flat"}
    save_network(tmp_path / NEWEST, BlobNet(SMALL), {"iteration": 13, "updates": 0})  # of one that was stopped
    assert play.with_agent({"agent": str(tmp_path)}) == {"agent": str(tmp_path / NEWEST)}


def test_default_agent_is_the_one_for_the_largest_hand(tmp_path) -> None:
    for name, low, high in (("a", 1, 13), ("b", 10, 13), ("c", 2, 4)):
        games = [identity(Blob(cards=cards)) for cards in range(low, high + 1)]
        save_network(tmp_path / f"{name}.safetensors", BlobNet(SMALL), {"games": games})
    save_network(tmp_path / "unknown.safetensors", BlobNet(SMALL), {})

    def chosen(folder: Path, **flags: object) -> str:
        return Path(default_agent(folder, from_flags("document", flags))).stem

    assert [chosen(tmp_path, cards=str(cards)) for cards in (1, 2, 5, 10, 13)] == ["a", "c", "a", "b", "b"]
    assert chosen(tmp_path / "none", cards="5") == "flat"
    for other in ({"rules": "players=3"}, {"rules": "exact_bonus=5"}, {"ranks": 6}, {"game": "hearts"}):
        assert chosen(tmp_path, **other) == "flat"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cards", "14"], "cards must be an integer from 1 to 13"),
        (["--cards", "five"], "--cards"),
        (["--games", "-1"], "--games must be an integer from 0 to 13"),
        (["--games", "14"], "--games must be an integer from 0 to 13"),
        (["--seed", "-1"], "seed must be"),
        (["--worlds", "0"], "worlds must be"),
        (["--simulations", "0"], "simulations must be"),
        (["--delay", "-1"], "--delay must be"),
        (["--delay", "nan"], "--delay must be"),
        (["--delay", "inf"], "--delay must be"),
        (["--agent", "no-such"], "no-such is no file"),
        (["--agent", "pyproject.toml"], "damaged or no checkpoint"),
        (["--agent", "tests"], "tests holds no network"),
        (["--resume", "no-such.json"], "no-such.json cannot be read"),
        (["--resume", "tests"], "tests is a folder"),
        (["--resume", "no-such.json", "--cards", "3"], "leave out --cards"),
        (["--resume", "no-such.json", "--save", "other.json"], "leave out --save"),
        (["--resume", "no-such.json", "--watch"], "leave one of them out"),
        (["--save", "no-such-folder/match.json"], "no-such-folder"),
        (["--save", "tests"], "--save tests is a folder; name a file in it, such as tests/match.json"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_flags_get_one_line(flags: list[str], message: str, monkeypatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    status, output, error = run(monkeypatch, capsys, "q\n", *flags)
    assert status == 2 and message in error and error.count("\n") == 1
    assert error.startswith("error: ") and output == ""


def test_save_overwrites_nothing(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("mine")
    status, _, error = run(monkeypatch, capsys, "q\n", "--save", str(path))
    assert status == 2 and f"{path} exists" in error and error.count("\n") == 1
    assert path.read_text() == "mine"


def test_an_undo_is_saved(monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / "match.json"
    flags = ("--cards", "3", "--seed", "14", "--agent", "rules")
    run(monkeypatch, capsys, "1\nu\nq\n", *flags, "--save", str(path))
    assert len(load_match(path).history) == 3


def test_a_full_disk_is_said_in_one_line(monkeypatch, capsys, tmp_path) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status, _, error = run(monkeypatch, capsys, "0\n", "--seed", "1", "--save", str(tmp_path / "match.json"))
    assert status == 2 and "No space left" in error and error.count("\n") == 1


@pytest.mark.slow
def test_on_a_real_terminal(tmp_path) -> None:
    """A screen with colours at the first decision; Ctrl+C ends it in one line, and the match is saved."""
    path = tmp_path / "match.json"
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", "PYTHONUTF8": "1"}
    environment.pop("NO_COLOR", None)
    flags = ["--cards", "3", "--seed", "2", "--agent", "rules", "--delay", "0", "--save", str(path)]
    command = [sys.executable, str(ROOT / "play.py"), *flags]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)

    def read_until(part: str, idle: Callable[[], object] = lambda: None) -> str:
        text, deadline = "", time.monotonic() + 120
        while part not in text and time.monotonic() < deadline:
            if select.select([leader], [], [], 1)[0]:
                try:
                    text += os.read(leader, 65536).decode(errors="replace")
                except OSError:  # Linux says so when the other end is closed
                    break
            else:
                idle()
        assert part in text, text
        return text

    try:
        first = read_until("Your bid")
        assert "\x1b[2J" in first and re.search(r"\x1b\[1(;\d+)?m╭────╮", first)
        os.write(leader, b"1\n")
        read_until("Your card")

        def interrupt() -> None:
            process.send_signal(signal.SIGINT)

        interrupt()
        # One that comes between the prompt and Python's wait for the answer is noticed only when something else comes.
        assert "Traceback" not in read_until(f"--resume {path}", idle=interrupt)
        assert process.wait(20) == 130
    finally:
        process.kill()
        os.close(leader)
    assert len(load_match(path).history) > 4
