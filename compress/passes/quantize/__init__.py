"""What ptq, qat, reconstruct and weights are made of: modules, observers, rounding, engines."""
