"""Self-play, with search and without: what is stored, and that it does not depend on how the games are cut up."""

import threading
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.emulated_gpu import EmulatedGpu
from tests.positions import HashEvaluator
from vecgame import Blob, Euchre, Game, Kuhn, Leduc, Skat, State
from vecgame.games.whist import Whist
from vecgame.lanes import carrying_all, has_choice
from veclab.arena.bots import NetworkPlayer, RandomBot
from veclab.arena.matches import play_match
from veclab.settings import Settings
from veclab.training import imitation, policy_gradient, selfplay
from veclab.training.learner import Learner
from veclab.training.selfplay import sample, self_play, split
from vecmcts import Evaluator, Past, PlayoutEvaluator, SearchConfig, search
from vecmcts.tree import Tree

SMALL = NetConfig(dim=64, layers=1, heads=2, ffn=128, policy_hidden=64, value_hidden=32)
SEARCH = SearchConfig(worlds=2, simulations=8, noise_fraction=0.25)
ONE = replace(SEARCH, worlds=1, simulations=1)


def play(game: Blob, games: int, evaluator: Evaluator = HashEvaluator(), **options: object):
    return self_play(game, evaluator, SEARCH, games, seed=3, **options)


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


@pytest.mark.parametrize(
    ("chunk", "evaluator"),
    [
        (1, HashEvaluator()),
        (3, HashEvaluator()),
        (64, HashEvaluator()),
        pytest.param(3, PlayoutEvaluator(), marks=pytest.mark.slow),
    ],
)
def test_games_do_not_depend_on_the_chunk(chunk: int, evaluator: Evaluator) -> None:
    game = Blob(cards=2)
    whole, cut = play(game, 7, evaluator), play(game, 7, evaluator, chunk_games=chunk)
    assert torch.equal(whole.scores, cut.scores)

    def rows(played) -> list[tuple[float, ...]]:
        e = played.examples
        joined = torch.cat([e.observation.float(), e.policy.float(), e.value, e.legal_mask.float()], dim=1)
        return sorted(map(tuple, joined.tolist()))

    assert rows(whole) == rows(cut)


@pytest.mark.parametrize(
    ("games", "largest", "workers", "counts"),
    [
        (10_000, 2048, 2, [1666, 1667, 1667, 1666, 1667, 1667]),  # as many for each worker, none over 2,048
        (4096, 2048, 2, [2048, 2048]),
        (5, 2048, 2, [2, 3]),
        (1, 2048, 2, [1]),
        (7, 3, 1, [2, 2, 3]),
    ],
)
def test_games_are_cut_evenly(games: int, largest: int, workers: int, counts: list[int]) -> None:
    parts = split(games, largest, workers)
    assert [count for _, count in parts] == counts
    assert [first for first, _ in parts] == [sum(counts[:i]) for i in range(len(counts))]


def test_threads_are_for_many_games(monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    cpu = torch.device("cpu")
    assert [selfplay.threads_for(n, cpu) for n in (1, 1023, 2047, 2048, 5000, 1 << 20)] == [1, 1, 1, 2, 4, 4]
    assert selfplay.threads_for(1 << 20, torch.device("cuda")) == 1


@pytest.mark.slow
def test_threads_play_the_same_games_as_one(monkeypatch) -> None:
    monkeypatch.setattr(selfplay, "GAMES_PER_THREAD", 1)
    game, threads = Blob(cards=3), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = play(game, 20, chunk_games=5)
        torch.set_num_threads(3)
        reports: list[tuple[float, int]] = []
        seen: set[int] = set()

        def report(games: float, evaluations: int) -> None:
            seen.add(threading.get_ident())
            reports.append((games, evaluations))

        together = play(game, 20, chunk_games=5, report=report)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone.scores, together.scores) and alone.evaluations == together.evaluations
    assert reports[-1] == (20, together.evaluations) and reports == sorted(reports)
    assert seen == {threading.get_ident()}  # progress may be shown, and raise, where the caller is


