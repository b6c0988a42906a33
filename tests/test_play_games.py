"""play.py for every game: whole games by typed lines, nothing hidden shown, saved and taken up again, taken back."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from net import BlobNet
from tests.every_game import EVERY, Named
from tests.tables import CARD, Recorder, one_game, run
from vecgame import identity, make_game, naming
from veclab import play
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.table import lines, view
from veclab.table.advice import give_hint
from veclab.table.agents import choose
from veclab.table.commands import Mistake, listed_choices, parse, typed
from veclab.table.glyphs import ASCII, UNICODE
from veclab.table.saving import load_match, save_match
from veclab.table.session import PERSON, Match, Settings, begin, undo
from veclab.table.sight import look, said
from veclab.table.ui import PlainLines, Screen

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")
LONG = {"blob-match", "hearts-match", "spades-match", "euchre-match", "hearts", "doppelkopf", "briscola"}
LONG |= {"polignac.py:Polignac"}
every_game = pytest.mark.parametrize("named", EVERY, ids=str)
every_game_in_time = pytest.mark.parametrize(
    "named", [pytest.param(named, marks=[pytest.mark.slow] * (named.game in LONG)) for named in EVERY], ids=str
)


def words_for(match: Match, action: int, how: int) -> str:
    """One of the ways to type an action: its name, the same in letters, or its number."""
    seen = look(match, PERSON)
    name = seen.choices[action]
    number = next(number for number, choice in listed_choices(seen).items() if choice == action or len(seen.legal) == 1)
    numbered = action in listed_choices(seen).values()
    return (name, typed(name), str(number) if numbered else name.upper())[how % 3]


@every_game_in_time
def test_a_whole_game_by_typed_lines(named: Named, monkeypatch, capsys) -> None:
    """Every choice by its name or its number, after a wrong line; cut off by the end of input and gone on with."""
    path, rng = Path("match.json"), random.Random(5)
    flags = (*named.flags, "--games", "1", "--seed", "3", "--agent", "random")
    status, output, error = run(monkeypatch, capsys, "", *flags, "--save", str(path))
    assert (status, error) == (0, "") or load_match(path).over
    match, answers = load_match(path), []
    assert identity(match.settings.game) == identity(named.make())
    while not match.over:
        if match.mover == PERSON and match.only is not None:
            match = match.act(match.only)  # nobody is asked
        elif match.mover == PERSON:
            action = rng.choice(match.legal)
            answers += ["no such thing", words_for(match, action, len(answers) // 2)]
            match = match.act(action)
        else:
            match = match.act(choose(play.make_agent(match.settings), match))
    half = len(answers) // 2
    for part in (answers[:half], answers[half:]):
        status, output, error = run(monkeypatch, capsys, "\n".join([*part, ""]), "--resume", str(path))
        assert (status, error) == (0, "") and "\x1b" not in output
    assert load_match(path) == match
    assert output.splitlines()[-1] == lines.final_line(look(match, PERSON))


@every_game
def test_wrong_lines_change_nothing_and_get_one_line(named: Named) -> None:
    match, rng = one_game(named), random.Random(1)
    for _ in range(50):
        if match.over:
            break
        if match.mover == PERSON and rng.random() < 0.2:
            seen = look(match, PERSON)
            for line in ("zz", "999", "-1", "7x", "²", "x" * 500, "\x1b[A"):
                answer = parse(line, seen, UNICODE)
                assert isinstance(answer, Mistake) and answer.text.isprintable() and len(answer.text) < 160
            others = [card for card in range(match.game.layout.size) if card not in seen.one.playable()]
            names = {typed(naming.card_name(match.game.layout, card)): card for card in others}
            legal = {typed(naming.card_name(match.game.layout, card)).replace("'", "") for card in seen.one.playable()}
            for word in rng.sample(sorted(names), 5 if len(names) > 5 else len(names)):
                if word.replace("'", "") not in legal:
                    assert isinstance(parse(word, seen, UNICODE), Mistake)
        match = match.act(rng.choice(match.legal))


@every_game
def test_nothing_that_is_shown_depends_on_what_is_hidden(named: Named) -> None:
    """Another deal that the person may take for the true one: all that it is shown at its decisions stays the same."""
    match, rng, differ = one_game(named), random.Random(2), 0
    record = Recorder()
    interfaces = [kind(record.console, UNICODE, lambda prompt: "") for kind in (Screen, PlainLines)]

    def shown(match: Match) -> str:
        seen = look(match, PERSON)
        for interface in interfaces:
            interface.decision(seen)
            interface.tell(lines.prompt(seen, UNICODE))
        return record.take()

    for step in range(30):
        if match.over:
            break
        if match.mover == PERSON and (step < 8 or step % 9 == 0):
            for world in range(4):
                other = replace(match, state=match.game.determinize(match.state, 4, step)[world])
                differ += not same(other, match)
                assert look(other, PERSON) == look(match, PERSON) and (world or shown(other) == shown(match))
        match = match.act(rng.choice(match.legal))
    assert differ


@every_game
def test_no_card_is_named_that_the_person_does_not_see(named: Named) -> None:
    """In what is told of the others' moves, and who may look at what is shown of the hands."""
    match, rng = one_game(named), random.Random(7)
    layout = match.game.layout
    for _ in range(25):
        if match.over:
            break
        after = match.act(rng.choice(match.legal))
        seen = look(after if not after.results else match, PERSON)
        if match.mover != PERSON:
            visible = {card for name in seen.one.counts for card in seen.one.held(name)}
            visible |= {after.last.action} if after.last.plays else set()
            names = {naming.card_name(layout, card) for card in visible}
            told = lines.narrate(look(match, PERSON), said(match, after, PERSON), seen, UNICODE)
            assert set(CARD.findall(" ".join(told))) <= names
        match = after


