"""What a hint says, and how the agents that give it think."""

import json
import re
from dataclasses import replace

import pytest
import torch

from net import BlobNet, InferenceNet
from tests.small_hands import Tray
from tests.tables import CARD, SMALL, answers, of_blob, played, position
from tests.tables import run_without_agents as run
from vecgame import Blob, identity, make_game
from vecgame.cards import STANDARD
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena.bots import (
    NetworkPlayer,
    RandomBot,
    RuleBot,
    SearchPlayer,
    rollout_config,
    rollout_player,
    usual_thinking,
)
from veclab.table import lines
from veclab.table.advice import action_values, give_hint
from veclab.table.agents import choose
from veclab.table.glyphs import ASCII, UNICODE
from veclab.table.saving import load_match
from veclab.table.session import FIRST_INDEX, Settings, begin
from vecmcts import Past, SearchConfig
from vecmcts.evaluators import play_out


@pytest.mark.parametrize("dealer", range(4))
def test_points_of_a_hint_by_hand(dealer: int) -> None:
    """One card each and the last to bid: whoever bids 1 gets 11 when the card wins, who bids 0 gets 10 when not. The
    same worlds decide both, so the two chances sum to one; the Q-values of a search exceed that."""
    hands = ["2h", "3h", "4h"]
    hands.insert(dealer, "9s")
    match = position(hands, trump=0, dealer=dealer, actions=[1, 1, 0])
    hint = give_hint(RuleBot(), match)
    by_bid = {one.action: one for one in hint.advice}
    assert by_bid[0].points / 10 + by_bid[1].points / 11 == pytest.approx(1)
    # 3 of the 51 unseen cards are out, and 5 of those 51 beat the nine of trumps.
    wins = 46 / 51 * 45 / 50 * 44 / 49
    assert by_bid[1].points / 11 == pytest.approx(wins, abs=0.08)
    assert hint.advice[0].action == 1 and sum(one.probability for one in hint.advice) == pytest.approx(1)


def test_hints_name_their_source_and_cover_the_legal_actions() -> None:
    match = played(of_blob(cards=4), stop=5)
    searching = SearchPlayer(InferenceNet(BlobNet(SMALL)), SearchConfig(worlds=2, simulations=8), "mine")
    for agent, source in ((RandomBot(), "random playouts"), (searching, "the agents' network (mine;")):
        hint = give_hint(agent, match)
        assert source in hint.source
        assert sorted(one.action for one in hint.advice) == list(match.legal)
        assert sum(one.probability for one in hint.advice) == pytest.approx(1)
        assert all(0 <= one.points <= 14 for one in hint.advice)
        text = "\n".join(lines.hint_lines(hint, UNICODE))
        assert source in text and set(CARD.findall(text)) == {UNICODE.card(STANDARD, card) for card in match.legal}


def test_a_network_hint_is_the_agents_own_choice() -> None:
    match = begin(of_blob(cards=3))
    agent = SearchPlayer(InferenceNet(BlobNet(SMALL)), SearchConfig(worlds=2, simulations=8))
    assert give_hint(agent, match).advice[0].action == choose(agent, match)


def test_an_agent_that_plays_on_by_its_policy_is_told_how_the_game_came_there() -> None:
    """In a second game of a match, where the past is that game's: it does what the player of the arena does."""
    match = played(of_blob(cards=4, games=2), stop=30)
    assert len(match.results) == 1 and len(match.earlier) == len(match.moves) > 1
    state, past = match.game.deal(1, match.settings.seed, first_index=FIRST_INDEX + 1), Past.none(match.game, 1)
    for move in match.moves:
        action = torch.tensor([move.action])
        past, state = past.then(state, action), match.game.step(state, action)
    assert match.past.actions.equal(past.actions) and state.hands.equal(match.state.hands)
    config = rollout_config([match.game], worlds=4)
    assert (config.worlds, config.candidates) == (4, 16)
    agent = rollout_player(InferenceNet(BlobNet(SMALL)), config)
    assert choose(agent, match) == int(agent.act_after(match.game, match.state, past, match.settings.seed))
    hint = give_hint(agent, match)
    assert hint.advice[0].action == choose(agent, match) and sorted(one.action for one in hint.advice) == list(
        match.legal
    )


