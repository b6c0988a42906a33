"""Beginning with what others do: the rule-based player, or networks."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.killing import aimed_command_line, command_line
from tests.runs import changed, ends, flags_of, quiet, same, start
from vecgame import Blob, Game
from vecgame.games.hearts import Hearts
from vecgame.games.spades import Spades
from veclab.agents.checkpoint import load_network, load_tensors
from veclab.agents.folder import CHECKPOINT, CONFIG, NEWEST
from veclab.agents.networks import label, load_agent, newest_network, progress_of
from veclab.arena.bots import RuleBot
from veclab.command_line import STOPPED
from veclab.presets import from_flags
from veclab.settings import Settings
from veclab.training import command as train
from veclab.training import imitation
from veclab.training.imitation import Teacher, by_network, by_rules, imitate, played, teachers_of
from veclab.training.replay import Examples
from veclab.training.run import Run

CPU = torch.device("cpu")
FIRST = "network-000000.safetensors"


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


def small_run(**changes: object) -> Settings:
    """A run that is little more than its imitation: three rounds of games of `rounds_of_eight`, some steps each."""
    own = {"cards": "2", "imitated_games": 20, "batch_size": 8, "updates": 1, "update_games": 4}
    return changed(**{**own, "device": "cpu", "learner": "policy-gradient", "eval_every": 0, **changes})


def flags_at(folder: Path) -> list[str]:
    """The command line's, for such a run."""
    return [*flags_of(small_run(eval_deals=1)), "--batch-size=8", f"--run={folder}", "--resume-if-exists"]


@pytest.fixture
def rounds_of_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imitation, "AT_ONCE", 8)


def test_a_run_begins_by_it(tmp_path) -> None:
    run = Run.create(tmp_path / "run", small_run(), quiet())
    assert run.train(judge=False) is not None
    assert "begins by what 20 games of rule-based players taught it" in run.display.console.file.getvalue()
    Run.create(tmp_path / "other", small_run(imitated_games=0), quiet()).train(judge=False)
    taught, untaught = (load_network(tmp_path / name / FIRST) for name in ("run", "other"))
    assert not torch.equal(taught.policy_out.weight, untaught.policy_out.weight)


# -- stops ------------------------------------------------------------------------------------------------------------


def of_networks(tmp_path: Path) -> Settings:
    files = [saved(tmp_path / f"{cards}.safetensors", seed, cards) for cards, seed in (("1", 1), ("2", 2))]
    heads = {"tricks_weight": 0.3, "leaf_values": "world", "augment_suits": True, "average_decay": 0.9, "magnet": 0.1}
    return small_run(cards="1,2,2", imitated=",".join(map(str, files)), **heads)


def of_an_own_game(tmp_path: Path) -> Settings:
    own = {"game": "polignac.py:Polignac", "cards": "8", "suits": 4, "ranks": 13}
    teacher = saved(tmp_path / "polignac.safetensors", 3, **own)
    return small_run(**own, imitated=str(teacher), batch_size=32)


TEACHERS = {"rules": lambda _: small_run(cards="1-2"), "networks": of_networks, "own game": of_an_own_game}


@pytest.mark.parametrize("teacher", TEACHERS)
def test_it_goes_on_from_where_it_was_stopped(teacher: str, tmp_path, own_games, rounds_of_eight) -> None:
    """By Ctrl+C within its first round, and twice at once within learning from its third: the network is, bit for bit,
    that of a run that nobody stopped."""
    settings, whole, cut = TEACHERS[teacher](tmp_path), tmp_path / "whole", tmp_path / "cut"
    assert Run.create(whole, settings, quiet()).train(judge=False) is not None
    run = Run.create(cut, settings, quiet())
    for done, times in ((0, 1), (16, 2)):
        stop_in(run, done, times)
        if times == 1:
            assert run.train() is None
            output = run.display.console.file.getvalue()
            assert "Stopped and saved. Go on with: vecgame train --resume" in output
        else:
            with pytest.raises(KeyboardInterrupt, match=r"the run is saved\. Go on with: vecgame train"):
                run.train()
        assert load_tensors(cut / CHECKPOINT)[1]["imitation"]["games"] == done
        assert not (cut / FIRST).exists() and newest_network(cut).name == NEWEST
        assert label(newest_network(cut)) == f"network-newest ({done} games imitated)"
        assert load_agent(cut).games == settings.games()
        run = Run.resume(cut, settings, quiet())
    run.display.line_seconds = 0
    assert run.train(judge=False) is not None
    output = run.display.console.file.getvalue()
    assert "imitation goes on after 16 of 20 games\n" in output and "games to imitate: 4 of 4 games, 0 s left" in output
    assert (cut / FIRST).read_bytes() == (whole / FIRST).read_bytes() and same(whole, cut)
    assert {file.name for file in cut.iterdir()} == {file.name for file in whole.iterdir()}


