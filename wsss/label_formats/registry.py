"""The forms that labels are exported to, by name."""

from wsss.label_formats.coco import COCO
from wsss.label_formats.form import Form
from wsss.label_formats.labelme import LABELME
from wsss.label_formats.labelstudio import LABEL_STUDIO
from wsss.label_formats.voc import CVAT, VOC

FORMS: dict[str, Form] = {
    "voc": VOC,
    "coco": COCO,
    "cvat": CVAT,
    "labelme": LABELME,
    "labelstudio": LABEL_STUDIO,
}
