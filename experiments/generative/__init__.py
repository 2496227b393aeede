"""What the experiments with generative models share: data, models in one form, scores, pictures."""
