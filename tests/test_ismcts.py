"""OpenSpiel's IS-MCTS as an opponent: the games that it is shown, the worlds that it searches, what it plays."""

import json
import sys

import pytest
import torch

from tests.helpers import play_randomly
from vecgame import Blob, BlobMatch, BlobState, Game, Whist
from vecgame.games.blob_rules import Rules
from veclab.agents.checkpoint import save_network
from veclab.arena import oh_hell
from veclab.arena.bots import RandomBot, RuleBot
from veclab.arena.evaluate import main as evaluate_main
from veclab.arena.ismcts import ISMCTSPlayer
from veclab.arena.matches import play_games, play_match
from veclab.arena.mirror import Mirrored, mirror, played_by
from vecmcts import Past


def test_cards_and_actions_there_and_back() -> None:
    assert sorted(map(oh_hell.their_card, range(52))) == list(range(52))
    assert [oh_hell.our_card(oh_hell.their_card(card)) for card in range(52)] == list(range(52))
    history = [3, 0, 1, 2, 51, 0, 13]
    assert [oh_hell.our_action(action) for action in oh_hell.their_actions(history)] == history


def test_playable_games() -> None:
    trumps = [game.rules.trump for game in oh_hell.playable(Blob(cards=7))]
    assert trumps == ["spades", "hearts", "clubs", "diamonds"]
    assert oh_hell.playable(Blob(trump="clubs")) == [Blob(trump="clubs")]
    assert oh_hell.playable(Blob(trump="turned", players=5)) == [Blob(trump="turned", players=5)]
    assert oh_hell.playable(Blob(trump="clubs", sight="blind", cards=3)) != []  # only games of one card are blind


def test_its_worlds_and_draws_are_by_the_seed_the_game_and_the_decision(monkeypatch) -> None:
    asked, determinize, decide = [], Blob.determinize, ISMCTSPlayer.decide

    def drawing(game: Blob, state: BlobState, count: int, seed: int) -> BlobState:
        asked.append(seed)
        return determinize(game, state, count, seed)

    def deciding(player: ISMCTSPlayer, mirrored: Mirrored, seed: int, number: int) -> int:
        numbers.append(number)
        return decide(player, mirrored, seed, number)

    monkeypatch.setattr(Blob, "determinize", drawing)
    monkeypatch.setattr(ISMCTSPlayer, "decide", deciding)
    game, numbers = Blob(cards=2, trump="clubs"), []
    seats = torch.zeros(2, 4, dtype=torch.int64)
    play_games(game, game.deal(2, seed=1), [ISMCTSPlayer(2)], seats, seed=9)
    assert set(asked) == {9} and len(set(numbers)) == len(numbers) == len(asked) > 8
    before = numbers.copy()
    play_games(game, game.deal(2, seed=1), [ISMCTSPlayer(2)], seats, seed=10)
    assert set(asked) == {9, 10} and not set(before) & set(numbers[len(before) :])


class AcesAreLow(Blob):
    """Another game, which OpenSpiel cannot know."""


def no_points(bids: torch.Tensor, won: torch.Tensor) -> torch.Tensor:
    return (bids == won).float()


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (Blob(cards=13), "deals 1 to 12 cards"),
        (Blob(trump="none"), "always has a trump suit"),
        (Blob(trump="bidder"), "always has a trump suit, which nobody names"),
        (Blob(hook=False), "the hook"),
        (Blob(hook_from=9), "the hook"),
        (Blob(hook_to=4), "the hook"),
        (Blob(players=2), "is for 3 to 7 players, not 2"),
        (Blob(players=8, cards=2), "is for 3 to 7 players, not 8"),
        (Blob(players=3, cards=14), "deals 1 to 13 cards to a seat, not 14"),
        (Blob(cards=1, suits=2), "52 cards"),
        (Blob(hook=False, bidding="once"), "the hook"),
        (Blob(cards=1, sight="forehead"), "by one's own cards, not bidding=turn, sight=forehead"),
        (Blob(exact_bonus=5, miss_penalty=10), "does not know exact_bonus=5, miss_penalty=10"),
        (Blob(scoring=no_points), "does not know scoring=no_points"),
        (AcesAreLow(), r"plays Blob itself, not AcesAreLow\(cards=5\)"),
        (BlobMatch(cards=2), r"plays Blob itself, not BlobMatch"),
        (Whist(), r"plays Blob itself, not Whist"),
    ],
    ids=repr,
)
def test_what_openspiel_cannot_play_gets_one_line(game: Game, message: str) -> None:
    """And is never played as plain Blob instead."""
    with pytest.raises(ValueError, match=message) as caught:
        oh_hell.playable(game)
    assert "\n" not in str(caught.value)


