"""Networks: pure computation, tensors in, tensors out; no paths, no logging."""
