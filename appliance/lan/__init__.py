"""Lan: this network."""
