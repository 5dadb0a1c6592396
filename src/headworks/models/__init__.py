"""Models as products: features as they were known, training, a gate, champions, scores, and a card of each model."""
