"""Pictures of games: well-formed, complete, and without a trace of what their viewer does not see."""

import re
from collections import Counter
from xml.etree import ElementTree

import pytest
import torch

from tests.card_tables import SECRET, CoinState, TableGame, TableState, WizardState
from tests.game_picture import PATH, drawing
from tests.micro_games import MicroGame
from vecgame import GAMES, Blob, Game, Hearts, Spades, State, TrickGame, make_game
from vecgame.contract import random_action
from vecgame.naming import AS_TEXT, card_ids, card_name
from vecgame.pictures import LARGE, picture

SVG = "{http://www.w3.org/2000/svg}"


def played(game: Game, decisions: int, batch_size: int = 2) -> State:
    """Games after some random decisions."""
    state = game.deal(batch_size, seed=6)
    for _ in range(decisions):
        state = game.step(state, random_action(game, state))
    return state


def faces(drawing: str) -> Counter[str]:
    """The names of the cards that lie open in a picture."""
    cards = [group for group in ElementTree.fromstring(drawing).iter(f"{SVG}g") if group.get("class") == "vg-face"]
    return Counter(card.find(f"{SVG}title").text for card in cards)


def backs(drawing: str) -> int:
    return drawing.count('class="vg-hidden"')


def names(game: Game, bits: int) -> list[str]:
    return [card_name(game.layout, card) for card in card_ids(game.layout, bits)]


def on_the_table(game: Game, state: State, lane: int, seats: range | list[int]) -> Counter[str]:
    """The cards of some hands and of the trick."""
    cards = [name for seat in seats for name in names(game, int(state.hands[lane, seat]))]
    return Counter([*cards, *(card_name(game.layout, card) for card in state.trick[lane].tolist() if card >= 0)])


GAMES_TO_DRAW = [
    *((name, {}) for name, kind in GAMES.items() if issubclass(kind, TrickGame)),
    ("hearts", {"passing": "left"}),
    ("blob", {"cards": 13}),
    ("blob", {"players": 7, "cards": 7}),
    ("blob", {"players": 3, "cards": 13, "trump": "turned"}),
]


@pytest.mark.parametrize(("name", "rules"), GAMES_TO_DRAW)
@pytest.mark.parametrize("decisions", [0, 6, 21])
def test_every_card_lies_there_once(name: str, rules: dict, decisions: int) -> None:
    game = make_game(name, **rules)
    state = played(game, decisions)
    for lane in range(2):
        drawn = faces(picture(game, state, lane))
        table = on_the_table(game, state, lane, range(game.seats))
        assert drawn >= table and drawn <= Counter(names(game, game.deck))
        beside = 2 if name in ("skat", "briscola") else 1  # the skat, the top of a stock, a card that is turned up
        assert (drawn - table).total() <= beside
        for seat in range(game.seats):
            drawing = picture(game, state, lane, seat)
            mine = on_the_table(game, state, lane, [seat])
            assert faces(drawing) >= mine and (faces(drawing) - mine).total() <= beside
            others = sum(bits.bit_count() for bits in state.hands[lane].tolist())
            others -= int(state.hands[lane, seat]).bit_count()
            assert others <= backs(drawing) <= others + 4  # with a pile of what else nobody sees


@pytest.mark.parametrize(("name", "rules"), GAMES_TO_DRAW)
def test_what_a_seat_sees_is_the_same_in_every_world(name: str, rules: dict) -> None:
    game = make_game(name, **rules)
    for decisions in (0, 7, 15):
        state = played(game, decisions)
        worlds = game.determinize(state, 3, seed=2)
        for lane in range(2):
            seat = int(game.mover(state)[lane])
            assert {picture(game, worlds, 3 * lane + world, seat) for world in range(3)} == {
                picture(game, state, lane, seat)
            }


