"""The methods that make class maps of a classifier's stored views, and what each part of the program needs.

A new method is a module beside this one with the members of :class:`~.contract.Method`, and an entry in
:data:`METHODS`. All else here follows from the table. A stage takes the dict of the member it runs, so that
its digest covers that member of every method and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsss.methods.class_maps import adcam, attention_diffusion, cam, cam_attention, transcam, tscam

if TYPE_CHECKING:
    from wsss.methods.class_maps.contract import Check, Maps, Method, Source, Stored, ViewsMethod

METHODS: dict[str, Method] = {
    "cam": cam,
    "cam_attention": cam_attention,
    "tscam": tscam,
    "transcam": transcam,
    "attention_diffusion": attention_diffusion,
    "adcam": adcam,
}

SETTINGS: dict[str, type[ViewsMethod]] = {kind: method.Settings for kind, method in METHODS.items()}
TITLES: dict[str, str] = {kind: method.TITLE for kind, method in METHODS.items()}
NEED_ATTENTION: tuple[str, ...] = tuple(kind for kind, method in METHODS.items() if method.NEEDS_ATTENTION)
CHECKS: dict[str, Check] = {kind: method.check for kind, method in METHODS.items() if method.check}
STORED: dict[str, Stored] = {kind: method.stored for kind, method in METHODS.items() if method.stored}
SOURCES: dict[str, Source] = {kind: method.source for kind, method in METHODS.items()}
MAPS: dict[str, Maps] = {kind: method.maps for kind, method in METHODS.items()}
