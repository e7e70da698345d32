"""Class maps: normalisation, merging of views, and resizing between grid and image."""

from collections.abc import Sequence
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor


def normalise(maps: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Cut off negative evidence and divide each map by its maximum (AD-CAM, Eq. 2).

    Args:
        maps: Class maps, (K, ...).
        epsilon: Added to the maximum; a map that is nowhere positive stays zero, also with 0.

    Returns:
        Maps in [0, 1], of the same shape.
    """
    return maps.clamp(min=0) / peaks(maps, epsilon)


def peaks(maps: Tensor, epsilon: float = 1e-5) -> Tensor:
    """What :func:`normalise`, which has the same arguments, divides each map by, (K, 1, ...)."""
    if maps.numel() == 0:
        return maps.new_ones(len(maps), *[1] * (maps.ndim - 1))
    peak = maps.flatten(1).amax(1).clamp(min=0) + epsilon
    return peak.clamp(min=torch.finfo(maps.dtype).tiny).view(-1, *[1] * (maps.ndim - 1))


def over_peaks(view_maps: Sequence[Tensor]) -> list[Tensor]:
    """Divide the maps of all views, (K, h, w) each and not negative, by each class's largest value in any.

    What the views add up to keeps its shape; a class that is nowhere positive stays zero.
    """
    if not view_maps:
        return []
    largest = torch.stack([maps.flatten(1).amax(1) for maps in view_maps]).amax(0)  # (K,)
    scale = largest.clamp(min=torch.finfo(largest.dtype).tiny)[:, None, None]
    return [maps / scale for maps in view_maps]


def merge_views(
    view_maps: Sequence[Tensor],
    view_sizes: Sequence[tuple[int, int]],
    mirrored: Sequence[bool],
    size: tuple[int, int],
    *,
    stride: int | None,
    grid: int = 4,
) -> Tensor:
    """Add the maps of an image's views on one grid and divide each class by its maximum once, at the end.

    The centre of each cell of the target grid is mapped into each view by the ratio of the sizes, mirrored
    where the view is, and read off the view's map bilinearly. A network's padding is never read as image.

    Args:
        view_maps: The maps of each view as the network saw it, not flipped back, nor negative, (K, h, w).
        view_sizes: Height and width of each view's image in pixels, before padding.
        mirrored: Which views are mirror images.
        size: Height and width (H, W) of the image.
        stride: Pixels a cell of a view's map covers, for networks that pad; None where a map spans its view.
        grid: Pixels of the image a cell of the result covers.

    Returns:
        Maps in [0, 1], (K, ceil(H / grid), ceil(W / grid)).
    """
    if not len(view_maps) == len(view_sizes) == len(mirrored) > 0:
        found = (len(view_maps), len(view_sizes), len(mirrored))
        raise ValueError(f"expected as many maps as sizes and mirror marks, at least one, found {found}")
    views = zip(view_maps, view_sizes, mirrored, strict=True)
    placed = [_placed(maps, view, mirror, size, stride, grid) for maps, view, mirror in views]
    return normalise(torch.stack(placed).sum(0))


def upsample_maps(maps: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Enlarge maps bilinearly by a whole factor and crop them to the image.

    Args:
        maps: Class maps, (K, ceil(H / stride), ceil(W / stride)).
        stride: Pixels a cell covers.
        size: Height and width (H, W) of the image.

    Returns:
        Maps of the image's size, (K, H, W).
    """
    expected = (len(maps), *(ceil(side / stride) for side in size))
    if maps.shape != expected:
        raise ValueError(f"maps: expected (K, h, w) = {expected}, found {tuple(maps.shape)}")
    if len(maps) == 0:
        return maps.new_zeros(0, *size)
    enlarged = F.interpolate(maps[None], scale_factor=float(stride), mode="bilinear", align_corners=False)
    return enlarged[0, :, : size[0], : size[1]]


def regrid(maps: Tensor, view: tuple[int, int], size: tuple[int, int], grid: int = 4) -> Tensor:
    """Read maps of an image at one size on the grid of the same image at another size, bilinearly.

    Args:
        maps: Class maps, (K, ceil(view H / grid), ceil(view W / grid)).
        view: Height and width of the image that they are of, in pixels.
        size: Height and width (H, W) that are asked for; the maps are returned as they are if it is the same.
        grid: Pixels a cell covers, of both.

    Returns:
        Maps, (K, ceil(H / grid), ceil(W / grid)).
    """
    return maps if view == size else _placed(maps, view, False, size, grid, grid)


def _placed(
    maps: Tensor,
    view: tuple[int, int],
    mirror: bool,
    size: tuple[int, int],
    stride: int | None,
    grid: int,
) -> Tensor:
    """One view's maps on the image's grid, (K, ceil(H / grid), ceil(W / grid))."""
    if maps.ndim != 3:
        raise ValueError(f"view maps: expected (K, h, w), found {tuple(maps.shape)}")
    rows = _reading(maps, maps.shape[1], view[0], size[0], stride, grid, False)  # (H', h)
    columns = _reading(maps, maps.shape[2], view[1], size[1], stride, grid, mirror)  # (W', w)
    return rows @ maps @ columns.t()


def _reading(
    like: Tensor,
    cells: int,
    view_side: int,
    side: int,
    stride: int | None,
    grid: int,
    mirror: bool,
) -> Tensor:
    """Bilinear weights with which each target cell along one side reads a view's cells, (targets, cells)."""
    cell = stride or view_side / cells
    if stride and ceil(view_side / stride) != cells:
        expected = f"{ceil(view_side / stride)} cells of {stride} px"
        raise ValueError(f"view maps: expected {expected} for a side of {view_side} px, found {cells}")
    target = torch.arange(ceil(side / grid), dtype=torch.float64, device=like.device)
    centre = (grid * target + grid / 2) * (view_side / side)  # in pixels of the view
    centre = view_side - centre if mirror else centre
    place = (centre / cell - 0.5).clamp(0, cells - 1)
    low = place.floor().clamp(max=max(cells - 2, 0)).long()
    share = place - low
    weights = torch.zeros(len(target), cells, dtype=torch.float64, device=like.device)
    weights.scatter_add_(1, low[:, None], 1 - share[:, None])
    weights.scatter_add_(1, (low + 1).clamp(max=cells - 1)[:, None], share[:, None])
    return weights.to(like.dtype)
