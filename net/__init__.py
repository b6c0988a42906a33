"""Networks and their inference form. See `BlobNet` and `InferenceNet`."""

from net.blobnet import PRESETS, BlobNet, NetConfig, parameter_count
from net.inference import InferenceNet, default_inference_dtype
from net.int8 import Int8Net, int8_available

__all__ = [
    "PRESETS",
    "BlobNet",
    "InferenceNet",
    "Int8Net",
    "NetConfig",
    "default_inference_dtype",
    "int8_available",
    "parameter_count",
]
