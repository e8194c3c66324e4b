"""Plan: the world now and the rules become decisions."""
