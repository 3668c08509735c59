"""The direct TLS lane beside Iroh: offered, tried and proven with the keys that Iroh has proven."""
