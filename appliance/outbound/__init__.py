"""Outbound: HTTP to the world, which is hostile territory."""
