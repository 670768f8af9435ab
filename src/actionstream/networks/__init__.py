"""The PyTorch modules: encoders, heads and the OOD score. They need the extra `train`."""

from actionstream.errors import MissingExtraError

try:
    import timm  # noqa: F401
    import torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("actionstream.networks", "train") from error
