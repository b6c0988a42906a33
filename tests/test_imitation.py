"""Beginning with what others do: the rule-based player, or networks."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.runs import changed, quiet, same
from vecgame import Blob, Game
from vecgame.games.hearts import Hearts
from vecgame.games.spades import Spades
from veclab.agents.networks import load_agent
from veclab.arena.bots import NetworkPlayer, RuleBot
from veclab.command_line import STOPPED
from veclab.presets import from_flags
from veclab.training import command as train
from veclab.training import imitation
from veclab.training.imitation import Teacher, by_network, by_rules, imitate, played, teachers_of
from veclab.training.replay import Examples
from veclab.training.run import Run

CPU = torch.device("cpu")


@pytest.mark.parametrize("game", [Blob(cards=3), Spades(cards=4), Hearts(passing="left")], ids=repr)
def test_examples_are_what_the_player_did(game: Game) -> None:
    """Of all decisions with a choice, in order, with the mover's score and the others' hands."""
    examples, state, number = played(game, by_rules, 30, 5, 7, CPU, ("tricks", "hidden")), game.deal(30, 5, CPU, 7), 0
    seen = []
    for _ in range(game.decisions):
        actions, action = game.legal_actions(state), RuleBot().act(game, state, 5)
        for lane in range(30):
            if actions[lane, 1] < 0:
                continue
            one = state.take(torch.tensor([lane]))
            column = int(game.policy_columns(one, action[lane : lane + 1, None]))
            assert examples.policy[number].nonzero().tolist() == [[column]] and examples.policy[number, column] == 1
            assert bool(examples.legal_mask[number, column])
            assert torch.equal(examples.observation[number], game.observe(one)[0].half())
            assert torch.equal(examples.hidden[number], game.others_hands(one)[0])
            seen.append((lane, int(game.mover(one))))
            number += 1
        state = game.step(state, action)
    assert number == len(examples)
    values, won = game.values(state), game.tricks_won(state)
    for (lane, mover), value, tricks in zip(seen, examples.value, examples.tricks, strict=True):
        assert torch.equal(value, values[lane].roll(-mover)) and torch.equal(tricks, won[lane].roll(-mover))


@pytest.mark.slow
def test_a_network_comes_to_play_as_the_player() -> None:
    """In games that it has not seen: 40% of the decisions are the same at first, 76% after it."""
    game = Blob(cards=3)
    sizes = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
    torch.manual_seed(1)
    start = BlobNet(sizes)
    settings = changed(cards="3", imitated_games=5000, batch_size=64, learning_rate=3e-3, device="cpu")
    fresh = played(game, by_rules, 300, 0, 1, CPU)

    def agreement(net: BlobNet) -> float:
        logits = InferenceNet(net, dtype=torch.float32)(fresh.observation.float(), fresh.legal_mask)[0]
        best = logits.masked_fill(~fresh.legal_mask, -torch.inf).argmax(-1)
        return float((best == fresh.policy.argmax(-1)).float().mean())

    before = agreement(start)
    learned = imitate(settings, start, [(game, by_rules)], CPU)
    assert before < 0.5 and agreement(learned) > 0.65
    assert agreement(start) == before  # which is not changed


def test_a_run_begins_by_it_and_goes_on_as_if_it_had_not_stopped(tmp_path) -> None:
    settings = changed(cards="2", device="cpu", imitated_games=50, learner="policy-gradient", eval_every=0)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run = Run.create(whole, settings, quiet())
    assert "begins by what 50 games of rule-based players taught it" in run.display.console.file.getvalue()
    run.train(judge=False)
    Run.create(cut, settings, quiet()).lock.release()  # nothing saved but the first network
    Run.resume(cut, settings, quiet()).train(judge=False)
    assert same(whole, cut)
    other = Run.create(tmp_path / "other", changed(**{**settings.__dict__, "imitated_games": 0}), quiet())
    assert NetworkPlayer(InferenceNet(other.learner.net)) and not torch.equal(
        other.learner.net.policy_out.weight,
        Run.create(tmp_path / "again", settings, quiet()).learner.net.policy_out.weight,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_one_line_and_the_same_command_begins_anew(
    number: int, tmp_path, monkeypatch, capsys
) -> None:
    """There is no folder yet that could keep anything."""
    flags = [
        "--cards=2",
        "--imitated-games=20",
        "--learner=policy-gradient",
        "--updates=1",
        "--update-games=4",
        "--network=small",
    ]
    flags += [f"--run={tmp_path / 'run'}", "--resume-if-exists", "--device=cpu", "--eval-deals=1", "--no-tensorboard"]
    monkeypatch.setattr(imitation, "AT_ONCE", 8)
    real, before = imitation.played, signal.getsignal(number)

    def stopped_in_the_second(*arguments: object) -> Examples:
        if arguments[4] > imitation.FIRST_INDEX:
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(imitation, "played", stopped_in_the_second)
    assert train.main(flags) == STOPPED
    assert capsys.readouterr().err == "stopped at once; 8 of 20 games were imitated, and nothing of that is kept\n"
    assert not list(tmp_path.iterdir()) and signal.getsignal(number) is before
    monkeypatch.setattr(imitation, "played", real)
    assert train.main(flags) == 0
    assert "begins by what 20 games of rule-based players taught it" in " ".join(capsys.readouterr().out.split())


def saved(path: Path, seed: int, cards: str, sharpness: float = 30.0) -> Path:
    """A network for these numbers of cards, whose policy is far from uniform."""
    settings = changed(cards=cards, device="cpu", seed=seed, eval_deals=4)
    run = Run.create(path.with_suffix(""), settings, quiet())
    with torch.no_grad():
        run.learner.net.policy_out.weight.mul_(sharpness)
    run.network_written = None  # for it is another now
    run.save_network()
    run.lock.release()
    return (path.with_suffix("") / "network-000000.safetensors").rename(path)


def test_each_game_is_taught_by_the_network_that_was_for_the_fewest(tmp_path) -> None:
    few, many = (saved(tmp_path / f"{cards}.safetensors", seed, cards) for seed, cards in ((1, "1-2"), (2, "1-4")))
    fives = saved(tmp_path / "5.safetensors", 5, "5")
    for order in (f"{few},{many}", f"{many}, {few}"):
        settings = changed(cards="2,3", imitated=order, imitated_games=9, device="cpu")
        two, three = teachers_of(settings, settings.games(), CPU)
        state = Blob(cards=2).deal(40, 3, CPU)
        for path, teacher in ((few, two), (many, three)):
            own = by_network(InferenceNet(load_agent(path).network))
            said, expected = teacher(Blob(cards=2), state, 1), own(Blob(cards=2), state, 1)
            assert torch.equal(said[0], expected[0]) and torch.equal(said[1], expected[1])
        assert not torch.allclose(two(Blob(cards=2), state, 1)[1], three(Blob(cards=2), state, 1)[1], atol=0.1)
    settings = changed(cards="2,5", imitated=str(few), imitated_games=9, device="cpu")
    with pytest.raises(ValueError, match=r"--imitated: none of .* was trained for Blob"):
        teachers_of(settings, settings.games()[1:], CPU)
    for files, said in (
        (f"{few},{fives}", "5.safetensors would teach none of these games"),
        (f"{few},", "must be rules, or files separated by commas"),
    ):
        settings = changed(cards="2", imitated=files, imitated_games=9, device="cpu")
        with pytest.raises(ValueError, match=said):
            teachers_of(settings, settings.games(), CPU)


def test_a_networks_policy_is_the_target_and_what_it_plays_by(tmp_path) -> None:
    """Targets are its probabilities; its actions come as often as these say (4.5 sigma: fails 1 time in 30,000)."""
    network, game = load_agent(saved(tmp_path / "a.safetensors", 2, "3")).network, Blob(cards=3)
    state = game.deal(1, 5, CPU).repeat(4000)
    state = replace(state, index=torch.arange(4000))
    action, policy = by_network(InferenceNet(network, dtype=torch.float32))(game, state, 9)
    logits = network(game.observe(state[:1]), game.policy_mask(state[:1]))[0]
    expected = logits.detach().masked_fill(~game.policy_mask(state[:1]), -torch.inf).softmax(-1)[0]
    assert torch.allclose(policy, expected.expand_as(policy), atol=1e-5)
    columns = game.policy_columns(state, action[:, None])[:, 0]
    counts = columns.bincount(minlength=len(expected))
    assert bool((counts[expected == 0] == 0).all()) and 0.3 < float(expected.max()) < 0.99
    sigma = (4000 * expected * (1 - expected)).sqrt()
    assert bool(((counts - 4000 * expected).abs() <= 4.5 * sigma + 0.5).all())


@pytest.mark.slow
def test_a_network_learns_from_others(tmp_path) -> None:
    """Of two, each where it was trained: the divergence from them falls by more than half."""
    files = [saved(tmp_path / f"{cards}.safetensors", int(cards), cards) for cards in ("1", "3")]
    settings = changed(
        cards="1,3", imitated=",".join(map(str, files)), imitated_games=6000, batch_size=64, seed=7, device="cpu"
    )
    lessons = list(zip(settings.games(), teachers_of(settings, settings.games(), CPU), strict=True))
    start = Run.create(tmp_path / "start", changed(cards="1,3", seed=7, device="cpu"), quiet()).learner.net
    learned = imitate(settings, start, lessons, CPU)

    def divergence(net: BlobNet, game: Game, teacher: Teacher) -> float:
        examples = played(game, teacher, 300, 1, 1, CPU)
        logits = InferenceNet(net, dtype=torch.float32)(examples.observation.float(), examples.legal_mask)[0]
        ours = logits.masked_fill(~examples.legal_mask, -torch.inf).log_softmax(-1).masked_fill(~examples.legal_mask, 0)
        theirs = examples.policy.float()
        return float((theirs * (theirs.clamp(min=1e-9).log() - ours)).sum(-1).mean())

    for game, teacher in lessons:
        assert divergence(learned, game, teacher) < divergence(start, game, teacher) / 2


def test_what_is_asked_without_games_to_imitate_is_refused(tmp_path, capsys) -> None:
    flags = ["--preset", "quick", "--imitated", "a.safetensors", "--run", str(tmp_path / "run")]
    assert train.main(flags) == 2
    assert "--imitated a.safetensors would change nothing without --imitated-games" in capsys.readouterr().err
    assert train.main([*flags, "--imitated-games", "9"]) == 2
    error = capsys.readouterr().err
    assert "a.safetensors" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_who_knows_no_rules_cannot_be_imitated(tmp_path, capsys) -> None:
    flags = ["--preset", "quick", "--game", "kuhn", "--imitated-games", "9", "--run", str(tmp_path / "run")]
    assert train.main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --imitated-games: the rule-based player knows") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_size_of_its_steps_may_be_given_where_nothing_else_has_it() -> None:
    flags = {"learner": "policy-gradient", "batch_size": 64}
    assert from_flags("quick", {**flags, "imitated_games": 9}).batch_size == 64
    with pytest.raises(ValueError, match="--batch-size would change nothing with --learner policy-gradient"):
        from_flags("quick", flags)


def test_a_folder_that_holds_a_run_is_refused_before_anybody_is_imitated(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(imitation, "imitate", lambda *_: pytest.fail("it learned"))
    (tmp_path / "config.json").write_text("{}")
    flags = ["--cards", "2", "--network", "small", "--learner", "policy-gradient", "--imitated-games", "100"]
    assert train.main([*flags, "--device", "cpu", "--run", str(tmp_path)]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_who_stops_it_before_the_run_has_begun_is_told_so(tmp_path, capsys, monkeypatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(imitation, "imitate", stopped)
    flags = ["--cards", "2", "--network", "small", "--learner", "policy-gradient", "--imitated-games", "100"]
    assert train.main([*flags, "--device", "cpu", "--run", str(tmp_path / "run")]) == 130
    assert "no run was begun" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_any_seed_will_do() -> None:
    settings = changed(cards="2", device="cpu", imitated_games=4, seed=2**64 - 1)
    start = BlobNet(NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16))
    imitate(settings, start, [(Blob(cards=2), by_rules)], CPU)
