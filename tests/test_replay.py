"""The replay buffer is a ring of the newest examples."""

import torch

from veclab.training.replay import Examples, ReplayBuffer


def numbered(first: int, count: int) -> Examples:
    number = torch.arange(first, first + count)
    return Examples(
        observation=number[:, None].expand(count, 256).half(),
        legal=number + 1,
        policy=torch.full((count, 52), 1 / 52).half(),
        value=number[:, None].expand(count, 4).float(),
    )


def test_keeps_the_newest() -> None:
    buffer = ReplayBuffer(10, torch.device("cpu"))
    kept: list[int] = []
    for first, count in ((0, 4), (4, 4), (8, 5), (13, 25), (38, 1)):
        buffer.add(numbered(first, count))
        kept = (kept + list(range(first, first + count)))[-10:]
        assert sorted((buffer.examples.legal[: len(buffer)] - 1).tolist()) == kept
    row = buffer.examples.take(torch.tensor([3]))
    assert row.observation[0, 0] == row.value[0, 0] == row.legal[0] - 1


def test_a_restored_buffer_goes_on_alike() -> None:
    first, second = (ReplayBuffer(10, torch.device("cpu")) for _ in range(2))
    first.add(numbered(0, 13))
    second.load_state_dict(first.state_dict())
    for buffer in (first, second):
        buffer.add(numbered(13, 3))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


def test_legal_mask_is_the_bitboard() -> None:
    examples = numbered(4, 1)  # legal = 5 = columns 0 and 2
    assert examples.legal_mask[0].nonzero()[:, 0].tolist() == [0, 2]
