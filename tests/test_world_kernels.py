"""Kernels draw the worlds that the functions of tensors draw, bit for bit, in Triton's interpreter."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tests.emulated_gpu  # noqa: F401  has triton interpret its kernels, where there is no GPU
from tests.every_game import EVERY, Named
from vecgame import Blob, Game, worlds
from vecgame.contract import mixed_positions
from vecmcts import kernels

pytest.importorskip("triton", reason="the kernels are Triton's")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="here tests marked gpu run the kernels themselves")

from vecmcts.kernels import worlds as by_kernels  # noqa: E402  which loads triton


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Hands that kernels have drawn, as on a GPU."""
    found, draw = [], kernels.draw_hands

    def recorded(*arguments: object) -> torch.Tensor | None:
        hands = draw(*arguments)
        found.extend([] if hands is None else [hands])
        return hands

    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    monkeypatch.setattr(kernels, "_failed", set())
    monkeypatch.setitem(worlds.DRAWN_BY, "cpu", recorded)
    return found


def assert_same_worlds(game: Game, games: int, count: int, seed: int = (1 << 63) + 12345) -> None:
    """Of games at all stages, by kernels as far as there are some, and by tensors."""
    state = mixed_positions(game, 2 * games)[::2]  # whose fields have gaps
    mine = game.determinize(state, count, seed)
    worlds.DRAWN_BY.pop("cpu")
    assert mine == game.determinize(state, count, seed)


@pytest.mark.parametrize(("games", "count", "programs"), [(7, 3, 2048), (5, 2, 2), (2, 5, 1)])
def test_worlds_are_the_same(games: int, count: int, programs: int, drawn, monkeypatch) -> None:
    """With a program for each game, or several in a row in one, and worlds one after the other."""
    monkeypatch.setattr(by_kernels, "PROGRAMS", programs)
    monkeypatch.setattr(by_kernels, "MOST_WORLDS", 4)
    assert_same_worlds(Blob(cards=3), games, count)
    assert len(drawn) == 1


@pytest.mark.slow
@pytest.mark.parametrize("named", EVERY, ids=str)
def test_worlds_of_every_game_are_the_same(named: Named, tmp_path: Path, drawn) -> None:
    game = named.make(tmp_path)
    assert_same_worlds(game, 12, 3)
    assert len(drawn) == (game.seats == 4 and game.deck > 0)


@pytest.mark.slow
def test_full_hands(drawn) -> None:
    assert_same_worlds(Blob(cards=13), 40, 2)
    assert len(drawn) == 1


@pytest.fixture
def asked() -> Callable[..., torch.Tensor]:
    """`worlds.draw_hands` of one game, in which two hands need a card each, and one none, of the given sets."""

    def draw(unseen: int, *may: int) -> torch.Tensor:
        one = torch.ones(1, dtype=torch.int64)
        needs = torch.tensor([[1], [1], [0]])
        return worlds.draw_hands(one * unseen, needs, torch.tensor(may)[:, None], one, one, 2, 0)

    return draw


def test_hands_that_cannot_be_are_refused_as_ever(drawn, asked) -> None:
    with pytest.raises(ValueError, match="hidden hands need 1 cards more than they may hold"):
        asked(0b110, 0b110, 0b001, 0b111)
    assert not drawn
    assert asked(0b110, 0b110, 0b100, 0b111).tolist() == [[[0b010]] * 2, [[0b100]] * 2, [[0]] * 2]
    assert len(drawn) == 1


def test_other_numbers_of_hands_are_drawn_by_tensors_and_one_line_says_so(drawn, monkeypatch, caplog) -> None:
    monkeypatch.setattr(kernels, "_other_numbers", set())
    with caplog.at_level(logging.WARNING, "vecgame.fallback"):
        for seats in (3, 3, 5, 4):
            state = Blob(cards=2, players=seats).deal(4, 1)
            Blob(cards=2, players=seats).determinize(state, 2, 1)
    said = [record.getMessage() for record in caplog.records if record.name == "vecgame.fallback"]
    text = "worlds of {} hidden hands are drawn without a kernel, which there is for 3"
    assert said == [text.format(2), text.format(4)] and len(drawn) == 1


def test_where_they_cannot_be_built_tensors_go_on_and_one_line_says_so(drawn, monkeypatch, caplog) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("Failed to find C compiler\nand a long explanation")

    monkeypatch.setattr(by_kernels, "measure", fail)
    with caplog.at_level(logging.WARNING, "vecgame.fallback"):
        assert_same_worlds(Blob(cards=2), 4, 2)
    said = [record.getMessage() for record in caplog.records if record.name == "vecgame.fallback"]
    assert said == ["searches on cpu go on without kernels: Failed to find C compiler"]
    assert not drawn
