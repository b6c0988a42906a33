"""The Gymnasium environments pass Gymnasium's own checks in every game, and play the games that vecgame plays."""

import copy
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.doors_docs import choice, choices, every_game
from tests.every_game import Named
from vecgame import Blob, Euchre, Game, Hearts, Kuhn, Skat, Spades, State
from veclab.arena.bots import RandomBot, RuleBot

pytest.importorskip("gymnasium")
import gymnasium
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from veclab.doors.gymnasium_env import GameEnv
from veclab.doors.gymnasium_vector import GameVectorEnv

MODES = list(AutoresetMode)


@pytest.mark.all_games
@every_game
def test_gymnasium_finds_nothing_wrong(named: Named, own_games: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("vecgame/Game-v0", game=named.make(own_games), render_mode="ansi").unwrapped)


@every_game
def test_games_are_those_of_vecgame(named: Named, own_games: Path) -> None:
    """Observations, masks and rewards of two games, which the same players play in vecgame alone."""
    game = named.make(own_games)
    table = GameEnv(game, seat="random")
    for number in range(2):
        observation, info = table.reset(seed=5 if number == 0 else None)
        state, own = game.deal(1, seed=5, first_index=info["game"]), info["seat"]
        over = False
        while not over:
            state = others_played(game, state, own)
            assert np.array_equal(observation, game.observe(state)[0]) and observation in table.observation_space
            mask = np.zeros(game.num_actions)
            mask[game.policy_columns(state, game.legal_mask(state).nonzero()[:, 1][None])[0]] = 1
            assert np.array_equal(info["action_mask"], mask) and np.array_equal(table.action_masks(), mask)
            column = choice(observation, mask)
            actions = torch.arange(game.num_actions)[game.legal_mask(state)[0]]
            action = actions[game.policy_columns(state, actions[None])[0] == column]
            observation, reward, over, truncated, info = table.step(column)
            state = others_played(game, game.step(state, action), own)
            assert (reward, over, truncated) == (
                float(game.scores(state)[0, own]),
                bool(game.is_terminal(state)),
                False,
            )
            assert (info["seat"], info["illegal"]) == (own, False)


def others_played(game: Game, state: State, own: int) -> State:
    """The game at the next decision of seat ``own``, after moves of a random player."""
    while not game.is_terminal(state) and game.mover(state) != own:
        state = game.step(state, RandomBot().act(game, state, 5))
    return state


@every_game
def test_a_game_is_the_same_in_any_batch(named: Named, own_games: Path) -> None:
    """Observations and rewards of each game by its number, in a batch of one and in one of four, where another game
    is begun in the step after the last and in that step."""
    game = named.make(own_games)
    alone = dict(played(GameVectorEnv(1, game, seat="random"), games=4))
    batch = GameVectorEnv(4, game, seat="random", autoreset_mode=AutoresetMode.SAME_STEP)
    together = dict(played(batch, games=5))
    common = set(alone) & set(together)
    assert len(common) >= 3
    assert all(data_equivalence(alone[number], together[number], exact=True) for number in common)


def played(tables: GameVectorEnv, games: int) -> Iterator[tuple[int, list]]:
    """The first games that are over, by their numbers: own observations, rewards, and the observation at the end."""
    observations, infos = tables.reset(seed=3)
    courses = {int(number): [] for number in infos["game"]}
    same, found = tables.autoreset_mode == AutoresetMode.SAME_STEP, 0
    while found < games:
        numbers = infos["game"]
        for number, observation in zip(numbers, observations, strict=True):
            courses.setdefault(int(number), []).append(observation)
        observations, rewards, over, _, infos = tables.step(choices(observations, infos))
        for lane in np.flatnonzero(over):
            final = infos["final_obs"][lane] if same else observations[lane]
            yield int(numbers[lane]), [*courses[int(numbers[lane])], rewards[lane], final]
            found += 1


