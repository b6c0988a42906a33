"""A network as an ONNX model, for programs that have no PyTorch.

The graph is the folded form of `net.inference` in float32, written operator by operator: it needs no tracer, looks the
same from every version of PyTorch, and holds nothing but Gemm, Add, Relu, LayerNormalization and Split.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from net.blobnet import BlobNet
from net.inference import folded_weights

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 17, 8  # the first operator set with LayerNormalization, of 2022, and the file format of that time

LOGITS = "Raw policy logits, legal or not: set those of illegal actions to -inf, then take the softmax."
VALUES = (
    "Expected worth at the game's end, linear, not clipped to [0, 1]. Column k is the seat k places after the player "
    "to move; a single column is the player to move."
)


class Described(Protocol):
    """What a game says of what it gives a network, and of what it takes from one: a `vecgame.Game`."""

    name: str
    layout: Any  # a `vecgame.Layout`
    deck: int  # 0 in a game without cards
    lowest: float
    highest: float
    unit: str
    suits_turned: bool

    def columns(self) -> list[tuple[int, str]]: ...

    def action_columns(self) -> list[tuple[int, str]]: ...


def described_columns(game: Described) -> str:
    """What every column of an observation means, as a table of columns and features."""
    seats = "Seats are relative to the viewer, the player to move: 0 is the viewer, 1 the next to play, and so on."
    return "\n\n".join([" ".join([seats, *_card_order(game)]), _table("feature", game.columns())])


def described_outputs(games: Sequence[Described]) -> dict[str, str]:
    """What the columns of ``logits`` and ``values`` mean, by these names.

    Args:
        games: the rules that the network is for, of one game: one, or one for each card count.
    """
    game = games[0]
    actions = "\n\n".join([" ".join([LOGITS, *_card_order(game)]), _table("action", game.action_columns())])
    scales = dict.fromkeys(f"0 is {g.lowest:g} {g.unit} and 1 is {g.highest:g}" for g in games)
    return {"logits": actions, "values": f"{VALUES} Of {game.name}: {'; or, by cards dealt, '.join(scales)}."}


def _card_order(game: Described) -> list[str]:
    """How cards stand in columns, if the game has any."""
    if not game.deck:
        return []
    layout = game.layout
    suits, ranks = ", ".join(layout.suit_names), ", ".join(layout.rank_names)
    extra = f", then {', '.join(layout.extra_names)}" if layout.extra else ""
    told = f"Cards are {layout.size} columns: {layout.suits} suits ({suits}) of {layout.ranks} ranks ({ranks}){extra}."
    turned = (
        "Suits are turned so that the game's first suit, trump where there is one, comes first: column (card - "
        f"{layout.ranks} * first suit) mod {layout.suits * layout.ranks} is the card {layout.ranks} * suit + rank."
    )
    return [told, turned] if game.suits_turned else [told]


def _table(what: str, blocks: Sequence[tuple[int, str]]) -> str:
    """Blocks of columns, each of so many, as lines of a table."""
    lines, first = [f"| columns | {what} |", "|---|---|"], 0
    for count, told in blocks:
        last = first + count - 1
        lines.append(f"| {f'{first}-{last}' if count > 1 else first} | {told} |")
        first += count
    return "\n".join(lines)


class _Graph:
    """A graph in the making. Each method adds one operation to it and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def linear(self, name: str, x: str, pair: tuple[Tensor, Tensor]) -> str:
        """y = x W^T + b, W [out, in]."""
        return self._node("Gemm", name, [x, *self._constants(name, pair)], transB=1)

    def norm(self, name: str, x: str, pair: tuple[Tensor, Tensor], epsilon: float) -> str:
        return self._node("LayerNormalization", name, [x, *self._constants(name, pair)], axis=-1, epsilon=epsilon)

    def relu(self, x: str) -> str:
        return self._node("Relu", f"{x}.relu", [x])

    def add(self, x: str, y: str) -> str:
        return self._node("Add", f"{y}.add", [x, y])

    def split(self, x: str, sizes: dict[str, int]) -> None:
        """Cuts the last axis into outputs of the graph, by name and size."""
        parts = self._constant("sizes", torch.tensor(list(sizes.values())))
        self._node("Split", "split", [x, parts], outputs=list(sizes), axis=-1)

    def _node(self, operator: str, name: str, inputs: list[str], outputs: Sequence[str] = (), **attributes) -> str:
        from onnx import helper

        outputs = outputs or [name]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))
        return outputs[0]

    def _constants(self, name: str, pair: tuple[Tensor, Tensor]) -> list[str]:
        return [self._constant(f"{name}.{part}", t.float()) for part, t in zip(("weight", "bias"), pair, strict=True)]

    def _constant(self, name: str, tensor: Tensor) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(tensor.cpu().numpy(), name))
        return name


