"""Swarm: BitTorrent, the only libtorrent."""
