"""Networks and their inference form. See `BlobNet` and `InferenceNet`."""

from net.blobnet import PRESETS, BlobNet, NetConfig, parameter_count
from net.inference import InferenceNet, default_inference_dtype

__all__ = ["PRESETS", "BlobNet", "InferenceNet", "NetConfig", "default_inference_dtype", "parameter_count"]
