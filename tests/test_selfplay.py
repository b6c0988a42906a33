"""Self-play and the warm-up: what is stored, and that it does not depend on how the games are cut up."""

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from training import warmup
from training.arena import play_match
from training.bots import NetworkPlayer, RandomBot
from training.learner import Learner
from training.selfplay import sample, self_play
from training.settings import Settings
from vecgame import Blob
from vecmcts import PlayoutEvaluator, SearchConfig, search

SMALL = NetConfig(dim=64, layers=1, heads=2, ffn=128, policy_hidden=64, value_hidden=32)
SEARCH = SearchConfig(worlds=2, simulations=8, noise_fraction=0.25)


def play(game: Blob, games: int, **options: object):
    return self_play(game, PlayoutEvaluator(), SEARCH, games, seed=3, **options)


def test_examples_are_the_searched_decisions() -> None:
    game = Blob(cards=3)
    played = play(game, 40)
    examples = played.examples
    mask = examples.legal_mask
    assert (mask.sum(-1) >= 2).all()  # a mover with one legal action is not stored
    assert examples.policy.float().sum(-1).allclose(torch.ones(len(examples)), atol=2e-3)
    assert (examples.policy[~mask] == 0).all()
    # 3 of 4 bids at least and the leads of all but the last trick are choices; every decision is at most one example.
    assert 40 * (4 + 2) - 40 <= len(examples) <= 40 * 12
    assert played.scores.shape == (40, 4)


def test_targets_are_the_final_scores_of_relative_seats() -> None:
    """On the search's own scale, score / (10 + cards), so that values learned and exact values of a tree agree."""
    game = Blob(cards=2, dealer=3)
    played = play(game, 30)
    ends = played.scores / 12
    bidding = played.examples.observation[:, 252] == 1
    first_bidders = bidding & (played.examples.observation[:, 217:221].sum(-1) == 0)
    # With seat 3 dealing, seat 0 bids first, so that its relative seats are the absolute ones.
    assert torch.equal(played.examples.value[first_bidders], ends)
    second = bidding & (played.examples.observation[:, 217:221].sum(-1) == 1)
    assert torch.equal(played.examples.value[second], ends.roll(-1, dims=1))


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_games_do_not_depend_on_the_chunk(chunk: int) -> None:
    game = Blob(cards=3)
    whole, cut = play(game, 7), play(game, 7, chunk_games=chunk)
    assert torch.equal(whole.scores, cut.scores)

    def rows(played) -> list[tuple[float, ...]]:
        e = played.examples
        joined = torch.cat([e.observation.float(), e.policy.float(), e.value, e.legal_mask.float()], dim=1)
        return sorted(map(tuple, joined.tolist()))

    assert rows(whole) == rows(cut)


def test_later_games_of_a_run_are_other_games() -> None:
    game = Blob(cards=2)
    both = play(game, 10)
    first, second = play(game, 5), play(game, 5, first_index=5)
    assert torch.equal(both.scores, torch.cat([first.scores, second.scores]))


def test_self_play_sees_every_trump_and_dealer() -> None:
    """The original's self-play had spades as trump and seat 0 as dealer in every deal."""
    observation = play(Blob(cards=1), 200).examples.observation
    assert 0 < float((observation[:, 212] == 0).float().mean()) < 0.5  # no trump in a fifth of the games
    state = Blob(cards=1).deal(200, seed=3)
    assert len(state.dealer.unique()) == 4 and len(state.trump.unique()) == 5


def test_sampling_follows_the_policy() -> None:
    """Chi-square with 4 degrees of freedom; 23.5 is exceeded with probability 1e-4. Zeros are never drawn."""
    policy = torch.tensor([0.0, 0.5, 0.0, 0.1, 0.15, 0.05, 0.2, 0.0])
    draws = 50_000
    uniform = (torch.arange(draws, dtype=torch.float64) + 0.5) / draws
    uniform = uniform[torch.randperm(draws, generator=torch.Generator().manual_seed(0))]
    counts = sample(policy.expand(draws, -1), uniform).bincount(minlength=8)
    assert (counts[policy == 0] == 0).all()
    expected = draws * policy[policy > 0]
    assert float(((counts[policy > 0] - expected) ** 2 / expected).sum()) < 23.5
    edges = sample(policy.expand(2, -1), torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64))
    assert edges.tolist() == [1, 6]


def test_greedy_moves_take_the_best_action() -> None:
    """With nothing sampled and no noise, every move is the target's best, so replaying the targets gives the game."""
    game = Blob(cards=2)
    config = SearchConfig(worlds=2, simulations=8)
    greedy = self_play(game, PlayoutEvaluator(), config, 30, seed=5, sampled_share=0.0)
    state = game.deal(30, seed=5)
    for _ in range(game.decisions):
        actions = game.legal_actions(state)
        best = search(game, state, PlayoutEvaluator(), config, seed=5).policy.argmax(-1)
        state = game.step(state, torch.where(actions[:, 1] >= 0, best, actions[:, 0]))
    assert torch.equal(game.scores(state), greedy.scores)


def test_the_visit_target_is_the_visit_counts() -> None:
    played = play(Blob(cards=3), 20, policy_target="visits")
    total = SEARCH.worlds * SEARCH.simulations
    counts = played.examples.policy.float() * total
    assert counts.allclose(counts.round(), atol=0.02)


def test_rollouts_store_what_was_played() -> None:
    game = Blob(cards=3)
    network = InferenceNet(BlobNet(SMALL), dtype=torch.float32)
    rollout = warmup.play(game, network, 50, seed=1, first_index=0, device=torch.device("cpu"))
    mask = (rollout.legal[:, None] >> torch.arange(52)) & 1
    assert (mask.gather(1, rollout.column[:, None]) == 1).all() and (mask.sum(-1) >= 2).all()
    logits, values = network(rollout.observation, mask.bool())
    log_policy = logits.masked_fill(mask == 0, -torch.inf).log_softmax(-1)
    assert log_policy.gather(1, rollout.column[:, None])[:, 0].allclose(rollout.log_prob, atol=1e-5)
    assert values[:, 0].allclose(rollout.baseline, atol=1e-5)
    assert (rollout.value * 13).round().sub(rollout.value * 13).abs().max() < 1e-4


def test_the_warm_up_learns_to_beat_random_players() -> None:
    """A minute's principle in seconds: 1.9 points is what random play gets at five cards (2.6 at three)."""
    torch.manual_seed(0)
    settings = Settings(cards="3", learning_rate=3e-3)
    game, device = settings.games()[0], torch.device("cpu")
    learner = Learner(settings, SMALL, device)
    network = InferenceNet(learner.net, dtype=torch.float32)
    for number in range(12):
        network.refresh(learner.net)
        rollout = warmup.play(game, network, 512, 0, 512 * number, device)
        numbers = warmup.update(learner, rollout, 0.01, number)
    network.refresh(learner.net)
    assert numbers["entropy"] > 0
    match = play_match([game], NetworkPlayer(network), RandomBot(), 200, seed=1)
    assert match.significant and match.player.mean > 4
