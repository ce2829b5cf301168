//! Text metrics: ROUGE, BLEU.
