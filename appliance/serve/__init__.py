"""Serve: plays on every screen. Plain ASGI; decides nothing about access."""
