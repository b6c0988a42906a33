"""Players: the known opponents, and the network with and without search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from vecgame import Blob, BlobState, Game, Purpose, State, Stream
from vecgame.cards import DECK, NO_TRUMP, RANKS, STANDARD, popcount, suit_bits, suit_of, unpack
from vecgame.games.blob_rules import BIDDER, OWN
from vecmcts import (
    Evaluator,
    IsmctsConfig,
    Past,
    RolloutConfig,
    SearchConfig,
    best_action,
    ismcts,
    random_action,
    rollouts,
    search,
)
from vecmcts.evaluators import Network, check_answer, play_out

TINIEST = 2.0**-64  # in place of a uniform number that is 0, which has no logarithm


class Player(Protocol):
    """Decides for many games at once. One that cannot play every game has a method ``refuses(game)``: see `why_not`."""

    name: str

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        """A legal action for the mover of every lane: [B] int64. Depends on each lane's own game only."""


class HistoryPlayer(Protocol):
    """A player that must be told how a game came to its state, which a state does not keep."""

    name: str

    def act_after(self, game: Game, state: State, past: Past, seed: int) -> Tensor:
        """As `Player.act`, after the past of these games."""


def name_of(player: object) -> str:
    """What to call a player."""
    return getattr(player, "name", type(player).__name__)


def why_not(player: Player | HistoryPlayer, game: Game) -> str | None:
    """In one line why a player cannot play a game, as its method ``refuses(game) -> str | None`` says; None if it can,
    and of a player without that method."""
    return player.refuses(game) if hasattr(player, "refuses") else None


class RandomBot:
    """Bids and plays uniformly at random."""

    name = "random"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        stream = Stream(seed, state.index, game.turn(state))
        return random_action(game, state, stream.uniform(Purpose.ACTION, 1)[:, 0])


class RuleBot:
    """Plays Blob: bids the rounded sum of its cards' strengths; wins cheaply while it needs tricks, ducks otherwise.

    It plays for winning what it bid, whatever that scores. It must see its hand as it bids, and names no trump.
    """

    name = "rule-based"

    def refuses(self, game: Game) -> str | None:
        """Why it cannot play a game, in one line; None if it can."""
        if not isinstance(game, Blob) or (game.layout, game.first_bid, game.num_actions) != (STANDARD, 0, DECK):
            return f"the rule-based player knows Blob only, not {game.name}"
        if game.rules.trump == BIDDER:
            return f"the rule-based player cannot name trump, as the highest bidder does in {game!r}"
        fewest = min(getattr(game.rules, "hands", (game.cards,)))  # in any game of a match
        if game.rules.sight != OWN and fewest <= game.rules.sight_to:
            return f"the rule-based player bids by its own cards, which it may not see in {game!r}"
        return None

    def act(self, game: Blob, state: BlobState, seed: int) -> Tensor:
        mover = game.mover(state)
        hand = state.hands.gather(1, mover[:, None])[:, 0]
        strength = self._strength(game, state, hand)  # [B, 52]
        mask = game.legal_mask(state)
        estimate = (strength * unpack(hand)).sum(-1).round()
        bids = torch.arange(DECK, device=state.device)
        # The nearest legal bid, the lower of two: bids are integers, so half a bid breaks the tie.
        distance = (bids + 0.25 - estimate[:, None]).abs()
        bid = distance.masked_fill(~mask, torch.inf).argmin(-1)
        card = self._card_preference(state, mover, strength).masked_fill(~mask, -torch.inf).argmax(-1)
        return torch.where(state.made < game.seats, bid, card)

    @staticmethod
    def _strength(game: Blob, state: BlobState, hand: Tensor) -> Tensor:
        """Rough chance of each card to win a trick, by what beats it that an opponent may hold: [B, 52]."""
        unseen = game.deck & ~(hand | state.seen)
        held = popcount(state.hands).sum(-1) - popcount(hand)
        share = held / popcount(unseen).clamp(min=1)  # of the unseen cards that opponents hold
        card = torch.arange(DECK, device=state.device)
        suit, rank = suit_of(card), card % RANKS
        above = suit_bits(suit) & ~((2 << (RANKS * suit + rank)) - 1)
        masters = popcount(unseen[:, None] & above)  # [B, 52] cards of the suit that beat it
        safe = (1 - share[:, None]) ** masters
        trump = (suit == state.trump[:, None]) & (state.trump != NO_TRUMP)[:, None]
        # A plain card may be ruffed, or never led to without trump; a low trump may ruff.
        return torch.where(trump, 0.25 + 0.75 * safe, 0.6 * safe)

    @staticmethod
    def _card_preference(state: BlobState, mover: Tensor, strength: Tensor) -> Tensor:
        """Higher is better: [B, 52]."""
        card = torch.arange(DECK, device=state.device)
        suit, rank = suit_of(card), card % RANKS
        led_card = state.trick.gather(1, state.leader.long()[:, None])
        leading = led_card < 0
        led = suit_of(led_card)
        trump = state.trump[:, None]

        def power(suit: Tensor, rank: Tensor) -> Tensor:
            return rank + torch.where(suit == trump, 2 * RANKS, torch.where(suit == led, RANKS, 0))

        mine = power(suit, rank)  # [B, 52]
        played = torch.where(state.trick >= 0, power(suit_of(state.trick), state.trick % RANKS), -1)
        to_beat = played.amax(-1, keepdim=True)
        wins = mine > to_beat
        last = (state.trick < 0).sum(-1, keepdim=True) == 1
        needs = (state.bids - state.won).gather(1, mover[:, None]) > 0
        # Wanting a trick: lead the strongest; else the cheapest winner if last to play, the surest before that, and
        # throw the weakest card if none wins. Not wanting one: the highest card that loses; if all win, the one least
        # likely to hold, or when last to play the highest, as the trick is taken anyway.
        win_cheaply = torch.where(last, -mine.float(), strength * 100)
        wanting = torch.where(leading, strength * 100, torch.where(wins, 1000 + win_cheaply, -strength * 100))
        taking = torch.where(last, mine.float(), -mine.float())
        ducking = torch.where(leading, -strength * 100, torch.where(wins, taking - 1000, mine.float()))
        return torch.where(needs, wanting, ducking).float()


