"""Plays on every screen: HLS text from what is held, and the bytes behind it.

``media`` is the ASGI app, ``exchange`` and ``source`` the two ends of its byte path, ``ranges`` and ``playlist`` its
pure parts, ``m3u`` the whole library as one list. ``serve`` never adds, fetches or deletes.
"""
