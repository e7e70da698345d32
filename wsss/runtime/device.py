"""Where this process computes."""

import torch


def device() -> torch.device:
    """The first visible GPU, or the CPU where there is none (or where the job asked for none)."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
