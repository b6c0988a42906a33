"""play.py for every game: whole games by typed lines, nothing hidden shown, saved and taken up again, taken back."""

import json
import random
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from net import BlobNet
from tests.every_game import EVERY, Named
from tests.small_games import Draw, DrawState
from tests.tables import CARD, Recorder, run
from vecgame import Blob, Game, identity, make_game, text
from veclab import play
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena.bots import RandomBot
from veclab.table import lines, rows, view
from veclab.table.advice import give_hint
from veclab.table.agents import choose
from veclab.table.commands import Mistake, listed_choices, parse, typed
from veclab.table.glyphs import ASCII, UNICODE
from veclab.table.saving import load_match, save_match
from veclab.table.session import PERSON, Match, Settings, begin, undo
from veclab.table.sight import SEAT_NAMES, look, said
from veclab.table.ui import PlainLines, Screen
from veclab.web.message import hint_told, seen_told

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")
LONG = {"blob-match", "hearts-match", "spades-match", "euchre-match", "hearts", "doppelkopf", "briscola"}
LONG |= {"polignac.py:Polignac"}
every_game = pytest.mark.parametrize("named", EVERY, ids=str)
every_game_in_time = pytest.mark.parametrize(
    "named", [pytest.param(named, marks=[pytest.mark.slow] * (named.game in LONG)) for named in EVERY], ids=str
)


def one_game(named: Named, **others: object) -> Match:
    """A match of one game, or of the first of a match of Blob."""
    return begin(Settings(named.make(), **{"games": 1, "agent": "random", "seed": 3, **others}))


def played(match: Match, seed: int = 0, stop: int | None = None) -> Match:
    """The match after random moves of all seats, ``stop`` of them or all."""
    rng = random.Random(seed)
    while not match.over and len(match.history) != stop:
        match = match.act(rng.choice(match.legal))
    return match


def words_for(match: Match, action: int, how: int) -> str:
    """One of the ways to type an action: its name, the same in letters, or its number."""
    seen = look(match, PERSON)
    name = seen.choices[action]
    number = next(number for number, choice in listed_choices(seen).items() if choice == action or len(seen.legal) == 1)
    numbered = action in listed_choices(seen).values()
    return (name, typed(name), str(number) if numbered else name.upper())[how % 3]


