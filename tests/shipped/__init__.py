"""What users install, as they install it: run by `make image-test`."""
