"""What is too long or too sensitive to timing for `make test`: run alone, by `make acceptance`."""