@pytest.mark.parametrize("game", [Kuhn(players=3), Blob(cards=1)], ids=repr)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_batch_of_one_is_what_gymnasium_makes_of_one(game: Game, mode: AutoresetMode) -> None:
    """All that is returned, step by step, beside Gymnasium's own vector of single environments."""
    theirs = SyncVectorEnv([lambda: GameEnv(game, seat="random")], autoreset_mode=mode)
    ours = GameVectorEnv(1, game, seat="random", autoreset_mode=mode)
    assert (ours.metadata["autoreset_mode"], ours.observation_space) == (mode, theirs.observation_space)
    assert ours.action_space == theirs.action_space
    expected, got = theirs.reset(seed=7), ours.reset(seed=7)
    assert data_equivalence(got, expected, exact=True)
    ended = 0
    while ended < 3:
        actions = choices(got[0], got[-1])
        expected, got = theirs.step(actions), ours.step(actions)
        assert data_equivalence(got, expected, exact=True)
        if got[2][0]:
            ended += 1
            if mode == AutoresetMode.DISABLED:
                with pytest.raises(ResetNeeded, match="game 0 of the batch is over"):
                    ours.step(actions)
                every = np.ones(1, dtype=bool)
                expected = theirs.reset(options={"reset_mask": every.copy()})
                got = ours.reset(options={"reset_mask": every})
                assert data_equivalence(got, expected, exact=True)


def test_the_step_after_the_last_begins_another_game_whatever_the_action() -> None:
    tables = GameVectorEnv(16, Kuhn(players=3))
    observations, infos = tables.reset(seed=1)
    over, waited = np.zeros(16, dtype=bool), 0
    for step in range(20):
        numbers, actions = infos["game"], choices(observations, infos)
        none = (infos["action_mask"].argmin(-1), -1, tables.game.num_actions)[step % 3]
        observations, rewards, given, _, infos = tables.step(np.where(over, none, actions))
        now = given.copy()
        given[:] = True  # what is returned is the caller's
        assert not rewards[over].any() and not now[over].any() and not infos["illegal"].any()
        assert ((infos["game"] != numbers) == over).all()
        over, waited = now, waited + (now.any() and not now.all())
    assert waited  # games end at different times
    assert len(set(infos["game"])) == 16


def test_some_games_are_begun_anew_by_a_mask() -> None:
    tables = GameVectorEnv(4, Blob(cards=2))
    before, _ = tables.reset(seed=1)
    mask = np.array([True, False, True, False])
    after, infos = tables.reset(options={"reset_mask": mask})
    assert infos["game"].tolist() == [4, 1, 5, 3] and infos["_game"].tolist() == mask.tolist()
    assert np.array_equal(after[~mask], before[~mask])
    for wrong in (mask[:2], mask.astype(int), mask & False):
        with pytest.raises(ValueError, match=r"reset_mask must be \[4\] bool, one of them true; got"):
            tables.reset(options={"reset_mask": wrong})
    with pytest.raises(ValueError, match="a reset of some games only goes on with the run"):
        tables.reset(seed=2, options={"reset_mask": mask})
    for one in (tables, GameEnv()):
        with pytest.raises(ValueError, match="reset has no option"):
            one.reset(options={"cards": 3})


@pytest.mark.parametrize("game", [Blob(cards=2), Blob(cards=2, miss_penalty=10), Hearts(), Spades(cards=3)], ids=repr)
def test_an_illegal_action_costs_more_than_any_result(game: Game) -> None:
    table, tables = GameEnv(game), GameVectorEnv(3, game, autoreset_mode=AutoresetMode.SAME_STEP)
    before, info = table.reset(seed=4)
    after, reward, over, truncated, told = table.step(info["action_mask"].argmin())
    assert (reward, over, truncated, told["illegal"]) == (game.lowest - 1, True, False, True)
    assert np.array_equal(before, after) and told["action_mask"].any()
    with pytest.raises(ResetNeeded, match="the game is over"):
        table.step(0)
    observations, infos = tables.reset(seed=4)
    actions = choices(observations, infos)
    actions[1] = infos["action_mask"][1].argmin()
    _, rewards, over, _, infos = tables.step(actions)
    assert rewards.tolist() == [0, game.lowest - 1, 0] and over.tolist() == [False, True, False]
    assert infos["final_info"]["illegal"].tolist() == [False, True, False] and not infos["illegal"].any()
    assert infos["game"].tolist() == [0, 3, 2]


