"""The formats of chunks: is a file a complete MP4, MP3 or WAV?"""
