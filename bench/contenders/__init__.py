"""Programs that do the processor's work in other ways; each a process of its own."""
