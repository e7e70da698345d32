"""A stranger's pictures: generated animals as JPEGs, a table of their names, masks where asked for."""

from pathlib import Path

from PIL import Image

from wsss.artefacts.formats import write_mask
from wsss.data.generated import SAMPLE_CLASSES, sample_scenes


def own_pictures(
    folder: Path, count: int = 12, *, masks: bool = False, in_folders: bool = False, enlarged: int = 1
) -> None:
    """Write ``images/`` and ``labels.csv``, or a folder a class, and ``masks/`` beside them.

    Args:
        folder: Where to.
        count: Number of pictures.
        masks: Whether they have masks.
        in_folders: Whether each lies in a folder named as its first class, in place of the table.
        enlarged: Factor of their sides, which are 64 to 96 pixels.
    """
    rows = ["id,class,class"]
    for number, scene in enumerate(sample_scenes(0, 0, count, (64, 96))):
        names = [SAMPLE_CLASSES[index] for index in scene.classes]
        name = f"{names[0]}/{number:03d}" if in_folders else f"{number:03d}"
        path = folder / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = [side * enlarged for side in scene.image.shape[1::-1]]
        Image.fromarray(scene.image).resize((size[0], size[1])).save(path, quality=95)
        rows.append(",".join([name, *names]))
        if masks:
            write_mask(folder / "masks" / f"{name}.png", scene.mask.repeat(enlarged, 0).repeat(enlarged, 1))
    if not in_folders:
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
