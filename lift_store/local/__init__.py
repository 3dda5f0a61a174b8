"""Real services as child processes, for `up`, tests and benchmarks alike. They end with us, however we end."""