def same(one: Match, other: Match) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(one.state.tensors().values(), other.state.tensors().values(), strict=True)
    )


@every_game
def test_saved_taken_up_and_taken_back(named: Named) -> None:
    path, match, rng = Path("match.json"), one_game(named), random.Random(4)
    choices: list[Match] = []
    for _ in range(25):
        if match.over:
            break
        if match.mover == PERSON and len(match.legal) > 1:
            choices.append(match)
        match = match.act(rng.choice(match.legal))
    save_match(path, match)
    loaded = load_match(path)
    assert loaded == match and loaded.settings.game == match.settings.game
    assert look(loaded, PERSON) == look(match, PERSON) and same(loaded, match)
    assert json.loads(path.read_text())["games"] == [identity(named.make())]
    earlier = undo(loaded, PERSON)
    assert earlier == (choices[-1] if choices else None)
    if choices:
        assert same(earlier, choices[-1]) and look(earlier, PERSON) == look(choices[-1], PERSON)


@every_game
def test_screens_of_every_game_fit_60_columns(named: Named) -> None:
    match, rng = one_game(named), random.Random(6)
    for step in range(26):
        for viewer in (PERSON, None) if step in (1, 8, 25) else ():
            for glyphs, width in ((UNICODE, 60), (ASCII, 100)):
                record, seen = Recorder(width), look(match, viewer)
                record.console.print(view.screen(seen, glyphs, width, ["West leads A."]))
                told = record.take()
                assert max(map(len, told.splitlines())) <= width
                assert all(name in told for name in seen.names)
                assert glyphs is UNICODE or not set("♠♥♣♦▸·") & set(told)
        if match.over:
            break
        match = match.act(rng.choice(match.legal))


SMALL_GAMES = ("blob players=3,cards=2", "blob cards=2,sight=forehead", "euchre", "wizard players=3,cards=2", "bluff")


@pytest.mark.parametrize("named", [named for named in EVERY if str(named) in SMALL_GAMES], ids=str)
@pytest.mark.parametrize("agent", [pytest.param("flat", marks=pytest.mark.slow), "network"])
def test_hints_cover_the_choices_and_agents_play(named: Named, agent: str) -> None:
    game = named.make()
    if agent == "network":
        save_network(Path("net.safetensors"), BlobNet(network_config("small", game)), {"games": [identity(game)]})
    name = "net.safetensors" if agent == "network" else agent
    match = one_game(named, agent=name, worlds=2, simulations=2)
    player = play.make_agent(match.settings)
    while match.mover != PERSON:
        match = match.act(choose(player, match))
    hint = give_hint(player, match)
    assert sorted(one.action for one in hint.advice) == list(match.legal)
    assert sum(one.probability for one in hint.advice) == pytest.approx(1)
    assert all(game.lowest <= one.points <= game.highest for one in hint.advice)
    told = "\n".join(lines.hint_lines(hint, UNICODE))
    assert all(name in told for name in look(match, PERSON).choices.values())


@pytest.mark.slow
def test_hints_in_matches_do_not_take_long() -> None:
    """Neither random playouts nor a network's end in sight: fewer deals, and the network's own judgement of them."""
    match = begin(Settings(make_game("hearts-match"), agent="flat", seed=1))
    save_network(
        Path("net.safetensors"), BlobNet(network_config("small", match.game)), {"games": [identity(match.game)]}
    )
    for agent, words in (("flat", "37 deals"), ("net.safetensors", "512 deals that it judged")):
        settings = replace(match.settings, agent=agent, worlds=1, simulations=2)
        assert words in give_hint(play.make_agent(settings), match).source


@pytest.mark.parametrize("named", [Named("kuhn"), Named("skat"), Named("euchre-match", "target=3,games=3")], ids=str)
def test_agents_play_among_themselves(named: Named, monkeypatch, capsys) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asks for input"))
    flags = (*named.flags, "--watch", "--games", "1", "--agent", "random", "--seed", "1")
    status, output, error = run(monkeypatch, capsys, "", *flags)
    assert (status, error) == (0, "") and "You" not in output
    assert "The match is over" in output.splitlines()[-1]
