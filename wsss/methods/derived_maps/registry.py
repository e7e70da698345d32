"""The makers of derived maps by ``maps.kind``, and what each part of the program needs of them.

A new one is a module beside this one with the members of :class:`~.contract.Maker`, and an entry in
:data:`MAKERS`. All else here follows from the table. The stage takes the dict of each member, so that a job's
digest covers its own maker and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsss.methods.derived_maps import advcam, getam, rib

if TYPE_CHECKING:
    from wsss.config.fields import Settings
    from wsss.methods.derived_maps.contract import Check, Groups, Maker, Maps

MAKERS: dict[str, Maker] = {"advcam": advcam, "rib": rib, "getam": getam}

SETTINGS: tuple[type[Settings], ...] = tuple(maker.Settings for maker in MAKERS.values())
CHECKS: dict[str, Check] = {kind: maker.check for kind, maker in MAKERS.items()}
ON_TOKENS: dict[str, bool] = {kind: maker.ON_TOKENS for kind, maker in MAKERS.items()}
PAIRED: dict[str, bool] = {kind: maker.PAIRED for kind, maker in MAKERS.items()}
GROUPS: dict[str, Groups] = {kind: maker.groups for kind, maker in MAKERS.items()}
MAPS: dict[str, Maps] = {kind: maker.maps for kind, maker in MAKERS.items()}
