"""Any game as an OpenSpiel game: ``pyspiel.load_game("python_vecgame(game=kuhn,rules=players:3)")``.

Importing this module registers the game, and Blob's own of `veclab.doors.openspiel_blob`. Its parameters:

| parameter | default | |
|---|---|---|
| game | kuhn | a game's name, or its address: FILE.py:CLASS or MODULE:CLASS |
| rules | | as after ``--rules``, NAME=VALUE,..; in a string with OpenSpiel's own = and , as NAME:VALUE;.. |

**Actions** are the columns of a network's policy (`Game.policy_columns`), the frame of ``observation_tensor``, which is
`Game.observe`: in games whose trump comes first there, column 0 is trump's lowest card. ``action_to_string`` has names.

**Chance** draws a deal. Where the deals are few (`every_deal`: Kuhn and Leduc poker, ..) one chance node lists all of
them, for CFR and exact exploitability. Elsewhere `DIGITS` chance nodes draw the game's number in the run of seed 0, one
of 2**30 deals: enough to play and to sample, too many to enumerate. (OpenSpiel's SAMPLED_STOCHASTIC would ask for the
state of a random number generator, which it takes from no game written in Python.) What is dealt later, as the card for
both seats in Leduc poker or the next games of a match, is fixed then and hidden, as it is in `vecgame`.

**Information states** are what the seat has seen since the deal, field by field as `Game.hidden` declares it, and its
own actions: perfect recall. There is no tensor of them. **Returns** are the scores.

**Resampling** for IS-MCTS (the Python bot, `open_spiel.python.algorithms.ismcts`) draws worlds by `Game.determinize`
and plays the past again in them. So it is for games in which a card stays where it was dealt until it is played in the
open, and nothing but cards is hidden; elsewhere it raises ValueError. In a SAMPLED_STOCHASTIC game such a state has no
deal's number, and refuses to be played again from its history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyspiel
import torch
from torch import Tensor

from vecgame import Game, State, default_rules, make_game, naming, seeing
from vecgame.hidden import places, with_places
from veclab.doors import openspiel_blob  # noqa: F401 - which registers Blob's own
from veclab.exact import deals
from veclab.game_flags import identities, read_rules, rules_text

NAME = "python_vecgame"
DEFAULTS = {"game": "kuhn", "rules": ""}
MOST_DEALS = 5_000  # that are listed
DIGITS, BASE = 3, 1024  # of a deal's number: as many chance nodes, each with so many outcomes
DRAWN = BASE  # the outcome at these in a resampled state, whose deal has no number


def game_type(game: Game | None) -> pyspiel.GameType:
    """What OpenSpiel wants to know of a game; for None of any."""
    total, utility = None if game is None else game.sum_of_scores, pyspiel.GameType.Utility
    if game is not None and game.cooperative:
        kind = utility.IDENTICAL
    else:
        kind = utility.GENERAL_SUM if total is None else utility.CONSTANT_SUM if total else utility.ZERO_SUM
    return pyspiel.GameType(
        short_name=NAME,
        long_name=f"vecgame's {'games' if game is None else game.name}",
        dynamics=pyspiel.GameType.Dynamics.SEQUENTIAL,
        chance_mode=pyspiel.GameType.ChanceMode.EXPLICIT_STOCHASTIC,
        information=pyspiel.GameType.Information.IMPERFECT_INFORMATION,
        utility=kind,
        reward_model=pyspiel.GameType.RewardModel.TERMINAL,
        max_num_players=8 if game is None else game.seats,
        min_num_players=2 if game is None else game.seats,
        provides_information_state_string=True,
        provides_information_state_tensor=False,
        provides_observation_string=True,
        provides_observation_tensor=True,
        provides_factored_observation_string=False,
        parameter_specification=DEFAULTS,
    )


@cache
def every_deal(game: Game) -> State | None:
    """`deals.every_deal`: N lanes, each as likely as the other. None where they are more than `MOST_DEALS` or cannot be
    listed, where more is drawn than the hidden cards, and in a match, which deals again as it goes on."""
    if hasattr(game, "later") or deals.with_last_dealer(game) != game:
        return None
    try:
        found = deals.every_deal(game, most=MOST_DEALS)
    except ValueError:
        return None
    hidden = game.hidden(found)
    others = [
        t for name, t in found.tensors().items() if name != "index" and not (name in hidden and hidden[name].is_place)
    ]
    return found if all((tensor == tensor[:1]).all() for tensor in others) else None


@dataclass(frozen=True, eq=False)
class Moment:
    """A state of one game and the way there. Nothing of it changes, so that copies of a state share it."""

    game: Game
    state: State  # one lane
    past: Moment | None = None  # before the last action; None for the deal
    action: int = -1  # which that was
    number: int = 0  # of actions so far

    def __deepcopy__(self, memo: dict) -> Moment:
        """Itself: OpenSpiel copies the attributes of a state deeply to clone it."""
        return self

    @cached_property
    def over(self) -> bool:
        return bool(self.game.is_terminal(self.state))

    @cached_property
    def mover(self) -> int:
        return int(self.game.mover(self.state))

    @cached_property
    def actions(self) -> dict[int, int]:
        """The legal actions by their columns, which ascend; none when the game is over."""
        if self.over:
            return {}
        actions = self.game.legal_mask(self.state)[0].nonzero()[:, 0]
        columns = self.game.policy_columns(self.state, actions[None])[0].tolist()
        return dict(sorted(zip(columns, actions.tolist(), strict=True)))

    @cached_property
    def names(self) -> dict[int, str]:
        """What people call the legal actions, by column; two cards that look alike with their numbers."""
        names = {column: self.game.action_name(action, self.state) for column, action in self.actions.items()}
        told = list(names.values())
        return {column: name if told.count(name) == 1 else f"{name} ({column})" for column, name in names.items()}

    @cached_property
    def scores(self) -> list[float]:
        """Within the game's bounds, which float32 may round beyond."""
        low, high = self.game.lowest, self.game.highest
        return [min(max(score, low), high) for score in self.game.scores(self.state)[0].tolist()]

    def after(self, column: int) -> Moment:
        """Raises ValueError on a column that is not legal."""
        if column not in self.actions:
            raise ValueError(f"action {column} is illegal; legal are {list(self.actions)}")
        state = self.game.step(self.state, torch.tensor([self.actions[column]]))
        return Moment(self.game, state, self, column, self.number + 1)

    def way(self) -> list[Moment]:
        """All moments from the deal to this one."""
        moments = [self]
        while moments[-1].past is not None:
            moments.append(moments[-1].past)
        return moments[::-1]

    # -- what a seat sees ----------------------------------------------------------------------------------------------

    @cached_property
    def _hidden(self) -> Mapping[str, Any]:
        return self.game.hidden(self.state)

    @cached_property
    def _words(self) -> dict[int | None, dict[str, str]]:
        return {}

    @cached_property
    def _told(self) -> dict[int | None, str]:
        return {}

    def words(self, seat: int | None) -> dict[str, str]:
        """The fields as a seat sees them, all of them for None; not the game's number, which tells the deal."""
        if seat not in self._words:
            kinds, found = seeing.kinds(self.state, self._hidden), {}
            for name, tensor in self.state.tensors().items():
                sees = self._hidden[name].sees[0, seat] if seat is not None and name in self._hidden else None
                found[name] = _word(self.game.layout, kinds[name], *seeing.listed(kinds[name], tensor[0], sees))
            del found["index"]
            self._words[seat] = found
        return self._words[seat]

    def now(self, seat: int | None) -> str:
        return " ".join(f"{name}={word}" for name, word in self.words(seat).items())

    def told(self, seat: int | None) -> str:
        """All that the seat has seen since the deal, and its own actions; for None all of both."""
        return " | ".join(moment._news(seat) for moment in self.way())

    def _news(self, seat: int | None) -> str:
        """What of it this moment adds."""
        if seat not in self._told:
            self._told[seat] = self._tell(seat)
        return self._told[seat]

    def _tell(self, seat: int | None) -> str:
        if self.past is None:
            return f"{'all' if seat is None else f'seat {seat}'} {self.now(seat)}"
        before, after = self.past.words(seat), self.words(seat)
        news = [f"{name}={word}" for name, word in after.items() if word != before[name]]
        own = seat in (None, self.past.mover)
        return " ".join([*([f"seat {self.past.mover} {self.past.names[self.action]}"] if own else []), *news])


