"""The inference form of a `BlobNet`: the same function with fewer operations, in low precision, on copied weights."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from net.blobnet import BlobNet, wrong_width
from net.by_kernel import ByKernel
from net.calibration import Pairs
from net.threads import current

if TYPE_CHECKING:
    from net.fused import Eighth

log = logging.getLogger("vecgame.fallback")

# Rows a CPU evaluates at once. Document network in bfloat16 on two Xeon cores with AMX, thousand evaluations/s at
# 256, 512, 1024, 2048 and 4096 rows: 91, 115, 167, 200, 163.
CPU_MICRO_BATCH = 2048

LAYER, SUM = 5, 5  # blocks of a layer in `folded_weights`, and the place of the first layer's linear2

ROWS_PER_THREAD = 64  # that a thread of its own is worth, see `net.threads`


def default_inference_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """bfloat16 where `device` multiplies it in hardware (AMX, AVX512-BF16, NVIDIA from Ampere on), else float32."""
    device = torch.device(device)
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == "cpu":
        native = _onednn_bfloat16() and _cpu_has("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def _cpu_has(*checks: str) -> bool:
    """Whether one of torch.cpu's private feature checks says yes; a check that this torch lacks says no."""
    return any(getattr(torch.cpu, check, bool)() for check in checks)


@functools.cache
def _onednn_bfloat16() -> bool:
    """Whether oneDNN's bfloat16 linear operators, which torch.compile uses on CPUs, are there and work."""
    try:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        x = torch.ones(1, 16, dtype=torch.bfloat16)
        quarters = torch.full((16, 16), 0.25)
        linear = _OneDnnLinear(quarters, torch.zeros(16), torch.bfloat16, torch.device("cpu"))
        return bool((linear.add(linear.relu(linear(x)), x) == 4 * 4 * 4 + 1).all())
    except (AttributeError, RuntimeError):
        return False


class _Affine:
    """A weight and a bias in fixed storage: `load` copies into it, so that a captured CUDA graph sees new weights."""

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, device: torch.device):
        self.weight = torch.empty(weight.shape, dtype=dtype, device=device)
        self.bias = torch.empty(bias.shape, dtype=dtype, device=device)
        self.load(weight, bias)

    def load(self, weight: Tensor, bias: Tensor) -> None:
        self.weight.copy_(weight)
        self.bias.copy_(bias)


class _Linear(_Affine):
    """y = x W^T + b, weight [out, in]; also followed by a ReLU or by the sum with a residual."""

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def relu(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias).relu_()

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias).add_(residual)


class _CudaLinear(_Linear):
    """`_Linear` on a GPU: bias and ReLU in the product's epilogue (cuBLASLt), where a pass of their own would read and
    write [rows, 1024] once more: one launch instead of two, and a fifth of the network's traffic."""

    def relu(self, x: Tensor) -> Tensor:
        return torch._addmm_activation(self.bias, x, self.weight.t())


class _CudaSum(_CudaLinear):
    """A product that is added to the residual in place, in its epilogue; without a bias, see `_sums_in_place`."""

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return residual.addmm_(x, self.weight.t())


class _OneDnnLinear(_Linear):
    """`_Linear` in bfloat16 on a CPU: weights in oneDNN's blocked layout, ReLU and residual inside the product.

    Against F.linear on the machine of CPU_MICRO_BATCH: 1.4 times the evaluations/s at 256 and at 2048 rows, 1.3 at 1.
    In float32 it gains nothing.
    """

    def load(self, weight: Tensor, bias: Tensor) -> None:
        super().load(weight, bias)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, CPU_MICRO_BATCH)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "packed"}  # which no pickle can hold

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, CPU_MICRO_BATCH)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")

    def relu(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "relu", [], "")

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.packed, self.bias, "add")


class _LayerNorm(_Affine):
    """Layer normalisation over the last axis, weight [dim]."""

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


