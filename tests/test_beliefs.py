"""Where the hidden cards lie: how that is measured, and worlds that are drawn by what a network thinks of it."""

from __future__ import annotations

import json
import math

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from vecgame import Blob, Game, State, make_game
from vecgame.cards import popcount
from vecgame.worlds import opponents
from veclab.agents.checkpoint import save_network
from veclab.bench import beliefs
from veclab.bench.beliefs import BY_BELIEF, BeliefNet, ByBelief, Hidden, by_worlds, check_game, places_of
from veclab.bench.compared import half_interval, interval_of_groups
from veclab.bench.searches import Way
from vecmcts import RolloutConfig, rollouts

GAME = Blob(cards=4)
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


def midway(games: int = 32) -> State:
    """Games in which six cards have been played."""
    state = GAME.deal(games, seed=3)
    for _ in range(10):
        state = GAME.step(state, GAME.legal_actions(state)[:, 0])
    return state


def network() -> InferenceNet:
    torch.manual_seed(5)
    return InferenceNet(BlobNet(SMALL), dtype=torch.float32)


def test_places_are_those_of_the_hands() -> None:
    state = midway()
    hidden, mover = Hidden.of(GAME, state), GAME.mover(state)
    held = state.hands.gather(1, opponents(mover, 4))
    for place in range(3):
        assert torch.equal((hidden.place == place).sum(-1), popcount(held)[:, place])
    own = popcount(state.hands.gather(1, mover[:, None])[:, 0])
    assert torch.equal((hidden.place >= 0).sum(-1), 52 - own - 6)
    here = hidden.place >= 0
    assert torch.allclose(hidden.share.sum(1)[here], torch.ones(()))
    assert bool((hidden.share.gather(1, hidden.place.clamp(min=0)[:, None])[:, 0][here] > 0).all())


def test_the_loss_is_that_of_the_true_places() -> None:
    """By counting before anything is known it is the entropy of a card's place; of the truth itself nothing."""
    hidden = Hidden.of(GAME, GAME.deal(8, seed=1))
    shares = torch.tensor([4, 4, 4, 36]) / 48
    assert torch.allclose(hidden.loss(hidden.share), -(shares * shares.log()).sum().expand(8), atol=1e-5)
    truth = torch.nn.functional.one_hot(hidden.place.clamp(min=0), 4).permute(0, 2, 1).float()
    assert torch.allclose(hidden.loss(truth), torch.zeros(8), atol=1e-6)
    assert bool((hidden.loss(truth.roll(1, dims=1)) > 10).all())


def test_many_uniform_worlds_say_what_counting_says() -> None:
    state = GAME.deal(4, seed=2)
    hidden, worlds = Hidden.of(GAME, state), GAME.determinize(state, 4000, 9)
    lies = places_of(GAME, worlds, 4000, hidden)
    found = by_worlds(lies, hidden, torch.zeros(4, 4000))
    assert float((found - hidden.share).abs().max()) < 0.04  # five standard errors of a share
    certain = torch.full((4, 4000), -50.0).index_fill(1, torch.tensor([7]), 0.0)  # one world has all the weight
    assert torch.allclose(by_worlds(lies, hidden, certain), (lies[:, 7] + hidden.share) / 2, atol=1e-5)


