"""This network: the household's ``interfaces``, a ``watch`` for their changes, and ``mdns`` to be found by."""
