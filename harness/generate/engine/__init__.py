"""The engine: merged weights, a static cache in slots, and the decode step as a captured CUDA graph."""
