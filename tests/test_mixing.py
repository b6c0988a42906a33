"""Numbers of cards that a run mixes: every update has games of all."""

from inspect import signature

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import changed, metrics_of, quiet
from vecgame import Blob
from veclab.shares import shares_in_turn
from veclab.training import policy_gradient
from veclab.training import run as run_module
from veclab.training.distributed import Group
from veclab.training.mixing import shared_out
from veclab.training.run import UPDATES_INDEX, Run
from veclab.training.selfplay import SelfPlay, self_play


@given(st.lists(st.integers(1, 13), min_size=1, max_size=30), st.integers(1, 200), st.integers(0, 50))
def test_shares_are_even_and_whole(cards: list[int], count: int, turn: int) -> None:
    """Contiguous, all of the games, and each entry's share within one of the others'."""
    games = [Blob(cards=number) for number in cards]
    parts = shared_out(games, count, turn)
    assert [first for _, first, _ in parts] == [sum(n for *_, n in parts[:place]) for place in range(len(parts))]
    assert sum(number for *_, number in parts) == count
    assert len({game for game, *_ in parts}) == len(parts)
    for game, _, number in parts:
        entries = games.count(game)
        assert count // len(games) * entries <= number <= -(-count // len(games)) * entries


def test_of_fewer_games_than_rules_each_has_its_turn() -> None:
    games = [Blob(cards=number) for number in range(1, 6)]
    turns = [[game.cards for game, *_ in shared_out(games, 2, turn)] for turn in range(5)]
    assert sorted(number for turn in turns for number in turn) == sorted([1, 2, 3, 4, 5] * 2) and len(turns[0]) == 2


def test_with_enough_games_the_shares_stay_the_same() -> None:
    """As what a GPU has recorded is for one number of games."""
    games = [Blob(cards=number) for number in (1, 3, 3, 5)]
    assert [number for *_, number in shared_out(games, 9, 0)] == [3, 4, 2]
    assert shared_out(games, 9, 0) == shared_out(games, 9, 1) == shared_out(games, 9, 7)


def test_an_update_learns_from_all_numbers_of_cards(tmp_path, monkeypatch) -> None:
    """From the games that the run numbers so, each dealt by one of the rules; the score is the mean of all games."""
    settings = changed(
        cards="1,2,2,4", update_games=10, updates=2, eval_deals=4, learner="policy-gradient", device="cpu"
    )
    asked, learned = [], []
    play, update = policy_gradient.play, policy_gradient.update

    def playing(game, network, count, seed, index, *arguments, **named):
        rollout = play(game, network, count, seed, index, *arguments, **named)
        asked.append((game.cards, index - UPDATES_INDEX, count, rollout))
        return rollout

    def learning(learner, rollout, *arguments):
        learned.append(rollout)
        return update(learner, rollout, *arguments)

    monkeypatch.setattr(policy_gradient, "play", playing)
    monkeypatch.setattr(policy_gradient, "update", learning)
    Run.create(tmp_path / "run", settings, quiet()).train(judge=False)
    numbers = [(cards, index, count) for cards, index, count, _ in asked]
    assert numbers == [(1, 0, 3), (2, 3, 5), (4, 8, 2), (1, 10, 3), (2, 13, 5), (4, 18, 2)]
    for rollout, parts in zip(learned, (asked[:3], asked[3:]), strict=True):
        for name, tensor in rollout.tensors().items():
            assert torch.equal(tensor, torch.cat([part.tensors()[name] for *_, part in parts]))
        assert rollout.games == 10
        assert abs(rollout.score - sum(count * part.score for _, _, count, part in parts) / 10) < 1e-6
    assert [entry["score"] for entry in metrics_of(tmp_path / "run")][:2] == [rollout.score for rollout in learned]


def test_every_iteration_searches_games_of_its_own_in_the_way_that_is_set(tmp_path, monkeypatch) -> None:
    search = {"worlds": 3, "simulations": 5, "c_puct": 0.9, "leaves_per_step": 2, "root_selection": "shared"}
    search |= {"noise_fraction": 0.1, "noise_alpha": 0.3, "candidates": 4, "trust": 0.8, "merge_equivalent": True}
    play = {"seed": 3, "sampled_share": 0.2, "policy_target": "visits", "chunk_games": 5}
    parts: list[SelfPlay] = []
    others = {"full_share": 0.9, "fast_simulations": 1, "tricks_weight": 0.3, "weight_decay": 0.03}
    settings = changed(cards="1,2", games_per_iter=3, learner="search", device="cpu", **search, **play, **others)
    asked = []

    def playing(*arguments, **named):
        asked.append(signature(self_play).bind(*arguments, **named).arguments)
        parts.append(self_play(*arguments, **named))
        return parts[-1]

    monkeypatch.setattr(run_module, "self_play", playing)
    run = Run.create(tmp_path / "run", settings, quiet())
    run.train(judge=False)
    numbers = [(each["game"].cards, each["first_index"], each["games"]) for each in asked]
    assert numbers == [(1, 0, 2), (2, 2, 1), (1, 3, 2), (2, 5, 1)]
    for each in asked:
        assert play.items() <= each.items() and search.items() <= vars(each["config"]).items()
        assert each["cap"] == settings.playout_cap() and each["extras"] == ("tricks",)
    assert run.learner.optimizer.param_groups[0]["weight_decay"] == 0.03
    entries = [entry for entry in metrics_of(run.folder) if entry["kind"] == "iteration"]
    for entry, (one, other) in zip(entries, (parts[:2], parts[2:]), strict=True):  # means over games, and decisions
        assert entry["score"] == pytest.approx(float(torch.cat([one.scores.mean(1), other.scores.mean(1)]).mean()))
        assert entry["bids_met"] == pytest.approx((2 * one.bids_met + other.bids_met) / 3)
        for name in ("policy_entropy", "prior_divergence"):
            own = [(len(part.examples), getattr(part, name)) for part in (one, other)]
            assert entry[name] == pytest.approx(sum(n * mean for n, mean in own) / sum(n for n, _ in own))


def test_processes_have_games_of_every_number_of_cards(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Group, "from_leader", lambda group, make: make())
    settings = changed(cards="1-5", update_games=14, eval_deals=5, device="cpu")
    with pytest.raises(ValueError, match="3 processes need at least 15 --update-games, for each of them one"):
        Run(tmp_path / "run", settings, quiet(), Group(0, 3))
    Run(tmp_path / "run", changed(cards="1-5", update_games=15, eval_deals=5, device="cpu"), quiet(), Group(0, 3))
    Run(tmp_path / "run", settings, quiet())


def test_fewer_games_than_entries_reach_each_entry_in_its_turn() -> None:
    """Of a searched iteration too, whose entries keep their places."""
    played = [shares_in_turn(4, 6, turn) for turn in range(3)]
    assert played == [[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]]
    assert [shares_in_turn(13, 6, turn) for turn in range(2)] == [[3, 2, 2, 2, 2, 2]] * 2
