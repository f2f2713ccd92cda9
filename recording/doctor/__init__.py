"""What `python -m recording doctor` examines: can this deployment do its work?"""
