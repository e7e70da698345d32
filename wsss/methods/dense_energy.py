"""Energy of a soft segmentation under a dense CRF: neighbours of like colour should have one label."""

import torch
from torch import Tensor

from wsss.methods.whole_batch import whole_batch


def dense_energy(probabilities: Tensor, images: Tensor, *, place: float, colour: float) -> Tensor:
    """Mean chance that two cells have different labels, over pairs weighted by nearness and likeness.

    The weight of cells i and j is exp(-|x_i - x_j|^2 / (2 place^2) - |c_i - c_j|^2 / (2 colour^2)), places
    measured in sides of the image; the chance is 1 - sum over labels of S_i S_j. All pairs of two cells are
    formed, so the grid should be coarse: time and memory grow with (h w)^2. No gradient reaches the images.

    Args:
        probabilities: S, which sum to one over the labels, (B, L, h, w).
        images: Pictures on the same grid, normalised or not, (B, 3, h, w).
        place: Deviation in space, a part of the image's side.
        colour: Deviation in the units of the images' values.

    Returns:
        A scalar from 0 to 1, the mean over the images; 0 for a single cell.

    Raises:
        ValueError: For shapes that do not match.
    """
    if probabilities.ndim != 4 or images.shape != (len(probabilities), 3, *probabilities.shape[2:]):
        expected = (len(probabilities), 3, *probabilities.shape[2:])
        raise ValueError(f"images: expected (B, 3, h, w) = {expected}, found {tuple(images.shape)}")
    weights = _weights(images, place, colour)  # (B, N, N)
    cells = probabilities.flatten(2)  # (B, L, N)
    agreement = ((cells @ weights) * cells).sum((1, 2))  # (B,)
    total = weights.sum((1, 2))
    energies = (total - agreement) / total.clamp(min=torch.finfo(total.dtype).tiny)
    summed, count = whole_batch(energies.sum(), torch.tensor(len(energies), device=energies.device))
    return summed / count


@torch.no_grad()
def _weights(images: Tensor, place: float, colour: float) -> Tensor:
    """Weights of all pairs, 0 of a cell with itself, (B, N, N)."""
    height, width = images.shape[2:]
    rows = (torch.arange(height, device=images.device, dtype=images.dtype) / height)[:, None]
    columns = torch.arange(width, device=images.device, dtype=images.dtype) / width
    places = torch.stack((rows.expand(height, width), columns.expand(height, width))).expand(
        len(images), -1, -1, -1
    )
    seen = torch.cat((places / place, images / colour), dim=1).flatten(2).mT  # (B, N, 5)
    weights = (-torch.cdist(seen, seen).square() / 2).exp()
    return weights * ~torch.eye(height * width, dtype=torch.bool, device=images.device)