class FlatMonteCarlo:
    """Tries every action in uniformly drawn worlds, plays on at random, takes the best mean: no tree, no network."""

    lanes = 1 << 18  # playouts at a time

    def __init__(self, worlds: int = 32) -> None:
        self.worlds = worlds
        self.name = "flat Monte Carlo"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        chunk = max(1, self.lanes // (self.worlds * game.max_legal))
        return torch.cat([self._act(game, part, seed) for part in _split(state, chunk)])

    def _act(self, game: Game, state: State, seed: int) -> Tensor:
        actions = game.legal_actions(state)  # [B, A]
        slots = actions.shape[1]
        worlds = game.determinize(state, self.worlds, seed).repeat(slots)
        tried = actions.repeat_interleave(self.worlds, dim=0).flatten()
        lanes = (tried >= 0).nonzero()[:, 0]
        # The same random numbers for every action of a world: what differs is the action.
        stream = Stream.of_worlds(seed, state.index, game.turn(state), self.worlds)
        stream = stream.take(torch.arange(len(stream.game), device=state.device).repeat_interleave(slots)[lanes])
        after = game.play_forced(game.step(worlds.take(lanes), tried[lanes]))
        values = play_out(game, after, stream)
        mover = game.mover(state).repeat_interleave(self.worlds * slots)[lanes]
        total = torch.full_like(tried, -1, dtype=torch.float32)  # below any action's mean: no action
        total[lanes] = values.gather(1, mover[:, None])[:, 0]
        best = total.view(state.batch_size, self.worlds, slots).mean(1).argmax(-1)
        return actions.gather(1, best[:, None])[:, 0]


class NetworkPlayer:
    """Plays a network's policy, without search: its most probable action, or one drawn from it.

    Args:
        sample: draw the action; what is drawn depends on the seed, the game's number and the decision.
        name: "network alone" by default, "network's policy" of one that draws.
    """

    def __init__(self, network: Network, name: str = "", sample: bool = False) -> None:
        self.network, self.sample = network, sample
        self.name = name or ("network's policy" if sample else "network alone")

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        answer = self.network(game.observe(state), game.policy_mask(state))
        logits, _ = check_answer(answer, self.network, game, state, one_value=True)
        actions = game.legal_actions(state)
        slots = game.slot_logits(state, actions, logits)
        if self.sample:
            # The Gumbel-max trick (Gumbel 1954): the largest of logits plus Gumbel noise is a draw from their softmax.
            uniform = Stream(seed, state.index, game.turn(state)).uniform(Purpose.ACTION, slots.shape[1])
            slots = slots.double() - (-uniform.double().clamp(min=TINIEST).log()).log()
        return actions.gather(1, slots.argmax(-1, keepdim=True))[:, 0]


class SearchPlayer:
    """Searches every decision that is one, and takes the action that the search recommends."""

    def __init__(self, evaluator: Evaluator | Network, config: SearchConfig, name: str = "") -> None:
        self.evaluator, self.config = evaluator, config
        self.name = name or f"search {config.worlds}x{config.simulations}"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        return self._act(game, state, None, seed)

    def _act(self, game: Game, state: State, past: Past | None, seed: int) -> Tensor:
        actions = self.config.view(game).legal_actions(state)
        action = actions[:, 0]
        lanes = (actions[:, 1:] >= 0).any(-1).nonzero()[:, 0]
        if len(lanes) == 0:
            return action
        choosing, past = state.take(lanes), None if past is None else past.take(lanes)
        result = search(game, choosing, self.evaluator, self.config, seed, past=past)
        best = best_action(game, choosing, result.policy, result.visits, self.config, seed)
        return action.index_copy(0, lanes, best)


class InferringPlayer(SearchPlayer):
    """Searches in worlds that make likely what was bid and played (``config.candidates``)."""

    def act_after(self, game: Game, state: State, past: Past, seed: int) -> Tensor:
        """As `SearchPlayer.act`, see `HistoryPlayer`."""
        return self._act(game, state, past, seed)


def search_player(evaluator: Evaluator | Network, config: SearchConfig, name: str = "") -> SearchPlayer:
    """A player that searches, and is told the past if the config asks for it."""
    if not config.candidates:
        return SearchPlayer(evaluator, config, name)
    inferred = f"search {config.worlds} of {config.candidates}x{config.simulations}"
    return InferringPlayer(evaluator, config, name or inferred)


class IsmctsPlayer:
    """Searches every decision that is one in one tree over all worlds, and takes the action visited most."""

    def __init__(self, evaluator: Evaluator | Network, config: IsmctsConfig, name: str = "") -> None:
        self.evaluator, self.config = evaluator, config
        self.name = name or f"SO-ISMCTS {config.simulations}"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        actions = game.legal_actions(state)
        action = actions[:, 0]
        lanes = (actions[:, 1:] >= 0).any(-1).nonzero()[:, 0]
        if len(lanes) == 0:
            return action
        visits = ismcts(game, state.take(lanes), self.evaluator, self.config, seed).visits
        return action.index_copy(0, lanes, visits.argmax(-1))


def rollout_config(games: Sequence[Game]) -> RolloutConfig:
    """The default, in games in which cards change hands with uniform worlds, for others cannot be had there."""
    config = RolloutConfig()
    return config if all(game.fixed_hands for game in games) else replace(config, candidates=0)


def rollouts_name(config: RolloutConfig) -> str:
    """What to call rollouts: by how many worlds, and from how many these are drawn."""
    return f"rollouts in {config.worlds} {f'of {config.candidates} ' * (config.candidates > 0)}worlds"


class RolloutPlayer:
    """Takes the network's best action unless rollouts of its policy better it (`vecmcts.rollouts`)."""

    def __init__(self, evaluator: Evaluator | Network, config: RolloutConfig = RolloutConfig(), name: str = "") -> None:
        self.evaluator, self.config = evaluator, config
        self.name = name or rollouts_name(config)

    def refuses(self, game: Game) -> str | None:
        """Why it cannot play a game, in one line; None if it can."""
        if self.config.candidates and not game.fixed_hands:
            return f"{self.name}: in this {game.name} cards change hands; use candidates=0"
        return None

    def act_after(self, game: Game, state: State, past: Past, seed: int) -> Tensor:
        """As `Player.act`, see `HistoryPlayer`."""
        actions = game.legal_actions(state)
        action = actions[:, 0]
        lanes = (actions[:, 1:] >= 0).any(-1).nonzero()[:, 0]
        if len(lanes) == 0:
            return action
        found = rollouts(game, state.take(lanes), self.evaluator, self.config, seed, past.take(lanes))
        return action.index_copy(0, lanes, found.policy.argmax(-1))


def _split(state: State, chunk: int) -> list[State]:
    return [state[start : start + chunk] for start in range(0, state.batch_size, chunk)]
