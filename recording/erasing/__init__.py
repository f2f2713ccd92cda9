"""Use cases: a recording is erased: asked for, called off, done, certified."""
