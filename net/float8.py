"""The inference form with 8-bit floating-point products in the encoder, for GPUs that multiply them (Ada, Hopper)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from net.blobnet import BlobNet
from net.by_kernel import ByKernel
from net.calibration import Span, activation_spans, encoder_layers
from net.inference import InferenceNet, critic_weights, folded_weights

E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max  # 448
HEADROOM = 2.0  # a factor of two costs a floating-point type no precision, and leaves room for what was not calibrated


class Float8Net(InferenceNet):
    """An `InferenceNet` that multiplies 8-bit floats in its encoder layers, 95% of the document network.

    Type E4M3 of Micikevicius et al., "FP8 Formats for Deep Learning" (2022): four bits of exponent, three of mantissa.
    Weights and activations have one scale a matrix each, the activations' from ``observations``; a value beyond the
    scale's range is cut off. Sums are float32; norms, residual stream, embedding and heads bfloat16. The scales are
    fixed, so rows do not see each other, and lie in fixed storage, so that a captured CUDA graph sees new ones.

    A GPU evaluates it by one kernel (`net.fused`) or compiled. Where there is no kernel, or compiling it fails, it goes
    on in bfloat16, and the log says so: rounding in passes of its own would make it slower than that. A CPU computes
    the same function, which is how it is tested, and slowly.

    Args:
        net: the source; its weights are copied.
        observations: [K, observation] positions like those to come.
        device: where it runs; the source's device when None.
        micro_batch: as of `InferenceNet`.
        compile: likewise.

    Raises ValueError where this device or this PyTorch cannot do it, without observations, or for a network whose
    dimensions are no multiples of 16.
    """

    sums_in_place = False  # its products are of weights that have their biases

    def __init__(
        self,
        net: BlobNet,
        observations: Tensor,
        device: torch.device | str | None = None,
        micro_batch: int | None = None,
        compile: bool = False,
    ):
        where = net.position.device if device is None else torch.device(device)
        if not float8_products(where):
            raise ValueError(
                f"float8 needs a GPU of compute capability 8.9 (Ada) or 9.0 (Hopper) or above, not {where}"
            )
        if len(observations) == 0:
            raise ValueError("float8 needs observations, to take the ranges of the activations from")
        if net.config.dim % 16 or net.config.ffn % 16:
            raise ValueError(f"float8 needs dimensions that 16 divides, not {net.config.dim} and {net.config.ffn}")
        super().__init__(net, torch.bfloat16, where, micro_batch, compile, fused=False)
        self._observations = observations.to(self.device, torch.float32)
        self._float8 = [
            [_Float8Linear(*pair, span, self.device) for pair, span in zip(matrices, spans, strict=True)]
            for matrices, spans in self._quantised(net)
        ]
        self._bfloat16 = self._layers
        self._layers = [
            (attention, norm1, linear1, linear2, norm2)
            for (attention, linear1, linear2), (_, norm1, _, _, norm2) in zip(self._float8, self._layers, strict=True)
        ]
        if where.type == "cuda" and not compile:
            pairs, critic = folded_weights(net), critic_weights(net)
            self._by_kernel = ByKernel(self.config, pairs, critic, self.device, self._uncompiled, self._eighths())

    def _uncompiled(self) -> str:
        self._layers = self._bfloat16
        return " in bfloat16"

    @property
    def rounds(self) -> bool:
        """Whether it multiplies 8-bit floats: compiling it has not failed so far."""
        return self._layers is not self._bfloat16

    def refresh(self, net: BlobNet) -> None:
        if net.config == self.config:
            for layer, (matrices, spans) in zip(self._float8, self._quantised(net), strict=True):
                for linear, pair, span in zip(layer, matrices, spans, strict=True):
                    linear.load(*pair, span)
        super().refresh(net)

    def _eighths(self) -> list[_Float8Linear]:
        return [linear for layer in self._float8 for linear in layer]

    def _quantised(self, net: BlobNet) -> list[tuple[list[tuple[Tensor, Tensor]], tuple[Span, Span, Span]]]:
        """Of each encoder layer, attention, linear1 and linear2 in float32, and what goes into them."""
        pairs = [(weight.to(self.device).float(), bias.to(self.device).float()) for weight, bias in folded_weights(net)]
        matrices = [[attention, linear1, linear2] for attention, _, linear1, linear2, _ in encoder_layers(pairs)]
        return list(zip(matrices, activation_spans(pairs, self._observations), strict=True))


class _Float8Linear:
    """As `net.inference._Linear`: y = x W^T + b in bfloat16, from x and W [out, in] rounded to E4M3."""

    def __init__(self, weight: Tensor, bias: Tensor, span: Span, device: torch.device):
        self.weight = torch.empty(weight.shape, dtype=E4M3, device=device)
        self.bias = torch.empty(bias.shape, dtype=torch.bfloat16, device=device)
        self.weight_scale, self.input_scale = torch.empty(2, device=device)  # float32, of no dimension
        self.load(weight, bias, span)

    def load(self, weight: Tensor, bias: Tensor, span: Span) -> None:
        self.input_scale.fill_(max(-span[0], span[1], 1e-12) * HEADROOM / LARGEST)
        self.weight_scale.copy_(weight.abs().amax().clamp(min=1e-12) / LARGEST)
        self.weight.copy_(rounded(weight, self.weight_scale))
        self.bias.copy_(bias)

    def __call__(self, x: Tensor) -> Tensor:
        scales = {"scale_a": self.input_scale, "scale_b": self.weight_scale}
        x = rounded(x, self.input_scale)
        types = {"out_dtype": torch.bfloat16, "use_fast_accum": True}  # sums within a tile need not be float32's
        return torch._scaled_mm(x, self.weight.t(), bias=self.bias, **types, **scales)

    def relu(self, x: Tensor) -> Tensor:
        return self(x).relu_()

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return self(x).add_(residual)


def rounded(x: Tensor, scale: Tensor) -> Tensor:
    """x / scale in E4M3, cut off at its largest value, beyond which a cast would make NaN."""
    return (x.float() / scale).clamp(-LARGEST, LARGEST).to(E4M3)


@functools.cache
def float8_products(device: torch.device) -> bool:
    """Whether the device multiplies E4M3 matrices at all, a CPU in its slow way included."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 9):
        return False
    try:
        one = torch.ones((), device=device)
        x = torch.eye(16, device=device).to(E4M3)
        product = torch._scaled_mm(
            x, x.t(), scale_a=one, scale_b=one, bias=one.bfloat16().expand(16).contiguous(), out_dtype=torch.bfloat16
        )
        return bool((product == torch.eye(16, device=device) + 1).all())
    except (AttributeError, RuntimeError, NotImplementedError, ValueError):
        return False