def stop_in(run: Run, done: int, times: int = 1) -> None:
    """Has the user press Ctrl+C, so many times, at a step of learning from the games after those that are ``done``."""
    real, steps, checks = run.check, [], []

    def check() -> None:
        if run.imitated == done:
            steps.append(run.at_work.steps)
            checks.append(steps[-1] == steps[0] + 2)
            if sum(checks) == 1 and checks[-1]:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
        real()

    run.check = check


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_the_same_command_goes_on(
    number: int, tmp_path, monkeypatch, capsys, rounds_of_eight
) -> None:
    flags = flags_at(tmp_path / "run")
    real, before = imitation.played, signal.getsignal(number)

    def stopped_in_the_second(*arguments: object) -> Examples:
        if arguments[4] > imitation.FIRST_INDEX:
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(imitation, "played", stopped_in_the_second)
    assert train.main(flags) == STOPPED
    told = capsys.readouterr()
    assert "Stopped and saved. Go on with" in told.out and told.err == "" and signal.getsignal(number) is before
    assert progress_of(newest_network(tmp_path / "run")) == (0, 0)
    monkeypatch.setattr(imitation, "played", real)
    assert train.main([*flags, "--imitated-games=30"]) == 2
    assert "a resumed run cannot change --imitated-games (run: 20, flag: 30)" in capsys.readouterr().err
    assert train.main(flags) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "goes on after 8 of 20 games" in said and "begins by what 20 games of rule-based players taught it" in said


@pytest.mark.slow
def test_killed_it_goes_on_bit_for_bit(tmp_path) -> None:
    """Real processes, SIGKILL within a step of its second round, and once it is over, before that is saved."""
    whole, cut = (flags_at(tmp_path / name) for name in "wc")
    assert ends([start(command_line, whole), start(aimed_command_line, cut, "imitation", 8)]) == [0, -signal.SIGKILL]
    assert 0 < load_tensors(tmp_path / "c" / CHECKPOINT)[1]["imitation"]["games"] < 20
    assert ends([start(killed_at_its_end, cut)]) == [-signal.SIGKILL]
    assert (tmp_path / "c" / FIRST).exists() and "imitation" in load_tensors(tmp_path / "c" / CHECKPOINT)[1]
    assert ends([start(command_line, cut)]) == [0]
    assert (tmp_path / "c" / FIRST).read_bytes() == (tmp_path / "w" / FIRST).read_bytes()
    assert same(tmp_path / "w", tmp_path / "c")


def killed_at_its_end(arguments: list[str]) -> None:
    """train.py with arguments, killed when it has written the first network, before the checkpoint that knows it."""
    save_network = Run.save_network

    def die(run: Run) -> None:
        save_network(run)
        os.kill(os.getpid(), signal.SIGKILL)

    Run.save_network = die
    command_line(arguments)


