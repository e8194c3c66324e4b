"""Seed: gives back within the budgets."""
