"""Contrast of whole images with small parts of them that show some background or an object (ToCo)."""

import torch
from torch import Tensor

from wsss.methods.void import VOID

BACKGROUND, UNCERTAIN, FOREGROUND = 0, 1, 2


def region_codes(labels: Tensor) -> Tensor:
    """Background 0, unknown 1 and foreground 2, of label maps of any shape with 255 for unknown."""
    codes = torch.where(labels == BACKGROUND, BACKGROUND, FOREGROUND)
    return torch.where(labels == VOID, UNCERTAIN, codes)


def draw_corners(codes: Tensor, chance: Tensor, count: int, side: int) -> Tensor:
    """Choose squares inside an image whose centres are no certain foreground.

    Where an image has fewer such places than are asked for, its other places follow them.

    Args:
        codes: See :func:`region_codes`, (B, H, W).
        chance: A number in [0, 1) for each place of a square's upper left pixel; the highest are taken,
            (B, H - side + 1, W - side + 1).
        count: Squares of an image, P.
        side: Of a square in pixels.

    Returns:
        Row and column of the squares' upper left pixels, int64 (B, P, 2).

    Raises:
        ValueError: For chances that are not as many as there are places, or fewer places than squares.
    """
    rows, columns = (length - side + 1 for length in codes.shape[1:])
    if chance.shape != (len(codes), rows, columns):
        expected = (len(codes), rows, columns)
        raise ValueError(
            f"chance: expected (B, H - side + 1, W - side + 1) = {expected}, found {chance.shape}"
        )
    if rows * columns < count:
        raise ValueError(f"count: expected at most the {rows * columns} places of a square, found {count}")
    centres = codes[:, side // 2 :, side // 2 :][:, :rows, :columns]
    order = (chance + (centres != FOREGROUND)).flatten(1)  # all allowed places before all others
    places = order.topk(count, dim=1).indices
    return torch.stack((places // columns, places % columns), dim=2)


def cut_squares(images: Tensor, corners: Tensor, side: int) -> Tensor:
    """The squares of images, (B, D, H, W) and int64 (B, P, 2) -> (B, P, D, side, side)."""
    along = torch.arange(side, device=images.device)
    rows = corners[..., 0, None, None] + along[:, None]  # (B, P, side, 1)
    columns = corners[..., 1, None, None] + along  # (B, P, 1, side)
    image = torch.arange(len(images), device=images.device)[:, None, None, None]
    return images.permute(0, 2, 3, 1)[image, rows, columns].permute(0, 1, 4, 2, 3)


def are_background(codes: Tensor, corners: Tensor, side: int, most: float) -> Tensor:
    """Which squares have a mean code of at most ``most``, bool (B, P); arguments as :func:`cut_squares`."""
    squares = cut_squares(codes[:, None], corners, side)
    return squares.to(torch.float32).mean((2, 3, 4)) <= most


def crop_contrast(parts: Tensor, wholes: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """Draw parts with an object to their image's code, and push its background away.

    With e(x) = exp(q . x / temperature) for a whole image's code q, and E the sum of e over the image's
    negative parts, each other part p costs -log(e(p) / (e(p) + E)), and the background by itself
    log(1 + E). All that is added up and divided by the number of other parts; the loss is the mean over
    wholes and images.

    By hand, for codes q = (1, 0), p = (1, 0) and n = (0, 1) at temperature 1: E = 1, and the loss is
    log((e + 1) / e) + log 2.

    Args:
        parts: Codes of an image's parts, of length 1, (B, P, E).
        wholes: Codes of its whole views, which are what they are: no gradient reaches them, (B, G, E).
        negative: Which parts are background, bool (B, P).
        temperature: Above 0.

    Returns:
        A scalar.

    Raises:
        ValueError: For shapes that do not match.
    """
    if negative.shape != parts.shape[:2] or (len(wholes), wholes.shape[2]) != (len(parts), parts.shape[2]):
        found = ", ".join(str(tuple(tensor.shape)) for tensor in (parts, wholes, negative))
        raise ValueError(
            f"parts, wholes and negative: expected (B, P, E), (B, G, E) and (B, P), found {found}"
        )
    evidence = (wholes.detach() @ parts.mT / temperature).exp()  # (B, G, P)
    other = ~negative[:, None]
    background = (evidence * negative[:, None]).sum(2, keepdim=True)
    costs = (torch.log1p(background / evidence) * other).sum(2) + torch.log1p(background[..., 0])  # (B, G)
    return (costs / other.sum(2).clamp(min=1)).mean()
