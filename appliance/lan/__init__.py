"""This network: ``watch`` follows the household's ``interfaces``, ``mdns`` and ``ssdp`` are what it finds us by, and
``hops`` times the way out of it."""
