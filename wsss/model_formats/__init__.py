"""Trained networks in the forms of other tools: files that label pictures without this project."""
