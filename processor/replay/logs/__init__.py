"""Reads historical logs: lines → frames in the order in which they were received."""
