"""What a Python user expects of a state: a length, equality, lanes by any index, files, other processes."""

import copy
import io
import multiprocessing
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from vecgame import Blob, BlobMatch, BlobState, Hearts, State, TrickState, concatenate

GAME = Hearts(passing="left")


@dataclass(frozen=True)
class Coins(State):
    """B games of tossing coins."""

    heads: Tensor  # [B, 2] bool


def coins(size: int = 5) -> Coins:
    return Coins(torch.arange(size), torch.arange(2 * size).view(size, 2) % 3 == 0)


# -- length, equality, lanes ------------------------------------------------------------------------------------------


def test_a_state_is_as_long_as_its_batch() -> None:
    assert len(GAME.deal(7)) == 7 == GAME.deal(7).batch_size
    assert len(coins()[:0]) == 0


def test_equal_is_every_field_in_dtype_shape_and_value() -> None:
    state = GAME.deal(5, seed=1)
    assert state == GAME.deal(5, seed=1) == state.clone()
    assert state != GAME.deal(5, seed=2)
    assert state != state[:4]
    assert state != replace(state, won=state.won.long())
    assert state != replace(state, won=state.won + 1)
    assert state == replace(state, won=state.won + 0)
    assert (state == 5) is False and (state != None) is True  # noqa: E711


def test_states_of_other_classes_are_not_equal() -> None:
    @dataclass(frozen=True)
    class Medals(Coins):
        """The same fields."""

    assert coins() == coins() and Medals(**coins().tensors()) == Medals(**coins().tensors())
    assert coins() != Medals(**coins().tensors())


def test_a_user_s_own_equality_and_text_are_left_alone() -> None:
    @dataclass(frozen=True)
    class Own(State):
        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "mine"

    assert Own(torch.arange(2)) == 5 and repr(Own(torch.arange(2))) == "mine"


def test_states_are_no_keys() -> None:
    with pytest.raises(TypeError, match="unhashable type: Coins"):
        hash(coins())


def test_iteration_gives_states_of_one_lane() -> None:
    state = GAME.deal(3, seed=4)
    lanes = list(state)
    assert [len(lane) for lane in lanes] == [1, 1, 1]
    assert [int(lane.index) for lane in lanes] == [0, 1, 2] and concatenate(lanes) == state


MASK = [True, False, True, False, False]


