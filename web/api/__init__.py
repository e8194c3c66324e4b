"""The API: JSON under ``/api/v1``, one resource a file."""
