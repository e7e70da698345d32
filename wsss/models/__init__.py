"""Networks: pure computation, tensors in, tensors out; no paths, no logging."""

from wsss.models.timm_import import import_timm

import_timm()
