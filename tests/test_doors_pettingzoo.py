"""The PettingZoo environment passes PettingZoo's own tests in every game, and plays the games that vecgame plays."""

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.doors_docs import every_game, run_example, run_snippet
from tests.every_game import Named
from tests.helpers import assert_same_state, reshuffle
from vecgame import Blob, Game, Hearts, Kuhn, State, Whist, Wizard, make_game
from vecgame.pictures import picture
from vecmcts import random_action

pytest.importorskip("pettingzoo")
from pettingzoo.test import api_test, seed_test

from veclab.doors.pettingzoo_env import GameAEC, env

# PettingZoo says this of every environment with masks but those of a list of its own.
OF_MASKS = {
    "Observation space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Observation is not a NumPy array",
}


def finds_nothing_wrong(environment, cycles: int) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        api_test(environment, num_cycles=cycles)
    assert {str(warning.message) for warning in said} <= OF_MASKS


@pytest.mark.all_games
@every_game
def test_pettingzoo_finds_nothing_wrong(named: Named, own_games: Path) -> None:
    game = named.make(own_games)
    finds_nothing_wrong(env(game), game.decisions)
    seed_test(lambda: env(game), num_cycles=10)


def test_pettingzoo_finds_nothing_wrong_with_the_bare_environment() -> None:
    finds_nothing_wrong(GameAEC(Blob(cards=3)), 30)


@every_game
def test_games_are_those_of_vecgame(named: Named, own_games: Path) -> None:
    """Every agent, observation, mask and reward of two games in a row, which are two lanes of one batch.

    The columns that are taken are those of a network's policy, whatever a game does to them.
    """
    game, rng = named.make(own_games), np.random.default_rng(1)
    table, lanes = GameAEC(game), game.deal(2, seed=11)
    agents = [f"seat_{seat}" for seat in range(game.seats)]
    assert table.possible_agents == agents
    for lane in range(2):
        table.reset(seed=11 if lane == 0 else None)
        state = lanes[lane]
        while not game.is_terminal(state):
            agent = table.agent_selection
            assert agent == agents[int(game.mover(state))]
            assert table.rewards == dict.fromkeys(agents, 0.0) and not any(table.terminations.values())
            action = random_action(game, state, torch.tensor([rng.random()], dtype=torch.float64))
            column = int(game.policy_columns(state, action[:, None]))
            check_what_is_seen(table, game, state)
            table.step(column)
            state = game.step(state, action)
            assert_same_state(table.position, state)
        check_what_is_seen(table, game, state)
        scores = dict(zip(agents, game.scores(state)[0].tolist(), strict=True))
        assert table.rewards == scores and all(table.terminations.values())
        for agent in table.agent_iter():
            _, reward, termination, truncation, _ = table.last()
            assert termination and not truncation and reward == scores[agent]
            table.step(None)
        assert table.agents == []


def check_what_is_seen(table: GameAEC, game: Game, state: State) -> None:
    """All agents' observations, and the mask of the one to move, by the legal actions of the game."""
    expected = np.zeros(game.num_actions)
    if not game.is_terminal(state):
        expected[game.policy_columns(state, game.legal_mask(state).nonzero()[:, 1][None])[0]] = 1
    for seat, agent in enumerate(table.possible_agents):
        seen = table.observe(agent)
        assert table.observation_space(agent).contains(seen)
        assert np.array_equal(seen["observation"], game.observe(state, torch.tensor([seat]))[0].numpy())
        assert np.array_equal(seen["action_mask"], expected if agent == table.agent_selection else 0 * expected)


def test_whist_is_played_by_its_own_columns() -> None:
    """In whist all 52 moves are plays with the suits turned; in Blob the first four are bids, which are not."""
    game = Whist(trump="hearts")
    table, state = GameAEC(game), game.deal(1, seed=3)
    table.reset(seed=3)
    for _ in range(game.decisions):
        held = state.hands.clone()
        column = int(table.observe(table.agent_selection)["action_mask"].argmax())
        table.step(column)
        state = table.position
        card = (held & ~state.hands).max().item().bit_length() - 1  # what left a hand
        assert column == (card - 13) % 52  # hearts come first


def test_no_seed_means_fresh_deals_and_a_seed_the_same() -> None:
    first, second = GameAEC(), GameAEC()
    for table in (first, second):
        table.reset()
    assert first.position != second.position
    for table in (first, second):
        table.reset(seed=5)
    assert first.position == second.position == Blob().deal(1, seed=5)
    first.reset()
    assert first.position == Blob().deal(1, seed=5, first_index=1)


@pytest.mark.slow
def test_another_process_deals_other_games() -> None:
    code = (
        "from veclab.doors.pettingzoo_env import env; e = env(); e.reset(); print(e.unwrapped.position.hands.tolist())"
    )
    said = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(said) == 2 and all(line.startswith("[[") for line in said)


@pytest.mark.parametrize("game", [Blob(cards=4), Hearts(passing="left"), Wizard(cards=3), Kuhn(players=3)], ids=repr)
def test_nobody_sees_what_is_hidden(game: Game) -> None:
    """What is observed and shown to the agent to move is the same in any other world that it holds possible."""
    table, changed = GameAEC(game, render_mode="ansi"), 0
    table.reset(seed=3)
    for decision in range(16):
        if game.is_terminal(true := table.position):
            break
        agent = table.agent_selection
        before, text = table.observe(agent), table.render()
        table.position = game.determinize(true, 1, seed=decision)
        changed += table.position != true
        after = table.observe(agent)
        assert np.array_equal(before["observation"], after["observation"])
        assert np.array_equal(before["action_mask"], after["action_mask"])
        assert table.render() == text
        table.position = true
        table.step(after["action_mask"].argmax())
    assert changed > 0


