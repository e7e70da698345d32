"""One training engine for all networks, on mmengine's Runner."""

from wsss.training.checkpoints import work_folder
from wsss.training.engine import TrainingError, seed_everything, train
from wsss.training.schedule import Schedule

__all__ = ["Schedule", "TrainingError", "seed_everything", "train", "work_folder"]
