"""Search spaces: architectures as vectors of choices, with the plan by which millions are estimated."""