@pytest.mark.parametrize("seats", range(2, 9))
@pytest.mark.parametrize("state_type", [TableState, WizardState, CoinState])
def test_nothing_hidden_is_in_the_file(seats: int, state_type: type) -> None:
    """By name and by number, of hands, of a stock, and of a number that nobody knows."""
    game = TableGame(seats, 3, state_type)
    state = game.played(seats - 1)
    for seat in range(seats):
        drawing = picture(game, state, 0, seat).replace(AS_TEXT, "")
        others = sum(int(state.hands[0, other]) for other in range(seats) if other != seat)
        hidden = names(game, others | int(state.stock[0]))
        said = " ".join(ElementTree.fromstring(drawing).itertext())
        for name in hidden:
            assert not re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", said), name
        for number in (SECRET, int(state.stock[0]), *state.hands[0].tolist()):
            assert str(number) not in drawing and f"{number:,}" not in drawing
        assert faces(drawing) == on_the_table(game, state, 0, [seat]) + Counter(names(game, int(state.turned[0])))


@pytest.mark.parametrize("seats", range(2, 9))
@pytest.mark.parametrize("cards", [1, 3, 6])
def test_everything_lies_on_the_page_and_no_seat_on_another(seats: int, cards: int) -> None:
    game = TableGame(seats, cards)
    state = game.played(seats - 1)
    for seat in (None, 0, seats - 1):
        drawing = picture(game, state, 0, seat)
        page = ElementTree.fromstring(drawing)
        wide, high = float(page.get("width")), float(page.get("height"))
        boxes = []
        for group in page.iter(f"{SVG}g"):
            x, y = (float(value) for value in re.findall(r"[\d.-]+", group.get("transform")))
            rect = group.find(f"{SVG}rect")
            boxes.append((x, y, x + float(rect.get("width")), y + float(rect.get("height"))))
        assert all(min(x, y) >= 0 and right <= wide and bottom <= high for x, y, right, bottom in boxes)
        felt = next(rect for rect in page.iter(f"{SVG}rect") if rect.get("class") == "vg-felt")
        upper, lower = float(felt.get("y")), float(felt.get("y")) + float(felt.get("height"))
        trick = [box for box in boxes if round(box[3] - box[1]) == LARGE[1] and upper <= box[1] and box[3] <= lower]
        on_it = [box for box in boxes if upper <= box[1] and box[3] <= lower and 140 < box[0] < wide - 180]
        assert len(trick) == seats - 1 and len(on_it) >= len(trick) + 2
        piled = [box for box in on_it if box not in trick]
        for number, (x, y, right, bottom) in enumerate(trick):
            for left, top, other_right, other_bottom in (*trick[:number], *piled):
                assert right <= left or other_right <= x or bottom <= top or other_bottom <= y
        labels = [(float(text.get("x")), float(text.get("y"))) for text in page.iter(f"{SVG}text") if text.get("y")]
        assert all(0 <= x <= wide and 0 <= y <= high for x, y in labels)


def test_names_are_escaped() -> None:
    game = TableGame(3, 2, CoinState)
    drawing = picture(game, game.played(1), names=["<script>", "A & B", '"C"'])
    said = [text.text for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]
    assert "<script>" in said and '▸ "C"' in said and "table & <game>, game 0" in said
    assert "<script" not in drawing and "cups & <swords>" not in drawing and "cups &amp; &lt;swords&gt;" in drawing


def test_nothing_comes_from_elsewhere() -> None:
    drawing = picture(Blob(), played(Blob(), 9))
    assert not re.search(r"href|url\(|@import|<script|<image|<foreignObject", drawing)
    assert re.findall(r"https?://[^\"' ]+", drawing) == ["http://www.w3.org/2000/svg"]
    assert " id=" not in drawing  # two pictures on one page do not meet


