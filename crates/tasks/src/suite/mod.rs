//! The suites of the papers: text forms, files, metrics and reported split of each of their tasks.