def test_how_a_network_thinks(tmp_path, monkeypatch, capsys) -> None:
    """Rollouts in tricks, a search where one is asked for, in other games, and in a match that was saved before."""
    network = tmp_path / "net.safetensors"
    save_network(network, BlobNet(SMALL), {"games": [identity(Blob(cards=2))]})
    told = {}
    flags = ("--cards", "2", "--games", "1", "--seed", "1", "--agent", str(network))
    for name, more in {
        "usual": (),
        "search": ("--worlds", "2", "--simulations", "2"),
        "few": ("--worlds", "3"),
    }.items():
        path = tmp_path / f"{name}.json"
        status, told[name], error = run(monkeypatch, capsys, answers(30), *flags, *more, "--save", str(path))
        assert (status, error) == (0, "")
        assert load_match(path).settings.thinking == ("search" if name == "search" else "rollouts")
    assert "(net, rollouts in 30 of 120 worlds)" in told["usual"] and "(net, search 2x2)" in told["search"]
    assert "(net, rollouts in 3 of 12 worlds)" in told["few"]
    status, _, error = run(monkeypatch, capsys, "", *flags, "--thinking", "rollouts", "--simulations", "9")
    assert status == 2 and error.startswith("error: --simulations are those of a search") and error.count("\n") == 1
    status, _, error = run(monkeypatch, capsys, "", "--cards", "2", "--agent", "flat", "--thinking", "search")
    assert (status, error) == (2, "error: --thinking is a network's; leave it out with the agent flat\n")
    assert "thinking" not in json.loads((tmp_path / "search.json").read_text())["settings"]  # as earlier files
    status, _, error = run(monkeypatch, capsys, "", *flags, "--worlds", "8192")
    assert (status, error) == (2, "error: worlds of rollouts must be from 2 to 8,191, got 8,192\n")
    usual = {name: usual_thinking([make_game(name)]) for name in ("blob", "blob-match", "hearts", "kuhn", "skat")}
    thought = {"blob": "rollouts", "blob-match": "search", "hearts": "rollouts", "kuhn": "policy", "skat": "rollouts"}
    assert usual == thought
    assert usual_thinking([Tray()]) == "rollouts" and usual_thinking([Tray(decisions=129)]) == "search"
    tiny = Blob(players=2, cards=1, suits=2, ranks=3)
    assert usual_thinking([tiny]) == "policy" and usual_thinking([tiny, Blob(cards=5)]) == "rollouts"


