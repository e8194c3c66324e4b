"""Web: how it looks. One ASGI application over the five verbs."""
