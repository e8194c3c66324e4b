"""A world to test in: a replayed origin, made media, hosts, peers. This package is never part of the product."""