def test_the_scoring_that_openspiel_is_given() -> None:
    assert [oh_hell.off_bid_penalty(Rules(**changes)) for changes in ({}, {"miss_penalty": 1})] == [True, True]
    assert not oh_hell.off_bid_penalty(Rules(miss_points_per_trick=1))


def test_without_openspiel_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    with pytest.raises(ValueError, match=r"pip install 'vecgame\[peers\]'"):
        ISMCTSPlayer()


def test_who_played_what() -> None:
    """Seat 1 leads, hearts are trump: seat 3 ruffs the spades and leads next."""
    state = Blob(cards=2).from_hands(torch.tensor([[[3, 4], [0, 1], [2, 5], [13, 6]]]), dealer=0, trump=1)
    assert played_by(state, [0, 0, 0, 1]).tolist() == [0, 0, 0, 0]
    assert played_by(state, [0, 0, 0, 1, 0, 2, 13, 3, 6]).tolist() == [1 << 3, 1 << 0, 1 << 2, 1 << 13 | 1 << 6]


class TestWithOpenSpiel:
    """What needs OpenSpiel."""

    @pytest.fixture(autouse=True)
    def _openspiel(self) -> None:
        pytest.importorskip("pyspiel")

    @pytest.mark.parametrize("cards", [1, 4, 12])
    def test_the_mirrored_game_is_the_same_game(self, cards: int) -> None:
        """At every decision: mover and legal actions; in the end the points."""
        game = Blob(cards=cards, trump="clubs", miss_penalty=1)
        record = play_randomly(game, game.deal(4, seed=cards), seed=1)
        spiel = oh_hell.load(cards)
        for lane in range(4):
            past: list[int] = []
            for state, action in record:
                state = state[lane : lane + 1]
                dealt = state.hands | played_by(state, past)
                position = next(mirror(game, spiel, state, dealt, past))
                if position.is_terminal():
                    assert position.returns() == game.scores(state)[0].tolist()
                    continue
                assert position.current_player() == int(game.mover(state))
                legal = sorted(map(oh_hell.our_action, position.legal_actions()))
                assert legal == game.legal_mask(state)[0].nonzero()[:, 0].tolist()
                past.append(int(action[lane]))

    def test_the_card_turned_up_is_turned_up_there(self) -> None:
        game = Blob(cards=2, trump="turned")
        start, spiel = game.deal(2, seed=1), oh_hell.load(2)
        for lane in range(2):
            past: list[int] = []
            for state, action in play_randomly(game, start, seed=1):
                state = state[lane : lane + 1]
                position = next(mirror(game, spiel, state, state.hands | played_by(state, past), past))
                turned_up = oh_hell.our_card(position.full_history()[2 + 8].action)  # after the cards
                assert 1 << turned_up == int(start.seen[lane])
                past += action[lane : lane + 1].tolist()  # none at the end

    def test_its_worlds_are_possible(self, monkeypatch) -> None:
        """In every world that it searches, all of the game's actions so far were legal when they were made, and worlds
        differ in the cards that nobody holds."""
        pytest.importorskip("open_spiel.python.algorithms.ismcts")
        from open_spiel.python.algorithms.ismcts import ISMCTSBot

        sampled = []
        resample = ISMCTSBot.resample_from_infostate

        def keep(self, state):
            sampled.append(resample(self, state))
            return sampled[-1].clone()

        monkeypatch.setattr(ISMCTSBot, "resample_from_infostate", keep)
        game = Blob(cards=5, trump="spades")
        seats = torch.tensor([[0, 0, 1, 1]]).expand(8, 4)
        play_games(game, game.deal(8, seed=5), (ISMCTSPlayer(10), RandomBot()), seats, seed=6)
        late = 0
        for world in sampled:
            position = oh_hell.load(5).new_initial_state()
            for action in world.history():
                assert position.is_chance_node() or action in position.legal_actions()
                position.apply_action(action)
            late += len(world.history()) > 23 + 4 + 4  # after a trick, where voids may be known
        assert late > 200
        assert len({str(world) for world in sampled}) > 0.9 * len(sampled)
        dealt = {frozenset(world.history()[2:22]) for world in sampled}  # OpenSpiel's own worlds would have 8 such sets
        assert len(dealt) > 0.9 * len(sampled)

    def test_it_is_legal_and_judges_each_game_by_itself(self) -> None:
        game = Blob(cards=3, trump="hearts")
        player = ISMCTSPlayer(20)
        record = play_randomly(game, game.deal(6, seed=9), seed=2)
        past = Past.none(game, 6)
        for state, action in record[:-1]:
            chosen = player.act_after(game, state, past, seed=3)
            assert game.legal_mask(state).gather(1, chosen[:, None]).all()
            some = torch.tensor([5, 1])
            assert torch.equal(player.act_after(game, state.take(some), past.take(some), seed=3), chosen[some])
            past = past.then(state, action)

    @pytest.mark.parametrize(("rules", "penalty"), [({"miss_points_per_trick": 1}, False), ({"miss_penalty": 1}, True)])
    def test_it_searches_by_the_games_scoring_for_its_players(self, rules, penalty: bool, monkeypatch) -> None:
        searched = []

        def first(player: ISMCTSPlayer, mirrored: Mirrored, *_: int) -> int:
            searched.append(mirrored.spiel.get_parameters())
            return next(mirrored.positions(mirrored.state.hands)).legal_actions()[0]

        monkeypatch.setattr(ISMCTSPlayer, "decide", first)
        game = Blob(cards=2, players=5, trump="clubs", **rules)
        play_games(game, game.deal(2, seed=1), [ISMCTSPlayer(2)], torch.zeros(2, 5, dtype=torch.int64), seed=1)
        assert len(searched) > 10
        for found in searched:
            assert (found["players"], found["num_tricks_fixed"], found["off_bid_penalty"]) == (5, 2, penalty)

    def test_it_takes_the_trick_that_it_needs(self) -> None:
        """Last to play with one trick bid and a low trump: it ruffs, for in the next trick a higher trump may fall."""
        game = Blob(cards=2, trump="spades")
        hands = torch.tensor([[[2, 26], [20, 21], [30, 31], [14, 15]]])  # seat 0 holds a low trump and a low club
        state = game.from_hands(hands, dealer=0, trump=0)
        past = Past.none(game, 1)
        for action in (0, 0, 0, 1, 20, 30, 14):
            past = past.then(state, torch.tensor([action]))
            state = game.step(state, torch.tensor([action]), validate=True)
        assert int(game.mover(state)) == 0 and int(game.legal_mask(state).sum()) == 2
        assert ISMCTSPlayer(200).act_after(game, state, past, seed=1).tolist() == [2]

    def test_it_beats_random_players(self) -> None:
        match = play_match([Blob(cards=4, trump="spades")], ISMCTSPlayer(40), RandomBot(), 12, seed=1)
        assert match.significant and match.player.mean > 4

    def test_bad_settings_get_one_line(self) -> None:
        with pytest.raises(ValueError, match="at least 2 simulations, got 1"):
            ISMCTSPlayer(1)
        with pytest.raises(ValueError, match="always has a trump suit"):
            game = Blob(cards=2)
            play_match([game], RuleBot(), ISMCTSPlayer(5), 1, seed=0)

    def test_the_command(self, tmp_path, capsys) -> None:
        from net import PRESETS, BlobNet

        network, output = tmp_path / "network.safetensors", tmp_path / "result.json"
        save_network(network, BlobNet(PRESETS["small"]), {})
        flags = ["--players", "alone", "--opponents", "rules", "ismcts", "--ismcts-simulations", "5", "--device", "cpu"]
        small = ["--eval-deals", "4", "--cards", "2"]
        assert evaluate_main([str(network), *flags, *small, "--json", str(output)]) == 0
        assert "no deals without trump" in capsys.readouterr().out
        stored = json.loads(output.read_text())
        results, trumps = stored["results"], [game["rules"]["trump"] for game in stored["games"]]
        assert trumps == ["spades", "hearts", "clubs", "diamonds"]
        assert {player: list(row) for player, row in results.items()} == {"network alone": ["rule-based", "IS-MCTS 5"]}
        assert evaluate_main([str(network), *flags, "--cards", "13"]) == 2
        error = capsys.readouterr().err
        assert "deals 1 to 12 cards" in error and error.count("\n") == 1
