"""One training engine for all networks, on mmengine's Runner."""

from wsss.training.engine import TrainingError, seed_everything, train
from wsss.training.schedule import Schedule
from wsss.training.stopping import STOPPED, Stopped

__all__ = ["STOPPED", "Schedule", "Stopped", "TrainingError", "seed_everything", "train"]
