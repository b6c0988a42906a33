"""The policy and value network of Blob: a post-norm transformer encoder over a sequence of one token."""

import dataclasses
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SEATS = 4


@dataclass(frozen=True)
class NetConfig:
    """Sizes of a `BlobNet`. Raises ValueError if a size is not a positive integer or `heads` does not divide `dim`.

    Only ``tricks`` and ``critic`` may be 0: then the network has no such head.
    """

    dim: int = 256  # width of the token
    layers: int = 6  # encoder layers
    heads: int = 8  # attention heads; no output depends on it (one token), it describes the in_proj weights
    ffn: int = 1024  # hidden width of the feed-forward block
    observation: int = 256  # features of an observation
    actions: int = 52  # the action space: bids and cards share it
    values: int = 4  # 4: one value per relative seat; 1: the scalar head of the document, the mover's value
    policy_hidden: int = 256
    value_hidden: int = 128
    tricks: int = 0  # numbers of tricks, 0 .. tricks - 1, that the auxiliary head tells apart for each relative seat
    critic: int = 0  # columns of hidden cards that a second value head, the critic, sees

    @property
    def seats(self) -> int:
        """Of the game: one value each, four where there is a value for the mover only."""
        return SEATS if self.values == 1 else self.values

    def __post_init__(self):
        for field in dataclasses.fields(self):
            size = getattr(self, field.name)
            optional = field.name in ("tricks", "critic")
            if type(size) is not int or size < (0 if optional else 1):
                none = ", or 0 for no head" if optional else ""
                raise ValueError(f"NetConfig.{field.name} must be a positive integer{none}, not {size!r}")
        if self.critic and self.values == 1:
            raise ValueError("NetConfig.critic judges all seats at once: it needs values=4, not 1")
        if self.dim % self.heads:
            raise ValueError(f"NetConfig.heads must divide dim, but dim is {self.dim} and heads {self.heads}")

    def to_dict(self) -> dict[str, int]:
        """The fields as a plain dict, for a checkpoint or a JSON file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, int]) -> "NetConfig":
        """The inverse of `to_dict`; missing fields take their defaults. Raises ValueError on unknown fields."""
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(f"NetConfig has no field {', '.join(unknown)}")
        return cls(**fields)


PRESETS = {
    "document": NetConfig(),
    "small": NetConfig(dim=128, layers=3, heads=4, ffn=512, policy_hidden=128, value_hidden=64),
}


class OneTokenAttention(nn.Module):
    """Multi-head self-attention over a sequence of one token.

    The state is that of nn.MultiheadAttention: in_proj_weight [3 dim, dim] (query, key, value rows),
    in_proj_bias [3 dim], out_proj.weight [dim, dim], out_proj.bias [dim].
    """

    def __init__(self, dim: int):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def value_projection(self) -> tuple[Tensor, Tensor]:
        """The value rows of in_proj: weight [dim, dim] and bias [dim], views of the parameters."""
        dim = self.out_proj.in_features
        return self.in_proj_weight[2 * dim :], self.in_proj_bias[2 * dim :]

    def forward(self, x: Tensor) -> Tensor:
        """x [B, dim] -> [B, dim]."""
        # A softmax over one key is exactly 1 whatever the query and the key are, so every head returns its value as it
        # is. The query and key rows are kept because the document's network has them; being rows of in_proj they get a
        # gradient of exactly 0, so that an optimiser leaves them alone (weight decay may shrink them). What is left are
        # two matrices with nothing between them. Their product costs as much as dim rows, and saves one matrix in every
        # row, forward and backward; it is made in the parameters' precision, whatever the rows are computed in.
        value_weight, value_bias = self.value_projection()
        with torch.autocast(x.device.type, enabled=False):
            weight = self.out_proj.weight @ value_weight
            bias = F.linear(value_bias, self.out_proj.weight, self.out_proj.bias)
        return F.linear(x, weight, bias)


class EncoderLayer(nn.Module):
    """Post-norm encoder layer: x = norm1(x + attention(x)), then norm2(x + linear2(relu(linear1(x)))).

    Its parts have the shapes and the names of nn.TransformerEncoderLayer's, so that either accepts the other's state.
    """

    def __init__(self, dim: int, ffn: int):
        super().__init__()
        self.self_attn = OneTokenAttention(dim)
        self.linear1 = nn.Linear(dim, ffn)
        self.linear2 = nn.Linear(ffn, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, dim] -> [B, dim]."""
        x = self.norm1(x + self.self_attn(x))
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))


