"""A timm backbone under a linear head, as it is pretrained on image labels."""

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.backbones import build_backbone
from wsss.models.outputs import ClassifierOutput

if TYPE_CHECKING:
    from wsss.config.networks import Backbone


class BackboneClassifier(nn.Module):
    """Linear head on the averaged last feature of a backbone.

    Args:
        backbone: Its settings.
        num_classes: Number of classes C.
    """

    def __init__(self, backbone: "Backbone", num_classes: int) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone)
        self.head = nn.Linear(self.backbone.channels[-1], num_classes)

    def forward(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images.

        Args:
            images: Normalised images, (B, 3, H, W).
            attention: Accepted for the common interface; there is none.

        Returns:
            Logits (B, C) and class maps (B, C, h, w); no class token, no attention.
        """
        features = self.backbone(images)[-1]
        class_maps = F.conv2d(features, self.head.weight[:, :, None, None])
        logits = class_maps.mean((2, 3)) + self.head.bias
        return ClassifierOutput(logits, None, class_maps, None, map_features=features)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters; there is no second branch."""
        return {"cnn": list(self.parameters()), "vit": []}

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the head, which starts at random."""
        return list(self.head.parameters())

    def map_head(self) -> nn.Module:
        """The head."""
        return self.head
