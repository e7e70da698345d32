"""Any CNN of timm as a classifier with class maps at a chosen output stride."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.outputs import ClassifierOutput, check_images, pad_to_multiple
from wsss.models.timm_cnns import create_cnn

PROBE = (4, 6)  # cells of the picture that a new network is tried on


class CnnClassifier(nn.Module):
    """A timm CNN whose head is a 1x1 convolution on its last features; it has no attention.

    IRN's network (Ahn et al., CVPR 2019) is ``resnet50.tv_in1k`` without dilation, its stem and first two
    stages frozen. The head reads what timm's own classifier pools: behind the last 1x1 convolution of an
    EfficientNet, for instance. Gradients stop by themselves before the last frozen module.

    Args:
        model: timm's name of the model, with or without the tag of its weights.
        num_classes: Classes C of the head.
        arguments: Further arguments of timm's constructor.
        output_stride: Image pixels a cell of the class maps; where it is not timm's own 32, the constructor
            must offer it.
        dilate: Whether the stages that lose their stride are dilated instead, as timm does it.
        frozen: Names of timm's modules (``layer1``, ``blocks.0``) that do not learn and stay in evaluation
            mode.
        fixed_statistics: Whether batch normalisation uses its running statistics in training, too.
        bias: Whether the head has a bias; class maps are without it in any case.

    Attributes:
        backbone: timm's network, under timm's own parameter names.
    """

    token_stride = None

    def __init__(
        self,
        model: str,
        num_classes: int,
        *,
        arguments: Mapping[str, Any] | None = None,
        output_stride: int = 16,
        dilate: bool = True,
        frozen: Sequence[str] = (),
        fixed_statistics: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.stride = output_stride
        self.frozen = tuple(frozen)
        self.fixed_statistics = fixed_statistics
        self.backbone = create_cnn(model, arguments or {}, output_stride, dilate=dilate)
        self.classifier = nn.Conv2d(_channels(self.backbone, model, output_stride), num_classes, 1, bias=bias)
        for module in self._frozen_modules(model):
            module.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "CnnClassifier":
        """Switch the mode of all but what is frozen or keeps its statistics, and so stays in evaluation."""
        super().train(mode)
        for name in self.frozen:
            self.backbone.get_submodule(name).eval()
        for module in self.modules():
            if self.fixed_statistics and isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images of any size.

        A residual network rounds its grid up in every layer; other images are padded right and bottom.

        Args:
            images: Normalised images, (B, 3, H, W).
            attention: Accepted for the common interface; a CNN has none.

        Returns:
            Logits (B, C), class maps (B, C, ceil(H/stride), ceil(W/stride)) and the features that they are
            made of; nothing of tokens.
        """
        check_images(images)
        residual = isinstance(self.backbone, ResNet)
        features = self.backbone.forward_features(
            images if residual else pad_to_multiple(images, self.stride)
        )
        class_maps = F.conv2d(features, self.classifier.weight)
        logits = class_maps.mean((2, 3))
        if self.classifier.bias is not None:
            logits = logits + self.classifier.bias
        return ClassifierOutput(logits, None, class_maps, None, map_features=features)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters, each once: all are in ``cnn``, ``vit`` is empty."""
        return {"cnn": [p for p in self.parameters() if p.requires_grad], "vit": []}

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the head, which starts at random."""
        return list(self.classifier.parameters())

    def map_head(self) -> nn.Module:
        """The head."""
        return self.classifier

    def _frozen_modules(self, model: str) -> Iterator[nn.Module]:
        known = dict(self.backbone.named_modules())
        for name in self.frozen:
            if name not in known or not name:
                raise ValueError(
                    f"frozen: timm model {model!r} has no module {name!r}; it has {_stages(self.backbone)}"
                )
            yield known[name]


@torch.no_grad()
def _channels(network: Any, model: str, stride: int) -> int:
    """Channels of the last features, which must be a map of cells of ``stride`` pixels."""
    if not hasattr(network, "forward_features"):
        raise ValueError(f"timm model {model!r}: expected a network with forward_features, found none")
    network.eval()
    expected = f"timm model {model!r}: expected features of one cell for {stride} x {stride} pixels"
    try:
        features = network.forward_features(torch.zeros(1, 3, *(cells * stride for cells in PROBE)))
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        said = str(error) or type(error).__name__
        raise ValueError(f"{expected} from images of any size, found an error: {said}") from error
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) != 4 or shape[2:] != PROBE:
        raise ValueError(f"{expected}, (1, D, {PROBE[0]}, {PROBE[1]}) here, found {shape}")
    return int(shape[1])


def _stages(network: nn.Module) -> str:
    """Names of the modules and, of containers, of their parts."""
    return ", ".join(
        name + (f" ({name}.0 to {name}.{len(module) - 1})" if isinstance(module, nn.Sequential) else "")
        for name, module in network.named_children()
    )
