//! SentencePiece Unigram, WordPiece and WoBERT words: text to ids and back.
