"""A DLNA media server: the box by itself on televisions and players (UPnP AV MediaServer:1), on our own web server.

``app`` takes requests apart; ``soap``, ``services``, ``description`` are its language; ``tree`` finds what is asked for
through ``listings`` and ``sides``, ``didl`` writes it, by ``films`` and by the family of the screen (``families``,
``quirks/*.toml``); ``criteria`` reads searches and orders, ``actions`` are the services', ``events`` tells changes,
``art`` makes small pictures.
"""