class Told(BeliefNet):
    """Thinks that the seat after the mover has the spades."""

    def forward(self, observation: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        more = torch.ones_like(share)
        more[:, 0, :13] = 50.0
        told = share * more
        return told / told.sum(1, keepdim=True).clamp(min=1e-9)


def test_worlds_follow_the_belief() -> None:
    state = GAME.deal(16, seed=4)
    spades = (1 << 13) - 1
    seat = (GAME.mover(state) + 1) % 4
    mean = {}
    for name, draw in (
        ("uniform", lambda *a: (GAME.determinize(a[1], a[2], a[3]), None)),
        ("told", ByBelief(Told(GAME))),
    ):
        worlds, _ = draw(GAME, state, 32, 6)
        assert torch.equal(popcount(worlds.hands.sum(1)), popcount(worlds.hands).sum(1))  # no card is dealt twice
        held = worlds.hands.gather(1, seat.repeat_interleave(32)[:, None])[:, 0]
        mean[name] = float(popcount(held & spades).float().mean())
        assert torch.equal(popcount(held), torch.full((16 * 32,), 4))
    assert mean["told"] > mean["uniform"] + 1


@pytest.mark.slow
def test_learning_tells_more_than_counting() -> None:
    """Where the policy shows its cards: one that always plays the lowest."""

    class Lowest(InferenceNet):
        def __call__(self, observation: torch.Tensor, *rest: object, **more: object):
            order = torch.arange(52, 0, -1.0).expand(len(observation), -1)
            return 5 * order, torch.zeros(len(observation), 4)

    net = Lowest(BlobNet(SMALL), dtype=torch.float32)
    belief = beliefs.learned(GAME, net, 2048, 1, lambda done: None)
    found, of_game = beliefs.judge(GAME, net, belief, 8, 1, lambda done: None)
    assert len(of_game.unique()) == 8 and len(of_game) == len(found["counting"]) > 8
    for worse, better in (("counting", "learned network"), ("1,024 uniform worlds", "1,024 worlds by likelihood")):
        more = interval_of_groups(found[worse] - found[better], of_game)
        assert more.mean > more.half  # of no difference: 1 in 40


def test_decisions_of_a_game_are_no_more_samples_than_the_game() -> None:
    """That each of a game's decisions is there twice makes its interval no narrower; of one decision a game it is
    Student's over the games; by hand, of two games with the errors -1 and -1, and 0 and 2."""
    samples, group = torch.tensor([1.0, 2.0, 4.0, 7.0, 1.0], dtype=torch.float64), torch.tensor([5, 3, 4, 3, 4])
    once, twice = (interval_of_groups(samples.repeat(n), group.repeat(n)) for n in (1, 2))
    assert (twice.mean, twice.half) == (pytest.approx(once.mean), pytest.approx(once.half))
    alone = interval_of_groups(samples, torch.arange(5))
    assert alone.half == pytest.approx(half_interval(samples.tolist())) and alone.mean == 3.0
    two = interval_of_groups(torch.tensor([1.0, 1.0, 2.0, 4.0]), torch.tensor([0, 0, 1, 1]))
    assert (two.mean, two.half) == (2.0, pytest.approx(12.71 * (2 * ((-2 / 4) ** 2 + (2 / 4) ** 2)) ** 0.5))
    assert interval_of_groups(samples, torch.zeros(5, dtype=torch.int64)).half == math.inf


def test_rollouts_take_worlds_from_elsewhere() -> None:
    """Those that are drawn uniformly elsewhere are as good as its own; both ways at once are refused."""

    def uniform(game: Game, state: State, count: int, seed: int) -> tuple[State, torch.Tensor]:
        return game.determinize(state, count, seed), torch.arange(count).expand(state.batch_size, -1)

    state, net, config = midway(8), network(), RolloutConfig(worlds=4, candidates=0)
    own = rollouts(GAME, state, net, config, seed=3)
    given = rollouts(GAME, state, net, config, seed=3, draw=uniform)
    assert torch.equal(own.policy, given.policy) and torch.equal(own.q.nan_to_num(), given.q.nan_to_num())
    other = rollouts(GAME, state, net, config, seed=3, draw=ByBelief(Told(GAME)))
    assert not torch.equal(own.q.nan_to_num(), other.q.nan_to_num())
    with pytest.raises(ValueError, match=r"by draw or from config\.candidates, not by both"):
        rollouts(GAME, state, net, RolloutConfig(worlds=4, candidates=8), draw=uniform)


def test_the_command(tmp_path, capsys) -> None:
    path, found = tmp_path / "network-000001.safetensors", tmp_path / "beliefs.json"
    save_network(path, BlobNet(SMALL), {"settings": {"cards": "2"}})
    flags = [str(path), "--cards=2", "--games=64", "--judged=2", "--deals=2", f"--json={found}", "--quiet"]
    assert beliefs.main(flags) == 0
    told = json.loads(found.read_text())
    assert told["complete"] and told["results"][0]["games"] == 2
    assert [row["name"] for row in told["results"]][::4] == ["counting", "learned network"]
    assert [row["name"] for row in told["rollouts"]][1] == f"32 of {BY_BELIEF} by the learned network"
    assert "nats a card" in capsys.readouterr().out
    for wrong, said in (("--cards=1-2", "name --cards"), ("--deals=1", "--deals must be at least 2, or 0")):
        assert beliefs.main([str(path), wrong]) != 0
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(("stage", "kept"), [("judge", 0), ("measure", 1), ("second way", 2), (None, 3)])
def test_a_stopped_command_keeps_what_it_has(stage, kept, tmp_path, monkeypatch, capsys) -> None:
    """Where the cards lie, then each way to play as it comes, with word of whether that is all."""
    path, found, seen = tmp_path / "network-000001.safetensors", tmp_path / "beliefs.json", []
    save_network(path, BlobNet(SMALL), {"settings": {"cards": "2"}})

    def measure(makers, network, games, deals, seed, display, keep):
        ways = []
        for number, name in enumerate(makers):
            if stage == ("measure", "second way")[number]:
                raise KeyboardInterrupt
            ways.append(Way(name, torch.tensor([1.0, 2.0], dtype=torch.float64), 1.0, 1.0))
            keep(ways)
            seen.append(json.loads(found.read_text())["complete"])
        return ways

    def judge(*_: object) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        if stage == "judge":
            raise KeyboardInterrupt
        return {"counting": torch.ones(4)}, torch.arange(4)

    monkeypatch.setattr(beliefs, "learned", lambda *_: BeliefNet(GAME))
    monkeypatch.setattr(beliefs, "judge", judge)
    monkeypatch.setattr(beliefs, "measure", measure)
    status = beliefs.main([str(path), "--cards=2", "--deals=2", f"--json={found}", "--quiet"])
    error = capsys.readouterr().err
    assert status == (130 if stage else 0) and found.exists() == bool(kept)
    if kept:
        told = json.loads(found.read_text())
        assert told["complete"] == (stage is None) and len(told["results"] + told["rollouts"]) == kept
        assert seen == [False, True][: kept - 1]
    if stage:
        assert error.count("\n") == 1 and error.startswith("stopped after ")
        assert (f"kept in {found} as incomplete" in error) == bool(kept)


def test_games_whose_hidden_cards_lie_otherwise_are_refused() -> None:
    for game, said in (
        (make_game("kuhn"), "change hands"),
        (Blob(cards=1, sight="forehead"), "other hands than its own"),
    ):
        with pytest.raises(ValueError, match=said):
            check_game(game)
