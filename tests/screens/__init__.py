"""Screens that we did not write, on a network of their own: each finds the box, browses it, plays and seeks."""