@every_game_in_time
def test_a_whole_game_by_typed_lines(named: Named, monkeypatch, capsys) -> None:
    """Every choice by its name or its number, after a wrong line; cut off by the end of input and gone on with."""
    path, rng = Path("match.json"), random.Random(5)
    flags = (*named.flags, "--games", "1", "--seed", "3", "--agent", "random")
    status, output, error = run(monkeypatch, capsys, "", *flags, "--save", str(path))
    assert (status, error) == (0, "") or load_match(path).over
    match, answers = load_match(path), []
    assert identity(match.settings.game) == identity(named.make())
    while not match.over:
        if match.mover == PERSON:
            action = rng.choice(match.legal)
            answers += ["no such thing", words_for(match, action, len(answers) // 2)]
            match = match.act(action)
        else:
            match = match.act(choose(play.make_agent(match.settings), match))
    half = len(answers) // 2
    for part in (answers[:half], answers[half:]):
        status, output, error = run(monkeypatch, capsys, "\n".join([*part, ""]), "--resume", str(path))
        assert (status, error) == (0, "") and "\x1b" not in output
    assert load_match(path) == match
    assert output.splitlines()[-1] == lines.final_line(look(match, PERSON))


@every_game
def test_wrong_lines_change_nothing_and_get_one_line(named: Named) -> None:
    match, rng = one_game(named), random.Random(1)
    for _ in range(50):
        if match.over:
            break
        if match.mover == PERSON and rng.random() < 0.2:
            seen = look(match, PERSON)
            for line in ("zz", "999", "-1", "7x", "²", "x" * 500, "\x1b[A"):
                answer = parse(line, seen, UNICODE)
                assert isinstance(answer, Mistake) and answer.text.isprintable() and len(answer.text) < 160
            others = [card for card in range(match.game.layout.size) if card not in seen.one.playable()]
            names = {typed(text.card_name(match.game.layout, card)): card for card in others}
            legal = {typed(text.card_name(match.game.layout, card)).replace("'", "") for card in seen.one.playable()}
            for word in rng.sample(sorted(names), 5 if len(names) > 5 else len(names)):
                if word.replace("'", "") not in legal:
                    assert isinstance(parse(word, seen, UNICODE), Mistake)
        match = match.act(rng.choice(match.legal))


@every_game
def test_nothing_that_is_shown_depends_on_what_is_hidden(named: Named) -> None:
    """Another deal that the person may take for the true one: all that it is shown at its decisions stays the same."""
    match, rng, differ = one_game(named), random.Random(2), 0
    record = Recorder()
    interfaces = [kind(record.console, UNICODE, lambda prompt: "") for kind in (Screen, PlainLines)]

    def shown(match: Match) -> str:
        seen = look(match, PERSON)
        for interface in interfaces:
            interface.decision(seen)
            interface.tell(lines.prompt(seen, UNICODE))
        return record.take()

    for step in range(30):
        if match.over:
            break
        if match.mover == PERSON and (step < 8 or step % 9 == 0):
            for world in range(4):
                other = replace(match, state=match.game.determinize(match.state, 4, step)[world])
                differ += not same(other, match)
                assert look(other, PERSON) == look(match, PERSON) and (world or shown(other) == shown(match))
        match = match.act(rng.choice(match.legal))
    assert differ


@every_game
def test_no_card_is_named_that_the_person_does_not_see(named: Named) -> None:
    """In what is told of the others' moves, and who may look at what is shown of the hands."""
    match, rng = one_game(named), random.Random(7)
    layout = match.game.layout
    for _ in range(25):
        if match.over:
            break
        after = match.act(rng.choice(match.legal))
        seen = look(after if not after.results else match, PERSON)
        if match.mover != PERSON:
            visible = {card for name in seen.one.counts for card in seen.one.held(name)}
            visible |= {after.last.action} if after.last.plays else set()
            names = {text.card_name(layout, card) for card in visible}
            told = lines.narrate(look(match, PERSON), said(match, after, PERSON), seen, UNICODE)
            assert set(CARD.findall(" ".join(told))) <= names
        match = after


def same(one: Match, other: Match) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(one.state.tensors().values(), other.state.tensors().values(), strict=True)
    )


def test_moves_that_others_may_not_know_are_told_without_their_names() -> None:
    told = set()
    for named, kinds in (
        (Named("hearts", "passing=left"), {"West passes a card.", "North passes a card.", "East passes a card."}),
        (Named("skat"), {"West puts away a card.", "East puts away a card."}),
        (Named("euchre"), {"West puts away a card.", "North puts away a card.", "East puts away a card."}),
        (Named("blob", "cards=2,bidding=once,hook=false"), {"West bids.", "North bids.", "East bids."}),
    ):
        for seed in range(2):
            match = one_game(named, seed=seed)
            rng = random.Random(seed)
            while not match.over:
                after = match.act(rng.choice(match.legal))
                if match.mover != PERSON:
                    move = said(match, after, PERSON)
                    line = " ".join(lines.narrate(look(match, PERSON), move, look(match, PERSON), UNICODE))
                    if move.name != after.last.name:
                        assert line in kinds
                        told.add(line)
                    elif after.last.plays:
                        assert after.last.name in line
                match = after
    assert {"West passes a card.", "West bids."} <= told and any("puts away a card" in line for line in told)


@pytest.mark.parametrize(
    "game",
    [
        Blob(trump="turned", cards=2),
        make_game("blob-match", trump="turned", cards=2),
        make_game("wizard", cards=2),
    ],
    ids=str,
)
def test_the_card_turned_up_is_shown_through_each_deal(game: Game) -> None:
    match, rng, record, deals = begin(Settings(game, games=1, seed=3)), random.Random(5), Recorder(), set()
    plain = PlainLines(record.console, UNICODE, lambda prompt: "")
    while not match.over:
        if not (match.state.trick >= 0).any() and len(match.tricks) == 0:
            (card,) = [card for card in range(match.game.layout.size) if int(match.state.seen) >> card & 1]
            told = f"Turned up {text.card_name(match.game.layout, card)}."
            deals.add(look(match, None).deal)
        seen = look(match, PERSON)
        assert seen_told(seen)["facts"] == told
        record.console.print(view.screen(seen, UNICODE, 80, []))
        assert told in record.take()
        plain.begin(look(match, None), "")  # a spectator is told it with the hands
        assert told in record.take()
        if match.mover == PERSON:
            plain.decision(seen)
            assert told in record.take()
        match = match.act(rng.choice(match.legal))
    assert len(deals) == (7 if game.name == "blob-match" else 1)
    assert not look(begin(Settings(Blob(cards=13, trump="turned"), games=1)), PERSON).facts  # all cards are dealt


@pytest.mark.parametrize(
    "game", [make_game("blob-match", cards=2, trump="rotate", games=3), make_game("euchre-match", target=5)], ids=str
)
def test_each_deal_of_a_match_is_begun_and_ended_in_words(game: Game) -> None:
    """Who deals, what is trump, and the standing, also where another match follows."""
    match, rng, record = begin(Settings(game, games=2, seed=3)), random.Random(5), Recorder(200)
    plain, deals, matches = PlainLines(record.console, UNICODE, lambda prompt: ""), 0, 0
    while not match.over:
        action = rng.choice(match.legal)
        before, match, counted = match, match.act(action), match.game.step(match.state, torch.tensor([action]))
        seen = look(match, PERSON)
        plain.moved(look(before, PERSON), said(before, match, PERSON), seen)
        told, ended = record.take(), len(match.results) > len(before.results)
        begins = not match.over and (ended or int(match.state.number) > int(before.state.number))
        assert (lines.game_line(seen, UNICODE) in told) == begins
        if begins or match.over:
            totals = zip(seen.names, counted.totals[0].tolist(), strict=True)
            standing = ", ".join(f"{name} {total:g}" for name, total in totals)
            assert f"Game {int(before.state.number) + 1} of it is over: {standing}." in told
        deals, matches = deals + begins, matches + ended
        plain.went_back(seen)
        assert match.over or lines.game_line(seen, UNICODE) in record.take()
    assert matches == 2 and deals > 2


def test_a_card_on_the_forehead_is_seen_by_the_others_only() -> None:
    match = begin(Settings(Blob(cards=1, sight="forehead", sight_to=1), games=1, seed=5))
    while match.mover != PERSON:
        match = match.act(match.legal[0])
    seen, record = look(match, PERSON), Recorder()
    hands = [int(hand).bit_length() - 1 for hand in match.state.hands[0]]
    names = [UNICODE.card(match.game.layout, card) for card in hands]
    record.console.print(view.screen(seen, UNICODE, 80, []))
    PlainLines(record.console, UNICODE, lambda prompt: "").decision(seen)
    told = record.take()
    assert names[PERSON] not in told and "│ ?  │" in told and "You hold 1 unseen card." in told
    for who, card in zip(SEAT_NAMES[4][1:], names[1:], strict=True):
        assert re.search(rf"{who}: +{card}", told) and f"{who} holds {card}." in told
    while len(match.moves) < 4 or match.mover != PERSON:
        match = match.act(match.legal[0])
    assert look(match, PERSON).hand(PERSON) == (hands[PERSON],)


@every_game
def test_saved_taken_up_and_taken_back(named: Named) -> None:
    path, match, rng = Path("match.json"), one_game(named), random.Random(4)
    choices: list[Match] = []
    for _ in range(25):
        if match.over:
            break
        if match.mover == PERSON and len(match.legal) > 1:
            choices.append(match)
        match = match.act(rng.choice(match.legal))
    save_match(path, match)
    loaded = load_match(path)
    assert loaded == match and loaded.settings.game == match.settings.game
    assert look(loaded, PERSON) == look(match, PERSON) and same(loaded, match)
    assert json.loads(path.read_text())["games"] == [identity(named.make())]
    earlier = undo(loaded, PERSON)
    assert earlier == (choices[-1] if choices else None)
    if choices:
        assert same(earlier, choices[-1]) and look(earlier, PERSON) == look(choices[-1], PERSON)


@every_game
def test_screens_of_every_game_fit_60_columns(named: Named) -> None:
    match, rng = one_game(named), random.Random(6)
    for step in range(26):
        for viewer in (PERSON, None) if step in (1, 8, 25) else ():
            for glyphs, width in ((UNICODE, 60), (ASCII, 100)):
                record, seen = Recorder(width), look(match, viewer)
                record.console.print(view.screen(seen, glyphs, width, ["West leads A."]))
                told = record.take()
                assert max(map(len, told.splitlines())) <= width
                assert all(name in told for name in seen.names)
                assert glyphs is UNICODE or not set("♠♥♣♦▸·") & set(told)
        if match.over:
            break
        match = match.act(rng.choice(match.legal))


@pytest.mark.parametrize("seats", range(2, 9))
def test_seats_sit_clockwise(seats: int) -> None:
    for bottom in range(seats):
        seated = rows.places(seats, bottom)
        left = [row[0] for row in reversed(seated) if row[0] is not None]
        middle = [row[1] for row in seated if row[1] is not None]
        right = [row[2] for row in seated if row[2] is not None]
        around = [bottom, *left, *[seat for seat in middle if seat != bottom], *right]
        assert around == [(bottom + place) % seats for place in range(seats)] and seated[-1] == (None, bottom, None)
    assert len(set(SEAT_NAMES[seats])) == seats
    match, record = played(begin(Settings(Blob(players=seats, cards=6), games=1)), stop=seats + 3), Recorder(60)
    record.console.print(view.screen(look(match, PERSON), UNICODE, 60, ["West leads A."]))
    told = record.take().splitlines()
    assert max(map(len, told)) <= 60 and all(row.count("╭") == row.count("╮") for row in told)


SMALL_GAMES = ("blob players=3,cards=2", "blob cards=2,sight=forehead", "euchre", "wizard players=3,cards=2", "bluff")


@pytest.mark.parametrize("named", [named for named in EVERY if str(named) in SMALL_GAMES], ids=str)
@pytest.mark.parametrize("agent", [pytest.param("flat", marks=pytest.mark.slow), "network"])
def test_hints_cover_the_choices_and_agents_play(named: Named, agent: str) -> None:
    game = named.make()
    if agent == "network":
        save_network(Path("net.safetensors"), BlobNet(network_config("small", game)), {"games": [identity(game)]})
    name = "net.safetensors" if agent == "network" else agent
    match = one_game(named, agent=name, worlds=2, simulations=2)
    player = play.make_agent(match.settings)
    while match.mover != PERSON:
        match = match.act(choose(player, match))
    hint = give_hint(player, match)
    assert sorted(one.action for one in hint.advice) == list(match.legal)
    assert sum(one.probability for one in hint.advice) == pytest.approx(1)
    assert all(game.lowest <= one.points <= game.highest for one in hint.advice)
    told = "\n".join(lines.hint_lines(hint, UNICODE))
    assert all(name in told for name in look(match, PERSON).choices.values())


UNITS = {"kuhn": "chips", "leduc": "chips", "hearts": "points", "hearts-match": "wins", "blob-match": "wins"}


@pytest.mark.parametrize("name", UNITS)
def test_what_a_game_counts_is_said(name: str) -> None:
    unit, rng = UNITS[name], random.Random(2)
    match = begin(Settings(make_game(name), games=1, agent="random", seed=3))
    while not match.over:
        before, match = match, match.act(rng.choice(match.legal))
    hint = give_hint(RandomBot(), before)
    told = [*lines.hint_lines(hint, UNICODE)[1:], lines.help_lines(0, 1, match.game.unit)[-1]]
    told += [lines.result_lines(look(match, None))[0].lower(), rows.sheet_title(look(match, None))]
    told += [lines.final_line(replace(look(match, None), totals=(2.0,) * match.game.seats, deal=None))]
    assert hint.advice and all(unit in line for line in told) and hint_told(hint)["unit"] == unit
    assert unit == "points" or not any("point" in line for line in told)


@pytest.mark.parametrize(
    ("game", "actions", "shown"),
    [
        (make_game("kuhn"), "pass bet bet", [0, 1]),
        (make_game("kuhn"), "pass pass", [0, 1]),
        (make_game("kuhn"), "pass bet pass", []),
        (make_game("kuhn", players=3), "pass bet pass bet", [0, 1]),
        (make_game("leduc"), "call call raise call", [0, 1]),
        (make_game("leduc"), "raise call raise fold", []),
    ],
    ids=str,
)
def test_after_a_showdown_the_cards_that_were_compared_are_shown(game, actions: str, shown: list[int]) -> None:
    """To every seat, and of a seat that has given up to none; also when the next game has been dealt."""
    for games in (1, 2):
        match = begin(Settings(game, games=games, agent="random", seed=3))
        before = [look(match, None).hand(seat) for seat in range(game.seats)]
        for action in actions.split():
            earlier, match = match, match.act(game.action_names.index(action))
        assert match.results[-1].shown == tuple(before[seat] if seat in shown else () for seat in range(game.seats))
        for viewer in range(game.seats):
            seen, first = look(match, viewer), look(earlier, viewer)
            told = lines.narrate(first, match.last, seen, UNICODE)[1:]
            words = [
                f"{lines.verb(seen.names[seat], 'show')} {UNICODE.card(game.layout, before[seat][0])}" for seat in shown
            ]
            assert told == ([f"{', '.join(words)}."] if shown else [])
            if games == 1:
                assert lines.shown_hands(seen) == [seat for seat in shown if seat != viewer]


@pytest.mark.parametrize(("name", "what"), [("kuhn", "game"), ("hearts-match", "match")])
def test_a_match_that_is_one_of_several_is_called_so(name: str, what: str) -> None:
    """By its heading, its result, the score sheet and what comes next."""
    match, rng = begin(Settings(make_game(name), games=2, agent="random", seed=3)), random.Random(2)
    while not match.results:
        match = match.act(rng.choice(match.legal))
    seen, plural = look(match, PERSON), {"game": "games", "match": "matches"}[what]
    won, totals = lines.result_lines(seen)
    assert f" in {what} 1: " in won and totals.startswith(f"After 1 of 2 {plural}: ")
    assert lines.game_line(seen, UNICODE).startswith(f"{what.capitalize()} 2 of 2")
    assert rows.sheet_rows(seen, UNICODE)[0][0] == what and f"the next {what}," in lines.rest_prompt(seen)


@dataclass(frozen=True)
class ShownState(DrawState):
    holds: ClassVar = {"played": "sets"}


class Shown(Draw):
    """A stock to draw from; what is played lies on the table and is said to hold cards."""

    def deal(self, *arguments, **options):
        return ShownState(**super().deal(*arguments, **options).tensors())


def test_cards_are_played_without_tricks_too_and_shown_where_the_game_says_that_they_lie() -> None:
    match = begin(Settings(Shown(), games=1, agent="random", seed=3))
    after = match.act(match.legal[0])
    before, card = look(match, PERSON), after.last.name
    assert lines.narrate(before, after.last, look(after, PERSON), UNICODE) == [f"You play {card}."]
    assert any(fact.startswith("played ") for fact in look(after, PERSON).facts)
    plain = begin(Settings(Draw(), games=1, agent="random", seed=3)).act(match.legal[0])
    assert not any(fact.startswith("played ") for fact in look(plain, PERSON).facts)


@pytest.mark.parametrize(
    ("names", "told", "typed_as_1"),
    [
        (("raise 1", "fold", "raise 2"), "You may choose  fold  raise 1-2", "raise 1"),
        (("play 1", "throw 1", "tell"), "You may choose  1:play 1  2:throw 1  3:tell", "play 1"),
        (("swap none", "swap 2", "swap 1 2"), "You may choose  1:swap none  2:swap 2  3:swap 1 2", "swap none"),
        (("4", "5", "9"), "You may choose  4-9, not 6 or 7 or 8", None),
    ],
)
def test_choices_are_counted_by_their_own_numbers_only_if_those_tell_them_apart(
    names: tuple[str, ...], told: str, typed_as_1: str | None
) -> None:
    one = look(begin(Settings(Draw(), games=1, agent="random", seed=3)), PERSON)
    seen = replace(one, one=replace(one.one, legal=(20, 21, 22), choices=names))
    assert lines.choices_line(seen, UNICODE) == told
    action = parse("1", seen, UNICODE)
    assert isinstance(action, Mistake) if typed_as_1 is None else seen.choices[action] == typed_as_1


def test_one_of_what_a_game_counts() -> None:
    told = [lines.counted(value, unit) for value, unit in ((1, "chips"), (-1, "chips"), (0.5, "wins"), (1, "$"))]
    assert told == ["1 chip", "-1 chips", "0.5 wins", "1 $"]


def test_columns_of_scores_are_told_apart() -> None:
    """In matches of Hearts, points of the game and totals are what one does not want; wins are those of matches."""
    match, rng = begin(Settings(make_game("hearts-match"), games=2, agent="random", seed=3)), random.Random(2)
    while not match.results:
        match = match.act(rng.choice(match.legal))
    seen = look(match, PERSON)
    assert rows.score_rows(seen, UNICODE)[0] == ["player", "won", "points", "totals", "wins"]
    assert rows.score_rows(replace(seen, unit="points"), UNICODE)[0][-2:] == ["totals", "match"]
    hearts = look(begin(Settings(make_game("hearts"), games=2, agent="random")), PERSON)
    assert rows.score_rows(hearts, UNICODE)[0] == ["player", "won", "points", "match"]


@pytest.mark.slow
def test_hints_in_matches_do_not_take_long() -> None:
    """Neither random playouts nor a network's end in sight: fewer deals, and the network's own judgement of them."""
    match = begin(Settings(make_game("hearts-match"), agent="flat", seed=1))
    save_network(
        Path("net.safetensors"), BlobNet(network_config("small", match.game)), {"games": [identity(match.game)]}
    )
    for agent, words in (("flat", "37 deals"), ("net.safetensors", "512 deals that it judged")):
        settings = replace(match.settings, agent=agent, worlds=1, simulations=2)
        assert words in give_hint(play.make_agent(settings), match).source


# -- which rules ------------------------------------------------------------------------------------------------------


def saved_for(games: list[Game], path: str = "net.safetensors") -> str:
    """The path of a network for these games."""
    save_network(Path(path), BlobNet(network_config("small", games[0])), {"games": [identity(game) for game in games]})
    return path


BLOB_OF_TWO = {"game": "blob", "rules": {"cards": 2}}
OLD_HANDS = [10240, 4398054899712, 140738562097152, 281543696187392]  # after four bids, by that program
SEARCH = ("--worlds", "1", "--simulations", "1", "--seed", "2")


@pytest.mark.parametrize(
    "game",
    [
        Blob(cards=2, exact_bonus=5, miss_penalty=10),
        Blob(cards=2, suits=3, ranks=7),
        Blob(cards=2, players=5, hook=False),
        make_game("hearts", passing="left"),
        make_game("kuhn", players=3),
    ],
    ids=repr,
)
def test_a_network_is_played_with_by_the_rules_that_it_was_trained_by(game: Game, monkeypatch, capsys) -> None:
    path = Path("match.json")
    trained = [Blob(game.rules, cards=cards) for cards in (1, 2)] if isinstance(game, Blob) else [game]
    flags = ("--agent", saved_for(trained), "--save", str(path), *SEARCH)
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "") and "by other rules" not in output
    match = load_match(path)
    assert match.settings.game == game and match.game.deck == game.deck


