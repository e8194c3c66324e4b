"""Follow: a channel's listing becomes videos in the catalogue."""
