"""Any CNN of timm as a classifier with class maps at a chosen output stride."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import timm
import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.outputs import ClassifierOutput, check_images, pad_to_multiple

OWN_STRIDE = 32  # of timm's CNNs, which is never asked for
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
        self.backbone = _create(model, arguments or {}, output_stride, dilate)
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
            Logits (B, C) and class maps (B, C, ceil(H/stride), ceil(W/stride)); nothing of tokens.
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
        return ClassifierOutput(logits, None, class_maps, None)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters, each once: all are in ``cnn``, ``vit`` is empty."""
        return {"cnn": [p for p in self.parameters() if p.requires_grad], "vit": []}

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the head, which starts at random."""
        return list(self.classifier.parameters())

    def _frozen_modules(self, model: str) -> Iterator[nn.Module]:
        known = dict(self.backbone.named_modules())
        for name in self.frozen:
            if name not in known or not name:
                raise ValueError(
                    f"frozen: timm model {model!r} has no module {name!r}; it has {_stages(self.backbone)}"
                )
            yield known[name]


def _create(model: str, arguments: Mapping[str, Any], output_stride: int, dilate: bool) -> Any:
    """Build the network without head or weights, or say why this model cannot serve."""
    if not timm.is_model(model):
        raise ValueError(f"timm {timm.__version__} has no model {model!r}")
    asked = {} if output_stride == OWN_STRIDE else {"output_stride": output_stride}
    options = {"num_classes": 0, **asked, **arguments}
    try:
        network = timm.create_model(model, pretrained=False, **options)
    except (TypeError, AssertionError, NotImplementedError) as error:
        hint = f"; where output_stride is not offered, take {OWN_STRIDE} or another model" if asked else ""
        said = str(error) or type(error).__name__
        raise ValueError(f"timm model {model!r} does not take {options}: {said}{hint}") from error
    if not hasattr(network, "forward_features"):
        raise ValueError(f"timm model {model!r}: expected a network with forward_features, found none")
    if asked and not dilate:
        _undo_dilation(network, model, {"num_classes": 0, **arguments})
    return network


def _undo_dilation(network: nn.Module, model: str, own: Mapping[str, Any]) -> None:
    """Give all convolutions the dilation that they have at timm's own stride, and padding to fit."""
    with torch.device("meta"):  # of this one only the settings are read
        original = timm.create_model(model, pretrained=False, **own)
    for name, conv in network.named_modules():
        if isinstance(conv, nn.Conv2d):
            wanted = cast(nn.Conv2d, original.get_submodule(name)).dilation
            if isinstance(conv.padding, tuple):
                conv.padding = tuple(map(_padding, conv.padding, conv.kernel_size, conv.dilation, wanted))
            conv.dilation = wanted


def _padding(padding: int, kernel: int, dilation: int, wanted: int) -> int:
    """Padding that keeps the size as before; what pads itself on the fly has 0 and keeps it."""
    return wanted * (kernel - 1) // 2 if padding == dilation * (kernel - 1) // 2 else padding


@torch.no_grad()
def _channels(network: Any, model: str, stride: int) -> int:
    """Channels of the last features, which must be a map of cells of ``stride`` pixels."""
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
