"""Library: the disk, the only code that creates or unlinks media."""
