"""One module for each benchmark: `run(size)` measures and prints. Found by their names."""