def test_other_rules_than_a_networks_are_said_and_kept(monkeypatch, capsys) -> None:
    path, path_there = Path("match.json"), saved_for([Blob(cards=cards) for cards in (1, 2)])
    flags = ("--agent", path_there, "--rules", "exact_bonus=5", "--save", str(path), *SEARCH)
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "")
    said_so = [line for line in output.splitlines() if "by other rules than" in line and "exact_bonus=5" in line]
    assert len(said_so) == 1
    assert load_match(path).settings.game == Blob(cards=2, exact_bonus=5)
    assert said_so[0] in run(monkeypatch, capsys, "", "--resume", str(path))[1].splitlines()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--agent", "net.safetensors", "--rules", "players=5"], "features"),
        (["--agent", "net.safetensors", "--game", "hearts"], "is a network for blob, not for hearts"),
        (["--agent", "bare.safetensors"], "does not say its rules"),
        (
            ["--agent", "rules", "--game", "kuhn"],
            "the rule-based player knows blob, hearts, spades, whist, euchre, not kuhn",
        ),
        (["--agent", "random", "--game", "harts"], "hearts"),
        (["--game", "hearts", "--rules", "pasing=left"], "passing"),
        (["--game", "kuhn", "--games", "101"], "--games must be an integer from 0 to 100, got 101"),
        (["--game", "hearts-match", "--games", "-1"], "--games must be an integer from 0 to 100, got -1"),
        (["--game", "nothing.py:Nothing"], "nothing.py"),
        (["--resume", "match.json", "--game", "hearts"], "leave out --game"),
        (["--resume", "match.json", "--rules", "hook=false"], "leave out --rules"),
    ],
)
def test_what_cannot_be_played_is_one_line(flags: list[str], message: str, monkeypatch, capsys) -> None:
    saved_for([Blob(cards=2)])
    save_network(Path("bare.safetensors"), BlobNet(network_config("small", Blob())), {})
    status, output, error = run(monkeypatch, capsys, "q\n", *flags)
    assert status == 2 and message in error and error.count("\n") == 1
    assert error.startswith("error: ") and output == ""


