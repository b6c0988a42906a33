"""Searches of Blob find best moves, and the mistakes of the original system stay away."""

import pytest
import torch

from tests.helpers import to_reference
from vecgame import Blob, Purpose, Stream, concatenate
from vecgame.cards import unpack
from vecgame.games.blob_state import BlobState
from veclab.arena.bots import RandomBot, RuleBot, SearchPlayer
from veclab.arena.matches import play_match
from veclab.reference import rules as reference
from veclab.reference.worlds import consistent_worlds
from vecmcts import PlayoutEvaluator, SearchConfig, random_action, search


class Known(Blob):
    """Blob with open cards: the only world is the true one."""

    def determinize(self, state: BlobState, count: int = 1, seed: int = 0) -> BlobState:
        return state.repeat(count)


def play_on(game: Blob, state: BlobState, decisions: int) -> BlobState:
    for decision in range(decisions):
        stream = Stream(1, state.index, torch.full_like(state.index, decision))
        state = game.step(state, random_action(game, state, stream.uniform(Purpose.PLAYOUT, 1)[:, 0]))
    return state


def outcomes(rules: reference.Rules, state: reference.State) -> frozenset[tuple[float, ...]]:
    """The final scores that max^n allows, whatever an indifferent player does: a superset where in doubt."""
    if reference.is_terminal(state):
        return frozenset([tuple(reference.scores(rules, state))])
    me = reference.mover(rules, state)
    after = [outcomes(rules, reference.step(rules, state, a)) for a in reference.legal_actions(rules, state)]
    sure = max(min(scores[me] for scores in option) for option in after)
    return frozenset().union(*(option for option in after if max(scores[me] for scores in option) >= sure))


def only_best(rules: reference.Rules, state: reference.State) -> int | None:
    """The mover's best action, if it is the only one whatever indifferent players do."""
    me = reference.mover(rules, state)
    worth = {}
    for action in reference.legal_actions(rules, state):
        points = [scores[me] for scores in outcomes(rules, reference.step(rules, state, action))]
        worth[action] = (min(points), max(points))
    best = max(worth, key=worth.get)
    return best if all(worth[best][0] > high for a, (_, high) in worth.items() if a != best) else None


@pytest.mark.slow
def test_open_endgames_are_solved() -> None:
    """Two or three cards a seat, the lead and every place in the trick: with 800 simulations the search finds the only
    best move of exhaustive max^n, in every position that has one."""
    game = Known(cards=5)
    found = asked = 0
    bot = RuleBot()  # whose bids are in reach, so that the endings matter
    for decisions in (12, 13, 14, 16, 17):
        state = game.deal(50, seed=decisions)
        for _ in range(decisions):
            state = game.step(state, bot.act(game, state, 0))
        result = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=1, simulations=800, c_puct=1.0), seed=1)
        for lane in range(state.batch_size):
            best = only_best(*to_reference(game, state, lane))
            if best is not None:
                asked += 1
                found += int(result.visits[lane].argmax()) == best
    assert asked >= 15
    assert found == asked


@pytest.mark.slow
def test_playouts_alone_beat_random_players() -> None:
    player = SearchPlayer(PlayoutEvaluator(), SearchConfig(worlds=4, simulations=16))
    match = play_match([Blob(cards=3)], player, RandomBot(), 60, seed=1)
    assert match.significant and match.player.mean > 5


@pytest.mark.slow
def test_more_search_beats_less() -> None:
    strong = SearchPlayer(PlayoutEvaluator(), SearchConfig(worlds=16, simulations=16))
    weak = SearchPlayer(PlayoutEvaluator(), SearchConfig(worlds=1, simulations=2))
    assert play_match([Blob(cards=3)], strong, weak, 60, seed=2).significant


def test_values_of_search_and_of_targets_share_one_scale() -> None:
    """Score / (10 + cards), in [0, 1]: the original's search and its learning targets had two scales."""
    game = Known(cards=2)
    state = play_on(game, game.deal(200, seed=3), 11)  # one card is left, nobody has a choice
    over = game.play_forced(state)
    result = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=1, simulations=4), seed=1)
    assert result.value.allclose(game.scores(over) / 12)
    assert float(result.value.min()) == 0 and 0.8 < float(result.value.max()) <= 1


def test_worlds_of_a_search_respect_the_current_trick() -> None:
    """A seat that has just shown a void in the current trick holds no card of that suit in any world searched."""
    game = Blob(cards=4)
    state = play_on(game, game.deal(400, seed=4), 6)  # two cards lie on the first trick
    voids = state[state.voids.any(-1)]
    assert voids.batch_size > 20
    seen: list[BlobState] = []

    class Watching(PlayoutEvaluator):
        def evaluate(self, game, state, stream):
            seen.append(state)
            return super().evaluate(game, state, stream)

    search(game, voids, Watching(), SearchConfig(worlds=3, simulations=2), seed=1)
    searched = concatenate(seen)
    for seat in range(4):
        for suit in range(4):
            void = (searched.voids[:, seat] >> suit & 1).bool()
            suit_cards = unpack(searched.hands)[:, seat, 13 * suit : 13 * suit + 13]
            assert not suit_cards[void].any()


@pytest.mark.slow
def test_a_search_does_not_know_hidden_cards() -> None:
    """Two games that differ in hidden cards only are searched alike, visit for visit."""
    game = Blob(cards=3, suits=3, ranks=5)
    state = play_on(game, game.deal(8, seed=5), 5)
    for lane in range(8):
        rules, scalar = to_reference(game, state, lane)
        worlds = [world for world, _ in zip(consistent_worlds(rules, scalar), range(2), strict=False)]
        if len(worlds) < 2:
            continue
        results = []
        for world in worlds:
            hands = torch.tensor([[sum(1 << card for card in hand) for hand in world]])
            one = state[lane : lane + 1]
            other = type(one)(**{**one.tensors(), "hands": hands})
            results.append(search(game, other, PlayoutEvaluator(), SearchConfig(worlds=3, simulations=10), seed=2))
        assert torch.equal(results[0].visits, results[1].visits)