def test_a_failing_report_stops_the_other_threads(monkeypatch) -> None:
    """As Ctrl+C does in a training run."""
    monkeypatch.setattr(selfplay, "GAMES_PER_THREAD", 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    asked: list[int] = []

    class Slow(HashEvaluator):
        def evaluate(self, game, state, stream):
            asked.append(state.batch_size)
            time.sleep(0.02)
            return super().evaluate(game, state, stream)

    def report(games: float, evaluations: int) -> None:
        raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            self_play(Blob(cards=5), Slow(), SEARCH, 40, seed=3, report=report, chunk_games=2)
        assert len(asked) < 100  # 20 chunks would have asked some 2,000 times
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_chunk_that_does_not_fit_is_halved(monkeypatch, caplog) -> None:
    """A GPU's out-of-memory error: the same games in smaller chunks, and one line that says so."""
    game = Blob(cards=3)
    whole = play(game, 21)

    class Small(HashEvaluator):
        def evaluate(self, game, state, stream):
            if state.batch_size > 2 * 6:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().evaluate(game, state, stream)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    cut = self_play(game, Small(), SEARCH, 21, seed=3)
    assert torch.equal(whole.scores, cut.scores) and whole.evaluations == cut.evaluations
    assert [r.getMessage() for r in caplog.records] == [
        "out of GPU memory with 21 games at a time: going on with 11",
        "out of GPU memory with 10 games at a time: going on with 5",
    ]

    class Never(HashEvaluator):
        def evaluate(self, game, state, stream):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        self_play(game, Never(), SEARCH, 3, seed=3)


def test_chunks_follow_the_free_memory(monkeypatch) -> None:
    game, config, cpu = Blob(cards=5), SearchConfig(), torch.device("cpu")
    needed = config.worlds * Tree.bytes_per_tree(game, config.simulations)
    assert 31 * 3 * 150 < needed < 31 * 3 * 400 + 3 * 16_384  # of 31 nodes of 200 to 300 bytes in each of 3 worlds
    for free, workers, expected in ((1 << 40, 2, 2048), (200 * needed, 1, 100), (200 * needed, 2, 50), (10, 1, 1)):
        monkeypatch.setattr(selfplay, "free_memory", lambda device, free=free: free)
        assert selfplay.largest_chunk(game, config, cpu, workers) == expected
    monkeypatch.setattr(selfplay, "free_memory", lambda device: None)
    assert selfplay.largest_chunk(game, config, cpu) == selfplay.CHUNK_GAMES["cpu"]


GPUS = [  # GiB of memory, cards, games at once
    (141, 5, 262_144),  # an H200
    (141, 13, 262_144),
    (8, 5, 53_000),  # an RTX 4060
    (8, 13, 49_000),
]


@pytest.mark.gpu
@pytest.mark.parametrize(("gib", "cards", "games"), GPUS)
def test_a_gpu_searches_as_many_games_as_fit(gpu: EmulatedGpu | None, gib: int, cards: int, games: int) -> None:
    if gpu is None:
        pytest.skip("needs GPUs of several sizes")
    gpu.memory.total = gib << 30
    gpu.memory.taken_by_others = (gib << 30) // 50
    found = selfplay.largest_chunk(Blob(cards=cards), SearchConfig(), torch.device("cuda"))
    assert 0.8 * games < found <= 1.2 * games and found <= selfplay.CHUNK_GAMES["cuda"] == 262_144


@pytest.mark.slow
def test_how_searches_are_run_is_passed_on(monkeypatch) -> None:
    """21 games of which at most 8 are searched at once: three chunks of 7."""
    asked: list[dict[str, object]] = []

    def spy(*arguments: object, **ways: object):
        asked.append({name: ways.pop(name) for name in ("graphs", "largest")})
        return search(*arguments, **ways)

    monkeypatch.setattr(selfplay, "search", spy)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    for ways in ({"graphs": True}, {"graphs": False}):
        asked.clear()
        play(Blob(cards=2), 21, chunk_games=8, **ways)
        assert asked and all(each == {**ways, "largest": 7} for each in asked)


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
    greedy = self_play(game, HashEvaluator(), config, 30, seed=5, sampled_share=0.0)
    state = game.deal(30, seed=5)
    for _ in range(game.decisions):
        actions = game.legal_actions(state)
        best = search(game, state, HashEvaluator(), config, seed=5).policy.argmax(-1)
        state = game.step(state, torch.where(actions[:, 1] >= 0, best, actions[:, 0]))
    assert torch.equal(game.scores(state), greedy.scores)


def test_the_visit_target_is_the_visit_counts() -> None:
    played = play(Blob(cards=3), 20, policy_target="visits")
    total = SEARCH.worlds * SEARCH.simulations
    counts = played.examples.policy.float() * total
    assert counts.allclose(counts.round(), atol=0.02)


def test_figures_are_means_over_the_decisions(monkeypatch) -> None:
    results = []
    monkeypatch.setattr(
        selfplay, "search", lambda *given, **ways: results.append(search(*given, **ways)) or results[-1]
    )
    played = play(Blob(cards=3), 10, chunk_games=4)
    policy, prior = (torch.cat([getattr(result, name) for result in results]).double() for name in ("policy", "prior"))
    assert len(policy) == len(played.examples) != 10
    entropy = torch.special.entr(policy).sum(-1).mean()
    divergence = (policy * (policy.clamp(min=1e-12) / prior.clamp(min=1e-12)).log()).sum(-1).mean()
    assert played.policy_entropy == pytest.approx(float(entropy), rel=1e-4)
    assert played.prior_divergence == pytest.approx(float(divergence), rel=1e-3)


def test_searches_are_told_how_games_came_to_where_they_are(monkeypatch) -> None:
    told = []

    def spy(game: Game, state: State, *given: object, past: Past, **ways: object):
        told.append((state, past))
        return search(game, state, *given, past=past, **ways)

    monkeypatch.setattr(selfplay, "search", spy)
    game, network = Blob(cards=2), InferenceNet(BlobNet(SMALL))
    self_play(game, network, replace(ONE, candidates=2), 4, seed=3)
    for state, past in told:
        if past.states:
            number = len(past.states) - 1
            assert game.step(past.states[number], past.actions[:, number]) == state
    assert max(len(past.states) for _, past in told) >= 4


def test_rollouts_store_what_was_played() -> None:
    game = Blob(cards=3)
    network = InferenceNet(BlobNet(SMALL), dtype=torch.float32)
    rollout = policy_gradient.play(game, network, 50, seed=1, first_index=0, device=torch.device("cpu"))
    mask = (rollout.legal[:, None] >> torch.arange(52)) & 1
    assert (mask.gather(1, rollout.column[:, None]) == 1).all() and (mask.sum(-1) >= 2).all()
    logits, values = network(rollout.observation, mask.bool())
    log_policy = logits.masked_fill(mask == 0, -torch.inf).log_softmax(-1)
    assert log_policy.gather(1, rollout.column[:, None])[:, 0].allclose(rollout.log_prob, atol=1e-5)
    assert values[:, 0].allclose(rollout.value[:, 0] - rollout.advantage, atol=1e-5)
    assert (rollout.value * 13).round().sub(rollout.value * 13).abs().max() < 1e-4


@pytest.mark.slow
def test_policy_gradient_learns_to_beat_random_players() -> None:
    """A minute's principle in seconds: 1.9 points is what random play gets at five cards (2.6 at three)."""
    torch.manual_seed(0)
    settings = Settings(cards="3", learning_rate=3e-3)
    game, device = settings.games()[0], torch.device("cpu")
    learner = Learner(settings, SMALL, device)
    network = InferenceNet(learner.net, dtype=torch.float32)
    for number in range(12):
        network.refresh(learner.net)
        rollout = policy_gradient.play(game, network, 512, 0, 512 * number, device)
        numbers = policy_gradient.update(learner, rollout, 0.01, number)
    network.refresh(learner.net)
    assert numbers["entropy"] > 0
    match = play_match([game], NetworkPlayer(network), RandomBot(), 200, seed=1)
    assert match.significant and match.player.mean > 4


def test_a_game_of_forced_moves_has_nothing_to_learn_from() -> None:
    """Whist with a card each: no decision has two actions, and there is no column for a second one."""
    game = Whist(cards=1, trump="random")
    network = InferenceNet(BlobNet(replace(SMALL, observation=game.features)), dtype=torch.float32)
    assert game.max_legal == 1 and not has_choice(game.legal_actions(game.deal(3))).any()
    for carried in (nullcontext(), carrying_all()):
        with carried:
            rollout = policy_gradient.play(game, network, 5, seed=1, first_index=0, device=torch.device("cpu"))
        assert len(rollout.advantage) == 0 and rollout.games == 5


def test_a_chunk_that_is_cut_needs_room_for_no_more_than_it_has() -> None:
    """Searches are filled up by the largest batch there may be, which was that of the chunk before."""
    game, ways, device = Blob(cards=2), {"graphs": False, "largest": 64}, torch.device("cpu")
    terms = selfplay._Terms(game, HashEvaluator(), SEARCH, 1, device, 0, "improved", ways, None, ())
    parts = selfplay._Chunk(terms, 10, 64).cut(20)
    assert [(part.first_index, part.count) for part in parts] == [(10, 16), (26, 16), (42, 16), (58, 16)]
    assert all(part.terms.ways == {"graphs": False, "largest": 20} for part in parts)


class Two:
    """Two processes that have played the same."""

    size = 2

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return 2 * tensor

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        return torch.cat([tensor, tensor])


@pytest.mark.parametrize("game", [Whist(cards=3, trump="random"), Blob(cards=2)])
def test_what_two_processes_play_has_the_means_of_each(game: Game) -> None:
    """Among them the share of bids met, which a game without bids has in no number of processes."""
    played = self_play(game, PlayoutEvaluator(), ONE, 2, seed=3)
    both = played.gather(Two())
    assert (played.bids_met is None) == (game.name == "whist")
    assert both.bids_met == played.bids_met
    assert both.policy_entropy == pytest.approx(played.policy_entropy)
    assert both.prior_divergence == pytest.approx(played.prior_divergence)
    assert both.evaluations == 2 * played.evaluations and len(both.examples) == 2 * len(played.examples)
    assert torch.equal(both.scores, torch.cat([played.scores, played.scores]))
    rollout = policy_gradient.play(game, InferenceNet(BlobNet(sized_for(game))), 3, 1, 0, torch.device("cpu"))
    twice = rollout.gather(Two())
    assert (twice.games, twice.score) == (6, pytest.approx(rollout.score))
    assert torch.equal(twice.column, torch.cat([rollout.column, rollout.column]))


@pytest.mark.parametrize(
    "game",
    [Kuhn(), Leduc(), pytest.param(Skat(), marks=pytest.mark.slow), Euchre(stick_the_dealer=False)],
    ids=lambda game: game.name,
)
def test_nothing_is_learned_from_games_that_are_over(game: Game, monkeypatch) -> None:
    """Some end before others, and their masks still have several actions: these are no decisions."""
    over, observe = [], type(game).observe

    def watched(self: Game, state: State, seat: torch.Tensor | None = None) -> torch.Tensor:
        over.append(game.is_terminal(state))
        return observe(self, state, seat)

    monkeypatch.setattr(type(game), "observe", watched)
    network = InferenceNet(BlobNet(sized_for(game)), dtype=torch.float32)
    rollout = policy_gradient.play(game, network, 30, 1, 0, torch.device("cpu"))
    examples = imitation.played(game, imitation.by_network(network), 30, 1, 0, torch.device("cpu"))
    assert not torch.cat(over).any() and len(over) > 2
    with carrying_all():
        carried = policy_gradient.play(game, network, 30, 1, 0, torch.device("cpu"))
    assert len(rollout.legal) == len(carried.legal) and len(examples) > 30
    searched = self_play(game, PlayoutEvaluator(), ONE, 8, seed=1, policy_target="visits").examples
    assert searched.policy.float().sum(-1).allclose(torch.ones(len(searched)), atol=2e-3)


def sized_for(game: Game) -> NetConfig:
    """`SMALL` for a game."""
    return replace(SMALL, observation=game.features, actions=game.num_actions, values=game.seats)