def test_before_a_reset_there_is_nothing_to_choose_or_show() -> None:
    for one in (GameEnv(render_mode="ansi"), GameVectorEnv(2, render_mode="ansi")):
        for asked in (one.action_masks, one.render):
            with pytest.raises(ResetNeeded, match=r"^call reset\(\) first$"):
                asked()
        one.reset(seed=1)
        assert one.action_masks().any() and one.render()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_envs": 1.5}, r"the number of games must be a whole number of at least 1, got 1\.5$"),
        ({"num_envs": True}, "the number of games must be a whole number of at least 1, got True$"),
        ({"num_envs": 2, "rules": ["players"]}, r"rules must be a mapping such as {'players': 3}, got \['players'\]$"),
    ],
    ids=["a part of a game", "a truth", "a list"],
)
def test_what_makes_no_batch_is_refused_in_a_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GameVectorEnv(**given)


@pytest.mark.parametrize("wrong", [-1, 52, 1.0, None, "bid"])
def test_what_is_no_action_is_refused(wrong: object) -> None:
    table, tables = GameEnv(), GameVectorEnv(2)
    for one in (table, tables):
        with pytest.raises(ResetNeeded, match="call reset"):
            one.step(0)
        one.reset(seed=1)
    with pytest.raises(ValueError, match="action must be an integer from 0 to 51, got"):
        table.step(wrong)
    with pytest.raises(ValueError, match=r"actions must be (2 integers|from 0 to 51), got"):
        tables.step(np.array([0, wrong]))
    with pytest.raises(ValueError, match=r"actions must be 2 integers, got shape \[3\] of int64"):
        tables.step(np.zeros(3, dtype=np.int64))


def test_no_seed_means_fresh_deals_and_a_seed_the_same() -> None:
    for make in (GameEnv, GameVectorEnv):
        first, second = make(), make()
        assert not np.array_equal(first.reset()[0], second.reset()[0])
        seeded = first.reset(seed=5)
        assert data_equivalence(seeded, second.reset(seed=5), exact=True)
        assert data_equivalence(first.reset(), second.reset(), exact=True)  # the run goes on
        assert not np.array_equal(first.reset()[0], seeded[0])


def test_a_seat_that_has_nothing_to_decide_gets_the_next_game() -> None:
    """In Euchre the partner of one who plays alone may sit out without having bid."""
    game = Euchre()
    alone = OrdersUpAlone()
    table = GameEnv(game, opponents=alone)
    numbers = [table.reset(seed=1 if first else None)[1]["game"] for first in [True] + 12 * [False]]
    assert set(numbers) < set(range(numbers[-1] + 1)) and numbers == sorted(numbers)
    dealt = game.deal(numbers[-1] + 1, seed=1)
    silent = dealt.leader == 2  # seat 2, the partner, is asked first, and plays alone
    assert silent[list(set(range(numbers[-1])) - set(numbers))].all() and not silent[numbers].any()


class OrdersUpAlone(RandomBot):
    """Says alone whenever it may, and takes trump to be able to."""

    def act(self, game: Game, state: State, seed: int) -> torch.Tensor:
        names = [game.action_name(action, state) for action in range(game.first_bid, game.num_actions)]
        wanted = torch.tensor([False] * game.first_bid + [name.startswith(("order", "alone")) for name in names])
        return (wanted + 2 * game.legal_mask(state).int()).argmax(-1)


@pytest.mark.gpu
def test_games_on_a_gpu_are_those_of_the_cpu() -> None:
    here, there = (
        GameVectorEnv(8, Kuhn(players=3), seat="random", device=device, opponents=["random", "flat"])
        for device in ("cpu", "cuda")
    )
    expected, got = here.reset(seed=1), there.reset(seed=1)
    for _ in range(6):
        assert data_equivalence(got, expected, exact=True) and there.table.state.device.type == "cuda"
        actions = choices(got[0], got[-1])
        expected, got = here.step(actions), there.step(actions)


