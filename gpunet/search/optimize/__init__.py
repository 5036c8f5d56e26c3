"""Black-box optimisation by ask and tell: it knows vectors and values, nothing of networks, storage or processes."""