def test_light_and_dark() -> None:
    """Colours are attributes; what the dark scheme changes has a class, and no rule is for anything outside."""
    drawing = picture(Blob(), played(Blob(), 9), 0, 1)
    page = ElementTree.fromstring(drawing)
    rules = re.findall(r"([^{}]+)\{(fill:#[0-9a-f]{6})\}", page.find(f"{SVG}style").text)
    assert len(rules) == 6 and all(".vecgame .vg-" in selector for selector, _ in rules)
    assert "prefers-color-scheme:dark" in page.find(f"{SVG}style").text
    for shape in (*page.iter(f"{SVG}rect"), *page.iter(f"{SVG}text")):
        assert shape.get("fill"), ElementTree.tostring(shape)


def test_a_screen_reader_is_told_the_game_in_words() -> None:
    game = Hearts(passing="left")
    state = played(game, 20)
    page = ElementTree.fromstring(picture(game, state, 1, 2))
    assert page.get("role") == "img" and page.find(f"{SVG}title").text == "hearts, game 1"
    assert page.find(f"{SVG}desc").text == game.text(state, 1, 2)


def test_legal_cards_stand_out_for_the_mover_alone() -> None:
    game = Blob(cards=5, hook=False)
    hands = torch.tensor([[[0, 1, 13, 14, 15], [2, 3, 16, 17, 18], [4, 19, 20, 21, 22], [26, 27, 28, 29, 30]]])
    state = game.from_hands(hands, dealer=3, trump=4)
    assert "seat 0 (you) to move: bid 0, bid 1, bid 2" in picture(game, state, 0, 0)
    assert "seat 0 to move<" in picture(game, state, 0, 1)
    for action in (0, 0, 0, 0, 0):
        state = game.step(state, [action])

    def heights(seat: int | None) -> set[str]:
        cards = ElementTree.fromstring(picture(game, state, 0, seat)).iter(f"{SVG}g")
        return {group.get("transform").split()[1] for group in cards if group.find(f"{SVG}title") is not None}

    assert len(heights(1)) == 1 + 2 and len(heights(2)) == 1 + 1  # the card led; cards that may be played; the others


def test_pictures_that_there_are_not_are_one_line() -> None:
    game = Blob(cards=2)
    state = game.deal(2)
    with pytest.raises(ValueError, match="names must be 4, one for each seat, got 2"):
        picture(game, state, names=["A", "B"])
    with pytest.raises(ValueError, match="seat must be from 0 to 3, or None"):
        picture(game, state, 0, 4)
    micro = MicroGame([0], [[0]], lambda moves: moves)
    with pytest.raises(ValueError, match="there are no hands of 2 to 8 seats to draw"):
        picture(micro, micro.new(1))


def test_the_picture_in_the_docs_is_what_is_drawn() -> None:
    assert PATH.read_text() == drawing(), "write it anew: python -m tests.game_picture"


# -- in a notebook ----------------------------------------------------------------------------------------------------


def test_a_state_shows_its_first_game_and_how_many_there_are() -> None:
    drawing = Spades().deal(10_000, seed=3)._repr_svg_()
    assert "SpadesState, game 0, the first of 10,000" in drawing
    assert sum(faces(drawing).values()) == 52
    assert "the first" not in Spades().deal(1)._repr_svg_()


def test_a_state_is_drawn_by_its_own_layout() -> None:
    game = TableGame(4, 5, WizardState)
    assert faces(game.played(3)._repr_svg_()) == faces(picture(game, game.played(3))) - Counter() and any(
        name.startswith(("wizard", "jester")) for name in faces(game.played(0)._repr_svg_())
    )


def test_a_state_without_cards_shows_as_text() -> None:
    micro = MicroGame([0], [[0]], lambda moves: moves)
    assert micro.new(2)._repr_svg_() is None and Spades().deal(2)[:0]._repr_svg_() is None
    assert micro.view(micro.new(2))._repr_svg_() is None


def test_a_view_prints_and_is_drawn() -> None:
    game = Blob(cards=3)
    state = played(game, 6)
    view = game.view(state, 1, 2)
    assert repr(view) == game.text(state, 1, 2) and view._repr_svg_() == picture(game, state, 1, 2)