def _word(layout: Any, kind: Any, value: Any, sees: Any) -> str:
    """A field's value in a word, with ? for entries that are not seen."""
    if isinstance(value, list):
        entries = zip(value, sees if isinstance(sees, list) else [sees] * len(value), strict=True)
        return f"[{', '.join(_word(layout, kind, *entry) for entry in entries)}]"
    if not sees:
        return "?"
    if kind == "sets":
        return naming.cards_text(layout, value & layout.bits) or "-"
    if kind == "counts":
        return naming.listed_text(layout, seeing.ids_counted(value)) or "-"
    if kind == "cards":
        return naming.card_name(layout, value) if value >= 0 else "-"
    return str(value)


class VecGame(pyspiel.Game):
    """The game. Raises ValueError, in one line, on parameters that make none."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        chosen = {**DEFAULTS, **(params or {})}
        given = ",".join(
            rule if "=" in rule else rule.replace(":", "=", 1) for rule in chosen["rules"].replace(",", ";").split(";")
        )
        self.game = make_game(chosen["game"], **read_rules(given, default_rules(chosen["game"])))
        kept = identities([self.game])[0]  # by which every process finds it, from a saved state too
        told = {"game": kept["game"], "rules": rules_text(kept["rules"]).replace(",", ";").replace("=", ":")}
        if bad := sorted(set("".join(told.values())) & set(",=()")):
            raise ValueError(f"OpenSpiel cannot write a game whose name has {' '.join(bad)} in it: {told['game']}")
        try:
            self.deals = every_deal(self.game)
            self.game.scores(self.game.deal(1))
        except NotImplementedError as error:
            raise ValueError(str(error)) from None
        number = BASE if self.deals is None else len(self.deals)
        self.outcomes = [(outcome, 1 / number) for outcome in range(number)]
        info = pyspiel.GameInfo(
            num_distinct_actions=self.game.num_actions,
            max_chance_outcomes=number + (self.deals is None),  # and `DRAWN`
            num_players=self.game.seats,
            min_utility=self.game.lowest,
            max_utility=self.game.highest,
            **({} if self.game.sum_of_scores is None else {"utility_sum": self.game.sum_of_scores}),
            max_game_length=self.game.decisions,
        )
        super().__init__(game_type(self.game), info, told)

    def max_chance_nodes_in_history(self) -> int:
        return DIGITS if self.deals is None else 1

    def new_initial_state(self) -> VecState:
        return VecState(self)

    def make_py_observer(
        self, iig_obs_type: pyspiel.IIGObservationType | None = None, params: Mapping[str, Any] | None = None
    ) -> SeatObserver:
        return SeatObserver(self.game, iig_obs_type or pyspiel.IIGObservationType(perfect_recall=False), params)

    def dealt(self, drawn: tuple[int, ...]) -> State | None:
        """The deal that these outcomes of chance mean, one lane; None while some are missing."""
        if self.deals is not None:
            return self.deals[drawn[0]]
        if len(drawn) < DIGITS:
            return None
        return self.game.deal(1, first_index=sum(digit * BASE**place for place, digit in enumerate(drawn)))

    def other_deal(self, moment: Moment, seed: int) -> State:
        """A deal in which the mover would have seen the same so far, drawn by `Game.determinize`: one lane.

        Raises:
            ValueError: in games whose past cannot be played again with other cards.
        """
        way = moment.way()
        first, hidden = way[0].state, self.game.hidden(way[0].state)
        held = [places(self.game.hidden(one.state), one.state) for one in way]
        moved = self.game.copies or any((now & ~before).any() for before, now in pairwise(held))
        if moved or any(not field.is_place for one in way for field in self.game.hidden(one.state).values()):
            raise ValueError(
                f"{self.game}: resampling is for games in which a card stays where it was dealt until it is played in "
                "the open, and nothing but cards is hidden"
            )
        world = self.game.determinize(moment.state, 1, seed)
        return with_places(hidden, first, places(self.game.hidden(world), world) | (held[0] & ~held[-1]))

    def outcome_of(self, deal: State) -> int:
        """Which of all deals this one is."""
        rows = places(self.game.hidden(self.deals), self.deals)
        return int((rows == places(self.game.hidden(deal), deal)).all(-1).nonzero()[0, 0])


class VecState(pyspiel.State):
    """A state of the game. `moment` is there to be read: the state in `vecgame`, None before the deal."""

    def __init__(self, game: VecGame) -> None:
        super().__init__(game)
        self.drawn: tuple[int, ...] = ()  # what chance has drawn
        self.given: State | None = None  # what `DRAWN` stands for, in a resampled state
        self.moment: Moment | None = None

    def current_player(self) -> int:
        if self.moment is None:
            return pyspiel.PlayerId.CHANCE
        return pyspiel.PlayerId.TERMINAL if self.moment.over else self.moment.mover

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return self.get_game().outcomes

    def _legal_actions(self, player: int) -> list[int]:
        return list(self.moment.actions)

    def _apply_action(self, action: int) -> None:
        self.moment = self._deal(action) if self.moment is None else self.moment.after(action)

    def _deal(self, outcome: int) -> Moment | None:
        game = self.get_game()
        if outcome not in range(len(game.outcomes)) and (outcome != DRAWN or self.given is None):
            if outcome == DRAWN and game.deals is None:
                raise ValueError("this state was resampled: its deal has no number by which it could be played again")
            raise ValueError(f"chance has no outcome {outcome}")
        self.drawn = (*self.drawn, outcome)
        deal = game.dealt(self.drawn) if self.given is None else self.given if len(self.drawn) == DIGITS else None
        return None if deal is None else Moment(game.game, deal)

    def _action_to_string(self, player: int, action: int) -> str:
        if player != pyspiel.PlayerId.CHANCE:
            return self.moment.names[action]
        return f"deal {action}" if self.get_game().deals is not None else f"digit {len(self.drawn)}: {action}"

    def is_terminal(self) -> bool:
        return self.moment is not None and self.moment.over

    def returns(self) -> list[float]:
        return self.moment.scores if self.is_terminal() else [0.0] * self.get_game().game.seats

    def __str__(self) -> str:
        return f"deal {' '.join(map(str, self.drawn))}".rstrip() + (f" {self.moment.told(None)}" if self.moment else "")

    def resample_from_infostate(self, player: int, probability_sampler: Callable[[], float]) -> VecState:
        """A state that the player to move cannot tell from this one; see `resample`."""
        return self.resample(player, int(probability_sampler() * 2**53))

    def resample(self, player: int, seed: int) -> VecState:
        """Another deal with the same past, drawn by `Game.determinize`.

        Raises:
            ValueError: if ``player`` is not the one to move, and in games whose past cannot be played again.
        """
        if player < 0 or player != self.current_player():
            raise ValueError(f"only the player to move can be resampled for, that is {self.current_player()}")
        game = self.get_game()
        deal, state = game.other_deal(self.moment, seed), game.new_initial_state()
        if game.deals is not None:
            state.apply_action(game.outcome_of(deal))
        else:
            state.given = deal
            for _ in range(DIGITS):
                state.apply_action(DRAWN)
        for moment in self.moment.way()[1:]:
            state.apply_action(moment.action)
        return state


class SeatObserver:
    """What one seat sees; OpenSpiel's PyObserver interface. With perfect recall there is a string only."""

    def __init__(self, game: Game, iig_obs_type: pyspiel.IIGObservationType, params: Mapping[str, Any] | None) -> None:
        if params:
            raise ValueError(f"this game's observations have no parameters, got {params}")
        if not iig_obs_type.public_info or iig_obs_type.private_info != pyspiel.PrivateInfoType.SINGLE_PLAYER:
            raise ValueError("an observation of this game is what one seat sees, of what is public and of its own")
        self.recall = iig_obs_type.perfect_recall
        self.game = game
        self.tensor = None if self.recall else np.zeros(game.features, np.float32)
        self.dict = {} if self.recall else {"observation": self.tensor}

    def set_from(self, state: VecState, player: int) -> None:
        """Writes `tensor`: zeros before the deal, then `Game.observe`."""
        if self.tensor is None:
            return
        self.tensor.fill(0)
        if state.moment is not None:
            self.tensor[:] = self._features(state.moment.state, player)

    def _features(self, state: State, player: int) -> np.ndarray:
        seat: Tensor = torch.tensor([player])
        return self.game.observe(state, seat)[0].numpy()

    def string_from(self, state: VecState, player: int) -> str:
        if state.moment is None:
            return f"seat {player} before the deal"
        return state.moment.told(player) if self.recall else f"seat {player} {state.moment.now(player)}"


pyspiel.register_game(game_type(None), VecGame)