def kuhn_network(observation: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Passes with a probability of 1/4 wherever it is, and thinks that the mover gets half of what there is."""
    logits = torch.tensor([1.0, 3.0]).log().expand(len(observation), 2)
    return logits, torch.full((len(observation), 2), 0.5)


def test_who_plays_by_its_policy_draws_and_hints_tell_its_probabilities() -> None:
    """And points as all play on by it: after a bet the other calls three times of four, for 2 chips, else it is 1."""
    match = begin(Settings(make_game("kuhn"), games=1, seed=1))
    agent = NetworkPlayer(kuhn_network, "mine", sample=True)
    hint = give_hint(agent, match)
    assert "mine; chips: 512 deals that it played out" in hint.source and hint.values == (0, 0)
    bet, passing = hint.advice
    assert (bet.probability, passing.probability) == (pytest.approx(0.75), pytest.approx(0.25)) and bet.prior is None
    card = int(match.state.cards[0, 0])  # 0 to 2: jack, queen, king
    wins = card / 2  # of the two others it beats
    shown = 2 * wins - 1
    assert bet.points == pytest.approx(0.25 + 0.75 * 2 * shown, abs=0.25)
    # Passed, then 1/4 shown down for 1, else a bet, which is passed for -1 or called three times of four for 2.
    assert passing.points == pytest.approx(0.25 * shown + 0.75 * (-0.25 + 0.75 * 2 * shown), abs=0.3)
    chosen = [choose(agent, begin(Settings(make_game("kuhn"), games=1, seed=seed))) for seed in range(200)]
    assert 125 <= chosen.count(bet.action) <= 175  # 150 +- 4 standard deviations
    forced = played(of_blob(cards=1), stop=7)  # the only card: nothing to be tried
    assert len(forced.legal) == 1
    (only,) = give_hint(NetworkPlayer(InferenceNet(BlobNet(SMALL)), sample=True), forced).advice
    assert only.probability == pytest.approx(1) and 0 <= only.points <= 11


def test_a_solved_games_network_plays_by_its_policy(tmp_path, monkeypatch, capsys) -> None:
    """Unless it is told otherwise, or was in a match that was saved before."""
    game, network = make_game("kuhn"), tmp_path / "net.safetensors"
    save_network(network, BlobNet(network_config("small", game)), {"games": [identity(game)]})
    flags = ("--game", "kuhn", "--games", "1", "--seed", "1", "--agent", str(network), "--watch")
    told = {}
    for name, more in {
        "policy": (),
        "search": ("--simulations", "2"),
        "worlds": ("--thinking", "search", "--worlds", "3"),
    }.items():
        path = tmp_path / f"{name}.json"
        status, told[name], error = run(monkeypatch, capsys, "", *flags, *more, "--save", str(path))
        assert (status, error) == (0, "")
        assert load_match(path).settings.thinking == ("policy" if name == "policy" else "search")
    assert "(net, its policy)" in told["policy"] and "(net, search 30x2)" in told["search"]
    assert "(net, search 3x30)" in told["worlds"]
    for more in (("--worlds", "3"), ("--thinking", "policy", "--worlds", "3")):
        status, _, error = run(monkeypatch, capsys, "", *flags, *more)
        assert status == 2 and error.startswith("error: --worlds would change nothing with --thinking policy")
        assert error.count("\n") == 1
    earlier = json.loads((tmp_path / "policy.json").read_text())
    del earlier["settings"]["thinking"]  # as files were before there were ways to think
    (tmp_path / "earlier.json").write_text(json.dumps(earlier))
    assert load_match(tmp_path / "earlier.json").settings.thinking == "search"


@pytest.mark.parametrize(
    ("value", "told"), [(-1 / 240, "-0.0042"), (1 / 120, "0.0083"), (-0.0, "0"), (-1e-7, "0"), (12.0, "12")]
)
def test_points_are_told_as_fine_as_they_are(value: float, told: str) -> None:
    assert lines.points(value) == told


def test_points_of_a_hint_are_as_fine_as_the_games_scale() -> None:
    """Skat's go from -0.5 to 0.5 by a 240th."""
    for game, decimals in ((make_game("skat"), 3), (make_game("kuhn"), 2), (Blob(cards=2), 1)):
        hint = replace(give_hint(RandomBot(), begin(Settings(game, games=1, seed=1))), values=(-1e-5,))
        assert all(re.fullmatch(rf"-?\d+\.\d{{{decimals}}}", hint.told(one.points)) for one in hint.advice)
        assert hint.told(hint.values[0]) == "0." + "0" * decimals
        assert len({line.index(f" {game.unit}") for line in lines.hint_lines(hint, UNICODE)[1:]}) == 1


def test_a_networks_points_are_those_of_its_own_play() -> None:
    """A network that likes low columns bids 0 and plays low trumps first, so that the ends are known."""

    def lowest_first(observation: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return -torch.arange(52.0).expand(len(observation), 52), torch.zeros(len(observation), 4)

    agent = SearchPlayer(lowest_first, SearchConfig(worlds=2, simulations=4))
    hands = ["Ks As", "2h 3h", "4h 5h", "6h 7h"]
    bidding = give_hint(agent, position(hands, trump=0, dealer=3, actions=[]))
    points = {one.action: one.points for one in bidding.advice}
    assert points == {0: 0, 1: 0, 2: pytest.approx(12)}  # two tricks are certain
    holding = position(hands, trump=0, dealer=3, actions=[2, 0, 0, 1])
    assert [one.points for one in give_hint(agent, holding).advice] == [pytest.approx(12)] * 2


def test_every_action_is_tried_in_the_same_worlds_and_luck() -> None:
    """West leads one of the two highest trumps. Which one makes no difference, but the rest is up to chance."""
    match = position(["2c 3c 4h", "As Ks 5c", "Qc Jc 6d", "9c 8c 7s"], trump=0, dealer=0, actions=[2, 0, 0, 0])
    actions = torch.tensor(match.legal)
    values = action_values(match.game, match.state, actions, play_out, 64, seed=1).tolist()
    assert [ASCII.card(STANDARD, action) for action in match.legal] == ["Ks", "As", "5c"]
    assert values[0] == values[1] != values[2] and 0 < values[0] < 12 / 13
