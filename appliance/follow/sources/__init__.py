"""One file a kind of channel: pure parsers, bytes to domain, hostile input."""
