"""Parts of `tools/same_bytes`: what is run (inputs, commands) and how results are compared."""
