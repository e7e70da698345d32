"""The published methods as pure functions: tensors and numbers in, tensors out."""
