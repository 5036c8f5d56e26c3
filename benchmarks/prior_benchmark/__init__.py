"""What bench_priors.py is made of."""
