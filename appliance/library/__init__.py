"""The disk: the only code that creates or unlinks media.

``layout`` names, ``marker`` proves whose folder it is, ``manifest`` is the record of one video, ``files`` writes and
opens, ``release`` deletes, ``atomic`` writes so that a kill leaves old or new, ``space`` keeps the floor, ``bytemap``
reads playlists.
"""
