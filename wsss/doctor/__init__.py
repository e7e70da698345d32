"""Whether everything is in place for a run: the checks of ``wsss doctor``.

Nothing here imports torch, and no check reads more than it must: all of them take seconds. What they leave
unread, ``prepare_manifest`` and the trainings check before they begin.
"""