def test_no_agent_of_blob_sees_other_hands() -> None:
    """Those that are not to move either."""
    game, changed = Blob(cards=4), 0
    table = GameAEC(game)
    table.reset(seed=3)
    for decision in range(game.decisions):
        true = table.position
        for seat, agent in enumerate(table.possible_agents):
            before = table.observe(agent)
            table.position = reshuffle(game, true, torch.tensor([seat]), seed=decision)
            changed += not torch.equal(table.position.hands, true.hands)
            assert np.array_equal(before["observation"], table.observe(agent)["observation"])
            table.position = true
        table.step(table.observe(table.agent_selection)["action_mask"].argmax())
    assert changed > 3 * game.decisions


@pytest.mark.parametrize("game", [Blob(cards=2), Blob(cards=2, miss_penalty=10), Hearts(), Kuhn()], ids=repr)
def test_an_illegal_action_is_refused(game: Game) -> None:
    """In the wrappers it costs more than any result of a game could."""
    bare, wrapped = GameAEC(game), env(game)
    for table in (bare, wrapped):
        table.reset(seed=0)
    agent = bare.agent_selection
    mask = bare.observe(agent)["action_mask"]
    for wrong in (-1, game.num_actions, 0.5, None, *np.flatnonzero(mask == 0)[:1]):
        with pytest.raises(ValueError, match=rf"action .* of {agent} is illegal; its mask allows \[\d.*\]"):
            bare.step(wrong)
    with pytest.raises(AssertionError):
        wrapped.step(game.num_actions)
    if mask.all():
        return  # in Kuhn whatever is an action is legal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped.step(int(mask.argmin()))
    assert all(wrapped.terminations.values()) or all(wrapped.truncations.values())
    assert wrapped.rewards == {one: game.lowest - 1 if one == agent else 0 for one in wrapped.possible_agents}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_a_copy_plays_on_alike(copied) -> None:
    table = env(Hearts())
    table.reset(seed=2)
    for _ in range(5):
        table.step(table.observe(table.agent_selection)["action_mask"].argmax())
    other = copied(table)
    for _ in range(60):  # into the next game of the run
        if not table.agents:
            table.reset(), other.reset()
        over = table.terminations[table.agent_selection]
        action = None if over else table.observe(table.agent_selection)["action_mask"].argmax()
        table.step(action), other.step(action)
        assert table.unwrapped.position == other.unwrapped.position and table.rewards == other.rewards


def test_the_table_as_text_and_as_a_picture(capsys) -> None:
    game = Blob(cards=1, trump="hearts", dealer=3)
    told, drawn = GameAEC(game, render_mode="human"), GameAEC(game, render_mode="svg")
    for table in (told, drawn):
        table.reset(seed=5)
    texts = []
    while not all(told.terminations.values()):
        column = told.observe(told.agent_selection)["action_mask"].argmax()
        for table in (told, drawn):
            table.step(column)
        seat = None if game.is_terminal(told.position) else int(game.mover(told.position))
        texts.append(game.text(told.position, seat=seat))
        assert drawn.render() == picture(game, drawn.position, 0, seat)
    assert capsys.readouterr().out == "".join(f"{text}\n" for text in texts)
    assert "score" in texts[-1]


def test_names_come_from_the_game() -> None:
    names = {game: env(make_game(game)).metadata["name"] for game in ("blob", "blob-match", "euchre")}
    assert names == {"blob": "vecgame_blob_v0", "blob-match": "vecgame_blob_match_v0", "euchre": "vecgame_euchre_v0"}
    table = env("blob", rules={"players": 7, "cards": 3})
    assert table.possible_agents[-1] == "seat_6" and table.observation_space("seat_6")["observation"].shape == (286,)


def test_bad_arguments_get_one_clear_line() -> None:
    with pytest.raises(ValueError, match="render_mode must be None or one of 'human', 'ansi', 'svg', got 'rgb_array'"):
        env(render_mode="rgb_array")
    with pytest.raises(ValueError, match="render_mode must be None or one of 'human', 'ansi', got 'svg'"):
        env(Kuhn(), render_mode="svg")  # it has no hands to draw
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        env().reset(seed=-1)


def test_the_page_shows_code_that_runs(capsys) -> None:
    run_snippet("PettingZoo")
    assert capsys.readouterr().out.count("score") == 4


def test_the_example_runs(monkeypatch, capsys) -> None:
    run_example(monkeypatch, "pettingzoo_agents.py", "--games 12 --cards 3")
    words = capsys.readouterr().out.split()
    expert, random = (float(words[words.index(name) + 1].rstrip(",")) for name in ("rule-based", "random"))
    assert expert > random


def test_what_the_mover_may_do_is_told_to_nobody_else() -> None:
    """The cards that it may play are cards that it holds."""
    table = GameAEC(Blob(cards=3))
    table.reset(seed=1)
    while not any(table.terminations.values()):
        masks = {agent: table.observe(agent)["action_mask"] for agent in table.agents}
        assert [agent for agent, mask in masks.items() if mask.any()] == [table.agent_selection]
        table.step(int(masks[table.agent_selection].argmax()))
    assert not any(table.observe(agent)["action_mask"].any() for agent in table.possible_agents)