def test_a_run_that_had_only_its_settings_and_first_network_begins_again(tmp_path, rounds_of_eight) -> None:
    """As one of an earlier version was, whose folder began with these, when it was killed then."""
    settings, whole, cut = small_run(), tmp_path / "whole", tmp_path / "cut"
    Run.create(whole, settings, quiet()).train(judge=False)
    cut.mkdir()
    for name in (CONFIG, FIRST):
        (cut / name).write_bytes((whole / name).read_bytes())
    assert Run.resume(cut, settings, quiet()).train(judge=False) is not None
    assert same(whole, cut) and (cut / FIRST).read_bytes() == (whole / FIRST).read_bytes()


def test_a_damaged_first_network_is_learned_again(tmp_path, rounds_of_eight) -> None:
    settings, folder = small_run(), tmp_path / "run"
    Run.create(folder, settings, quiet()).train(judge=False)
    written, state = (folder / FIRST).read_bytes(), load_tensors(folder / CHECKPOINT)[0]
    (folder / FIRST).write_bytes(written[:100])
    run = Run.resume(folder, settings, quiet())
    run.lock.release()
    assert "it is written again from the settings" in run.display.console.file.getvalue()
    assert (folder / FIRST).read_bytes() == written
    assert all(torch.equal(tensor, state[f"net.{name}"]) for name, tensor in run.learner.net.state_dict().items())


def test_a_damaged_checkpoint_costs_a_round(tmp_path, rounds_of_eight) -> None:
    settings, whole, cut = small_run(), tmp_path / "whole", tmp_path / "cut"
    Run.create(whole, settings, quiet()).train(judge=False)
    run = Run.create(cut, settings, quiet())
    stop_in(run, 16)
    assert run.train() is None
    run = Run.resume(cut, settings, quiet())
    run.save()
    run.imitation.done = 24
    run.save()
    run.lock.release()
    run = Run.resume(cut, settings, quiet())
    said = run.display.console.file.getvalue()
    assert "its metadata.imitation.games must be at most 20, got 24" in said
    assert "goes on from the checkpoint before it, after 16 games of imitation" in said
    assert run.train(judge=False) is not None and same(whole, cut)


def test_other_networks_than_those_so_far_are_refused(tmp_path, capsys, rounds_of_eight) -> None:
    """As where a run that is at work is named by its folder."""
    settings, folder = of_networks(tmp_path), tmp_path / "run"
    run = Run.create(folder, settings, quiet())
    stop_in(run, 8)
    assert run.train() is None
    teacher = tmp_path / "2.safetensors"
    kept = teacher.read_bytes()
    saved(tmp_path / "others" / "2.safetensors", 9, "2").replace(teacher)
    assert train.main([f"--resume={folder}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --imitated ") and error.count("\n") == 1
    assert "other weights than those that 8 games of the run were imitated of" in error
    teacher.write_bytes(kept)
    run = Run.resume(folder, settings, quiet())
    run.lock.release()
    assert run.imitated == 8


# -- teachers ---------------------------------------------------------------------------------------------------------


def saved(path: Path, seed: int, cards: str, sharpness: float = 30.0, **changes: object) -> Path:
    """A network for these numbers of cards, whose policy is far from uniform."""
    settings = changed(cards=cards, device="cpu", seed=seed, eval_deals=4, **changes)
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
    monkeypatch.setattr(imitation.Imitation, "learn", lambda *_: pytest.fail("it learned"))
    (tmp_path / "config.json").write_text("{}")
    flags = ["--cards", "2", "--network", "small", "--learner", "policy-gradient", "--imitated-games", "100"]
    assert train.main([*flags, "--device", "cpu", "--run", str(tmp_path)]) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_who_stops_it_before_the_run_has_begun_is_told_so(tmp_path, capsys, monkeypatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(imitation, "agents_of", stopped)
    flags = ["--cards", "2", "--network", "small", "--learner", "policy-gradient", "--imitated-games", "100"]
    assert train.main([*flags, "--device", "cpu", "--run", str(tmp_path / "run")]) == 130
    assert "no run was begun" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_any_seed_will_do() -> None:
    settings = changed(cards="2", device="cpu", imitated_games=4, seed=2**64 - 1)
    start = BlobNet(NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16))
    imitate(settings, start, [(Blob(cards=2), by_rules)], CPU)
