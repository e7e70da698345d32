"""DeepLabV2 on mmsegmentation: a timm backbone, atrous spatial pyramid pooling, a loss over several scales.

Importing this module imports mmsegmentation, which takes seconds; nothing else in the project does.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from wsss.methods.segmentation_loss import LOSSES, resize_labels, strongest_scale
from wsss.models.backbones import TimmBackbone
from wsss.models.deeplabv2_network import BY_BACKBONE, atrous_convolutions, default_norm, pooled
from wsss.models.mmseg_import import compiled_operators_optional
from wsss.models.outputs import check_images

if TYPE_CHECKING:
    from wsss.config.segmenters import SegmenterNetwork

with compiled_operators_optional():
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.models.segmentors import EncoderDecoder
    from mmseg.registry import MODELS

MODELS.register_module(module=TimmBackbone)


def default_optimizer(backbone: TimmBackbone) -> Literal["sgd", "adamw"]:
    """DeepLab's gradient descent for a residual network, AdamW for any other."""
    return "sgd" if backbone.residual else "adamw"


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """Sum of biased 3x3 convolutions at several atrous rates, drawn from N(0, 0.01) (DeepLab, section 3.2).

    Args:
        rates: Atrous rates, one for each convolution.
        num_classes: Number of classes with background.
        norm: Key of ``NORMS``. A ResNet's last feature is what its weights were drawn for; that of many other
            networks is a linear layer's, of any scale, and without ``layer`` the training leaves its range.
        **arguments: Further arguments of mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self, rates: Sequence[int], num_classes: int, norm: str | None = None, **arguments: Any
    ) -> None:
        classes = {"channels": num_classes, "num_classes": num_classes, "out_channels": num_classes}
        loss = {"type": "CrossEntropyLoss", "avg_non_ignore": True}
        super().__init__(dropout_ratio=0, init_cfg=None, loss_decode=loss, **classes, **arguments)
        # the convolutions below give the classes themselves
        del self.conv_seg
        self.norm = norm
        self.convolutions = atrous_convolutions(self.in_channels, num_classes, rates)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits (B, C, h, w) from a pyramid of features, of which the last is used."""
        return pooled(self._transform_inputs(inputs), self.convolutions, self.norm)


@MODELS.register_module()
class MultiScaleEncoderDecoder(EncoderDecoder):
    """Segmentation network trained at several scales at once, with batch normalisation frozen.

    Args:
        multi_scale: Scales besides 1 at which the images are seen in training.
        criterion: Name of the loss, a key of ``LOSSES``.
        **arguments: Arguments of mmseg's ``EncoderDecoder``.
    """

    def __init__(self, multi_scale: Sequence[float], criterion: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.multi_scale, self.criterion = tuple(multi_scale), criterion
        for norm in self._batch_norms():
            norm.requires_grad_(False)

    def _init_decode_head(self, decode_head: Mapping[str, Any]) -> None:
        found = {"in_channels": self.backbone.channels[-1], "norm": default_norm(self.backbone)}
        super()._init_decode_head({**found, **decode_head})

    def train(self, mode: bool = True) -> Self:
        """Switch the network; batch normalisation always uses its running statistics."""
        super().train(mode)
        for norm in self._batch_norms():
            norm.eval()
        return self

    def init_weights(self) -> None:
        """Keep the weights: they were drawn at construction, and pretrained ones may have replaced them."""

    def logits(self, images: Tensor) -> Tensor:
        """Classify at one scale.

        Args:
            images: Normalised images, (B, 3, H, W), of any size.

        Returns:
            Logits at the stride of the backbone, (B, C, h, w).
        """
        check_images(images)
        logits: Tensor = self.decode_head(self.extract_feat(images))
        return logits

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Classify at every scale of the training.

        Args:
            images: Normalised images, (B, 3, H, W).

        Returns:
            Logits of the images, of the images resized to each scale of ``multi_scale``, and the largest of
            all these on the grid of the first.
        """
        resized = [
            F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
            for scale in self.multi_scale
        ]
        scales = [self.logits(view) for view in (images, *resized)]
        return [*scales, strongest_scale(scales)] if resized else scales

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compare every scale, and their maximum, with the labels; the training minimises the sum.

        Args:
            images: Normalised images, (B, 3, H, W).
            labels: Labels 0..C-1, 255 for unknown, (B, H, W).

        Returns:
            A scalar for each scale, ``loss_1``, ``loss_0.5``, ..., and ``loss_max``.
        """
        names = ["loss_1", *(f"loss_{scale:g}" for scale in self.multi_scale), "loss_max"]
        pyramid = self.pyramid(images)
        return {
            name: LOSSES[self.criterion](logits, resize_labels(labels, (logits.shape[-2], logits.shape[-1])))
            for name, logits in zip(names, pyramid, strict=False)
        }

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses in the form that mmseg's own training calls; see :meth:`losses`."""
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        return self.losses(inputs, labels)

    def parameter_groups(
        self, lr: float, weight_decay: float, head: float = 10, bias: float = 20
    ) -> list[dict[str, Any]]:
        """Divide what learns: the head's weights at ten times the backbone's rate, its biases at twenty.

        Args:
            lr: Learning rate of the backbone.
            weight_decay: For everything but the head's biases.
            head: Factor of the head's weights.
            bias: Factor of its biases.

        Returns:
            Three groups with ``params``, ``lr`` and ``weight_decay``; batch normalisation is in none.
        """
        frozen = {id(value) for norm in self._batch_norms() for value in norm.parameters()}
        backbone = [value for value in self.backbone.parameters() if id(value) not in frozen]
        convolutions = self.decode_head.convolutions
        return [
            {"params": backbone, "lr": lr, "weight_decay": weight_decay},
            {"params": [conv.weight for conv in convolutions], "lr": head * lr, "weight_decay": weight_decay},
            {"params": [conv.bias for conv in convolutions], "lr": bias * lr, "weight_decay": 0.0},
        ]

    def _batch_norms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]


def build_segmenter(network: "SegmenterNetwork", num_labels: int) -> MultiScaleEncoderDecoder:
    """Build DeepLabV2, its backbone randomly initialised, through mmseg's registry.

    Args:
        network: Its settings; a ``norm`` that is ``by_backbone`` is :func:`default_norm`'s.
        num_labels: Number of classes with background.

    Returns:
        The network in training mode.
    """
    given = {} if network.norm == BY_BACKBONE else {"norm": network.norm}
    head = {"rates": network.rates, "num_classes": num_labels, **given}
    net: MultiScaleEncoderDecoder = MODELS.build(
        {
            "type": "MultiScaleEncoderDecoder",
            "backbone": {"type": "TimmBackbone", **network.backbone.model_dump()},
            "decode_head": {"type": "DeepLabV2Head", **head},
            "multi_scale": network.multi_scale,
            "criterion": network.loss,
        }
    )
    return net
