"""The PettingZoo environment passes PettingZoo's own tests, and is the game that vecgame plays."""

import warnings

import numpy as np
import pytest
import torch

from tests.doors_docs import run_example, run_snippet
from tests.helpers import assert_same_state, reshuffle
from vecgame import Blob

pytest.importorskip("pettingzoo")
from pettingzoo.test import api_test, seed_test

from veclab.doors.pettingzoo_env import AGENTS, BlobAEC, env

# PettingZoo says this of every environment with masks but those of a list of its own.
OF_MASKS = {
    "Observation space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Observation is not a NumPy array",
}


@pytest.mark.parametrize("cards", [1, 5, 13])
@pytest.mark.parametrize("make", [env, BlobAEC])
def test_pettingzoo_finds_nothing_wrong(make, cards: int) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        api_test(make(Blob(cards=cards)), num_cycles=30)
    assert {str(warning.message) for warning in said} <= OF_MASKS


def test_pettingzoo_finds_it_repeatable() -> None:
    seed_test(lambda: env(Blob(cards=3)), num_cycles=20)


@pytest.mark.parametrize(
    "rules", [{"cards": 5}, {"cards": 3, "hook": False, "trump": "none"}, {"cards": 2, "ranks": 3}]
)
def test_games_are_those_of_vecgame(rules: dict) -> None:
    """Every agent, observation, mask and reward of three games in a row, which are three lanes of one batch."""
    game, rng = Blob(**rules), np.random.default_rng(1)
    blob, lanes = BlobAEC(game), game.deal(3, seed=11)
    for lane in range(3):
        blob.reset(seed=11 if lane == 0 else None)
        state = lanes[lane : lane + 1]
        for _ in range(game.decisions):
            agent = blob.agent_selection
            assert agent == AGENTS[int(game.mover(state))]
            for seat, other in enumerate(AGENTS):
                seen = blob.observe(other)
                assert blob.observation_space(other).contains(seen)
                assert np.array_equal(seen["observation"], game.observe(state, torch.tensor([seat]))[0].numpy())
                expected = game.policy_mask(state)[0].numpy() if other == agent else np.zeros(52)
                assert np.array_equal(seen["action_mask"], expected)
            assert blob.rewards == dict.fromkeys(AGENTS, 0.0) and not any(blob.terminations.values())
            action = torch.tensor([rng.choice(game.legal_mask(state)[0].nonzero()[:, 0].numpy())])
            blob.step(int(game.policy_columns(state, action[:, None])[0, 0]))
            state = game.step(state, action)
            assert_same_state(blob.position, state)
        assert blob.rewards == dict(zip(AGENTS, game.scores(state)[0].tolist(), strict=True))
        assert all(blob.terminations.values())
        for agent in blob.agent_iter():
            _, reward, termination, truncation, _ = blob.last()
            assert termination and not truncation
            assert reward == game.scores(state)[0, AGENTS.index(agent)]
            blob.step(None)
        assert blob.agents == []


def test_nobody_sees_what_is_hidden() -> None:
    """What an agent observes is the same with other cards in the hands that it does not see."""
    game = Blob(cards=4)
    blob, changed = BlobAEC(game, render_mode="ansi"), 0
    blob.reset(seed=3)
    for decision in range(game.decisions):
        true = blob.position
        for seat, agent in enumerate(AGENTS):
            before = blob.observe(agent)
            blob.position = reshuffle(game, true, torch.tensor([seat]), seed=decision)
            changed += not torch.equal(blob.position.hands, true.hands)
            after = blob.observe(agent)
            assert np.array_equal(before["observation"], after["observation"])
            assert np.array_equal(before["action_mask"], after["action_mask"])
            blob.position = true
        mover = torch.tensor([AGENTS.index(blob.agent_selection)])
        text = blob.render()
        blob.position = reshuffle(game, true, mover, seed=decision)
        assert blob.render() == text
        blob.position = true
        blob.step(blob.observe(blob.agent_selection)["action_mask"].argmax())
    assert changed > 3 * game.decisions


def test_an_illegal_action_is_refused() -> None:
    bare, wrapped = BlobAEC(Blob(cards=2)), env(Blob(cards=2))
    for blob in (bare, wrapped):
        blob.reset(seed=0)
    with pytest.raises(ValueError, match=r"action 51 of seat_\d is illegal; its mask allows \[0, 1, 2\]"):
        bare.step(51)
    culprit = wrapped.agent_selection
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped.step(51)
    assert all(wrapped.terminations.values()) or all(wrapped.truncations.values())
    assert wrapped.rewards == {agent: -1 if agent == culprit else 0 for agent in AGENTS}


def test_the_table_as_text(capsys) -> None:
    blob = BlobAEC(Blob(cards=1, trump="hearts", dealer=3), render_mode="human")
    blob.reset(seed=5)
    while not all(blob.terminations.values()):
        blob.step(blob.observe(blob.agent_selection)["action_mask"].argmax())
    out = capsys.readouterr().out
    assert out.count("hands of 1, trump hearts, seat_3 deals") == blob.game.decisions
    assert out.count("holds") == blob.game.decisions - 1
    assert f"won {int(blob.position.won[0, 3])}  {blob.rewards['seat_3']:g} points" in out.splitlines()[-1]


def test_bad_arguments_get_one_clear_line() -> None:
    with pytest.raises(ValueError, match="render_mode must be None, 'human' or 'ansi', got 'rgb_array'"):
        env(render_mode="rgb_array")
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        BlobAEC(seed=-1)


def test_the_page_shows_code_that_runs(capsys) -> None:
    run_snippet("PettingZoo")
    assert capsys.readouterr().out.count(" points") == len(AGENTS)


def test_the_example_runs(monkeypatch, capsys) -> None:
    run_example(monkeypatch, "pettingzoo_agents.py", "--games 12 --cards 3")
    words = capsys.readouterr().out.split()
    expert, random = (float(words[words.index(name) + 1].rstrip(",")) for name in ("rule-based", "random"))
    assert expert > random
