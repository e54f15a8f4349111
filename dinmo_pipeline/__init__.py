"""Tables in, files out, that other systems can rely on."""