def test_rules_to_play_by_are_strong() -> None:
    """The rule-based player in the own seat, against random ones, has more points than a random one has."""
    game = Blob(cards=3)
    tables = GameVectorEnv(64, game, autoreset_mode=AutoresetMode.SAME_STEP)
    means = []
    for bot in (RuleBot(), RandomBot()):
        tables.reset(seed=1)
        total = np.zeros(64)
        for _ in range(4):
            state = tables.table.state
            columns = game.policy_columns(state, bot.act(game, state, 1)[:, None])[:, 0].numpy()
            total += tables.step(columns)[1]
        means.append(total.mean())
    assert means[0] > means[1] + 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_a_copy_plays_on_alike(copied) -> None:
    tables = GameVectorEnv(4, Skat(), seat="random")
    observations, infos = tables.reset(seed=2)
    other = copied(tables)
    for _ in range(4):
        actions = choices(observations, infos)
        step, theirs = tables.step(actions), other.step(actions)
        assert data_equivalence(step, theirs, exact=True)
        observations, infos = step[0], step[-1]


def test_games_take_the_numbers_of_a_run_without_a_gap() -> None:
    """In the order in which they are begun, also where some of a batch end before others."""
    tables = GameVectorEnv(3, Kuhn(), opponents="random")
    _, infos = tables.reset(seed=1)
    begun, unequal = set(infos["game"].tolist()), False
    for _ in range(12):
        _, _, over, _, infos = tables.step(np.zeros(3, dtype=np.int64))
        begun |= set(infos["game"].tolist())
        unequal |= 0 < over.sum() < 3
    assert unequal and begun == set(range(len(begun))) and len(begun) > 9


def test_the_last_observation_is_the_own_seats() -> None:
    table, others = GameEnv(Blob(cards=2), seat=1), 0
    for number in range(4):
        _, info = table.reset(seed=3 if number == 0 else None)
        over = False
        while not over:
            observation, _, over, _, info = table.step(int(info["action_mask"].argmax()))
        state = table.table.state
        assert np.array_equal(observation, table.game.observe(state, torch.tensor([1]))[0])
        others += not np.array_equal(observation, table.game.observe(state)[0])
    assert others


def test_what_is_said_for_a_game_in_which_nothing_is_done_does_nothing() -> None:
    tables = GameVectorEnv(2, Kuhn(), opponents="random")
    tables.reset(seed=1)
    before = tables.table.state[1]
    tables.table.play(torch.tensor([0, 99]), torch.tensor([True, False]))
    assert tables.table.forfeited.tolist() == [False, False] and tables.table.state[1] == before


def test_games_of_a_batch_are_shown_as_their_own_seats_see_them() -> None:
    tables = GameVectorEnv(4, Blob(cards=3), seat="random", render_mode="ansi")
    _, infos = tables.reset(seed=2)
    game, state = tables.game, tables.table.state
    assert len(set(infos["seat"].tolist())) > 1
    assert tables.render() == tuple(game.text(state, lane, seat) for lane, seat in enumerate(infos["seat"].tolist()))
    assert all(shown != game.text(state, lane, None) for lane, shown in enumerate(tables.render()))


def test_a_game_that_is_over_waits_for_its_own_reset() -> None:
    """In the mode DISABLED, also where another one that was over is begun anew."""
    tables = GameVectorEnv(2, Kuhn(), opponents="random", autoreset_mode=AutoresetMode.DISABLED)
    one, other = np.array([True, False]), np.array([False, True])
    with pytest.raises(ValueError, match="and is not the first"):
        tables.reset(options={"reset_mask": one})
    tables.reset(seed=1)
    assert tables.step(np.array([1, 1]))[2].all()  # a bet, which is folded or called
    tables.reset(options={"reset_mask": one})
    with pytest.raises(ResetNeeded, match="game 1 of the batch is over"):
        tables.step(np.array([1, 1]))
    tables.reset(options={"reset_mask": other})
    tables.step(np.array([1, 1]))
