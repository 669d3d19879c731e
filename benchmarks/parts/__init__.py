"""What benchmarks are made of; no benchmark itself."""
