"""Tests of Seedkeep: this package holds them by kind, `world` is what they run against."""
