"""Feature pyramids of timm models: residual networks, other CNNs and vision transformers alike."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import timm
from timm.models import model_entrypoint
from timm.models.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from wsss.models.outputs import pad_to_multiple
from wsss.models.timm_cnns import create_cnn

if TYPE_CHECKING:
    from wsss.config.networks import Backbone

# timm's modules whose transformers take images of any size by resampling the position embedding
RESIZABLE = ("deit", "eva", "vision_transformer")


class TimmBackbone(nn.Module):
    """A timm model seen as a pyramid of features; ``model`` keeps timm's own parameter names.

    Args:
        model: timm's name of the model, with or without the tag of its weights.
        arguments: Further arguments of timm's constructor.
        output_stride: Stride of the last feature where the model offers the choice (8, 16 or 32); None leaves
            it alone.
        out_indices: Which features to return; None returns all of a CNN, and the last block of each quarter
            of a transformer.
        dilate: Whether the stages of a CNN that lose their stride are dilated instead.
        caffe_style: The layout of Caffe's ResNets, as DeepLab uses it: the stride in the 1x1 convolution, the
            pooling of the stem rounding up, and dilation from a stage's first block on.

    Attributes:
        channels: Channels of each feature.
        strides: Stride of each feature.
    """

    def __init__(
        self,
        model: str,
        arguments: Mapping[str, Any] | None = None,
        output_stride: int | None = None,
        out_indices: Sequence[int] | None = None,
        dilate: bool = True,
        caffe_style: bool = False,
    ) -> None:
        super().__init__()
        self.model = _create(model, arguments or {}, output_stride, dilate)
        self.residual = isinstance(self.model, ResNet)
        if caffe_style:
            _move_strides(self.model, model)
        if caffe_style and dilate:
            for stage in (self.model.layer1, self.model.layer2, self.model.layer3, self.model.layer4):
                _level_dilation(stage)
        channels, strides = _describe(self.model)
        self.uniform = len(set(strides)) == 1
        self.out_indices = _choose(out_indices, len(strides), self.uniform)
        self.channels = [channels[index] for index in self.out_indices]
        self.strides = [strides[index] for index in self.out_indices]
        # residual networks round up by themselves; others drop or misplace a partial patch
        self.multiple = 1 if self.residual else max(strides)
        if self.uniform and output_stride not in (None, strides[0]):
            raise ValueError(f"output_stride of {model}: expected {strides[0]}, found {output_stride}")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features.

        Args:
            images: Normalised images, (B, 3, H, W), of any size.

        Returns:
            One tensor for each chosen feature, (B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])).
        """
        if self.residual:
            return self._residual_features(images)
        height, width = images.shape[-2:]
        features = self.model.forward_intermediates(
            pad_to_multiple(images, self.multiple),
            indices=self.out_indices,
            norm=self.uniform,
            intermediates_only=True,
        )
        return [
            feature[..., : -(-height // stride), : -(-width // stride)]
            for feature, stride in zip(features, self.strides, strict=True)
        ]

    def _residual_features(self, images: Tensor) -> list[Tensor]:
        net = self.model
        features = [net.maxpool(net.act1(net.bn1(net.conv1(images))))]
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            features.append(stage(features[-1]))
        return [features[index] for index in self.out_indices]


def build_backbone(backbone: "Backbone") -> TimmBackbone:
    """Build a backbone, randomly initialised, from its settings."""
    return TimmBackbone(**backbone.model_dump())


def _create(model: str, arguments: Mapping[str, Any], output_stride: int | None, dilate: bool) -> Any:
    """Build a CNN at its output stride, or a transformer, which has but one stride and any size."""
    resizable = timm.is_model(model) and model_entrypoint(model).__module__.rpartition(".")[2] in RESIZABLE
    if resizable:
        return create_cnn(model, {"dynamic_img_size": True, **arguments})
    return create_cnn(model, arguments, output_stride, dilate=dilate)


def _describe(model: nn.Module) -> tuple[list[int], list[int]]:
    """Channels and strides of all features; a residual network's first one is taken after the pooling."""
    if not hasattr(model, "forward_intermediates"):
        raise ValueError(f"timm's {type(model).__name__} gives no intermediate features; choose another")
    info: list[dict[str, Any]] = list(cast(Any, model).feature_info)
    channels = [entry["num_chs"] for entry in info]
    strides = [entry["reduction"] for entry in info]
    if isinstance(model, ResNet):
        strides[0] = 4
    return channels, strides


def _choose(out_indices: Sequence[int] | None, count: int, uniform: bool) -> list[int]:
    if out_indices is None:
        return sorted({max(count * q // 4 - 1, 0) for q in (1, 2, 3, 4)}) if uniform else list(range(count))
    chosen = [index % count for index in out_indices if -count <= index < count]
    if len(chosen) != len(out_indices) or chosen != sorted(set(chosen)):
        found = list(out_indices)
        raise ValueError(f"out_indices: expected ascending indices of {count} features, found {found}")
    return chosen


def _move_strides(model: nn.Module, name: str) -> None:
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    if not isinstance(model, ResNet) or not isinstance(model.maxpool, nn.MaxPool2d) or not blocks:
        raise ValueError(f"caffe_style needs a residual network of bottleneck blocks, found {name}")
    model.maxpool.ceil_mode = True
    for block in blocks:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def _level_dilation(stage: nn.Module) -> None:
    """Give all 3x3 convolutions of a stage its largest dilation; timm lets the first block lag."""
    convolutions = [m for m in stage.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    dilation = max(conv.dilation for conv in convolutions)
    for conv in convolutions:
        conv.dilation, conv.padding = dilation, dilation
