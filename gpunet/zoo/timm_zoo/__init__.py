"""Private: timm's networks with published accuracies, as entries of the zoo."""
