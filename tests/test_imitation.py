"""Beginning with what the rule-based player does."""

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.runs import changed, quiet, same
from vecgame import Blob, Game
from vecgame.games.hearts import Hearts
from vecgame.games.spades import Spades
from veclab.arena.bots import NetworkPlayer, RuleBot
from veclab.training import command as train
from veclab.training.imitation import imitate, played
from veclab.training.run import Run

CPU = torch.device("cpu")


@pytest.mark.parametrize("game", [Blob(cards=3), Spades(cards=4), Hearts(passing="left")], ids=repr)
def test_examples_are_what_the_player_did(game: Game) -> None:
    """Of all decisions with a choice, in order, with the mover's score and the others' hands."""
    examples, state, number = played(game, RuleBot(), 30, 5, 7, CPU, ("tricks", "hidden")), game.deal(30, 5, CPU, 7), 0
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


def test_a_network_comes_to_play_as_the_player() -> None:
    """In games that it has not seen: 40% of the decisions are the same at first, 76% after it."""
    game = Blob(cards=3)
    sizes = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
    torch.manual_seed(1)
    start = BlobNet(sizes)
    settings = changed(cards="3", imitated_games=5000, batch_size=64, learning_rate=3e-3, device="cpu")
    fresh = played(game, RuleBot(), 300, 0, 1, CPU)

    def agreement(net: BlobNet) -> float:
        logits = InferenceNet(net, dtype=torch.float32)(fresh.observation.float(), fresh.legal_mask)[0]
        best = logits.masked_fill(~fresh.legal_mask, -torch.inf).argmax(-1)
        return float((best == fresh.policy.argmax(-1)).float().mean())

    before = agreement(start)
    learned = imitate(settings, start, [game], CPU)
    assert before < 0.5 and agreement(learned) > 0.65
    assert agreement(start) == before  # which is not changed


def test_a_run_begins_by_it_and_goes_on_as_if_it_had_not_stopped(tmp_path) -> None:
    settings = changed(cards="2", device="cpu", imitated_games=50, learner="policy-gradient", eval_every=0)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run = Run.create(whole, settings, quiet())
    assert "begins by what 50 games between rule-based players taught it" in run.display.console.file.getvalue()
    run.train(judge=False)
    Run.create(cut, settings, quiet()).lock.release()  # nothing saved but the first network
    Run.resume(cut, settings, quiet()).train(judge=False)
    assert same(whole, cut)
    other = Run.create(tmp_path / "other", changed(**{**settings.__dict__, "imitated_games": 0}), quiet())
    assert NetworkPlayer(InferenceNet(other.learner.net)) and not torch.equal(
        other.learner.net.policy_out.weight,
        Run.create(tmp_path / "again", settings, quiet()).learner.net.policy_out.weight,
    )


def test_who_knows_no_rules_cannot_be_imitated(tmp_path, capsys) -> None:
    flags = ["--preset", "quick", "--game", "kuhn", "--imitated-games", "9", "--run", str(tmp_path / "run")]
    assert train.main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --imitated-games: the rule-based player knows") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