@pytest.mark.parametrize(
    ("index", "lanes"),
    [
        (0, [0]),
        (-1, [4]),
        (np.int8(3), [3]),
        (torch.tensor(2), [2]),
        ([3, 0, 3], [3, 0, 3]),
        ([-1], [4]),
        ([], []),
        (range(1, 4), [1, 2, 3]),
        (np.array([4, 1], dtype=np.uint8), [4, 1]),
        (np.array([], dtype=np.float64), []),
        (torch.tensor([4, 1], dtype=torch.uint8), [4, 1]),
        (torch.tensor([1, 2], dtype=torch.int32), [1, 2]),
        (MASK, [0, 2]),
        (np.array(MASK), [0, 2]),
        (torch.tensor(MASK), [0, 2]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2, 4]),
        (slice(None, None, -1), [4, 3, 2, 1, 0]),
    ],
)
def test_lanes_by_whatever_names_them(index: object, lanes: list[int]) -> None:
    state = coins()
    chosen = state[index]
    assert chosen.index.tolist() == lanes and chosen.heads.shape == (len(lanes), 2)
    assert torch.equal(chosen.heads, state.heads[torch.tensor(lanes, dtype=torch.int64)])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (5, "a state of 5 lanes has no lane 5"),
        (-6, "a state of 5 lanes has no lane -6"),
        ([0, 9], "no lane 9"),
        (MASK[:4], r"must be 5 of shape \[5\], got \[4\]"),
        (torch.tensor(MASK[:4]), r"must be 5 of shape \[5\], got \[4\]"),
        (True, r"must be 5 of shape \[5\], got \[\]"),
        (1.0, "got float"),
        ([0.5], "got list"),
        (torch.zeros(2, 2, dtype=torch.int64), "got Tensor"),
        ([[1, 2], [3]], "got list"),
        ((0, 1), "got tuple"),
        ("hands", "got str"),
        (None, "got NoneType"),
    ],
)
def test_what_names_no_lanes_is_one_line(index: object, message: str) -> None:
    with pytest.raises(IndexError, match=message) as error:
        coins()[index]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ([], "states must be of one class, got none"),
        ([Blob(cards=2).deal(2), BlobMatch(cards=2).deal(2)], "states must be of one class, got BlobState, MatchState"),
        ([BlobMatch(cards=2).deal(2), Blob(cards=2).deal(2)], "states must be of one class, got MatchState, BlobState"),
        ([torch.zeros(2), torch.zeros(2)], "states must be of one class, got Tensor"),
        (
            [Blob(cards=2, players=players).deal(2) for players in (4, 3, 4)],
            r"states must be of one shape, got hands of \[B, 4\] and \[B, 3\]",
        ),
    ],
)
def test_what_is_no_batch_of_one_game_is_one_line(states: list, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        concatenate(states)


# -- files and processes ----------------------------------------------------------------------------------------------


def saved(state: State) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    "state", [Blob(cards=2).deal(3), GAME.deal(3), coins()], ids=lambda state: type(state).__name__
)
def test_torch_save_pickle_and_copies_give_the_same_state(state: State) -> None:
    assert torch.load(saved(state), weights_only=True) == state
    assert torch.load(saved(state), weights_only=False) == state
    assert pickle.loads(pickle.dumps(state)) == state
    assert copy.deepcopy(state) == state == copy.copy(state)
    assert copy.deepcopy(state).index.data_ptr() != state.index.data_ptr()


def test_a_saved_lane_does_not_bring_its_batch_along() -> None:
    state = GAME.deal(10_000)
    assert len(saved(state[7:8]).getvalue()) < 20_000 < len(saved(state).getvalue())
    assert torch.load(saved(state[7:8])) == state[7]


def test_safetensors_by_way_of_tensors() -> None:
    state = Blob(cards=2).deal(3)  # two of whose fields are one tensor
    assert BlobState.from_tensors(load(save(state.clone().tensors()))) == state


def test_tensors_that_are_no_state_are_one_line() -> None:
    tensors = coins().tensors()
    with pytest.raises(ValueError, match="Coins holds heads, index; got index"):
        Coins.from_tensors({"index": tensors["index"]})
    with pytest.raises(ValueError, match="as many lanes each"):
        Coins.from_tensors({**tensors, "heads": tensors["heads"][:2]})


def test_clones_share_no_memory() -> None:
    state = Blob(cards=2).deal(3)
    fields = state.clone().tensors()
    assert len({field.data_ptr() for field in fields.values()}) == len(fields)
    assert all(field.is_contiguous() for field in fields.values())


@pytest.mark.slow
def test_a_state_goes_to_another_process_and_back() -> None:
    state = GAME.deal(3, seed=8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_played, (state,)) == GAME.step(state, [_first(state, lane) for lane in range(3)])


def _first(state: State, lane: int) -> int:
    return int(GAME.legal_actions(state[lane])[0, 0])


def _played(state: State) -> State:
    return GAME.step(state, GAME.legal_actions(state)[:, 0])


def test_a_class_that_is_defined_again_is_the_one_that_loads() -> None:
    """A notebook's cell that is run twice: states that are saved then come back as the new class."""
    classes = []
    for _ in range(4):
        space = {"__name__": "a_cell", "State": State, "dataclass": dataclass, "Tensor": Tensor}
        exec("@dataclass(frozen=True)\nclass Again(State):\n    more: Tensor", space)
        classes.append(space["Again"])
    known = torch.serialization.get_safe_globals()
    assert classes[-1] in known and not set(classes[:-1]) & set(known) and TrickState in known