def onnx_model(
    net: BlobNet,
    properties: dict[str, str] | None = None,
    observation: str = "",
    logits: str = LOGITS,
    values: str = VALUES,
) -> onnx.ModelProto:
    """A network as an ONNX model with a free batch size B.

    Args:
        net: the network; its weights are copied.
        properties: metadata of the model, besides the network's sizes and the version.
        observation: what the columns of the input are, in words, see `described_columns`.
        logits, values: likewise those of the outputs, see `described_outputs`.

    Returns:
        a checked model with the input observation [B, observation] float32 and the outputs logits [B, actions] and
        values [B, values] float32, which are those of `BlobNet.forward`.

    Raises:
        ValueError: in one line, when the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise ValueError("this needs the package onnx: pip install 'vecgame[onnx]' (or onnx onnxruntime)") from None
    from onnx import TensorProto, helper

    def floats(name: str, width: int, text: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width], text)

    config = net.config
    graph = _build(net)
    inputs = [floats("observation", config.observation, observation)]
    outputs = [floats("logits", config.actions, logits), floats("values", config.values, values)]
    text = "Policy and value network of a card game, by vecgame."
    version = _version()
    model = helper.make_model(
        helper.make_graph(graph.nodes, type(net).__name__, inputs, outputs, graph.weights, text),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="vecgame",
        producer_version=version,
        doc_string=text,
    )
    described = {"observation": observation, "logits": logits, "values": values}
    network = json.dumps(config.to_dict())
    helper.set_model_props(model, {**described, "version": version, "network": network, **(properties or {})})
    onnx.checker.check_model(model, full_check=True)
    return model


def _build(net: BlobNet) -> _Graph:
    """The operations of `InferenceNet._forward`."""
    graph = _Graph()
    epsilon = net.embed_norm.eps
    embed, embed_norm, *layers, hidden, out = folded_weights(net)
    x = graph.norm("embed_norm", graph.linear("embed", "observation", embed), embed_norm, epsilon)
    for number in range(len(net.layers)):
        attention, norm1, linear1, linear2, norm2 = layers[5 * number : 5 * number + 5]
        layer = f"layers.{number}"
        attended = graph.add(x, graph.linear(f"{layer}.attention", x, attention))
        x = graph.norm(f"{layer}.norm1", attended, norm1, epsilon)
        inner = graph.relu(graph.linear(f"{layer}.linear1", x, linear1))
        x = graph.norm(f"{layer}.norm2", graph.add(x, graph.linear(f"{layer}.linear2", inner, linear2)), norm2, epsilon)
    both = graph.linear("out", graph.relu(graph.linear("hidden", x, hidden)), out)
    graph.split(both, {"logits": net.config.actions, "values": net.config.values})
    return graph


def _version() -> str:
    try:
        return importlib.metadata.version("vecgame")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@torch.no_grad()
def largest_difference(data: bytes, net: BlobNet, observation: Tensor) -> float | None:
    """How far onnxruntime's outputs of a model are from PyTorch's, at most, over observations [B, observation] float32:
    of each row's logits, and of its values, as a share of one more than the largest, for float32 rounds by that.

    None when onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    theirs = session.run(["logits", "values"], {"observation": observation.numpy()})
    ours = net(observation)
    off = [(torch.from_numpy(b) - a).abs().amax(1) / (1 + a.abs().amax(1)) for a, b in zip(ours, theirs, strict=True)]
    return float(torch.cat(off).amax())
