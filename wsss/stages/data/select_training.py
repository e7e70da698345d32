"""Take the training images out of a manifest, for the stages that read no others.

Images that are added to val or test change the manifest and not this list, so that no training runs again.
"""

from __future__ import annotations

from dataclasses import replace

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_manifest, write_manifest


def run(*, manifest: PathLike, training: PathLike) -> None:
    """Write a manifest of the split train alone.

    Args:
        manifest: The data set.
        training: Manifest to write.
    """
    data = read_manifest(manifest)
    write_manifest(training, replace(data, records=tuple(data.split("train"))))
