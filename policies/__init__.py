"""Policies: what should be. Pure functions over the domain."""
