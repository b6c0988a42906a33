"""A match at the table: it is right, saved and read again, and its agents do not see what is hidden."""

import io
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from net import BlobNet, InferenceNet
from tests.helpers import assert_same_state, reshuffle
from tests.tables import SMALL, name, of_blob, played, position
from vecgame import Blob, make_game
from vecgame.cards import STANDARD
from vecgame.games.blob import schedule
from veclab import play
from veclab.agents import SHIPPED
from veclab.arena.bots import FlatMonteCarlo, RandomBot, RuleBot, SearchPlayer, rollout_config, rollout_player
from veclab.table import view
from veclab.table.advice import give_hint
from veclab.table.agents import choose
from veclab.table.glyphs import ASCII
from veclab.table.saving import load_match, save_match
from veclab.table.session import PERSON, Settings, begin, undo, walk
from veclab.table.sight import Seen, look
from vecmcts import PlayoutEvaluator, SearchConfig


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


@pytest.mark.parametrize("out", range(4))
def test_a_trick_is_complete_without_the_partner_who_sits_out(out: int) -> None:
    """In Euchre, of any seat that plays alone."""
    rng, match = random.Random(3), begin(Settings(make_game("euchre"), games=100, agent="random"))
    while not match.over:
        alone = [action for action in match.legal if "alone" in match.game.action_name(action, match.state)]
        before, match = match, match.act(rng.choice(alone or match.legal))
        absent = before.game.sits_out(before.state)
        if len(match.results) > len(before.results) and absent is not None and int(absent) == out:
            break
    tricks = match.results[-1].tricks
    assert len(tricks) == 5 and all(len(trick.plays) == 3 for trick in tricks)
    assert all(move.seat != out for trick in tricks for move in trick.plays)
    won = match.results[-1].won
    assert [sum(trick.winner == seat for trick in tricks) for seat in range(4)] == list(won)


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
        rollout_player(network, rollout_config([Blob(cards=3)], worlds=4)),
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
        damage(settings={**KEPT, "first_index": 1 << 62}),
        damage(settings={**KEPT, "first_index": -1}),
    ],
    ids=range(39),
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
        ("x" * 5000, "x" * 5000),  # no file may be called so
        ("a\0b", "a\0b"),
    ]:
        save_match(path, begin(of_blob(cards=2, agent=agent)))
        assert load_match(path).settings.agent == found
