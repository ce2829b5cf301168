//! Examples, batches, loss, optimizer, trainer and resume.