def test_a_match_of_the_first_format_still_opens(monkeypatch, capsys) -> None:
    """As it was written before matches said their games: of Blob, by the cards of the largest hand."""
    settings = {"cards": 2, "games": 3, "seed": 8, "agent": "random", "worlds": 4, "simulations": 30}
    history = [0, 1, 1, 2]
    Path("old.json").write_text(json.dumps({"format": "vecgame-match-1", "settings": settings, "history": history}))
    match = load_match(Path("old.json"))
    assert match.settings.game == Blob(cards=2) and match.history == tuple(history)
    assert [game.cards for game in match.settings.course] == [2, 1, 1]
    assert [int(hand) for hand in match.state.hands[0]] == OLD_HANDS
    assert run(monkeypatch, capsys, "q\n", "--resume", "old.json")[0] == 0
    later = load_match(Path("old.json"))
    assert later.history[:4] == match.history and json.loads(Path("old.json").read_text())["games"] == [BLOB_OF_TWO]


@pytest.mark.parametrize("named", [Named("kuhn"), Named("skat"), Named("euchre-match", "target=3,games=3")], ids=str)
def test_agents_play_among_themselves(named: Named, monkeypatch, capsys) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asks for input"))
    flags = (*named.flags, "--watch", "--games", "1", "--agent", "random", "--seed", "1")
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "") and "You" not in output
    assert "The match is over" in output.splitlines()[-1]


def test_sittings_go_on_and_dealers_move_on() -> None:
    settings = Settings(make_game("spades", cards=1), agent="random")
    assert len(settings.course) == 8
    dealers, match = [], begin(settings)
    while not match.over:
        if not match.moves:
            dealers.append(int(match.state.dealer))
        match = match.act(match.legal[0])
    assert dealers == [0, 1, 2, 3] * 2
    assert match.totals == tuple(sum(result.points[seat] for result in match.results) for seat in range(4))
    assert len(Settings(make_game("hearts-match")).course) == 1


def test_only_bids_that_are_to_be_met_exactly_are_marked() -> None:
    """In Spades tricks beyond a bid are bags, and a partner makes up for what is missing."""
    marks = {}
    for name in ("blob", "spades"):
        match = begin(Settings(make_game(name, cards=3), games=1, seed=3, agent="random"))
        while not match.over:
            match = match.act(match.legal[0])
            seen = look(match, None)
            marks.setdefault(name, set()).update(rows.progress(seen, seat) for seat in range(4))
    assert marks == {"blob": {"", "met", "lost"}, "spades": {""}}
