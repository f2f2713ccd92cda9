"""The clients of Blob, Queue and Table Storage, and the stores of facts above them."""
