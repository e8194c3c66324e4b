"""This machine: disks and memory (``probe``), ffmpeg in niced child processes (``ffmpeg``), systemd (``systemd``)."""