class InferenceNet:
    """A snapshot of a `BlobNet` that evaluates positions fast; an evaluator in the search's sense.

    Value and output projection of an attention block fold into one matrix, the position vector into the bias of the
    first norm, both heads into one pair of matrices. In float64 it equals the network to rounding. Training the source
    network changes nothing here until `refresh`. Rows do not see each other; only rounding varies with the batch size.

    Args:
        net: the source; its weights are copied.
        dtype: compute type; `default_inference_dtype(device)` when None.
        device: where it runs; the source's device when None.
        micro_batch: rows evaluated at once; when None, CPU_MICRO_BATCH on a CPU and the whole batch elsewhere.
        compile: fuse biases, activations, norms and casts into few kernels by `torch.compile`, for GPUs: it takes some
            seconds for the first size of a batch and for the second, which is compiled for all others too. Where that
            fails, one line in the log says so, and the network goes on as it is.
        fused: on a GPU in bfloat16, uncompiled and with no ``micro_batch``, evaluate by one kernel (`net.fused`). Where
            there is none, one line in the log says so, and the network goes on operation by operation.

    Raises ValueError when `dtype` is not a floating type or `micro_batch` is not positive.
    """

    sums_in_place = True  # on a GPU, see `_sums_in_place`
    needs_mask = False  # see vecmcts.evaluators
    capturable = True  # in a CUDA graph: no wait for the device, weights in fixed storage (see vecmcts.graphs)

    def __init__(
        self,
        net: BlobNet,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        micro_batch: int | None = None,
        compile: bool = False,
        fused: bool = True,
    ):
        self.config = net.config
        self.device = net.position.device if device is None else torch.device(device)
        self.dtype = default_inference_dtype(self.device) if dtype is None else dtype
        if not self.dtype.is_floating_point:
            raise ValueError(f"InferenceNet computes in a floating type, not {self.dtype}")
        if micro_batch is None and self.device.type == "cpu":
            micro_batch = CPU_MICRO_BATCH
        if micro_batch is not None and micro_batch < 1:
            raise ValueError(f"micro_batch must be positive, not {micro_batch}")
        self.micro_batch = micro_batch
        self.output_dtype = torch.float64 if self.dtype == torch.float64 else torch.float32

        self._compiled = torch.compile(self._forward) if compile else None
        self._onednn = self.device.type == "cpu" and self.dtype == torch.bfloat16 and not compile and _onednn_bfloat16()
        on_gpu = self.device.type == "cuda" and not compile
        linear = _OneDnnLinear if self._onednn else _CudaLinear if on_gpu else _Linear
        self._in_place = on_gpu and self.sums_in_place
        pairs, critic = folded_weights(net), critic_weights(net)
        weights = self._weights(pairs)
        kinds: list[type[_Affine]] = [_LayerNorm if weight.dim() == 1 else linear for weight, _ in weights]
        if self._in_place:
            kinds[SUM::LAYER] = [_CudaSum] * self.config.layers
        self._blocks = [kind(*pair, self.dtype, self.device) for kind, pair in zip(kinds, weights, strict=True)]
        # The order of `folded_weights`.
        self._embed, self._embed_norm, *layers, self._hidden, self._out = self._blocks
        self._layers = [tuple(layers[i : i + LAYER]) for i in range(0, len(layers), LAYER)]
        self._critic = [linear(*pair, self.dtype, self.device) for pair in critic]
        self._by_kernel: ByKernel | None = None
        if fused and on_gpu and self.dtype == torch.bfloat16:
            self._by_kernel = ByKernel(self.config, pairs, critic, self.device, self._uncompiled)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_compiled": self.compiled}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._compiled = torch.compile(self._forward) if state["_compiled"] else None

    @property
    def compiled(self) -> bool:
        """Whether it runs compiled: that was asked for, and has not failed so far."""
        return self._compiled is not None

    @property
    def skips_rows(self) -> bool:
        """Whether a call leaves rows out that are not ``live``, rather than to evaluate all."""
        return self._by_kernel is not None and self._by_kernel.kernel is not None and self.micro_batch is None

    @property
    def has_critic(self) -> bool:
        """Whether it has values for who sees the other hands."""
        return self.config.critic > 0

    def refresh(self, net: BlobNet) -> None:
        """Copy the weights of `net` in place. Raises ValueError when its configuration is another one."""
        if net.config != self.config:
            raise ValueError(f"refresh needs a network of the same configuration, {self.config}, not {net.config}")
        pairs, critic = folded_weights(net), critic_weights(net)
        for block, (weight, bias) in zip(self._blocks, self._weights(pairs), strict=True):
            block.load(weight, bias)
        for block, (weight, bias) in zip(self._critic, critic, strict=True):
            block.load(weight, bias)
        if self._by_kernel is not None:
            self._by_kernel.load(pairs, critic, self._eighths())

    def _eighths(self) -> Sequence[Eighth]:
        """Of each layer attention, linear1 and linear2, where these are products of 8-bit floats."""
        return ()

    def _weights(self, pairs: Pairs) -> Pairs:
        return _sums_in_place(pairs) if self._in_place else pairs

    def __call__(
        self,
        obs: Tensor,
        legal_mask: Tensor | None = None,
        hidden: Tensor | None = None,
        live: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate B positions.

        Args:
            obs: [B, observation], any floating dtype, on this network's device.
            legal_mask: unused, see `BlobNet.forward`.
            hidden: [B, critic], any floating dtype: the values are the critic's then.
            live: [B] bool, the rows whose answers are wanted; None for all. Of the others a network that `skips_rows`
                returns zeros.

        Returns:
            raw logits [B, actions] and values [B, values] by relative seat; float32, or float64 when computed in it.

        Raises ValueError when the positions are of another game, with as many features as this network does not take.
        """
        if obs.shape[1] != self.config.observation:
            raise ValueError(wrong_width(self.config.observation, obs.shape[1]))
        if self.skips_rows and (found := self._by_kernel(obs, hidden, live, self._forward)) is not None:
            return found
        rows, actions = obs.shape[0], self.config.actions
        # Allocated outside inference mode, so that the caller may change them in place.
        logits = torch.empty(rows, actions, dtype=self.output_dtype, device=self.device)
        values = torch.empty(rows, self.config.values, dtype=self.output_dtype, device=self.device)
        step = self.micro_batch or max(rows, 1)

        @torch.inference_mode()
        def evaluate(first: int, number: int) -> None:
            for start in range(first, first + number, step):
                end = min(start + step, first + number)
                beside = None if hidden is None else self._input(hidden[start:end])
                both = self._evaluate(self._input(obs[start:end]), beside)[: end - start]
                logits[start:end] = both[:, :actions]
                values[start:end] = both[:, actions:]

        threads = current()
        threads.map(evaluate, threads.split(rows, ROWS_PER_THREAD))
        return logits, values

    def _input(self, obs: Tensor) -> Tensor:
        """obs [B, columns] -> [B', columns] in the compute type, B' >= B, padded with zero rows."""
        rows = obs.shape[0]
        obs = obs.to(self.dtype)
        if not self._onednn:
            return obs
        # oneDNN compiles kernels for every new batch size: 17 ms where the evaluation of 1,000 rows takes 8 ms. A
        # search brings another number of leaves with every call, so they are rounded up to a few sizes.
        padded = 1 << (rows - 1).bit_length() if rows < 64 else -(-rows // 64) * 64
        return F.pad(obs, (0, 0, 0, padded - rows)) if padded > rows else obs

    def _evaluate(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """`_forward`, compiled if that was asked for and works."""
        if self._compiled is not None:
            try:
                return self._compiled(x, hidden)
            except torch.OutOfMemoryError:
                raise  # the caller tries a smaller batch
            except Exception as error:  # whatever a missing compiler makes of itself
                self._compiled = None
                reason = (str(error) or type(error).__name__).strip().splitlines()[0]
                log.warning("the network on %s goes on uncompiled%s: %s", self.device, self._uncompiled(), reason)
        return self._forward(x, hidden)

    def _uncompiled(self) -> str:
        """Makes ready to go on without the compiler or the kernel; what else is another then, as words."""
        return ""

    def _forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """x [B, observation], hidden [B, critic] -> logits and values side by side [B, actions + values]."""
        x = self._encode(x)
        both = self._out(self._hidden.relu(x))
        if hidden is None:
            return both
        first, second, last = self._critic
        values = last(second.relu(first.relu(torch.cat([x, hidden], dim=1))))
        return torch.cat([both[:, : self.config.actions], values], dim=1)

    def _encode(self, x: Tensor) -> Tensor:
        """x [B, observation] -> the token that the heads see, [B, dim]."""
        x = self._embed_norm(self._embed(x))
        for attention, norm1, linear1, linear2, norm2 in self._layers:
            x = norm1(attention.add(x, x))
            x = norm2(linear2.add(linear1.relu(x), x))
        return x


@torch.no_grad()
def folded_weights(net: BlobNet) -> list[tuple[Tensor, Tensor]]:
    """The folded form's (weight, bias) pairs in float64, in the order of evaluation.

    Embedding and its norm; attention, norm1, linear1, linear2, norm2 of each layer; hidden layers of policy and value
    stacked; output layers of both on a block diagonal. A norm's weight is [dim], a linear's [out, in].
    """

    def double(module) -> tuple[Tensor, Tensor]:
        return module.weight.detach().double(), module.bias.detach().double()

    norm_weight, norm_bias = double(net.embed_norm)
    pairs = [double(net.embed), (norm_weight, norm_bias + net.position.double())]
    for layer in net.layers:
        value_weight, value_bias = (part.double() for part in layer.self_attn.value_projection())
        out_weight, out_bias = double(layer.self_attn.out_proj)
        pairs += [
            (out_weight @ value_weight, out_weight @ value_bias + out_bias),
            double(layer.norm1),
            double(layer.linear1),
            double(layer.linear2),
            double(layer.norm2),
        ]
    hidden_weights, hidden_biases = zip(double(net.policy_hidden), double(net.value_hidden), strict=True)
    out_weights, out_biases = zip(double(net.policy_out), double(net.value_out), strict=True)
    pairs += [
        (torch.cat(hidden_weights), torch.cat(hidden_biases)),
        (torch.block_diag(*out_weights), torch.cat(out_biases)),
    ]
    return pairs


def _sums_in_place(pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """`folded_weights` of the same function, in which no layer's linear2 has a bias.

    It is in that of norm1 instead, and so in the residual that linear2's product is added to, and taken out of
    linear1's, which sees it too.
    """
    pairs = list(pairs)
    for last in range(SUM, len(pairs) - 2, LAYER):
        (scale, shift), (weight, bias), (product, added) = pairs[last - 2 : last + 1]
        pairs[last - 2 : last + 1] = [
            (scale, shift + added),
            (weight, bias - weight @ added),
            (product, torch.zeros_like(added)),
        ]
    return pairs


@torch.no_grad()
def critic_weights(net: BlobNet) -> list[tuple[Tensor, Tensor]]:
    """The critic's (weight [out, in], bias [out]) pairs in float64, in the order of evaluation; none without one."""
    if not net.config.critic:
        return []
    layers = (net.critic_in, net.critic_hidden, net.critic_out)
    return [(layer.weight.detach().double(), layer.bias.detach().double()) for layer in layers]
