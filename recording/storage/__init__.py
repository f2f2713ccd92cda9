"""The clients of Blob Storage and queues, and the stores of facts above them."""
