"""Two networks that share nothing: a CNN gives the class maps, a transformer the attention between cells.

It is AD-CAM's stop-gradient taken to its end. A transformer that does not learn needs no labels at all.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.attending import create_attending, run_transformer
from wsss.models.cnn_classifier import CnnClassifier
from wsss.models.colours import arguments_of
from wsss.models.outputs import ClassifierOutput, check_images, pad_to_multiple

if TYPE_CHECKING:
    from wsss.config.classifiers import PairCnn, PairTransformer

Colours = tuple[list[float], list[float]]  # mean and deviation of R, G, B in 0..1


class Pair(nn.Module):
    """A :class:`CnnClassifier` beside a transformer whose patch tokens lie on the cells of the class maps.

    A cell of the CNN's stride s and a token of the transformer's patch p see the same pixels: images are
    padded to whole cells, and for the transformer resized by p / s (bilinear, with antialiasing), which for
    p = s is nothing. The transformer's colours are normalised its own way.

    Args:
        num_classes: Classes C.
        cnn: Settings of the CNN.
        vit: Settings of the transformer, with the colours that its weights expect. If it learns it has a
            linear head on its class token. Otherwise it keeps its weights, has no head, is always in
            evaluation mode and only runs where attention is asked for.
        colours: By which the images come normalised.

    Attributes:
        cnn: The CNN, with its head.
        vit: timm's transformer, under timm's own parameter names.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        cnn: "PairCnn",
        vit: "PairTransformer",
        colours: Colours,
    ) -> None:
        super().__init__()
        self.cnn = CnnClassifier(num_classes=num_classes, **arguments_of(cnn))
        self.stride = self.token_stride = self.cnn.stride
        self.vit = create_attending(vit.model, vit.arguments)
        self.learns = vit.learns
        self.token_head = nn.Linear(self.vit.embed_dim, num_classes) if self.learns else None
        if self.token_head is not None:
            nn.init.trunc_normal_(self.token_head.weight, std=0.02)
            nn.init.zeros_(self.token_head.bias)
        self.vit.requires_grad_(self.learns)
        scale, shift = _recolour(colours, vit.colours)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self.train()

    def train(self, mode: bool = True) -> "Pair":
        """Switch the mode of what learns; a transformer that does not stays in evaluation mode."""
        super().train(mode)
        if not self.learns:
            self.vit.eval()
        return self

    def forward(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images of any size.

        Args:
            images: Images normalised for the CNN, (B, 3, H, W).
            attention: Whether to return attention and features; training does without.

        Returns:
            The CNN's logits (B, C) and class maps (B, C, h, w) with h = ceil(H / stride); the transformer's
            logits (B, C) if it learns, attention (B, L, N+1, N+1) with N = h * w and features (B, N, D).
        """
        check_images(images)
        output = self.cnn(images)
        if not attention and not self.learns:
            return output
        height, width = output.class_maps.shape[2:]
        with torch.set_grad_enabled(self.learns and torch.is_grad_enabled()):
            tokens, weights = run_transformer(self.vit, self._seen(images, (height, width)), attention)
        logits = None if self.token_head is None else self.token_head(tokens[:, 0])
        features = tokens[:, self.vit.num_prefix_tokens :] if attention else None
        return output._replace(vit_logits=logits, attention=weights, features=features)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters, each once: ``cnn`` and, if it learns, the transformer with its head."""
        head = [] if self.token_head is None else list(self.token_head.parameters())
        vit = [parameter for parameter in self.vit.parameters() if parameter.requires_grad]
        return {"cnn": self.cnn.parameter_groups()["cnn"], "vit": [*vit, *head]}

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the heads, which start at random."""
        head = [] if self.token_head is None else list(self.token_head.parameters())
        return [*self.cnn.head_parameters(), *head]

    def map_head(self) -> nn.Module:
        """The CNN's head."""
        return self.cnn.map_head()

    def _seen(self, images: Tensor, grid: tuple[int, int]) -> Tensor:
        """The images as the transformer sees them, (B, 3, h * patch, w * patch)."""
        padded = pad_to_multiple(images * self.scale + self.shift, self.stride)
        patch = self.vit.patch_embed.feat_ratio()
        if patch == self.stride:
            return padded
        size = (grid[0] * patch, grid[1] * patch)
        return F.interpolate(padded, size, mode="bilinear", antialias=True)


def _recolour(given: Colours, wanted: Colours) -> tuple[Tensor, Tensor]:
    """Factor and summand, (3, 1, 1) each, from images normalised one way to another."""
    (mean, std), (own_mean, own_std) = (
        tuple(torch.tensor(values, dtype=torch.float64, device="cpu")[:, None, None] for values in colours)
        for colours in (given, wanted)
    )
    return (std / own_std).float(), ((mean - own_mean) / own_std).float()
