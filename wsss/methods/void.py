"""The label of pixels without one; a module of its own, which needs no library."""

VOID = 255  # label of a pixel that no loss and no score counts
