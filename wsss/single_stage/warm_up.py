"""Training that warms up: the encoder may be frozen at first, and the learning rate changes once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from wsss.models.apc import APC

if TYPE_CHECKING:
    from wsss.single_stage import apc, vit_pcm


class WarmUp:
    """What learns at which rate; methods add their losses.

    Attributes:
        optimizer: Adam.
        restart: Iteration at which it forgets its moments, the end of the warm-up; None: never.
    """

    optimizer: Literal["adam"] = "adam"

    def __init__(self, network: APC, training: apc.Training | vit_pcm.Training, warm_up: int) -> None:
        """Keep the network and the settings.

        Args:
            network: Frozen and thawed as the training goes on.
            training: What learns when, and at which rate.
            warm_up: Iterations at the first rate, with the encoder frozen if asked; 0 skips them.

        Raises:
            ValueError: If more of the encoder's blocks are to learn than it has.
        """
        self.network, self.training, self.warm_up = network, training, warm_up
        self.restart = warm_up if training.new_adam else None
        self.learns = None if training.learns == "all" else training.learns
        network.let_encoder_learn(self.learns)  # too many blocks are refused now, not when the encoder thaws
        self.begin(0)

    def begin(self, iteration: int) -> None:
        """Freeze or thaw the encoder for an iteration, counted from 0."""
        frozen = self.training.freeze and iteration < self.warm_up
        self.network.let_encoder_learn(0 if frozen else self.learns)

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups with their constant rates; the encoder's is 0 while it is frozen."""
        warm_up_lr, decay = self.training.warm_up_lr, self.training.patch_decay
        frozen = ("encoder",) if self.training.freeze else ()
        return [
            {
                "name": name,
                "params": params,
                "lr": 0.0 if name in frozen else warm_up_lr,
                "changes": [(self.warm_up, self.training.lr)],
                "power": 0.0,
                "weight_decay": decay if name == "patch_classifier" else 0.0,
            }
            for name, params in self.network.parameter_groups().items()
        ]
