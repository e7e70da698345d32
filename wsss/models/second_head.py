"""A classifier with a second head on the features that its class maps are made of."""

from typing import Any

from torch import nn


class SecondHead(nn.Module):
    """A classifier beside a linear layer from the features of its class maps to its classes.

    Args:
        classifier: Follows :class:`wsss.models.outputs.Classifier`; keeps its weights.

    Attributes:
        classifier: The classifier.
        second: The layer, (C, D) without bias, at random as torch starts it.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier: Any = classifier
        classes, channels = self._head().weight.shape[:2]
        self.second = nn.Linear(channels, classes, bias=False)

    def head_name(self) -> str:
        """Name of the classifier's own head among its modules."""
        head = self._head()
        return next(name for name, module in self.classifier.named_modules() if module is head)

    def _head(self) -> Any:
        return self.classifier.map_head()