class BlobNet(nn.Module):
    """The document's network: observation [B, observation] -> (policy logits [B, actions], values [B, values]).

    With ``config.tricks`` above 0 it has a third head, for learning only: how many tricks each seat will have in the
    end, an auxiliary target as ownership and score are in KataGo (Wu 2019, arXiv:1902.10565, section 4). With
    ``config.critic`` above 0 it has a second value head that also sees what the policy must not: the other hands, put
    beside the encoder's output (Pinto et al., "Asymmetric actor critic", 2017, arXiv:1710.06542).
    """

    needs_mask = False  # see vecmcts.evaluators

    def __init__(self, config: NetConfig = PRESETS["document"]):
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.observation, config.dim)
        self.embed_norm = nn.LayerNorm(config.dim)
        self.position = nn.Parameter(torch.empty(config.dim))
        self.layers = nn.ModuleList(EncoderLayer(config.dim, config.ffn) for _ in range(config.layers))
        self.policy_hidden = nn.Linear(config.dim, config.policy_hidden)
        self.policy_out = nn.Linear(config.policy_hidden, config.actions)
        self.value_hidden = nn.Linear(config.dim, config.value_hidden)
        self.value_out = nn.Linear(config.value_hidden, config.values)

        nn.init.normal_(self.position, std=0.02)
        # A post-norm encoder as PyTorch initialises it collapses to a constant output under AdamW at 1e-3: measured,
        # the document's six layers then learn nothing at all. Branches that begin small keep the signal: the scale is
        # that of GPT-2 (Radford et al. 2019), 1 / sqrt(number of branches).
        for layer in self.layers:
            for branch in (layer.self_attn.out_proj, layer.linear2):
                nn.init.uniform_(branch.weight, *_branch_bounds(branch, config.layers))
        # A near-uniform first policy, and a first value near the share of the maximal score that weak players reach.
        nn.init.normal_(self.policy_out.weight, std=0.1 / math.sqrt(config.policy_hidden))
        nn.init.zeros_(self.policy_out.bias)
        nn.init.normal_(self.value_out.weight, std=0.1 / math.sqrt(config.value_hidden))
        nn.init.constant_(self.value_out.bias, 0.2)
        # Last, so that all other initial weights are those of a network without it.
        if config.tricks:
            self.tricks_hidden = nn.Linear(config.dim, config.value_hidden)
            self.tricks_out = nn.Linear(config.value_hidden, config.seats * config.tricks)
        if config.critic:
            self.critic_in = nn.Linear(config.dim + config.critic, config.dim)
            self.critic_hidden = nn.Linear(config.dim, config.dim)
            self.critic_out = nn.Linear(config.dim, config.values)
            nn.init.normal_(self.critic_out.weight, std=0.1 / math.sqrt(config.dim))
            nn.init.constant_(self.critic_out.bias, 0.2)

    @property
    def has_critic(self) -> bool:
        """Whether it has values for who sees the other hands; a search takes these."""
        return self.config.critic > 0

    def encode(self, obs: Tensor) -> Tensor:
        """What the encoder makes of B positions, all that the heads see of them: [B, dim] of [B, observation].

        Raises ValueError when the positions are of another game, with as many features as this network does not take.
        """
        if obs.shape[1] != self.config.observation:
            raise ValueError(wrong_width(self.config.observation, obs.shape[1]))
        x = self.embed_norm(self.embed(obs.to(self.embed.weight.dtype))) + self.position
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(
        self, obs: Tensor, legal_mask: Tensor | None = None, hidden: Tensor | None = None, tricks: bool = False
    ) -> tuple[Tensor, ...]:
        """Evaluate B positions.

        Args:
            obs: [B, observation], any floating dtype; converted to the parameters' dtype (autocast still applies).
            legal_mask: [B, actions] bool or None; unused. It is here so that a network is an evaluator. Masking is the
                caller's: search and loss fill illegal logits with -inf.
            hidden: [B, critic], any dtype: return the critic's values, too; needs ``config.critic`` above 0.
            tricks: return the third head's output, too; needs ``config.tricks`` above 0.

        Returns:
            logits [B, actions], raw and unmasked, and values [B, values] by relative seat (0 is the player to move) on
            the scale (score - lowest) / (highest - lowest) of the game, linear and so not clipped to [0, 1]. With
            ``tricks`` also logits of the number of tricks that each relative seat will have won at the end:
            [B, seats, tricks]. With ``hidden``, last, the critic's values [B, values]. All in the compute dtype.

        Raises ValueError as `encode`.
        """
        x = self.encode(obs)
        logits = self.policy_out(F.relu(self.policy_hidden(x)))
        values = self.value_out(F.relu(self.value_hidden(x)))
        outputs = [logits, values]
        if tricks:
            outputs.append(self.tricks_out(F.relu(self.tricks_hidden(x))).unflatten(-1, (self.config.seats, -1)))
        if hidden is not None:
            x = F.relu(self.critic_in(torch.cat([x, hidden.to(x.dtype)], dim=1)))
            outputs.append(self.critic_out(F.relu(self.critic_hidden(x))))
        return tuple(outputs)


def wrong_width(takes: int, given: int) -> str:
    """What to say of positions with so many features as a network does not take."""
    return f"this network takes positions of {takes} features, got {given}: it is for another game, or other rules"


def _branch_bounds(branch: nn.Linear, layers: int) -> tuple[float, float]:
    """The range of nn.Linear's own initial weights, scaled down for one of 2 * layers residual branches."""
    bound = 1 / math.sqrt(branch.in_features * 2 * layers)
    return -bound, bound


def parameter_count(net: nn.Module) -> int:
    """Number of parameters of `net`, query and key weights included."""
    return sum(parameter.numel() for parameter in net.parameters())
