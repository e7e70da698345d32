"""Ways to train a classifier: which losses, which parameters, and which weights are written."""
