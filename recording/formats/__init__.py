"""What a chunk is made of: a whole MP4, MP3 or WAV, and what its metadata file calls it."""
