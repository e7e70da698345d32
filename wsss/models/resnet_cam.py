"""ResNet-50 with class maps, the classifier of IRN (Ahn et al., CVPR 2019)."""

import timm
import torch
from torch import Tensor, nn

from wsss.models.outputs import ClassifierOutput, check_images

FROZEN = ("conv1", "bn1", "layer1", "layer2")


class ResNetCam(nn.Module):
    """ResNet-50 at output stride 16 whose head is a 1x1 convolution without bias on the last features.

    The last stage keeps stride 1 without dilation. Stem and the first two stages are frozen, batch
    normalisation always uses its running statistics.

    Args:
        num_classes: Classes C of the head.
    """

    stride = 16
    token_stride = None

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone = timm.create_model("resnet50.tv_in1k", pretrained=False, num_classes=0)
        first = self.backbone.layer4[0]
        first.conv2.stride = first.downsample[0].stride = (1, 1)
        self.classifier = nn.Conv2d(self.backbone.num_features, num_classes, 1, bias=False)
        for name in FROZEN:
            getattr(self.backbone, name).requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "ResNetCam":
        """Switch the mode of all but the batch normalisations, which stay in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images of any size; every layer rounds its grid up, so nothing needs padding.

        Args:
            images: Normalised images, (B, 3, H, W).
            attention: Accepted for the common interface; a ResNet has none.

        Returns:
            Logits (B, C) and class maps (B, C, ceil(H/16), ceil(W/16)); no class token, no attention.
        """
        check_images(images)
        net = self.backbone
        with torch.no_grad():
            features = net.maxpool(net.act1(net.bn1(net.conv1(images))))
            features = net.layer2(net.layer1(features))
        class_maps = self.classifier(net.layer4(net.layer3(features)))
        return ClassifierOutput(class_maps.mean((2, 3)), None, class_maps, None)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters, each once: all are in ``cnn``, ``vit`` is empty."""
        return {"cnn": [p for p in self.parameters() if p.requires_grad], "vit": []}
