"""Class maps for which a trained classifier is differentiated, image by image."""
