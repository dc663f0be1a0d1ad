"""What to try next: objectives and choices over a pool. Speaks only BoTorch's Model interface."""
