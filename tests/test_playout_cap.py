"""Playout cap randomisation: which decisions are searched in full and stored, and that the others are made fast."""

import math
from dataclasses import asdict, replace

import pytest
import torch

from net import NetConfig
from tests.positions import HashEvaluator
from tests.runs import changed, metrics_of, quiet
from tests.test_learner import make_examples
from vecgame import Blob, Purpose, Stream, lanes
from veclab.going_on import for_resume
from veclab.playout_cap import PlayoutCap
from veclab.settings import Settings
from veclab.training import selfplay
from veclab.training.learner import Learner, learn
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.run import Run
from veclab.training.selfplay import SelfPlay, self_play
from vecmcts import SearchConfig, best_action, search

CPU = torch.device("cpu")
GAME = Blob(cards=2)
SEARCH = SearchConfig(worlds=2, simulations=5, noise_fraction=0.25)
FAST = SearchConfig(worlds=2, simulations=2)
GUMBEL = SearchConfig(worlds=2, simulations=5, root_selection="gumbel")
SIGMAS = 4.5  # a normal statistic is further out with probability 7e-6


def play(games: int = 10, cap: PlayoutCap | None = None, config: SearchConfig = SEARCH, **options: object) -> SelfPlay:
    return self_play(GAME, HashEvaluator(), config, games, seed=3, cap=cap, **options)


def rows(examples: Examples) -> list[tuple[float, ...]]:
    parts = (examples.observation.float(), examples.policy.float(), examples.value, examples.legal_mask.float())
    return sorted(map(tuple, torch.cat(parts, dim=1).tolist()))


def test_the_share_of_decisions_searched_in_full() -> None:
    """Of 30,000 decisions, each of 3,000 games at 10 turns, drawn apart for each turn and game."""
    state = GAME.deal(3000, seed=1)
    drawn = []
    for _ in range(10):
        drawn.append(PlayoutCap(0.25, FAST).in_full(GAME, state, seed=8))
        state = GAME.step(state, GAME.legal_actions(state)[:, 0])
    drawn = torch.stack(drawn).double()
    deviation = math.sqrt(0.25 * 0.75)
    assert abs(float(drawn.mean()) - 0.25) < SIGMAS * deviation / math.sqrt(drawn.numel())
    for turns, games in ((drawn[:-1], drawn[1:]), (drawn[:, :-1], drawn[:, 1:])):  # neighbours know nothing of another
        together = (turns - 0.25) * (games - 0.25)
        assert abs(float(together.mean())) < SIGMAS * deviation**2 / math.sqrt(together.numel())


def test_the_stored_share() -> None:
    """Nearly all decisions of these games are the same choices as without a cap, one in four of them is stored."""
    every, some = len(play(150).examples), len(play(150, PlayoutCap(0.25, FAST)).examples)
    assert abs(some - 0.25 * every) < SIGMAS * math.sqrt(every * 0.25 * 0.75) + 0.25 * 0.05 * every


@pytest.mark.parametrize("config", [SEARCH, GUMBEL])
@pytest.mark.parametrize("sampled_share", [0.0, 1.0])
def test_every_decision_is_made_and_stored_as_its_search_says(config: SearchConfig, sampled_share: float) -> None:
    """Against self-play written out: games one by one, full searches as without a cap, fast ones as in a match."""
    cap = PlayoutCap(0.5, replace(config, simulations=2, noise_fraction=0.0, gumbel_scale=0.0))
    played = play(2, cap, config, sampled_share=sampled_share)
    policies, evaluations = [], 0
    for number in range(2):
        state = GAME.deal(1, 3, first_index=number)
        for decision in range(GAME.decisions):
            actions = GAME.legal_actions(state)
            action = actions[:, 0]
            if actions[0, 1] >= 0:
                stream = Stream(3, state.index, torch.tensor([decision]))
                full = bool(stream.uniform(Purpose.PLAYOUT_CAP, 1) < 0.5)
                used = config if full else cap.fast
                result = search(GAME, state, HashEvaluator(), used, seed=3)
                evaluations += int(result.evaluations)
                action = best_action(GAME, state, result.policy, result.visits, used, seed=3)
                if full and sampled_share == 0.0:
                    action = result.policy.argmax(-1)
                elif full and config.root_selection == "puct":
                    action = selfplay.sample(result.policy, stream.uniform(Purpose.ACTION, 1)[:, 0])
                if full:
                    policies.append(sorted(result.policy.half()[0].tolist()))
            state = GAME.step(state, action)
        assert torch.equal(GAME.scores(state)[0], played.scores[number])
    assert sorted(policies) == sorted(sorted(row) for row in played.examples.policy.tolist())
    assert played.evaluations == evaluations


def test_off_is_a_run_without_a_cap() -> None:
    """A share of 1 is no cap at all, and a cap that leaves no decision out plays and stores bit for bit the same."""
    assert Settings(full_share=1.0, fast_simulations=2).playout_cap() is None
    without, with_all = play(), play(cap=PlayoutCap(1.0, FAST))
    assert torch.equal(without.scores, with_all.scores) and without.evaluations == with_all.evaluations
    for name, tensor in without.examples.tensors().items():
        assert torch.equal(tensor, getattr(with_all.examples, name)), name


@pytest.mark.parametrize(("chunk", "compact"), [(1, True), (3, False)])
def test_games_do_not_depend_on_the_chunk(chunk: int, compact: bool, monkeypatch) -> None:
    cap = PlayoutCap(0.5, FAST)
    whole = play(5, cap)
    monkeypatch.setitem(lanes.COMPACT, "cpu", compact)
    cut = play(5, cap, chunk_games=chunk)
    assert torch.equal(whole.scores, cut.scores) and rows(whole.examples) == rows(cut.examples)


def test_games_that_leave_no_example() -> None:
    played = play(2, PlayoutCap(1e-9, FAST))
    assert len(played.examples) == 0 and played.scores.shape == (2, 4)
    assert played.examples.observation.shape == (0, 256) and played.policy_entropy == 0
    assert played.evaluations > 0


def test_learning_from_no_new_example_changes_nothing() -> None:
    small = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
    learner = Learner(Settings(batch_size=16), small, CPU)
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    for filled in (0, 20):
        buffer = ReplayBuffer(64, CPU)
        buffer.add(make_examples(filled))
        numbers = learn(learner, buffer, 0, seed=1)
        assert numbers["examples_learned"] == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.state_dict().items())


def test_a_run_without_an_example_in_an_iteration_goes_on(tmp_path) -> None:
    settings = changed(full_share=0.02, fast_simulations=1, games_per_iter=1, cards="2", iterations=2, device="cpu")
    assert Run.create(tmp_path / "run", settings, quiet()).train(judge=False) is not None
    entries = [entry for entry in metrics_of(tmp_path / "run") if entry["kind"] == "iteration"]
    assert [entry["examples"] for entry in entries] == [0, 0] and entries[0]["score"] >= 0


def test_what_the_settings_make_of_it() -> None:
    settings = Settings(full_share=0.25, fast_simulations=6, root_selection="gumbel")
    cap = settings.playout_cap()
    assert cap.full_share == 0.25 and cap.fast == replace(settings.search(), simulations=6)
    assert cap.fast.gumbel_scale == 0 and settings.search(self_play=True).gumbel_scale == 1
    assert Settings(full_share=0.25).playout_cap().fast.noise_fraction == 0
    old = asdict(Settings(seed=4))
    for name in ("full_share", "fast_simulations"):
        del old[name]
    assert for_resume(old, {}) == Settings(seed=4)
